// AdamW with decoupled decay (Loshchilov and Hutter, 2019), one pass; averages of weights; norms of gradients.
//
// Parameters p, gradients g, the moments m and v and the average t are [n] f32; so is the x that is summed.

static void K(adamw)(float *p, const float *g, float *m, float *v, int64_t n, const ck_adamw *o) {
    const vf beta1 = o->beta1, beta2 = o->beta2, rest1 = 1.0f - o->beta1, rest2 = 1.0f - o->beta2;
    const vf rate = o->learning_rate / o->correction1, root = 1.0f / __builtin_sqrtf(o->correction2);
    const vf keep = 1.0f - o->learning_rate * o->weight_decay, epsilon = o->epsilon, scale = o->gradient_scale;
    EACH_VECTOR(i, k, 0, n) {
        vf gv = load_n(g, CK_F32, i, k) * scale;
        vf mv = fma16(rest1, gv, load_n(m, CK_F32, i, k) * beta1);
        vf vv = fma16(rest2 * gv, gv, load_n(v, CK_F32, i, k) * beta2);
        vf step = rate * mv / fma16(__builtin_elementwise_sqrt(vv), root, epsilon);
        store_n(m, CK_F32, i, mv, k);
        store_n(v, CK_F32, i, vv, k);
        store_n(p, CK_F32, i, fma16(load_n(p, CK_F32, i, k), keep, -step), k);
    }
}

/// t = t + share * (p - t), each operation rounded by itself: the same bits in every instruction set.
static void K(move_average)(float *t, const float *p, float share, int64_t n) {
    EACH_VECTOR(i, k, 0, n) {
        vf tv = load_n(t, CK_F32, i, k);
        store_n(t, CK_F32, i, tv + (vf)share * (load_n(p, CK_F32, i, k) - tv), k);
    }
}

/// In double, sixteen lanes.
static double K(sum_of_squares)(const float *x, int64_t n) {
    vd8 a = 0, b = 0;
    EACH_VECTOR(i, k, 0, n) {
        vf v = load_n(x, CK_F32, i, k);
        vd8 lo = __builtin_convertvector(v.lo, vd8), hi = __builtin_convertvector(v.hi, vd8);
        a += lo * lo;
        b += hi * hi;
    }
    a += b;
    return ((a[0] + a[4]) + (a[1] + a[5])) + ((a[2] + a[6]) + (a[3] + a[7]));
}

static float K(sum)(const float *x, int64_t n, bool in_places) {
    const int64_t apart = in_places ? n / 4 : LANES, end = in_places ? apart : n, step = in_places ? LANES : 4 * LANES;
    vf a = 0, b = 0, c = 0, d = 0;
    for (int64_t i = 0; i < end; i += step) {
        a += load_f32(x + i);
        b += load_f32(x + i + apart);
        c += load_f32(x + i + 2 * apart);
        d += load_f32(x + i + 3 * apart);
    }
    return sum_lanes((a + b) + (c + d));
}
