#pragma once
/// Asks the kernel to send `signal` to this process when its parent dies (Linux). Returns 0, or errno.
int cplatform_signal_on_parent_death(int signal);
