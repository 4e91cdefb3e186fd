#define _GNU_SOURCE
#include "cplatform_process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// Errno of what failed; does not return where nothing did. It runs in the memory of the process that starts: it calls
// what a signal handler may call, and changes nothing there.
static int execute(const struct cplatform_start *start, pid_t parent) {
    struct sigaction action = {.sa_handler = SIG_DFL};
    for (int number = 1; number < NSIG; number++) sigaction(number, &action, 0);
    if (setpgid(0, 0) != 0) return errno;
    if (start->parent_death_signal != 0) {
        if (prctl(PR_SET_PDEATHSIG, start->parent_death_signal) != 0) return errno;
        // It may have ended before the line above.
        if (getppid() != parent) return ESRCH;
    }
    if (start->address_space != 0) {
        // Nobody may raise the hard limit, and one that is lower already is the stricter of the two.
        struct rlimit limit;
        if (getrlimit(RLIMIT_AS, &limit) != 0) return errno;
        if (limit.rlim_max > start->address_space) limit.rlim_max = start->address_space;
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_AS, &limit) != 0) return errno;
    }
    int given[3] = {start->input, start->output, start->errors};
    if (given[0] < 0) {
        given[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (given[0] < 0) return errno;
    }
    // Moved out of the way of one another first.
    for (int place = 0; place < 3; place++) {
        if (given[place] < 0) continue;
        given[place] = fcntl(given[place], F_DUPFD_CLOEXEC, 3);
        if (given[place] < 0) return errno;
    }
    for (int place = 0; place < 3; place++) {
        if (given[place] >= 0 && dup2(given[place], place) < 0) return errno;
    }
#if defined(SYS_close_range)
    // Without it only descriptors opened without close-on-exec reach the child: untidy, not wrong.
    syscall(SYS_close_range, 3u, ~0u, 4u /* CLOSE_RANGE_CLOEXEC */);
#endif
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, 0);
    execve(start->path, start->arguments, start->environment);
    return errno;
}

int cplatform_start_process(const struct cplatform_start *start, pid_t *pid) {
    int report[2];
    if (pipe2(report, O_CLOEXEC) != 0) return errno;
    // Where standard streams are closed it may have their places, which the child gives to others.
    int moved = fcntl(report[1], F_DUPFD_CLOEXEC, 3), code = errno;
    close(report[1]);
    if (moved < 0) {
        close(report[0]);
        return code;
    }
    report[1] = moved;
    // No handler of this process may run in the child, which has its memory.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    pid_t parent = getpid();
    pid_t child = vfork();
    if (child == 0) {
        code = execute(start, parent);
        if (write(report[1], &code, sizeof code) < 0) _exit(126);
        _exit(127);
    }
    int result = child < 0 ? errno : 0;
    pthread_sigmask(SIG_SETMASK, &before, 0);
    close(report[1]);
    if (child > 0) {
        // Its end closes the pipe, and so does the program that it becomes.
        code = 0;
        ssize_t count;
        do count = read(report[0], &code, sizeof code);
        while (count < 0 && errno == EINTR);
        if (count == sizeof code) {
            result = code;
            while (waitpid(child, 0, 0) < 0 && errno == EINTR) {
            }
        }
    }
    close(report[0]);
    if (result == 0) *pid = child;
    return result;
}

int cplatform_pipe(int ends[2]) { return pipe2(ends, O_CLOEXEC); }

int cplatform_process_descriptor(pid_t pid) {
#if defined(SYS_pidfd_open)
    return (int)syscall(SYS_pidfd_open, pid, 0);
#else
    (void)pid;
    errno = ENOSYS;
    return -1;
#endif
}

int cplatform_signal_is_ignored(int number) {
    struct sigaction action;
    return sigaction(number, 0, &action) == 0 && action.sa_handler == SIG_IGN;
}
