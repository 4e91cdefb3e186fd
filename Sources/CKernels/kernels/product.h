// The small matrix product under attention, forward and backward.
//
// C[rows][n] = (C or 0) + A[rows][depth] B[depth][n], n in vectors of 16. A is f32 with any strides, B either type
// with row stride ldb. Every element of C is one chain of fused multiply-adds over ascending depth, whatever the
// tile it falls in: that makes attention's bits independent of how many queries are computed together.
//
// Element (row, k) of A is a[row * a_row + k * a_depth]; row k of B begins at element k * ldb of b, row r of C at
// c[r * ldc]. In a tile, neighbouring vectors of B are `b_vector` elements apart.
// `ahead`: what will be wanted next is fetched meanwhile: with every piece of the depth `bytes` of `count` rows, which
// lie `step` bytes apart.

enum { K(TILE_PIECE) = 16 };

typedef struct {
    const char *rows;
    int64_t bytes, step, count;
} K(rows_ahead);

INLINE void K(tile)(
    int R, int V, int64_t depth, const float *a, int64_t a_row, int64_t a_depth, const void *b, int b_type,
    int64_t ldb, int64_t b_vector, float *c, int64_t ldc, bool add, K(rows_ahead) ahead) {
    vf acc[CK_TILE_ROWS][4];
#pragma clang loop unroll(full)
    for (int r = 0; r < R; r++)
#pragma clang loop unroll(full)
        for (int v = 0; v < V; v++) acc[r][v] = add ? load_f32(c + r * ldc + v * LANES) : (vf)0.0f;
    for (int64_t k = 0; k < depth;) {
        for (int64_t i = 0; i < ahead.count; i++, ahead.rows += ahead.step)
            for (int64_t at = 0; at < ahead.bytes; at += 64) __builtin_prefetch(ahead.rows + at, 0, 2);
        const int64_t end = depth - k < K(TILE_PIECE) ? depth : k + K(TILE_PIECE);
#if CK_TILE_VECTORS == 1
        // A vector's two halves leave few instructions a step to share the loop's own.
#pragma clang loop unroll_count(4)
#endif
        for (; k < end; k++) {
            vf bv[4];
#pragma clang loop unroll(full)
            for (int v = 0; v < V; v++) bv[v] = load(b, b_type, k * ldb + v * b_vector);
#pragma clang loop unroll(full)
            for (int r = 0; r < R; r++) {
                vf av = a[r * a_row + k * a_depth];
#pragma clang loop unroll(full)
                for (int v = 0; v < V; v++) acc[r][v] = fma16(av, bv[v], acc[r][v]);
            }
        }
    }
#pragma clang loop unroll(full)
    for (int r = 0; r < R; r++)
#pragma clang loop unroll(full)
        for (int v = 0; v < V; v++) store_f32(c + r * ldc + v * LANES, acc[r][v]);
}

/// Rows are cut into as few tiles as can hold them, about as many to each: a tile of few rows has too few chains of
/// sums to fill the pipeline.
INLINE int64_t K(tile_count)(int64_t rows) { return (rows + CK_TILE_ROWS - 1) / CK_TILE_ROWS; }

/// Rows of the next tile when `rows` are left for so many.
INLINE int64_t K(tile_height)(int64_t rows, int64_t tiles) { return (rows + tiles - 1) / tiles; }

#define TILE_CASE(R, V) \
    case R: \
        if (b_type == CK_F32) K(tile)(R, V, depth, a, a_row, a_depth, b, CK_F32, ldb, LANES, c, ldc, add, ahead); \
        else K(tile)(R, V, depth, a, a_row, a_depth, b, CK_BF16, ldb, LANES, c, ldc, add, ahead); \
        break;

#define TILE_FUNCTION(V, CASES) \
    static void K(tile_rows_##V)( \
        int64_t rows, int64_t depth, const float *a, int64_t a_row, int64_t a_depth, const void *b, int b_type, \
        int64_t ldb, float *c, int64_t ldc, bool add, K(rows_ahead) ahead) { \
        switch (rows) { CASES } \
    }
#if CK_TILE_ROWS == 6
#define TALL_CASES(V) TILE_CASE(1, V) TILE_CASE(2, V) TILE_CASE(3, V) TILE_CASE(4, V) TILE_CASE(5, V) TILE_CASE(6, V)
#else
#define TALL_CASES(V) TILE_CASE(1, V) TILE_CASE(2, V) TILE_CASE(3, V)
#endif

TILE_FUNCTION(1, TALL_CASES(1))
#if CK_TILE_VECTORS == 1
// Few rows have too few chains of sums to fill the pipeline: they take more vectors at once.
TILE_FUNCTION(2, TILE_CASE(1, 2) TILE_CASE(2, 2))
TILE_FUNCTION(3, TILE_CASE(1, 3))
TILE_FUNCTION(4, TILE_CASE(1, 4))
#else
TILE_FUNCTION(2, TALL_CASES(2))
#endif
#if CK_TILE_VECTORS == 4
TILE_FUNCTION(3, TALL_CASES(3))
TILE_FUNCTION(4, TALL_CASES(4))
#endif

static void K(product)(
    int64_t rows, int64_t vectors, int64_t depth, const float *a, int64_t a_row, int64_t a_depth, const void *b,
    int b_type, int64_t ldb, float *c, int64_t ldc, bool add, K(rows_ahead) ahead) {
    const int64_t widest = CK_TILE_VECTORS > 1 ? CK_TILE_VECTORS : rows == 1 ? 4 : rows == 2 ? 2 : 1;
    const int64_t tiles = K(tile_count)(rows);
    for (int64_t v = 0; v < vectors; v += widest) {
        int64_t wide = vectors - v < widest ? vectors - v : widest;
        const void *bv = (const char *)b + v * LANES * (b_type == CK_F32 ? 4 : 2);
        for (int64_t r = 0, tall, tile = 0; tile < tiles; r += tall, tile++) {
            tall = K(tile_height)(rows - r, tiles - tile);
            const float *ar = a + r * a_row;
            float *cr = c + r * ldc + v * LANES;
            K(rows_ahead) next = ahead;
            if (v > 0 || r > 0) next.count = 0;
            switch (wide) {
                case 1: K(tile_rows_1)(tall, depth, ar, a_row, a_depth, bv, b_type, ldb, cr, ldc, add, next); break;
                case 2: K(tile_rows_2)(tall, depth, ar, a_row, a_depth, bv, b_type, ldb, cr, ldc, add, next); break;
#if CK_TILE_VECTORS != 2
                case 3: K(tile_rows_3)(tall, depth, ar, a_row, a_depth, bv, b_type, ldb, cr, ldc, add, next); break;
                case 4: K(tile_rows_4)(tall, depth, ar, a_row, a_depth, bv, b_type, ldb, cr, ldc, add, next); break;
#endif
            }
        }
    }
}
