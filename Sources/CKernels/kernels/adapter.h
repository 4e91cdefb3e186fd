// Low-rank adapters (Hu and others, "LoRA", 2021).
//
// All is dense f32: out and base [rows][k], a [rank][k], b [rows][rank]. Pointers are to row 0, not to row r0.

/// Rows [r0, r1) of out = base + scale * b a; out may be base. Every element is a sum over ascending rank, each product
/// and each sum rounded by itself: the same bits in every instruction set.
static void K(add_adapter)(
    float *out, const float *base, const float *a, const float *b, float scale, int64_t k, int64_t rank, int64_t r0,
    int64_t r1) {
    enum { WIDE = 4 * LANES };
    int64_t k0 = 0;
    // Strips of columns: a strip of `a` stays in the cache while the rows pass over it.
    for (; k0 + WIDE <= k; k0 += WIDE)
        for (int64_t r = r0; r < r1; r++) {
            vf v0 = 0, v1 = 0, v2 = 0, v3 = 0;
            for (int64_t i = 0; i < rank; i++) {
                const float *ai = a + i * k + k0;
                const vf bv = b[r * rank + i];
                v0 += bv * load_f32(ai);
                v1 += bv * load_f32(ai + LANES);
                v2 += bv * load_f32(ai + 2 * LANES);
                v3 += bv * load_f32(ai + 3 * LANES);
            }
            const float *from = base + r * k + k0;
            float *to = out + r * k + k0;
            store_f32(to, load_f32(from) + v0 * scale);
            store_f32(to + LANES, load_f32(from + LANES) + v1 * scale);
            store_f32(to + 2 * LANES, load_f32(from + 2 * LANES) + v2 * scale);
            store_f32(to + 3 * LANES, load_f32(from + 3 * LANES) + v3 * scale);
        }
    for (int64_t r = r0; r < r1; r++)
        EACH_VECTOR(i, n, k0, k) {
            vf v = 0;
            for (int64_t j = 0; j < rank; j++) v += (vf)b[r * rank + j] * load_n(a + j * k, CK_F32, i, n);
            store_n(out + r * k, CK_F32, i, load_n(base + r * k, CK_F32, i, n) + v * scale, n);
        }
}
