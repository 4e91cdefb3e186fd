#pragma once
#include <spawn.h>

/// Closes every descriptor from `first` on in the process that is spawned with `actions`. Returns 0, or errno.
int cplatform_spawn_close_from(posix_spawn_file_actions_t *actions, int first);

/// Whether this process ignores `signal`.
int cplatform_signal_is_ignored(int signal);
