#include "cplatform.h"

#include <errno.h>
#include <string.h>
#include <sys/prctl.h>

int cplatform_signal_on_parent_death(int signal) {
    return prctl(PR_SET_PDEATHSIG, signal) == 0 ? 0 : errno;
}

void cplatform_name_thread(const char *name) {
    char cut[16] = {0};
    strncpy(cut, name, sizeof cut - 1);
    prctl(PR_SET_NAME, cut, 0, 0, 0);
}
