#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "include/ckteam.h"

#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

// How long a waiting thread spins before it sleeps: longer than the serial pieces between the loops of one decode
// step, shorter than what another process would miss.
enum { SPIN_NANOSECONDS = 40000, SPINS_BETWEEN_CLOCKS = 32 };

/// A Swift closure as it is called: its context comes in a register of its own. It may lie on the caller's stack.
typedef __attribute__((swiftcall)) void (*closure)(
    int64_t item, int64_t thread, __attribute__((swift_context)) void *context);

struct ck_team {
    int threads;
    pthread_t *ids;
    void (*enter)(void);
    // The job. Read only by a thread that owns an unfinished item, which keeps the job alive.
    closure body;
    void *context;
    int64_t items;
    // High half: run number; low half: items not claimed yet. One word, so that a late thread cannot claim an item
    // of the next run with the arguments of the last.
    _Alignas(64) _Atomic uint64_t ticket;
    _Alignas(64) _Atomic uint32_t done;
    _Alignas(64) _Atomic uint32_t generation;  // futex: new work or stop
    _Atomic uint32_t sleepers;
    _Atomic uint32_t caller_sleeps;
    _Atomic int stop;
};

typedef struct {
    ck_team *team;
    int index;
} start_argument;

static void pause_cpu(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static int64_t nanoseconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void futex_wait(_Atomic uint32_t *word, uint32_t expected) {
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, NULL, NULL, 0);
}
static void futex_wake(_Atomic uint32_t *word, int count) {
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

/// Spins until *word != value; false when the time was up first.
static int spin_while(_Atomic uint32_t *word, uint32_t value) {
    int64_t start = 0;
    for (;;) {
        for (int i = 0; i < SPINS_BETWEEN_CLOCKS; i++) {
            if (atomic_load_explicit(word, memory_order_acquire) != value) return 1;
            pause_cpu();
        }
        int64_t now = nanoseconds();
        if (start == 0) start = now;
        if (now - start > SPIN_NANOSECONDS) return 0;
    }
}

/// Claims and runs items until none is left.
static void work(ck_team *team, int thread) {
    uint64_t ticket = atomic_load_explicit(&team->ticket, memory_order_acquire);
    while ((uint32_t)ticket != 0) {
        if (!atomic_compare_exchange_weak_explicit(
                &team->ticket, &ticket, ticket - 1, memory_order_acq_rel, memory_order_acquire))
            continue;
        int64_t items = team->items;
        team->body(items - (int64_t)(uint32_t)ticket, thread, team->context);
        uint32_t done = atomic_fetch_add_explicit(&team->done, 1, memory_order_seq_cst) + 1;
        if (done == (uint32_t)items && thread != 0 && atomic_load_explicit(&team->caller_sleeps, memory_order_seq_cst))
            futex_wake(&team->done, 1);
        ticket = atomic_load_explicit(&team->ticket, memory_order_acquire);
    }
}

static void *worker(void *raw) {
    start_argument argument = *(start_argument *)raw;
    free(raw);
    ck_team *team = argument.team;
    if (team->enter) team->enter();
    for (;;) {
        uint32_t generation = atomic_load_explicit(&team->generation, memory_order_acquire);
        if (atomic_load_explicit(&team->stop, memory_order_acquire)) return NULL;
        work(team, argument.index);
        if (spin_while(&team->generation, generation)) continue;
        atomic_fetch_add_explicit(&team->sleepers, 1, memory_order_seq_cst);
        while (atomic_load_explicit(&team->generation, memory_order_seq_cst) == generation)
            futex_wait(&team->generation, generation);
        atomic_fetch_sub_explicit(&team->sleepers, 1, memory_order_seq_cst);
    }
}

static void announce(ck_team *team) {
    atomic_fetch_add_explicit(&team->generation, 1, memory_order_seq_cst);
    if (atomic_load_explicit(&team->sleepers, memory_order_seq_cst)) futex_wake(&team->generation, team->threads);
}

ck_team *ck_team_create(int threads, void (*enter)(void)) {
    ck_team *team = NULL;
    if (threads < 1 || posix_memalign((void **)&team, 64, sizeof *team)) return NULL;
    *team = (ck_team){.threads = 1, .enter = enter};
    team->ids = calloc((size_t)threads, sizeof *team->ids);
    for (int i = 1; team->ids && i < threads; i++) {
        start_argument *argument = malloc(sizeof *argument);
        if (!argument) break;
        *argument = (start_argument){team, i};
        if (pthread_create(&team->ids[i], NULL, worker, argument)) {
            free(argument);
            break;
        }
        team->threads++;
    }
    if (team->threads != threads) {
        ck_team_destroy(team);
        return NULL;
    }
    return team;
}

void ck_team_destroy(ck_team *team) {
    if (!team) return;
    atomic_store_explicit(&team->stop, 1, memory_order_seq_cst);
    announce(team);
    for (int i = 1; i < team->threads; i++) pthread_join(team->ids[i], NULL);
    free(team->ids);
    free(team);
}

/// Calls body for items 0 ..< items, each claimed by one thread; returns when all are done. One caller at a time.
/// Declared in ThreadTeam.swift: headers cannot say how closures are called.
__attribute__((swiftcall)) void ck_team_run(ck_team *team, int64_t items, closure body, void *context) {
    if (items <= 0) return;
    if (items == 1 || team->threads == 1 || items > INT32_MAX) {
        for (int64_t i = 0; i < items; i++) body(i, 0, context);
        return;
    }
    team->body = body;
    team->context = context;
    team->items = items;
    atomic_store_explicit(&team->done, 0, memory_order_relaxed);
    uint64_t run = (atomic_load_explicit(&team->ticket, memory_order_relaxed) >> 32) + 1;
    atomic_store_explicit(&team->ticket, run << 32 | (uint64_t)items, memory_order_release);
    announce(team);
    work(team, 0);
    for (;;) {
        uint32_t done = atomic_load_explicit(&team->done, memory_order_acquire);
        if (done == (uint32_t)items) return;
        if (spin_while(&team->done, done)) continue;
        atomic_store_explicit(&team->caller_sleeps, 1, memory_order_seq_cst);
        done = atomic_load_explicit(&team->done, memory_order_seq_cst);
        if (done != (uint32_t)items) futex_wait(&team->done, done);
        atomic_store_explicit(&team->caller_sleeps, 0, memory_order_seq_cst);
    }
}
