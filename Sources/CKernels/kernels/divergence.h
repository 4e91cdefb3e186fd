// Divergences of two whole distributions and their gradients, one vocabulary panel at a time.
//
// z and zt are the panel's logits of student and teacher [rows][w] f32, scaled already, row strides ldz and ldt; lse and
// lset their log-sum-exp over the whole vocabulary, one a row. The functions are those of Sources/Distillation/Divergences,
// in f32: p is the student's probability, q the teacher's, x = log q - log p. Where x is 0 every part is exactly 0.

enum { CK_REVERSE_KL, CK_FORWARD_KL, CK_JENSEN_SHANNON, CK_SKEW_KL, CK_SKEW_REVERSE_KL };
#define CK_EACH_DIVERGENCE(DO) \
    DO(CK_REVERSE_KL) DO(CK_FORWARD_KL) DO(CK_JENSEN_SHANNON) DO(CK_SKEW_KL) DO(CK_SKEW_REVERSE_KL)

/// log(x) of positive normal numbers: the exponent apart, Cephes' polynomial for what is left, within 1 ulp or so.
INLINE vf log16(vf x) {
    vi bits = (vi)x;
    vi exponent = ((bits >> 23) & 0xff) - 126;
    vf m = (vf)((bits & 0x007fffff) | 0x3f000000);
    vi low = m < 0.707106781186547524f;
    exponent += low;  // A comparison's truth is -1.
    vf f = (low ? m + m : m) - 1.0f;
    vf e = __builtin_convertvector(exponent, vf);
    vf z = f * f;
    vf p = 7.0376836292e-2f;
    p = fma16(p, f, (vf)-1.1514610310e-1f);
    p = fma16(p, f, (vf)1.1676998740e-1f);
    p = fma16(p, f, (vf)-1.2420140846e-1f);
    p = fma16(p, f, (vf)1.4249322787e-1f);
    p = fma16(p, f, (vf)-1.6668057665e-1f);
    p = fma16(p, f, (vf)2.0000714765e-1f);
    p = fma16(p, f, (vf)-2.4999993993e-1f);
    p = fma16(p, f, (vf)3.3333331174e-1f);
    vf y = p * f * z;
    y = fma16(e, (vf)-2.12194440e-4f, y);
    y = fma16(z, (vf)-0.5f, y);
    return fma16(e, (vf)0.693359375f, f + y);
}

/// exp(x) - 1 with all its digits around 0; clamped as exp16.
INLINE vf expm1_16(vf x) {
    vf p = 1.98412698e-4f;
    p = fma16(p, x, (vf)1.38888889e-3f);
    p = fma16(p, x, (vf)8.33333333e-3f);
    p = fma16(p, x, (vf)4.16666667e-2f);
    p = fma16(p, x, (vf)1.66666667e-1f);
    p = fma16(p, x, (vf)0.5f);
    p = fma16(p * x, x, x);
    vf magnitude = x < 0.0f ? -x : x;
    return magnitude < 0.5f ? p : exp16(x) - 1.0f;
}

/// log(1 + u) of u above -1, with all its digits around 0.
INLINE vf log1p_16(vf u) {
    vf w = u + 1.0f;
    return log16(w) + (u - (w - 1.0f)) / w;
}

/// log(a e^x + 1 - a): how far the mixture a q + (1 - a) p is above p.
INLINE vf log_mixture16(float a, vf x) {
    vf far = x + (float)__builtin_logf(a);
    return x > 60.0f ? far : log1p_16(a * expm1_16(x));
}

typedef struct {
    vf value, pull;
} K(term);

/// What each of sixteen tokens adds: `kind` is a constant where this is inlined.
INLINE K(term) K(divergence_term)(int kind, float parameter, vf s, vf t) {
    const vf p = exp16(s), q = exp16(t), x = t - s;
    K(term) term;
    if (kind == CK_REVERSE_KL) {
        term.value = -p * x;
        term.pull = term.value;
    } else if (kind == CK_FORWARD_KL) {
        term.value = q * x;
        term.pull = p - q;
    } else if (kind == CK_JENSEN_SHANNON) {
        vf mixture = log_mixture16(parameter, x);
        term.pull = -(1.0f - parameter) * p * mixture;
        term.value = term.pull - parameter * q * (mixture - x);
    } else if (kind == CK_SKEW_KL) {
        vf excess = x - log_mixture16(parameter, x);
        term.value = q * excess;
        term.pull = -(1.0f - parameter) * p * expm1_16(excess);
    } else {
        vf excess = -log_mixture16(1.0f - parameter, x);
        term.value = p * excess;
        term.pull = p * (excess - parameter * expm1_16(excess));
    }
    return term;
}

INLINE void K(panel_divergence_typed)(
    int kind, float parameter, const float *z, const float *zt, int64_t w, const float *lse, const float *lset,
    float *value, float *pull, int64_t stats_stride, int64_t rows) {
    for (int64_t r = 0; r < rows; r++) {
        vf value0 = 0, pull0 = 0;
        EACH_VECTOR(i, k, 0, w) {
            vf s = load_n(z, CK_F32, r * w + i, k) - lse[r], t = load_n(zt, CK_F32, r * w + i, k) - lset[r];
            K(term) term = K(divergence_term)(kind, parameter, s, t);
            for (int64_t l = k; l < LANES; l++) term.value[l] = term.pull[l] = 0;
            value0 += term.value;
            pull0 += term.pull;
        }
        value[r * stats_stride] = sum_lanes(value0);
        pull[r * stats_stride] = sum_lanes(pull0);
    }
}

static void K(panel_divergence)(
    int kind, float parameter, const float *z, const float *zt, int64_t w, const float *lse, const float *lset,
    float *value, float *pull, int64_t stats_stride, int64_t rows) {
#define CK_KIND(kind) \
    case kind: \
        K(panel_divergence_typed)(kind, parameter, z, zt, w, lse, lset, value, pull, stats_stride, rows); \
        break;
    switch (kind) { CK_EACH_DIVERGENCE(CK_KIND) }
#undef CK_KIND
}

INLINE void K(panel_divergence_gradient_typed)(
    int kind, float parameter, void *d, int type, int64_t ldd, const float *z, const float *zt, int64_t w,
    const ck_divergence_rows *rows, int64_t first, int64_t count, int64_t first_column, float factor) {
    for (int64_t r = 0; r < count; r++) {
        const int64_t at = first + r;
        const vf weight = rows->weight[at] * rows->scale[at], total = rows->total[at] * rows->scale[at];
        const float unit = rows->unit ? rows->unit[at] : 0;
        EACH_VECTOR(i, k, 0, w) {
            vf logit = load_n(z, CK_F32, r * w + i, k);
            vf s = logit - rows->lse[at], t = load_n(zt, CK_F32, r * w + i, k) - rows->teacher_lse[at];
            vf value = weight * K(divergence_term)(kind, parameter, s, t).pull - total * exp16(s);
            if (unit > 0) value *= cap_slope16(logit * unit) * factor;
            store_n(d, type, r * ldd + i, value, k);
        }
        const int64_t target = (int64_t)rows->targets[at] - first_column;
        if (rows->own[at] != 0 && target >= 0 && target < w) {
            vf logit = z[r * w + target];
            vf s = logit - rows->lse[at], t = (vf)zt[r * w + target] - rows->teacher_lse[at];
            vf value = weight * K(divergence_term)(kind, parameter, s, t).pull - total * exp16(s);
            value += (vf)(rows->own[at] * rows->scale[at]);
            if (unit > 0) value *= cap_slope16(logit * unit) * factor;
            store_tail(d, type, r * ldd + target, value, 1);
        }
    }
}

static void K(panel_divergence_gradient)(
    int kind, float parameter, void *d, int type, int64_t ldd, const float *z, const float *zt, int64_t w,
    const ck_divergence_rows *rows, int64_t first, int64_t count, int64_t first_column, float factor) {
#define CK_KIND(kind) \
    case kind: \
        if (type == CK_F32) \
            K(panel_divergence_gradient_typed)( \
                kind, parameter, d, CK_F32, ldd, z, zt, w, rows, first, count, first_column, factor); \
        else \
            K(panel_divergence_gradient_typed)( \
                kind, parameter, d, CK_BF16, ldd, z, zt, w, rows, first, count, first_column, factor); \
        break;
    switch (kind) { CK_EACH_DIVERGENCE(CK_KIND) }
#undef CK_KIND
}
