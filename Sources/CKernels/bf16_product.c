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

/// Outputs of a tile: half a block.
enum { VECTORS = 2, WIDTH = VECTORS * LANES };

/// One pair of every row times two vectors of weights. Written so that a row's pair is fetched just before its use:
/// compilers gather them all first and run out of registers.
INLINE void multiply_pair(int R, __m512 acc[CK_BF16_TILE][VECTORS], const uint32_t *x, const uint16_t *w) {
    __m512 b[VECTORS], a;
#pragma clang loop unroll(full)
    for (int v = 0; v < VECTORS; v++)
        __asm__ volatile("vmovups %1, %0" : "=v"(b[v]) : "m"(*(const __m512_u *)(w + v * 2 * LANES)));
#pragma clang loop unroll(full)
    for (int r = 0; r < R; r++) {
        __asm__ volatile("vbroadcastss %1, %0" : "=v"(a) : "m"(x[r]));
#pragma clang loop unroll(full)
        for (int v = 0; v < VECTORS; v++)
            __asm__ volatile("vdpbf16ps %1, %2, %0" : "+v"(acc[r][v]) : "v"(b[v]), "v"(a));
    }
}

/// One tile: sums [R][WIDTH], row stride ld, are the products of x [pairs][R] and the first WIDTH columns of
/// w [pairs][CK_BF16_BLOCK], plus what was there if `add`. With every four pairs it fetches `lines` cache lines from
/// `next` on, and it returns where `next` then is.
INLINE const char *tile(
    int R, int lines, float *sums, int64_t ld, bool add, const uint32_t *x, const uint16_t *w, int64_t pairs,
    const char *next) {
    __m512 acc[CK_BF16_TILE][VECTORS];
#pragma clang loop unroll(full)
    for (int r = 0; r < R; r++)
#pragma clang loop unroll(full)
        for (int v = 0; v < VECTORS; v++) acc[r][v] = _mm512_setzero_ps();
    for (; pairs >= 4; pairs -= 4, x += 4 * R, w += 4 * 2 * CK_BF16_BLOCK, next += lines * 64)
#pragma clang loop unroll(full)
        for (int i = 0; i < 4; i++) {
            multiply_pair(R, acc, x + i * R, w + i * 2 * CK_BF16_BLOCK);
#pragma clang loop unroll(full)
            for (int l = i * lines / 4; l < (i + 1) * lines / 4; l++) _mm_prefetch(next + l * 64, _MM_HINT_T1);
        }
    for (; pairs; pairs--, x += R, w += 2 * CK_BF16_BLOCK) multiply_pair(R, acc, x, w);
#pragma clang loop unroll(full)
    for (int r = 0; r < R; r++)
#pragma clang loop unroll(full)
        for (int v = 0; v < VECTORS; v++) {
            float *sum = sums + r * ld + v * LANES;
            _mm512_storeu_ps(sum, add ? _mm512_add_ps(acc[r][v], _mm512_loadu_ps(sum)) : acc[r][v]);
        }
    return next;
}

// Rows and lines are constants in the machine code: every choice of them is a function. These are called through a
// table and do no more than add up, because a compiler's time grows faster than the length of a function: all of them
// in one, each with every way to store its sums, took clang six minutes.
typedef const char *tile_function(
    float *sums, int64_t ld, bool add, const uint32_t *x, const uint16_t *w, int64_t pairs, const char *next);

/// The numbers of lines that ck_bf16_product asks for.
#define EACH_LINES(DO, R) DO(R, 0) DO(R, 2) DO(R, 3) DO(R, 4) DO(R, 8)
#define EACH_TILE(DO) \
    DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11) DO(12) DO(13) DO(14)
#define FUNCTION(R, LINES) \
    static const char *tile_##R##_##LINES( \
        float *sums, int64_t ld, bool add, const uint32_t *x, const uint16_t *w, int64_t pairs, const char *next) { \
        return tile(R, LINES, sums, ld, add, x, w, pairs, next); \
    }
#define FUNCTIONS(R) EACH_LINES(FUNCTION, R)
EACH_TILE(FUNCTIONS)

#define ENTRY(R, LINES) [LINES] = tile_##R##_##LINES,
#define ENTRIES(R) [R] = {EACH_LINES(ENTRY, R)},
/// [rows][lines], with gaps.
static tile_function *const tile_functions[CK_BF16_TILE + 1][8 + 1] = {EACH_TILE(ENTRIES)};

/// `count` outputs, at most WIDTH, of the sums of `rows` rows, to y from element `first` on.
INLINE void put_rows(
    void *y, ck_bf16_store store_as, int64_t ldy, int64_t first, const float sums[CK_BF16_TILE][WIDTH], int64_t rows,
    int64_t count) {
    for (int64_t r = 0, at = first; r < rows; r++, at += ldy) {
        put(y, store_as, at, load_f32(sums[r]), count < LANES ? count : LANES);
        if (count > LANES) put(y, store_as, at + LANES, load_f32(sums[r] + LANES), count - LANES);
    }
}

/// The rows of one tile times half a block of weights, in parts of `part` pairs, to y from element `first` on, row
/// stride ldy. At most `width` outputs are wanted.
///
/// Not inlined, so that what it needs is in registers: in the loops over tiles there are not enough of them.
__attribute__((noinline)) static const char *multiply_tile(
    int64_t rows, void *y, ck_bf16_store store_as, int64_t ldy, int64_t first, const uint32_t *x, const uint16_t *w,
    int64_t pairs, int64_t width, int64_t part, const char *next, int lines) {
    _Alignas(64) float detour[CK_BF16_TILE][WIDTH];
    // Whole rows of sums need no detour, unless several parts must be summed before they are added to y.
    const bool add = store_as == CK_BF16_ADD && pairs <= part;
    const bool direct = width >= WIDTH && (store_as == CK_BF16_SET || add);
    float *sums = direct ? (float *)y + first : detour[0];
    for (int64_t from = 0; from < pairs; from += part)
        next = tile_functions[rows][lines](
            sums, direct ? ldy : WIDTH, from > 0 || (direct && add), x + from * rows, w + from * 2 * CK_BF16_BLOCK,
            pairs - from < part ? pairs - from : part, next);
    if (direct) return next;
    if (width >= WIDTH) put_rows(y, store_as, ldy, first, detour, rows, WIDTH);
    else put_rows(y, store_as, ldy, first, detour, rows, width);
    return next;
}

void ck_bf16_product(
    void *y, ck_bf16_store store_as, int64_t ldy, const uint32_t *arranged, const uint16_t *panel, int64_t rows,
    int64_t depth, int64_t width, int64_t part, const void *next_panel, int64_t next_bytes) {
    const int64_t tiles = tiles_of(rows), pairs = pairs_of(depth);
    const int64_t block = (depth + 31) / 32 * 32 * CK_BF16_BLOCK;
    const size_t bytes = store_as == CK_BF16_NARROW ? 2 : 4;
    const char *end = (const char *)(panel + (width + CK_BF16_BLOCK - 1) / CK_BF16_BLOCK * block);
    for (int64_t n = 0; n < width; n += WIDTH) {
        const uint16_t *w = panel + n / CK_BF16_BLOCK * block + n % CK_BF16_BLOCK * 2;
        // While the two halves of one block are multiplied, the next block is fetched.
        const char *next = (const char *)(panel + (n / CK_BF16_BLOCK + 1) * block);
        if (next >= end) next = next_bytes >= 2 * block ? next_panel : NULL;
        if (next && n % CK_BF16_BLOCK) next += block;
        int lines = !next ? 0 : tiles == 1 ? 8 : tiles == 2 ? 4 : tiles == 3 ? 3 : 2;
        for (int64_t t = 0; t < tiles; t++) {
            const int64_t from = tile_start(t, tiles, rows), count = tile_start(t + 1, tiles, rows) - from;
            if (t == 4) lines = 0;
            next = multiply_tile(count, (char *)y + (size_t)(from * ldy) * bytes, store_as, ldy, n,
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
