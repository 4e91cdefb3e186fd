#include "include/ckbf16.h"

#if defined(__x86_64__)
#include <float.h>
#include <immintrin.h>
#include <string.h>

#define CK_FMA 1
#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,fma,f16c"), min_vector_width(512))), \
    apply_to = function)
#include "kernels/bf16_store.h"
#include "kernels/transpose16.h"

bool ck_bf16_available(void) { return __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512dq"); }

/// Rows are cut into tiles of about one size.
static int64_t tiles_of(int64_t rows) { return (rows + CK_BF16_TILE - 1) / CK_BF16_TILE; }
static int64_t tile_start(int64_t tile, int64_t tiles, int64_t rows) { return tile * rows / tiles; }
static int64_t pairs_of(int64_t depth) { return depth / 2; }

int64_t ck_bf16_arranged_words(int64_t rows, int64_t depth) { return rows * pairs_of(depth) + LANES; }

void ck_bf16_arrange(uint32_t *arranged, const uint16_t *x, int64_t rows, int64_t depth) {
    const int64_t tiles = tiles_of(rows), pairs = pairs_of(depth);
    for (int64_t t = 0; t < tiles; t++) {
        const int64_t from = tile_start(t, tiles, rows), count = tile_start(t + 1, tiles, rows) - from;
        uint32_t *to = arranged + from * pairs;
        int64_t p = 0;
        for (; p + LANES <= pairs; p += LANES) {
            vu v[LANES];
#pragma clang loop unroll(full)
            for (int r = 0; r < LANES; r++) {
                v[r] = 0;
                if (r < count) memcpy(&v[r], x + (from + r) * depth + 2 * p, sizeof v[r]);
            }
            transpose16(v);
            // A vector is written over the unwanted end of the one before.
            for (int i = 0; i < LANES; i++) memcpy(to + (p + i) * count, &v[i], sizeof v[i]);
        }
        for (; p < pairs; p++)
            for (int64_t r = 0; r < count; r++) memcpy(&to[p * count + r], x + (from + r) * depth + 2 * p, 4);
    }
}

/// One pair of every row times V vectors of weights. Written so that a row's pair is fetched just before its use:
/// compilers gather them all first and run out of registers.
INLINE void multiply_pair(int R, int V, __m512 acc[CK_BF16_TILE][2], const uint32_t *x, const uint16_t *w) {
    __m512 b[2], a;
#pragma clang loop unroll(full)
    for (int v = 0; v < V; v++)
        __asm__ volatile("vmovups %1, %0" : "=v"(b[v]) : "m"(*(const __m512_u *)(w + v * 2 * LANES)));
#pragma clang loop unroll(full)
    for (int r = 0; r < R; r++) {
        __asm__ volatile("vbroadcastss %1, %0" : "=v"(a) : "m"(x[r]));
#pragma clang loop unroll(full)
        for (int v = 0; v < V; v++) __asm__ volatile("vdpbf16ps %1, %2, %0" : "+v"(acc[r][v]) : "v"(b[v]), "v"(a));
    }
}

/// Adds the products of `pairs` pairs to R rows x V vectors, and fetches `lines` cache lines from `next` on with every
/// fourth of them. Returns where `next` then is.
INLINE const char *chain(
    int R, int V, __m512 acc[CK_BF16_TILE][2], const uint32_t *x, const uint16_t *w, int64_t pairs, const char *next,
    int lines) {
    int64_t p = 0;
    for (; p + 4 <= pairs; p += 4) {
#pragma clang loop unroll(full)
        for (int i = 0; i < 4; i++) {
            multiply_pair(R, V, acc, x + (p + i) * R, w + (p + i) * 2 * CK_BF16_BLOCK);
#pragma clang loop unroll(full)
            for (int l = i * lines / 4; l < (i + 1) * lines / 4; l++) _mm_prefetch(next + l * 64, _MM_HINT_T1);
        }
        next += lines * 64;
    }
    for (; p < pairs; p++) multiply_pair(R, V, acc, x + p * R, w + p * 2 * CK_BF16_BLOCK);
    return next;
}

/// One tile of R rows, V vectors of a block's outputs; `width` of them are wanted.
INLINE const char *tile(
    int R, int V, void *y, ck_bf16_store store_as, int64_t ldy, int64_t first, const uint32_t *x, const uint16_t *w,
    int64_t pairs, int64_t width, int64_t part, const char *next, int lines) {
    __m512 acc[CK_BF16_TILE][2];
    _Alignas(64) float total[CK_BF16_TILE][2][LANES];
    for (int64_t from = 0; from < pairs; from += part) {
        const int64_t count = pairs - from < part ? pairs - from : part;
#pragma clang loop unroll(full)
        for (int r = 0; r < R; r++)
#pragma clang loop unroll(full)
            for (int v = 0; v < V; v++) acc[r][v] = _mm512_setzero_ps();
        next = chain(R, V, acc, x + from * R, w + from * 2 * CK_BF16_BLOCK, count, next, lines);
        if (pairs <= part) break;
#pragma clang loop unroll(full)
        for (int r = 0; r < R; r++)
#pragma clang loop unroll(full)
            for (int v = 0; v < V; v++) {
                if (from) acc[r][v] = _mm512_add_ps(acc[r][v], _mm512_load_ps(total[r][v]));
                _mm512_store_ps(total[r][v], acc[r][v]);
            }
    }
#pragma clang loop unroll(full)
    for (int r = 0; r < R; r++)
#pragma clang loop unroll(full)
        for (int v = 0; v < V; v++) {
            const int64_t left = width - v * LANES;
            if (left > 0) put(y, store_as, r * ldy + first + v * LANES, (vf)acc[r][v], left < LANES ? left : LANES);
        }
    return next;
}

#define TILE(R) \
    case R: \
        if (lines == 8) return tile(R, 2, y, store_as, ldy, first, x, w, pairs, width, part, next, 8); \
        if (lines == 4) return tile(R, 2, y, store_as, ldy, first, x, w, pairs, width, part, next, 4); \
        if (lines == 3) return tile(R, 2, y, store_as, ldy, first, x, w, pairs, width, part, next, 3); \
        if (lines == 2) return tile(R, 2, y, store_as, ldy, first, x, w, pairs, width, part, next, 2); \
        return tile(R, 2, y, store_as, ldy, first, x, w, pairs, width, part, next, 0);

static const char *tile_rows(
    int64_t rows, void *y, ck_bf16_store store_as, int64_t ldy, int64_t first, const uint32_t *x, const uint16_t *w,
    int64_t pairs, int64_t width, int64_t part, const char *next, int lines) {
    switch (rows) {
        TILE(1) TILE(2) TILE(3) TILE(4) TILE(5) TILE(6) TILE(7)
        TILE(8) TILE(9) TILE(10) TILE(11) TILE(12) TILE(13) TILE(14)
    }
    return next;
}

void ck_bf16_product(
    void *y, ck_bf16_store store_as, int64_t ldy, const uint32_t *arranged, const uint16_t *panel, int64_t rows,
    int64_t depth, int64_t width, int64_t part, const void *next_panel, int64_t next_bytes) {
    const int64_t tiles = tiles_of(rows), pairs = pairs_of(depth), half = CK_BF16_BLOCK / 2;
    const int64_t block = (depth + 31) / 32 * 32 * CK_BF16_BLOCK;
    const size_t bytes = store_as == CK_BF16_NARROW ? 2 : 4;
    const char *end = (const char *)(panel + (width + CK_BF16_BLOCK - 1) / CK_BF16_BLOCK * block);
    for (int64_t n = 0; n < width; n += half) {
        const uint16_t *w = panel + n / CK_BF16_BLOCK * block + n % CK_BF16_BLOCK * 2;
        // While the two halves of one block are multiplied, the next block is fetched.
        const char *next = (const char *)(panel + (n / CK_BF16_BLOCK + 1) * block);
        if (next >= end) next = next_bytes >= 2 * block ? next_panel : NULL;
        if (next && n % CK_BF16_BLOCK) next += block;
        int lines = !next ? 0 : tiles == 1 ? 8 : tiles == 2 ? 4 : tiles == 3 ? 3 : 2;
        for (int64_t t = 0; t < tiles; t++) {
            const int64_t from = tile_start(t, tiles, rows), count = tile_start(t + 1, tiles, rows) - from;
            if (t == 4) lines = 0;
            next = tile_rows(count, (char *)y + (size_t)(from * ldy) * bytes, store_as, ldy, n,
                             arranged + from * pairs, w, pairs, width - n, part / 2, next, lines);
        }
    }
}
#pragma clang attribute pop
#else
bool ck_bf16_available(void) { return false; }
int64_t ck_bf16_arranged_words(int64_t rows, int64_t depth) { return 0; }
void ck_bf16_arrange(uint32_t *arranged, const uint16_t *x, int64_t rows, int64_t depth) {}
void ck_bf16_product(
    void *y, ck_bf16_store store, int64_t ldy, const uint32_t *arranged, const uint16_t *panel, int64_t rows,
    int64_t depth, int64_t width, int64_t part, const void *next, int64_t next_bytes) {}
#endif
