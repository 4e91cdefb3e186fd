// A team of threads that share loops. Idle threads spin briefly, then sleep: processes share cores.
#pragma once
#include <stdint.h>

typedef struct ck_team ck_team;

/// `threads` includes the caller of ck_team_run. `enter` runs once on each new thread. Null on failure.
ck_team *ck_team_create(int threads, void (*enter)(void));
/// Stops and joins the threads; no run may be in progress.
void ck_team_destroy(ck_team *team);
