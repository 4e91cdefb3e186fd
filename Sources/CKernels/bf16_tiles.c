#include "include/ckbf16.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <float.h>
#include <immintrin.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CK_FMA 1
#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,fma,f16c,prfchw,amx-tile,amx-bf16"), \
                   min_vector_width(512))), \
    apply_to = function)
#include "kernels/bf16_store.h"

enum {
    /// Rows of a tile.
    TILE = 16,
    /// Products that one instruction adds to a sum: one row of a tile of x.
    STEP = 32,
    /// Bytes from one pair of a block to the next.
    PAIR_BYTES = CK_BF16_BLOCK * 4,
};

// Tile registers. Two tiles of rows by two of outputs, or one by four.
#define C0 0
#define C1 1
#define C2 2
#define C3 3
#define A0 4
#define A1 5
#define B0 6
#define B1 7

static pthread_once_t asked = PTHREAD_ONCE_INIT;
static bool available;

static void ask(void) {
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18, HAS_BF16 = 1 << 22, HAS_TILES = 1 << 24 };
    unsigned a, b, c, d;
    if (!__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512bf16") ||
        !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return;
    if (!(d & HAS_BF16) || !(d & HAS_TILES)) return;
    available = syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
}

bool ck_bf16_tiles_available(void) {
    pthread_once(&asked, ask);
    return available;
}

/// Layout of the tile registers that LDTILECFG reads.
typedef struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_shapes;

/// Sets the shapes of tiles for 1...32 rows of x. Up to 16 rows are one tile of them by four of outputs, where A1 holds
/// weights.
static void configure(int64_t rows) {
    const bool two = rows > TILE;
    tile_shapes shapes = {.palette = 1};
    for (int t = 0; t < 8; t++) {
        shapes.row_bytes[t] = 64;
        shapes.rows[t] = TILE;
    }
    shapes.rows[C0] = shapes.rows[C1] = shapes.rows[A0] = (uint8_t)(two ? TILE : rows);
    shapes.rows[C2] = shapes.rows[C3] = (uint8_t)(two ? rows - TILE : rows);
    if (two) shapes.rows[A1] = (uint8_t)(rows - TILE);
    _tile_loadconfig(&shapes);
}

/// Rows and where their products go.
typedef struct {
    void *y;
    ck_bf16_store store;
    int64_t ldy;
    const uint16_t *x;
    int64_t depth;
} operands;

/// The last depth % 32 columns of `rows` rows, followed by zeros: a tile is not to read past a row.
static void copy_rest(uint16_t rest[TILE][STEP], const operands *o, int64_t from, int64_t rows) {
    const int64_t whole = o->depth / STEP * STEP;
    memset(rest, 0, sizeof(uint16_t[TILE][STEP]));
    for (int64_t r = 0; r < rows; r++)
        memcpy(rest[r], o->x + (from + r) * o->depth + whole, (size_t)(o->depth - whole) * 2);
}

/// Sums of `rows` rows by 32 outputs, of which `width` are wanted.
static void put_pair(
    const operands *o, const float sums[TILE][2 * LANES], int64_t row, int64_t rows, int64_t column, int64_t width) {
    for (int64_t r = 0; r < rows; r++) {
        const int64_t at = (row + r) * o->ldy + column;
        const vf left = load_f32(sums[r]), right = load_f32(sums[r] + LANES);
        if (width < 2 * LANES) {
            put(o->y, o->store, at, left, width < LANES ? width : LANES);
            if (width > LANES) put(o->y, o->store, at + LANES, right, width - LANES);
        } else if (o->store == CK_BF16_NARROW) {
            // Rounds as `narrow` does, but for the bits of a NaN; subnormal sums are zero before.
            const __m512bh both = _mm512_cvtne2ps_pbh((__m512)right, (__m512)left);
            memcpy((uint16_t *)o->y + at, &both, sizeof both);
        } else {
            put(o->y, CK_BF16_ADD, at, left, LANES);
            put(o->y, CK_BF16_ADD, at + LANES, right, LANES);
        }
    }
}

/// Writes tile registers L and R, of `count` rows, side by side; `width` of their columns are wanted. Whole rows of
/// sums need no detour.
#define PUT_PAIR(L, R, row, count, column, width) \
    if (o->store == CK_BF16_SET && (width) >= 2 * LANES) { \
        float *y = (float *)o->y + (row) * o->ldy + (column); \
        _tile_stored(L, y, (size_t)o->ldy * 4); \
        _tile_stored(R, y + LANES, (size_t)o->ldy * 4); \
    } else if ((width) > 0) { \
        _Alignas(64) float sums[TILE][2 * LANES]; \
        _tile_stored(L, sums, sizeof sums[0]); \
        _tile_stored(R, sums[0] + LANES, sizeof sums[0]); \
        put_pair(o, sums, row, count, column, width); \
    }

INLINE void clear_sums(void) {
    _tile_zero(C0);
    _tile_zero(C1);
    _tile_zero(C2);
    _tile_zero(C3);
}

INLINE const char *fetch(const char *next, int64_t lines) {
    if (next)
        for (int64_t l = 0; l < lines; l++, next += 64) _mm_prefetch(next, _MM_HINT_T1);
    return next;
}

/// Fetches where two rows of sums by 32 outputs will go, for writing: otherwise the stores wait for it.
INLINE void fetch_target(const operands *o, int64_t row, int64_t column) {
    const bool narrow = o->store == CK_BF16_NARROW;
    for (int64_t r = row; r < row + 2; r++) {
        const char *at = (const char *)o->y + (size_t)((r * o->ldy + column) * (narrow ? 2 : 4));
        __builtin_prefetch(at, 1, 3);
        if (!narrow) __builtin_prefetch(at + 64, 1, 3);
    }
}

/// 17...32 rows by 32 outputs, whose weights begin at w. Fetches `lines` cache lines from `next` on at every step and
/// returns where it then is.
static const char *two_by_two(
    const operands *o, int64_t row, int64_t rows, int64_t column, int64_t width, const uint16_t *w, const char *next,
    int64_t lines) {
    const int64_t depth = o->depth, whole = depth / STEP * STEP, lower = rows - TILE;
    const uint16_t *x = o->x + row * depth;
    const size_t stride = (size_t)depth * 2;
    clear_sums();
    // Loads first: products that stand between them would hold them up.
#define MULTIPLY(upper_rows, lower_rows, stride, k) \
    _tile_loadd(B0, w + (k) * CK_BF16_BLOCK, PAIR_BYTES); \
    _tile_loadd(A0, upper_rows, stride); \
    _tile_loadd(B1, w + (k) * CK_BF16_BLOCK + 2 * TILE, PAIR_BYTES); \
    _tile_loadd(A1, lower_rows, stride); \
    _tile_dpbf16ps(C0, A0, B0); \
    _tile_dpbf16ps(C1, A0, B1); \
    _tile_dpbf16ps(C2, A1, B0); \
    _tile_dpbf16ps(C3, A1, B1);
    for (int64_t k = 0, r = 0; k < whole; k += STEP, r += 2) {
        MULTIPLY(x + k, x + TILE * depth + k, stride, k)
        next = fetch(next, lines);
        if (r + 2 <= rows) fetch_target(o, row + r, column);
    }
    if (whole < depth) {
        _Alignas(64) uint16_t rest[2][TILE][STEP];
        copy_rest(rest[0], o, row, TILE);
        copy_rest(rest[1], o, row + TILE, lower);
        MULTIPLY(rest[0], rest[1], sizeof rest[0][0], whole)
        next = fetch(next, lines);
    }
#undef MULTIPLY
    PUT_PAIR(C0, C1, row, TILE, column, width)
    PUT_PAIR(C2, C3, row + TILE, lower, column, width)
    return next;
}

/// 1...16 rows by 64 outputs.
static const char *one_by_four(
    const operands *o, int64_t row, int64_t rows, int64_t column, int64_t width, const uint16_t *w, const char *next,
    int64_t lines) {
    const int64_t depth = o->depth, whole = depth / STEP * STEP;
    const uint16_t *x = o->x + row * depth;
    const size_t stride = (size_t)depth * 2;
    clear_sums();
    // A1 is not needed for rows: weights take turns in three registers.
#define MULTIPLY(rows_at, stride, k) \
    _tile_loadd(A0, rows_at, stride); \
    _tile_loadd(B0, w + (k) * CK_BF16_BLOCK, PAIR_BYTES); \
    _tile_dpbf16ps(C0, A0, B0); \
    _tile_loadd(B1, w + (k) * CK_BF16_BLOCK + 2 * TILE, PAIR_BYTES); \
    _tile_dpbf16ps(C1, A0, B1); \
    _tile_loadd(A1, w + (k) * CK_BF16_BLOCK + 4 * TILE, PAIR_BYTES); \
    _tile_dpbf16ps(C2, A0, A1); \
    _tile_loadd(B0, w + (k) * CK_BF16_BLOCK + 6 * TILE, PAIR_BYTES); \
    _tile_dpbf16ps(C3, A0, B0);
    for (int64_t k = 0; k < whole; k += STEP) {
        MULTIPLY(x + k, stride, k)
        next = fetch(next, lines);
    }
    if (whole < depth) {
        _Alignas(64) uint16_t rest[TILE][STEP];
        copy_rest(rest, o, row, rows);
        MULTIPLY(rest, sizeof rest[0], whole)
        next = fetch(next, lines);
    }
#undef MULTIPLY
    PUT_PAIR(C0, C1, row, rows, column, width)
    PUT_PAIR(C2, C3, row, rows, column + 2 * TILE, width - 2 * TILE)
    return next;
}

void ck_bf16_tiles_product(
    void *y, ck_bf16_store store, int64_t ldy, const uint16_t *x, const uint16_t *panel, int64_t rows, int64_t depth,
    int64_t width, const void *next_panel, int64_t next_bytes) {
    const operands o = {.y = y, .store = store, .ldy = ldy, .x = x, .depth = depth};
    const int64_t steps = (depth + STEP - 1) / STEP, block = steps * STEP * CK_BF16_BLOCK, half = CK_BF16_BLOCK / 2;
    // Rows in twos of tiles, then one tile.
    const int64_t pairs = (rows + TILE - 1) / (2 * TILE), paired = pairs * 2 * TILE < rows ? pairs * 2 * TILE : rows;
    // While a block is multiplied the next one is fetched, each pass its share.
    const int64_t passes = 2 * pairs + (paired < rows), lines = (2 * STEP + passes - 1) / passes;
    const char *end = (const char *)(panel + (width + CK_BF16_BLOCK - 1) / CK_BF16_BLOCK * block);
    int64_t configured = 0;
    for (int64_t n = 0; n < width; n += CK_BF16_BLOCK, panel += block) {
        const char *next = (const char *)(panel + block);
        if (next >= end) next = next_bytes >= 2 * block ? next_panel : NULL;
        for (int64_t h = 0; h < CK_BF16_BLOCK && n + h < width; h += half)
            for (int64_t r = 0; r < paired; r += 2 * TILE) {
                const int64_t count = paired - r < 2 * TILE ? paired - r : 2 * TILE;
                if (configured != count) configure(configured = count);
                next = two_by_two(&o, r, count, n + h, width - n - h, panel + 2 * h, next, lines);
            }
        if (paired < rows) {
            if (configured != rows - paired) configure(configured = rows - paired);
            next = one_by_four(&o, paired, rows - paired, n, width - n, panel, next, lines);
        }
    }
    _tile_release();
}
#pragma clang attribute pop
#else
bool ck_bf16_tiles_available(void) { return false; }
void ck_bf16_tiles_product(
    void *y, ck_bf16_store store, int64_t ldy, const uint16_t *x, const uint16_t *panel, int64_t rows, int64_t depth,
    int64_t width, const void *next, int64_t next_bytes) {}
#endif
