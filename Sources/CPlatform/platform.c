#include "cplatform.h"

#include <errno.h>
#include <sys/prctl.h>

int cplatform_signal_on_parent_death(int signal) {
    return prctl(PR_SET_PDEATHSIG, signal) == 0 ? 0 : errno;
}
