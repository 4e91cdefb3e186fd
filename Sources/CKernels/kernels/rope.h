// Per-head RMS norm (Qwen3), rotary positions in the half-split form, and the write into pages; and back.
//
// qkv and its gradient d_qkv are [rows][heads + 2 kv_heads][head_dim] of the shape's type: a row's queries, keys and
// values; the gradient after the rotation is the same in f32. q is [rows][heads][head_dim] of that type. Weights of the
// norms and their gradients are [head_dim] f32, a rope's cos and sin [positions][head_dim / 2] f32. In a page, keys of
// one KV head are [head_dim][CK_PAGE] and values [CK_PAGE][v_stride]. Functions of one head get cos and sin of its
// position, and x, y, g, w and dw [head_dim] f32; `at` is the element of qkv or q where the head begins.

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

/// A raw head after its norm and rotation, rounded to the storage type.
INLINE void K(turned_head)(
    void *to, int64_t to_at, const void *qkv, int type, int64_t at, const float *norm, const ck_rope *rope,
    int64_t position, int64_t d) {
    _Alignas(64) float raw[CK_MAX_HEAD], turned[CK_MAX_HEAD];
    K(load_head)(raw, qkv, type, at, d);
    K(head_norm)(raw, norm, rope->epsilon, d);
    K(rotate)(turned, raw, rope->cos + position * (d / 2), rope->sin + position * (d / 2), 1.0f, d / 2);
    K(store_head)(to, type, to_at, turned, d);
}

/// Writes the key and the value of KV head `kv` of row `r` into its page.
INLINE void K(cache_head)(
    const void *qkv, const ck_attention_shape *shape, const ck_rope *rope, ck_pages pages, int64_t kv, int64_t r,
    int64_t position) {
    const int64_t d = shape->head_dim, slot = position % CK_PAGE;
    const int64_t at = r * (shape->heads + 2 * shape->kv_heads) * d + (shape->heads + kv) * d;
    char *page = pages.table[pages.ids[position / CK_PAGE]];
    // K is [d][64]: one key is a column.
    char *keys = page + shape->k_offset + kv * shape->k_bytes;
    _Alignas(64) float key[CK_MAX_HEAD];
    K(turned_head)(key, 0, qkv, shape->type, at, rope->k_norm, rope, position, d);
    if (shape->type == CK_F32) {
        for (int64_t i = 0; i < d; i++) ((float *)keys)[i * CK_PAGE + slot] = key[i];
    } else {
        for (int64_t i = 0; i < d; i++) ((uint16_t *)keys)[i * CK_PAGE + slot] = ((const uint16_t *)key)[i];
    }
    const int64_t bytes = shape->type == CK_F32 ? 4 : 2;
    char *values = page + shape->v_offset + kv * shape->v_bytes;
    memcpy(values + slot * shape->v_stride * bytes, (const char *)qkv + (at + shape->kv_heads * d) * bytes,
           (size_t)(d * bytes));
}

static void K(rope_and_cache)(
    void *q, const void *qkv, const ck_attention_shape *shape, const ck_rope *rope, ck_pages pages, int64_t r0,
    int64_t r1, int64_t position) {
    const int64_t d = shape->head_dim, heads = shape->heads, width = (heads + 2 * shape->kv_heads) * d;
    for (int64_t r = r0; r < r1; r++) {
        const int64_t at = position + (r - r0);
        for (int64_t h = 0; h < heads; h++)
            K(turned_head)(q, (r * heads + h) * d, qkv, shape->type, r * width + h * d, rope->q_norm, rope, at, d);
        for (int64_t h = 0; h < shape->kv_heads; h++) K(cache_head)(qkv, shape, rope, pages, h, r, at);
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
