#define _GNU_SOURCE
#include "cplatform_bus_error.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

// Everything below runs in a signal handler: no memory is taken, and nothing is called that a handler may not call.

static const char *hexadecimal(const char *text, uintptr_t *value) {
    *value = 0;
    for (;; text++) {
        char c = *text;
        if (c >= '0' && c <= '9') *value = *value << 4 | (uintptr_t)(c - '0');
        else if (c >= 'a' && c <= 'f') *value = *value << 4 | (uintptr_t)(c - 'a' + 10);
        else return text;
    }
}

/// The path in a line of /proc/self/maps whose range holds `address`; NULL when it holds it not, or has none.
static char *path_in(char *line, uintptr_t address) {
    uintptr_t start, end;
    const char *rest = hexadecimal(line, &start);
    if (*rest != '-') return NULL;
    hexadecimal(rest + 1, &end);
    return address >= start && address < end ? strchr(line, '/') : NULL;
}

/// Copies the path of the file that is mapped at `address` into `line`, and returns it; NULL when there is none.
static char *mapped_path(uintptr_t address, char *line, size_t size) {
    int file = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    if (file < 0) return NULL;
    char buffer[4096], *found = NULL;
    size_t length = 0;
    ssize_t count;
    while (!found && ((count = read(file, buffer, sizeof buffer)) > 0 || (count < 0 && errno == EINTR)))
        for (ssize_t i = 0; i < count && !found; i++) {
            if (buffer[i] != '\n') {
                // A path that is too long loses its end.
                if (length + 1 < size) line[length++] = buffer[i];
                continue;
            }
            line[length] = 0;
            length = 0;
            found = path_in(line, address);
        }
    close(file);
    return found;
}

static void say(const char *text, size_t count) {
    ssize_t ignored = write(STDERR_FILENO, text, count);
    (void)ignored;
}

static void end_with_one_line(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    // An address that no instruction may use is a fault of this program: it comes again, with the default action.
    if (info->si_code != BUS_ADRERR) return;
    static char line[4352];
    char *path = mapped_path((uintptr_t)info->si_addr, line, sizeof line);
    if (!path) path = strcpy(line, "a file");
    for (char *c = path; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f) *c = '?';
    static const char text[] =
        ": it has become shorter, or its disk has failed, while it was read; the files of a running model must not be "
        "changed\n";
    say("error: ", 7);
    say(path, strlen(path));
    say(text, sizeof text - 1);
    _exit(1);
}

int cplatform_report_bus_errors(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = end_with_one_line;
    action.sa_flags = SA_SIGINFO | (int)SA_RESETHAND;
    return sigaction(SIGBUS, &action, NULL) == 0 ? 0 : errno;
}
