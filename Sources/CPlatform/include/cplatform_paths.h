#pragma once

/// Swaps two paths of one file system in one step. Returns 0, or errno (ENOSYS, EINVAL: it cannot be done there).
int cplatform_exchange_paths(const char *first, const char *second);
