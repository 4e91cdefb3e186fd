#pragma once

/// Names the calling thread for debuggers and top; cut to 15 bytes.
void cplatform_name_thread(const char *name);
