#include "cplatform_event.h"

#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

int cplatform_event_create(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

void cplatform_event_signal(int descriptor) {
    uint64_t one = 1;
    // EAGAIN means that the counter is full, so the descriptor is readable already.
    while (write(descriptor, &one, sizeof one) < 0 && errno == EINTR) {
    }
}

void cplatform_event_clear(int descriptor) {
    uint64_t count;
    while (read(descriptor, &count, sizeof count) < 0 && errno == EINTR) {
    }
}
