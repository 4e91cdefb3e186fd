#pragma once
#include <stdint.h>
#include <sys/types.h>

/// How a process is started: in a process group of its own, with all signals as they are by default, and no open files
/// but the three standard ones.
struct cplatform_start {
    const char *path;
    char *const *arguments;
    char *const *environment;
    /// Descriptors that become its standard input, output and error; -1: no input, and this process's own output and
    /// error.
    int input, output, errors;
    /// The signal that it is sent when the thread that starts it ends (Linux); 0: none.
    int parent_death_signal;
    /// The most bytes of address space of each of its processes; 0: no limit.
    uint64_t address_space;
};

/// Starts a process, without copying this one's page tables. Returns 0, or errno of what failed first.
int cplatform_start_process(const struct cplatform_start *start, pid_t *pid);

/// A pipe that other programs do not inherit, its end for reading first. -1: see errno.
int cplatform_pipe(int ends[2]);

/// A descriptor that is readable once the process has ended (Linux 5.3), not inherited by other programs. -1: see errno.
int cplatform_process_descriptor(pid_t pid);

/// Whether this process ignores `signal`.
int cplatform_signal_is_ignored(int signal);
