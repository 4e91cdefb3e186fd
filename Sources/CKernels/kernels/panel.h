// Packed f32 matmul for CPUs where oneDNN has no blocked kernel whose rows do not depend on their number.
//
// A panel of W [w][depth] is packed as blocks of CK_TILE_VECTORS vectors of outputs: [block][depth][columns], the last
// block padded with zeros. Every output is one chain of fused multiply-adds over ascending depth.

enum { K(BLOCK) = CK_TILE_VECTORS * LANES };

static void K(pack_panel)(
    float *packed, const void *source, int type, int64_t stride_k, int64_t stride_n, int64_t depth, int64_t w) {
    for (int64_t n0 = 0; n0 < w; n0 += K(BLOCK))
        for (int64_t k = 0; k < depth; k++)
            for (int64_t n = n0; n < n0 + K(BLOCK); n++) {
                int64_t at = k * stride_k + n * stride_n;
                if (n >= w) {
                    *packed++ = 0;
                } else if (type == CK_F32) {
                    *packed++ = ((const float *)source)[at];
                } else {
                    uint32_t bits = (uint32_t)((const uint16_t *)source)[at] << 16;
                    memcpy(packed++, &bits, 4);
                }
            }
}

static void K(panel_product)(
    float *block, const float *x, const float *packed, int64_t rows, int64_t depth, int64_t w) {
    for (int64_t n0 = 0; n0 < w; n0 += K(BLOCK), packed += depth * K(BLOCK)) {
        if (w - n0 >= K(BLOCK)) {
            K(product)(rows, CK_TILE_VECTORS, depth, x, depth, 1, packed, CK_F32, K(BLOCK), block + n0, w, false,
                       (K(rows_ahead)){0});
            continue;
        }
        for (int64_t r = 0; r < rows; r += CK_TILE_ROWS) {
            int64_t tall = rows - r < CK_TILE_ROWS ? rows - r : CK_TILE_ROWS;
            _Alignas(64) float tile[CK_TILE_ROWS * K(BLOCK)];
            K(product)(tall, CK_TILE_VECTORS, depth, x + r * depth, depth, 1, packed, CK_F32, K(BLOCK), tile,
                       K(BLOCK), false, (K(rows_ahead)){0});
            for (int64_t i = 0; i < tall; i++)
                memcpy(block + (r + i) * w + n0, tile + i * K(BLOCK), (size_t)(w - n0) * 4);
        }
    }
}
