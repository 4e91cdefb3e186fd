#pragma once

/// Marks an open file as owned until this descriptor, and every copy of it, is closed: by an exclusive lock of the open
/// file description, which `flock` knows nothing of. Returns 0, or errno.
int cplatform_own_file(int descriptor);

/// Whether some other open file description, of any process, has marked the file.
int cplatform_file_is_owned(int descriptor);
