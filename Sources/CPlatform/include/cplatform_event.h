#pragma once

/// A new event counter descriptor (Linux eventfd), not inherited by other programs, non-blocking. -1: see errno.
int cplatform_event_create(void);
/// Makes the descriptor readable. Callable from any thread.
void cplatform_event_signal(int descriptor);
/// Makes the descriptor unreadable until the next signal.
void cplatform_event_clear(int descriptor);
