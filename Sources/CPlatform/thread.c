#include "cplatform_thread.h"

#include <string.h>
#include <sys/prctl.h>

void cplatform_name_thread(const char *name) {
    char cut[16] = {0};
    strncpy(cut, name, sizeof cut - 1);
    prctl(PR_SET_NAME, cut, 0, 0, 0);
}
