// Packed matmul for CPUs where oneDNN has no blocked kernel whose rows do not depend on their number.
//
// A panel of W [w][depth] is packed as blocks of CK_TILE_VECTORS vectors of outputs: [block][depth][columns], the last
// block padded with zeros, in f32 or bf16. Every output is one chain of fused multiply-adds in f32 over ascending
// depth, whatever the tile.
//
// x is f32, element (row, k) at x[row * x_row + k * x_depth]: rows [rows][depth] for panel_product, [depth][rows] for
// panel_outer_product. y is [rows][w] f32, row stride ldy. `block` points to one block of `packed`, `ahead` to what is
// to be fetched while it is multiplied.

enum { K(BLOCK) = CK_TILE_VECTORS * LANES };

/// Transposes 16 rows of 16 lanes: blocks of 1, 2, 4 and 8 across the diagonal change places.
INLINE void K(transpose)(vf t[LANES]) {
#define EXCHANGE(S, LOW, HIGH) \
    _Pragma("clang loop unroll(full)") \
    for (int i = 0; i < LANES; i++) { \
        if (i & S) continue; \
        vf a = t[i], b = t[i + S]; \
        t[i] = __builtin_shufflevector(a, b, LOW); \
        t[i + S] = __builtin_shufflevector(a, b, HIGH); \
    }
#define LANE_LIST(...) __VA_ARGS__
    EXCHANGE(1, LANE_LIST(0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30),
             LANE_LIST(1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31))
    EXCHANGE(2, LANE_LIST(0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29),
             LANE_LIST(2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31))
    EXCHANGE(4, LANE_LIST(0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27),
             LANE_LIST(4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31))
    EXCHANGE(8, LANE_LIST(0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23),
             LANE_LIST(8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31))
#undef LANE_LIST
#undef EXCHANGE
}

static void K(pack_panel)(
    void *packed, int packed_type, const void *source, int type, int64_t stride_k, int64_t stride_n, int64_t depth,
    int64_t w) {
    for (int64_t n = 0; n < (w + K(BLOCK) - 1) / K(BLOCK) * K(BLOCK); n += LANES) {
        const int64_t to = n / K(BLOCK) * K(BLOCK) * depth + n % K(BLOCK);
        const int64_t columns = n >= w ? 0 : w - n < LANES ? w - n : LANES;
        if (stride_n == 1) {
            for (int64_t k = 0; k < depth; k++)
                store(packed, packed_type, to + k * K(BLOCK), load_n(source, type, k * stride_k + n, columns));
            continue;
        }
        for (int64_t k = 0; k < depth; k += LANES) {
            const int64_t deep = depth - k < LANES ? depth - k : LANES;
            vf t[LANES] = {0};
            for (int64_t i = 0; i < columns; i++) t[i] = load_n(source, type, (n + i) * stride_n + k, deep);
            K(transpose)(t);
            for (int64_t i = 0; i < deep; i++) store(packed, packed_type, to + (k + i) * K(BLOCK), t[i]);
        }
    }
}

/// `tall` rows, at most CK_TILE_ROWS, times one block: c [tall][BLOCK], row stride ldc, set or added to.
INLINE void K(panel_tile)(
    int64_t tall, float *c, int64_t ldc, bool add, const float *x, int64_t x_row, int64_t x_depth, const void *block,
    int type, int64_t depth, K(rows_ahead) ahead) {
#define PANEL_CASE(R) \
    case R: \
        K(tile)(R, CK_TILE_VECTORS, depth, x, x_row, x_depth, block, type, K(BLOCK), LANES, c, ldc, add, ahead); \
        break;
    switch (tall) {
        PANEL_CASE(1) PANEL_CASE(2) PANEL_CASE(3)
#if CK_TILE_ROWS == 6
        PANEL_CASE(4) PANEL_CASE(5) PANEL_CASE(6)
#endif
    }
#undef PANEL_CASE
}

/// y [rows][columns], at most BLOCK of them: x times one block. `ahead_bytes` from `ahead` on are fetched meanwhile, so
/// that memory is not idle until the next block is wanted.
INLINE void K(panel_block)(
    float *y, int64_t ldy, bool add, const float *x, int64_t x_row, int64_t x_depth, const void *block, int type,
    int64_t rows, int64_t depth, int64_t columns, const char *ahead, int64_t ahead_bytes) {
    const int64_t pieces = (depth + K(TILE_PIECE) - 1) / K(TILE_PIECE);
    const int64_t tiles = K(tile_count)(rows);
    const int64_t share = (ahead_bytes + tiles * pieces - 1) / (tiles * pieces);
    K(rows_ahead) next = {ahead, share, share, 1};
    for (int64_t r = 0, tall, tile = 0; tile < tiles; r += tall, tile++) {
        tall = K(tile_height)(rows - r, tiles - tile);
        float *c = y + r * ldy;
        // The next tile's sums are fetched meanwhile.
        for (int64_t i = tall; add && i < 2 * tall && r + i < rows; i++) __builtin_prefetch(c + i * ldy, 1, 3);
        next.rows = ahead + tile * pieces * share;
        // A rest of a block goes through a tile of its own, which may be written whole. Both in one call: every call
        // here is the machine code of all tiles again.
        _Alignas(64) float edge[CK_TILE_ROWS * K(BLOCK)];
        const bool whole = columns == K(BLOCK);
        float *sums = whole ? c : edge;
        for (int64_t i = 0; !whole && add && i < tall; i++)
            memcpy(edge + i * K(BLOCK), c + i * ldy, (size_t)columns * 4);
        K(panel_tile)(tall, sums, whole ? ldy : K(BLOCK), add, x + r * x_row, x_row, x_depth, block, type, depth, next);
        for (int64_t i = 0; !whole && i < tall; i++)
            memcpy(c + i * ldy, edge + i * K(BLOCK), (size_t)columns * 4);
    }
}

/// y [4 * quarter][BLOCK], one row, with blocks of one vector. The row alone has too few chains of sums to fill the
/// pipeline: it is multiplied with four blocks at once, a quarter of them apart, because hardware that runs ahead of a
/// reader gets a third more out of memory in four places than in one.
INLINE void K(panel_row)(
    float *y, bool add, const float *x, int64_t x_depth, const char *packed, int type, int64_t depth, int64_t quarter) {
    const int64_t block = K(BLOCK) * depth;
    for (int64_t i = 0; i < quarter; i++) {
        _Alignas(64) float sums[4 * LANES];
        for (int64_t v = 0; add && v < 4; v++)
            store_f32(sums + v * LANES, load_f32(y + (v * quarter + i) * K(BLOCK)));
        K(tile)(1, 4, depth, x, 0, x_depth, packed + i * block * (type == CK_F32 ? 4 : 2), type, K(BLOCK),
                quarter * block, sums, 0, add, (K(rows_ahead)){0});
        for (int64_t v = 0; v < 4; v++) store_f32(y + (v * quarter + i) * K(BLOCK), load_f32(sums + v * LANES));
    }
}

enum { K(WIDENED_DEPTH) = 512, K(MANY_ROWS) = 4 * CK_TILE_ROWS };

/// y [rows][w], row stride ldy: x [rows][depth], of strides x_row and x_depth, times the panel; or added to.
INLINE void K(panels)(
    float *y, int64_t ldy, bool add, const float *x, int64_t x_row, int64_t x_depth, const void *packed, int type,
    int64_t rows, int64_t depth, int64_t w) {
    const int64_t element = type == CK_F32 ? 4 : 2;
    const int64_t quarter = CK_TILE_VECTORS == 1 && rows == 1 ? w / (4 * K(BLOCK)) : 0;
    if (quarter) K(panel_row)(y, add, x, x_depth, packed, type, depth, quarter);
    for (int64_t n0 = 4 * quarter * K(BLOCK); n0 < w; n0 += K(BLOCK)) {
        const char *block = (const char *)packed + n0 * depth * element;
        const int64_t columns = w - n0 < K(BLOCK) ? w - n0 : K(BLOCK);
        // After the last block there is none: then what is fetched is there already.
        const char *ahead = n0 + K(BLOCK) < w ? block + K(BLOCK) * depth * element : block;
        if (type == CK_F32 || rows < K(MANY_ROWS)) {
            K(panel_block)(y + n0, ldy, add, x, x_row, x_depth, block, type, rows, depth, columns, ahead,
                           K(BLOCK) * depth * element);
        } else {
            // Many rows: the block is widened once, in pieces that the first cache holds.
            for (int64_t k = 0; k < depth; k += K(WIDENED_DEPTH)) {
                _Alignas(64) float wide[K(WIDENED_DEPTH) * K(BLOCK)];
                const int64_t deep = depth - k < K(WIDENED_DEPTH) ? depth - k : K(WIDENED_DEPTH);
                for (int64_t i = 0; i < deep * K(BLOCK); i += LANES)
                    store_f32(wide + i, load(block, type, k * K(BLOCK) + i));
                K(panel_block)(y + n0, ldy, add || k > 0, x + k * x_depth, x_row, x_depth, wide, CK_F32, rows, deep,
                               columns, ahead + k * K(BLOCK) * element, deep * K(BLOCK) * element);
            }
        }
    }
}

static void K(panel_product)(
    float *y, int64_t ldy, const float *x, const void *packed, int type, int64_t rows, int64_t depth, int64_t w) {
    if (type == CK_F32) K(panels)(y, ldy, false, x, depth, 1, packed, CK_F32, rows, depth, w);
    else K(panels)(y, ldy, false, x, depth, 1, packed, CK_BF16, rows, depth, w);
}

static void K(panel_outer_product)(
    float *y, int64_t ldy, const float *x, int64_t ldx, const void *packed, int type, int64_t rows, int64_t depth,
    int64_t w, bool add) {
    if (type == CK_F32) K(panels)(y, ldy, add, x, 1, ldx, packed, CK_F32, rows, depth, w);
    else K(panels)(y, ldy, add, x, 1, ldx, packed, CK_BF16, rows, depth, w);
}
