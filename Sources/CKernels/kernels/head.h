// Softmax statistics and gradients of logits, one vocabulary panel at a time.
//
// z is the panel's logits [rows][w] f32, row stride ldz; d its gradient [rows][w], row stride ldd. Every row has one
// element of scale, lse, coefficient, unit and targets [rows]; a target counts columns of the whole vocabulary, of which
// the panel begins at first_column. max, sum and weighted are written at every stats_stride-th element, one for a row.

static void K(panel_stats)(
    float *z, int64_t ldz, int64_t w, const float *scale, float *max, float *sum, float *weighted,
    int64_t stats_stride, int64_t rows) {
    for (int64_t r = 0; r < rows; r++) {
        float *row = z + r * ldz;
        const float factor = scale[r];
        vf m0 = -FLT_MAX, m1 = -FLT_MAX;
        int64_t i = 0;
        for (; i + 2 * LANES <= w; i += 2 * LANES) {
            vf a = load_f32(row + i) * factor, b = load_f32(row + i + LANES) * factor;
            store_f32(row + i, a);
            store_f32(row + i + LANES, b);
            m0 = max16(m0, a);
            m1 = max16(m1, b);
        }
        EACH_VECTOR(j, k, i, w) {
            vf a = load_n(row, CK_F32, j, k) * factor;
            store_n(row, CK_F32, j, a, k);
            for (int64_t l = 0; l < k; l++) m0[0] = a[l] > m0[0] ? a[l] : m0[0];
        }
        const float top = max_lanes(max16(m0, m1));
        vf s0 = 0, s1 = 0, u0 = 0, u1 = 0;
        i = 0;
        for (; i + 2 * LANES <= w; i += 2 * LANES) {
            vf a = load_f32(row + i) - top, b = load_f32(row + i + LANES) - top;
            vf ea = exp16(a), eb = exp16(b);
            s0 += ea;
            s1 += eb;
            if (weighted) {
                u0 = fma16(ea, a, u0);
                u1 = fma16(eb, b, u1);
            }
        }
        EACH_VECTOR(j, k, i, w) {
            vf a = load_n(row, CK_F32, j, k) - top, e = exp16(a);
            for (int64_t l = k; l < LANES; l++) e[l] = 0;
            s0 += e;
            if (weighted) u0 = fma16(e, a, u0);
        }
        max[r * stats_stride] = top;
        sum[r * stats_stride] = sum_lanes(s0 + s1);
        if (weighted) weighted[r * stats_stride] = sum_lanes(u0 + u1);
    }
}

static void K(panel_cap)(float *z, int64_t ldz, int64_t w, float factor, float cap, int64_t rows) {
    for (int64_t r = 0; r < rows; r++)
        EACH_VECTOR(i, k, 0, w)
    store_n(z, CK_F32, r * ldz + i, cap16(load_n(z, CK_F32, r * ldz + i, k) * factor, cap), k);
}

/// `unit` is null where there is no cap, a constant where this is inlined.
INLINE void K(panel_gradient_typed)(
    void *d, int type, int64_t ldd, const float *z, int64_t ldz, int64_t w, const float *scale, const float *lse,
    const float *coefficient, const int32_t *targets, int32_t first_column, int64_t rows, float slope,
    const float *unit) {
    for (int64_t r = 0; r < rows; r++) {
        const float *row = z + r * ldz;
        const vf factor = scale[r], minus = -(coefficient[r] * scale[r]);
        EACH_VECTOR(i, k, 0, w) {
            vf value = exp16(load_n(row, CK_F32, i, k) * factor - lse[r]) * minus;
            if (unit) value *= cap_slope16(load_n(row, CK_F32, i, k) * unit[r]) * slope;
            store_n(d, type, r * ldd + i, value, k);
        }
        int64_t target = (int64_t)targets[r] - first_column;
        if (target >= 0 && target < w) {
            vf p = exp16((vf)(row[target] * scale[r]) - lse[r]);
            vf value = (1.0f - p) * (coefficient[r] * scale[r]);
            if (unit) value *= cap_slope16((vf)(row[target] * unit[r])) * slope;
            store_tail(d, type, r * ldd + target, value, 1);
        }
    }
}

static void K(panel_gradient)(
    void *d, int type, int64_t ldd, const float *z, int64_t ldz, int64_t w, const float *scale, const float *lse,
    const float *coefficient, const int32_t *targets, int32_t first_column, int64_t rows) {
    if (type == CK_F32)
        K(panel_gradient_typed)(
            d, CK_F32, ldd, z, ldz, w, scale, lse, coefficient, targets, first_column, rows, 1, NULL);
    else
        K(panel_gradient_typed)(
            d, CK_BF16, ldd, z, ldz, w, scale, lse, coefficient, targets, first_column, rows, 1, NULL);
}

static void K(panel_gradient_capped)(
    void *d, int type, int64_t ldd, const float *z, int64_t ldz, int64_t w, const float *scale, const float *lse,
    const float *coefficient, const int32_t *targets, int32_t first_column, int64_t rows, float factor,
    const float *unit) {
    if (type == CK_F32)
        K(panel_gradient_typed)(
            d, CK_F32, ldd, z, ldz, w, scale, lse, coefficient, targets, first_column, rows, factor, unit);
    else
        K(panel_gradient_typed)(
            d, CK_BF16, ldd, z, ldz, w, scale, lse, coefficient, targets, first_column, rows, factor, unit);
}

static void K(panel_points)(
    void *d, int type, const float *z, const int32_t *ids, const float *values, int64_t count, int32_t first_column,
    float scale, float factor, float unit) {
    for (int64_t i = 0; i < count; i++) {
        const int64_t column = (int64_t)ids[i] - first_column;
        vf value = values[i] * scale;
        if (unit > 0) value *= cap_slope16((vf)(z[column] * unit)) * factor;
        store_tail(d, type, column, value, 1);
    }
}
