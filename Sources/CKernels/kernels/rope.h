// RMS norms of queries and keys, by head (Qwen3) or over all heads of a row (OLMo 2), rotary positions in the
// half-split form, and the write into pages; and back.
//
// qkv and its gradient d_qkv are [rows][heads + 2 kv_heads][head_dim] of the shape's type: a row's queries, keys and
// values; the gradient after the rotation is the same in f32. q is [rows][heads][head_dim] of that type. Weights of the
// norms and their gradients are f32, [head_dim] or of all heads, a rope's cos and sin [positions][rotary_dim / 2] f32.
// In a page, keys of one KV head are [head_dim][CK_PAGE] and values [CK_PAGE][v_stride]. Functions of one head get x,
// y, g, w and dw [head_dim] f32; `at` is the element of qkv or q where the head begins.

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

/// Sum of the squares of n elements of storage of either type.
INLINE float K(squares_typed)(const void *x, int type, int64_t at, int64_t n) {
    vf s0 = 0, s1 = 0;
    int64_t i = 0;
    for (; i + 2 * LANES <= n; i += 2 * LANES) {
        vf a = load(x, type, at + i), b = load(x, type, at + i + LANES);
        s0 = fma16(a, a, s0);
        s1 = fma16(b, b, s1);
    }
    EACH_VECTOR(j, k, i, n) {
        vf a = load_n(x, type, at + j, k);
        s0 = fma16(a, a, s0);
    }
    return sum_lanes(s0 + s1);
}

/// What all queries, or all keys, of a row are multiplied with where a norm is over the whole of them: 1 / their root
/// mean square. `at`: the first of the `heads` heads; 0 where there is no such norm.
static float K(whole_rstd)(
    const void *qkv, int type, int64_t at, int64_t heads, int64_t d, const float *norm, const ck_rope *rope) {
    if (!norm || !rope->whole) return 0;
    const int64_t n = heads * d;
    const float sum = type == CK_F32 ? K(squares_typed)(qkv, CK_F32, at, n) : K(squares_typed)(qkv, CK_BF16, at, n);
    return 1.0f / __builtin_sqrtf(sum / (float)n + rope->epsilon);
}

/// What the queries, or the keys, of a row share.
typedef struct {
    const float *norm;  // null: none
    float rstd;         // of a norm over the whole of them
} K(row_norm);

INLINE K(row_norm) K(query_norm)(
    const void *qkv, const ck_attention_shape *shape, const ck_rope *rope, int64_t r) {
    const int64_t d = shape->head_dim, at = r * (shape->heads + 2 * shape->kv_heads) * d;
    return (K(row_norm)){rope->q_norm, K(whole_rstd)(qkv, shape->type, at, shape->heads, d, rope->q_norm, rope)};
}

INLINE K(row_norm) K(key_norm)(const void *qkv, const ck_attention_shape *shape, const ck_rope *rope, int64_t r) {
    const int64_t d = shape->head_dim, at = (r * (shape->heads + 2 * shape->kv_heads) + shape->heads) * d;
    return (K(row_norm)){rope->k_norm, K(whole_rstd)(qkv, shape->type, at, shape->kv_heads, d, rope->k_norm, rope)};
}

/// x = x * rstd * w in place for head `h` of those that share the norm; nothing where there is none.
INLINE void K(head_norm)(float *x, K(row_norm) norm, const ck_rope *rope, int64_t h, int64_t d) {
    if (!norm.norm) return;
    const float rstd = rope->whole ? norm.rstd : K(rstd)(x, d, rope->epsilon);
    const float *w = rope->whole ? norm.norm + h * d : norm.norm;
    EACH_VECTOR(i, k, 0, d) store_n(x, CK_F32, i, load_n(x, CK_F32, i, k) * rstd * load_n(w, CK_F32, i, k), k);
}

/// y = x after the rotation of its leading elements; x itself is the result where there is no rope.
INLINE const float *K(turn)(
    float *y, const float *x, const ck_rope *rope, int64_t position, float direction, int64_t d) {
    if (!rope->cos) return x;
    const int64_t half = rope->rotary_dim / 2;
    K(rotate)(y, x, rope->cos + position * half, rope->sin + position * half, direction, half);
    if (2 * half < d) memcpy(y + 2 * half, x + 2 * half, (size_t)(d - 2 * half) * 4);
    return y;
}

/// Raw head `h` of those that share `norm`, after its norm and rotation, rounded to the storage type.
INLINE void K(turned_head)(
    void *to, int64_t to_at, const void *qkv, int type, int64_t at, K(row_norm) norm, int64_t h, const ck_rope *rope,
    int64_t position, int64_t d) {
    _Alignas(64) float raw[CK_MAX_HEAD], turned[CK_MAX_HEAD];
    K(load_head)(raw, qkv, type, at, d);
    K(head_norm)(raw, norm, rope, h, d);
    K(store_head)(to, type, to_at, K(turn)(turned, raw, rope, position, 1.0f, d), d);
}

/// Writes the key and the value of KV head `kv` of row `r` into its page.
INLINE void K(cache_head)(
    const void *qkv, const ck_attention_shape *shape, const ck_rope *rope, ck_pages pages, K(row_norm) norm,
    int64_t kv, int64_t r, int64_t position) {
    const int64_t d = shape->head_dim, slot = position % CK_PAGE;
    const int64_t at = r * (shape->heads + 2 * shape->kv_heads) * d + (shape->heads + kv) * d;
    char *page = pages.table[pages.ids[position / CK_PAGE]];
    // K is [d][64]: one key is a column.
    char *keys = page + shape->k_offset + kv * shape->k_bytes;
    _Alignas(64) float key[CK_MAX_HEAD];
    K(turned_head)(key, 0, qkv, shape->type, at, norm, kv, rope, position, d);
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
        const K(row_norm) queries = K(query_norm)(qkv, shape, rope, r), keys = K(key_norm)(qkv, shape, rope, r);
        for (int64_t h = 0; h < heads; h++)
            K(turned_head)(q, (r * heads + h) * d, qkv, shape->type, r * width + h * d, queries, h, rope, at, d);
        for (int64_t h = 0; h < shape->kv_heads; h++) K(cache_head)(qkv, shape, rope, pages, keys, h, r, at);
    }
}

/// Undoes rotation and a norm of its own for one head's gradient: g [d] after the rotation, raw x; result in g.
INLINE void K(head_backward)(
    float *g, const float *x, const float *w, float *dw, const ck_rope *rope, int64_t position, int64_t d) {
    _Alignas(64) float t[CK_MAX_HEAD];
    const float *turned = K(turn)(t, g, rope, position, -1.0f, d);
    if (!w) {
        if (turned != g) memcpy(g, turned, (size_t)d * 4);
        return;
    }
    if (turned == g) memcpy(t, g, (size_t)d * 4);
    memset(g, 0, (size_t)d * 4);
    _Alignas(64) float unused[CK_MAX_HEAD];
    if (!dw) memset(unused, 0, sizeof unused);
    K(rms_norm_backward_typed)(g, dw ? dw : unused, t, CK_F32, x, w, d, rope->epsilon, 0, 1);
}

/// Undoes a norm over all `heads` heads from element `at` on, and their rotation: d after the rotation, dw [heads][n].
/// With g = d * w and r the shared factor: d_x = r g - x r^3 / (heads n) * sum(g * x); dw += d x r.
static void K(whole_backward)(
    void *d_qkv, const float *d, const void *qkv, const ck_attention_shape *shape, const ck_rope *rope, const float *w,
    float *dw, int64_t at, int64_t heads, int64_t position) {
    const int64_t n = shape->head_dim;
    const float rstd = K(whole_rstd)(qkv, shape->type, at, heads, n, w, rope);
    _Alignas(64) float x[CK_MAX_HEAD], t[CK_MAX_HEAD];
    vf sum = 0;
    for (int64_t h = 0; h < heads; h++) {
        K(load_head)(x, qkv, shape->type, at + h * n, n);
        const float *g = K(turn)(t, d + at + h * n, rope, position, -1.0f, n);
        EACH_VECTOR(i, k, 0, n)
        sum = fma16(load_n(g, CK_F32, i, k) * load_n(x, CK_F32, i, k), load_n(w, CK_F32, h * n + i, k), sum);
    }
    const float back = sum_lanes(sum) / (float)(heads * n) * rstd * rstd * rstd;
    for (int64_t h = 0; h < heads; h++) {
        K(load_head)(x, qkv, shape->type, at + h * n, n);
        const float *g = K(turn)(t, d + at + h * n, rope, position, -1.0f, n);
        EACH_VECTOR(i, k, 0, n) {
            vf a = load_n(g, CK_F32, i, k), v = load_n(x, CK_F32, i, k);
            if (dw)
                store_n(dw, CK_F32, h * n + i, fma16(a * rstd, v, load_n(dw, CK_F32, h * n + i, k)), k);
            store_n(x, CK_F32, i, a * load_n(w, CK_F32, h * n + i, k) * rstd - v * back, k);
        }
        K(store_head)(d_qkv, shape->type, at + h * n, x, n);
    }
}

static void K(rope_backward)(
    void *d_qkv, const float *d, const void *qkv, const ck_attention_shape *shape, const ck_rope *rope,
    float *d_q_norm, float *d_k_norm, int64_t r0, int64_t r1, int64_t position) {
    const int64_t n = shape->head_dim, heads = shape->heads, kv_heads = shape->kv_heads;
    const int64_t width = (heads + 2 * kv_heads) * n;
    _Alignas(64) float x[CK_MAX_HEAD], g[CK_MAX_HEAD];
    for (int64_t r = r0; r < r1; r++) {
        const int64_t place = position + r - r0;
        const bool whole_queries = rope->whole && rope->q_norm, whole_keys = rope->whole && rope->k_norm;
        if (whole_queries)
            K(whole_backward)(d_qkv, d, qkv, shape, rope, rope->q_norm, d_q_norm, r * width, heads, place);
        if (whole_keys)
            K(whole_backward)(
                d_qkv, d, qkv, shape, rope, rope->k_norm, d_k_norm, r * width + heads * n, kv_heads, place);
        for (int64_t h = whole_queries ? heads : 0; h < (whole_keys ? heads : heads + kv_heads); h++) {
            int64_t at = r * width + h * n;
            bool query = h < heads;
            memcpy(g, d + at, (size_t)n * 4);
            K(load_head)(x, qkv, shape->type, at, n);
            K(head_backward)(
                g, x, query ? rope->q_norm : rope->k_norm, query ? d_q_norm : d_k_norm, rope, place, n);
            K(store_head)(d_qkv, shape->type, at, g, n);
        }
        int64_t at = r * width + (heads + kv_heads) * n;
        K(store_head)(d_qkv, shape->type, at, d + at, kv_heads * n);
    }
}
