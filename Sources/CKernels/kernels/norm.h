// RMS norm: y = x * rstd * w, rstd = 1 / sqrt(mean(x^2) + epsilon). f32 inside.
//
// x, y, dx and dy are [rows][c], dense, and pointers to row 0; x and dx are f32, y and dy of the type given with them.
// The weights w and their gradient dw are [c] f32.

/// Sum of a*b over n elements: four accumulators, so that latency does not bound it.
INLINE float K(dot)(const float *a, const float *b, int64_t n) {
    vf s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    int64_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES) {
        s0 = fma16(load_f32(a + i), load_f32(b + i), s0);
        s1 = fma16(load_f32(a + i + 16), load_f32(b + i + 16), s1);
        s2 = fma16(load_f32(a + i + 32), load_f32(b + i + 32), s2);
        s3 = fma16(load_f32(a + i + 48), load_f32(b + i + 48), s3);
    }
    EACH_VECTOR(j, k, i, n) s0 = fma16(load_n(a, CK_F32, j, k), load_n(b, CK_F32, j, k), s0);
    return sum_lanes((s0 + s1) + (s2 + s3));
}

INLINE float K(rstd)(const float *x, int64_t n, float epsilon) {
    return 1.0f / __builtin_sqrtf(K(dot)(x, x, n) / (float)n + epsilon);
}

INLINE void K(rms_norm_typed)(
    void *y, int type, const float *x, const float *w, int64_t c, float epsilon, int64_t r0, int64_t r1) {
    for (int64_t r = r0; r < r1; r++) {
        const float *row = x + r * c;
        float rstd = K(rstd)(row, c, epsilon);
        EACH_VECTOR(i, k, 0, c)
        store_n(y, type, r * c + i, load_n(row, CK_F32, i, k) * rstd * load_n(w, CK_F32, i, k), k);
    }
}

static void K(rms_norm)(
    void *y, int y_type, const float *x, const float *w, int64_t c, float epsilon, int64_t r0, int64_t r1) {
    if (y_type == CK_F32) K(rms_norm_typed)(y, CK_F32, x, w, c, epsilon, r0, r1);
    else K(rms_norm_typed)(y, CK_BF16, x, w, c, epsilon, r0, r1);
}

/// y += x * rstd * w, f32.
static void K(add_rms_norm)(
    float *y, const float *x, const float *w, int64_t c, float epsilon, int64_t r0, int64_t r1) {
    for (int64_t r = r0; r < r1; r++) {
        const float *row = x + r * c;
        float rstd = K(rstd)(row, c, epsilon), *to = y + r * c;
        EACH_VECTOR(i, k, 0, c)
        store_n(
            to, CK_F32, i,
            load_n(to, CK_F32, i, k) + load_n(row, CK_F32, i, k) * rstd * load_n(w, CK_F32, i, k), k);
    }
}

/// With g = dy * w: dx = rstd * g - x * rstd^3 / c * sum(g * x); dw = sum over rows of dy * x * rstd.
INLINE void K(rms_norm_backward_typed)(
    float *dx, float *dw, const void *dy, int type, const float *x, const float *w, int64_t c, float epsilon,
    int64_t r0, int64_t r1) {
    for (int64_t r = r0; r < r1; r++) {
        const float *row = x + r * c;
        float rstd = K(rstd)(row, c, epsilon);
        vf s0 = 0;
        EACH_VECTOR(i, k, 0, c) {
            vf gx = load_n(dy, type, r * c + i, k) * load_n(row, CK_F32, i, k);
            s0 = fma16(gx, load_n(w, CK_F32, i, k), s0);
        }
        float mean = sum_lanes(s0) / (float)c;
        float back = mean * rstd * rstd * rstd;
        EACH_VECTOR(i, k, 0, c) {
            vf g = load_n(dy, type, r * c + i, k), v = load_n(row, CK_F32, i, k);
            vf d = g * load_n(w, CK_F32, i, k) * rstd - v * back;
            store_n(dx, CK_F32, r * c + i, load_n(dx, CK_F32, r * c + i, k) + d, k);
            store_n(dw, CK_F32, i, fma16(g * rstd, v, load_n(dw, CK_F32, i, k)), k);
        }
    }
}

static void K(rms_norm_backward)(
    float *dx, float *dw, const void *dy, int dy_type, const float *x, const float *w, int64_t c, float epsilon,
    int64_t r0, int64_t r1) {
    if (dy_type == CK_F32) K(rms_norm_backward_typed)(dx, dw, dy, CK_F32, x, w, c, epsilon, r0, r1);
    else K(rms_norm_backward_typed)(dx, dw, dy, CK_BF16, x, w, c, epsilon, r0, r1);
}
