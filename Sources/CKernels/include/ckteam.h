// A team of threads that share loops. Idle threads spin briefly, then sleep: processes share cores.
#pragma once
#include <stdint.h>

typedef struct ck_team ck_team;
typedef void (*ck_team_body)(void *context, int64_t item, int thread);

/// `threads` includes the caller of ck_team_run. `enter` runs once on each new thread. Null on failure.
ck_team *ck_team_create(int threads, void (*enter)(void));
/// Stops and joins the threads; no run may be in progress.
void ck_team_destroy(ck_team *team);
/// Calls body for items 0 ..< items, each claimed by one thread; returns when all are done. One caller at a time.
void ck_team_run(ck_team *team, int64_t items, ck_team_body body, void *context);
/// Names the calling thread for debuggers and top; cut to 15 bytes.
void ck_thread_name(const char *name);
