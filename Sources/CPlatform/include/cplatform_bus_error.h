#pragma once

/// From now on a mapped file that is cut short, or cannot be read, ends this process with one line on standard error that
/// names it, and status 1. Returns 0, or errno.
int cplatform_report_bus_errors(void);
