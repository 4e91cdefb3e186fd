// Per-head RMS norm (Qwen3), rotary positions in the half-split form, and the write into pages; and back.

/// y = rotation of x by the position's angles: pairs (i, i + d/2). `direction` -1 undoes it.
INLINE void K(rotate)(float *y, const float *x, const float *cos, const float *sin, float direction, int64_t half) {
    EACH_VECTOR(i, k, 0, half) {
        vf a = load_n(x, CK_F32, i, k), b = load_n(x, CK_F32, half + i, k);
        vf c = load_n(cos, CK_F32, i, k), s = load_n(sin, CK_F32, i, k) * direction;
        store_n(y, CK_F32, i, a * c - b * s, k);
        store_n(y, CK_F32, half + i, b * c + a * s, k);
    }
}

INLINE void K(load_head)(float *x, const void *from, int type, int64_t at, int64_t d) {
    if (type == CK_F32) EACH_VECTOR(i, k, 0, d) store_n(x, CK_F32, i, load_n(from, CK_F32, at + i, k), k);
    else EACH_VECTOR(i, k, 0, d) store_n(x, CK_F32, i, load_n(from, CK_BF16, at + i, k), k);
}
INLINE void K(store_head)(void *to, int type, int64_t at, const float *x, int64_t d) {
    if (type == CK_F32) EACH_VECTOR(i, k, 0, d) store_n(to, CK_F32, at + i, load_n(x, CK_F32, i, k), k);
    else EACH_VECTOR(i, k, 0, d) store_n(to, CK_BF16, at + i, load_n(x, CK_F32, i, k), k);
}

/// x = x * rstd * w in place; nothing when w is null.
INLINE void K(head_norm)(float *x, const float *w, float epsilon, int64_t d) {
    if (!w) return;
    float rstd = K(rstd)(x, d, epsilon);
    EACH_VECTOR(i, k, 0, d) store_n(x, CK_F32, i, load_n(x, CK_F32, i, k) * rstd * load_n(w, CK_F32, i, k), k);
}

static void K(rope_and_cache)(
    void *q, const void *qkv, const ck_attention_shape *shape, const ck_rope *rope, ck_pages pages, int64_t r0,
    int64_t r1, int64_t position) {
    const int64_t d = shape->head_dim, heads = shape->heads, kv_heads = shape->kv_heads, half = d / 2;
    const int64_t width = (heads + 2 * kv_heads) * d;
    _Alignas(64) float raw[CK_MAX_HEAD], turned[CK_MAX_HEAD];
    for (int64_t r = r0; r < r1; r++) {
        int64_t at = position + (r - r0), slot = at % CK_PAGE;
        const float *cos = rope->cos + at * half, *sin = rope->sin + at * half;
        char *page = pages.table[pages.ids[at / CK_PAGE]];
        for (int64_t h = 0; h < heads; h++) {
            K(load_head)(raw, qkv, shape->type, r * width + h * d, d);
            K(head_norm)(raw, rope->q_norm, rope->epsilon, d);
            K(rotate)(turned, raw, cos, sin, 1.0f, half);
            K(store_head)(q, shape->type, (r * heads + h) * d, turned, d);
        }
        for (int64_t h = 0; h < kv_heads; h++) {
            K(load_head)(raw, qkv, shape->type, r * width + (heads + h) * d, d);
            K(head_norm)(raw, rope->k_norm, rope->epsilon, d);
            K(rotate)(turned, raw, cos, sin, 1.0f, half);
            // K is [d][64]: one key is a column.
            char *keys = page + shape->k_offset + h * shape->k_bytes;
            if (shape->type == CK_F32) {
                for (int64_t i = 0; i < d; i++) ((float *)keys)[i * CK_PAGE + slot] = turned[i];
            } else {
                _Alignas(64) uint16_t narrowed[CK_MAX_HEAD];
                K(store_head)(narrowed, CK_BF16, 0, turned, d);
                for (int64_t i = 0; i < d; i++) ((uint16_t *)keys)[i * CK_PAGE + slot] = narrowed[i];
            }
            size_t bytes = shape->type == CK_F32 ? 4 : 2;
            char *values = page + shape->v_offset + h * shape->v_bytes;
            memcpy(values + (size_t)(slot * shape->v_stride) * bytes,
                   (const char *)qkv + (size_t)(r * width + (heads + kv_heads + h) * d) * bytes, (size_t)d * bytes);
        }
    }
}

/// Undoes rotation and norm for one head's gradient: g [d] after the rotation, raw x; result in g.
INLINE void K(head_backward)(
    float *g, const float *x, const float *w, float epsilon, float *dw, const float *cos, const float *sin,
    int64_t d) {
    _Alignas(64) float t[CK_MAX_HEAD];
    K(rotate)(t, g, cos, sin, -1.0f, d / 2);
    if (!w) {
        memcpy(g, t, (size_t)d * 4);
        return;
    }
    memset(g, 0, (size_t)d * 4);
    _Alignas(64) float unused[CK_MAX_HEAD];
    if (!dw) memset(unused, 0, sizeof unused);
    K(rms_norm_backward_typed)(g, dw ? dw : unused, t, CK_F32, x, w, d, epsilon, 0, 1);
}

static void K(rope_backward)(
    void *d_qkv, const float *d, const void *qkv, const ck_attention_shape *shape, const ck_rope *rope,
    float *d_q_norm, float *d_k_norm, int64_t r0, int64_t r1, int64_t position) {
    const int64_t n = shape->head_dim, half = n / 2, heads = shape->heads, kv_heads = shape->kv_heads;
    const int64_t width = (heads + 2 * kv_heads) * n;
    _Alignas(64) float x[CK_MAX_HEAD], g[CK_MAX_HEAD];
    for (int64_t r = r0; r < r1; r++) {
        const float *cos = rope->cos + (position + r - r0) * half, *sin = rope->sin + (position + r - r0) * half;
        for (int64_t h = 0; h < heads + kv_heads; h++) {
            int64_t at = r * width + h * n;
            bool query = h < heads;
            memcpy(g, d + at, (size_t)n * 4);
            K(load_head)(x, qkv, shape->type, at, n);
            K(head_backward)(g, x, query ? rope->q_norm : rope->k_norm, rope->epsilon, query ? d_q_norm : d_k_norm,
                             cos, sin, n);
            K(store_head)(d_qkv, shape->type, at, g, n);
        }
        int64_t at = r * width + (heads + kv_heads) * n;
        K(store_head)(d_qkv, shape->type, at, d + at, kv_heads * n);
    }
}
