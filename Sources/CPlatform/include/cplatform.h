#pragma once
/// Asks the kernel to send `signal` to this process when its parent dies (Linux). Returns 0, or errno.
int cplatform_signal_on_parent_death(int signal);

/// Names the calling thread for debuggers and top; cut to 15 bytes.
void cplatform_name_thread(const char *name);
