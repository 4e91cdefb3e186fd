// Gradient of causal attention for a tree of continuations (a prompt with its responses, say) and one KV head.
//
// With P = exp(S - lse), S = scale q k: dV = Pᵀ dO; dS = P (dO Vᵀ - delta), delta = dO . O; dq = scale dS K;
// dk = scale dSᵀ q. Blocks of 64 keys and 64 queries, in one fixed order. With a soft cap S = cap tanh(scale q k /
// cap), and dS is multiplied by 1 - tanh^2; with a window a query takes part in the blocks that its window touches.
//
// q, out and d_out are [rows][heads][head_dim] of the shape's type, lse [rows][heads] f32. grad is
// [rows][heads + 2 kv_heads][head_dim] f32: gradients of the queries, then of the keys, then of the values. Spans say
// which of these rows are theirs, and in which pages of `table` their keys and values lie. `scratch` is one thread's
// backward_scratch.

// Rows of v_stride elements where a head's width is the row.
typedef struct {
    _Alignas(64) float keys[CK_PAGE * CK_MAX_HEAD];
    _Alignas(64) float keys_t[CK_MAX_HEAD][CK_PAGE];
    _Alignas(64) float values_t[CK_MAX_HEAD][CK_PAGE];
    _Alignas(64) float d_keys[CK_PAGE * CK_MAX_HEAD];
    _Alignas(64) float d_values[CK_PAGE * CK_MAX_HEAD];
    _Alignas(64) float q[CK_PAGE * CK_MAX_HEAD];
    _Alignas(64) float d_out[CK_PAGE * CK_MAX_HEAD];
    _Alignas(64) float d_q[CK_PAGE * CK_MAX_HEAD];
    _Alignas(64) float p[CK_PAGE][CK_PAGE];
    _Alignas(64) float ds[CK_PAGE][CK_PAGE];
    _Alignas(64) float o[CK_MAX_HEAD];
} K(backward_scratch);

/// Keys and values of one block in the forms the products want. Positions past `count` become zero, as far as the last
/// vector of keys goes.
INLINE void K(load_block)(
    K(backward_scratch) * s, const char *page, const ck_attention_shape *shape, int kv, int64_t count) {
    const void *keys = page + shape->k_offset + kv * shape->k_bytes;
    const void *values = page + shape->v_offset + kv * shape->v_bytes;
    const int64_t d = shape->head_dim, ld = shape->v_stride, lanes = K(key_vectors)(count) * LANES;
    for (int64_t i = 0; i < d; i++) {
        K(load_head)(s->keys_t[i], keys, shape->type, i * CK_PAGE, lanes);
        for (int64_t j = count; j < lanes; j++) s->keys_t[i][j] = 0;
    }
    for (int64_t j = 0; j < lanes; j++)
        for (int64_t i = 0; i < d; i++) s->keys[j * ld + i] = s->keys_t[i][j];
    for (int64_t j = 0; j < lanes; j++) {
        if (j < count) K(load_head)(s->o, values, shape->type, j * shape->v_stride, d);
        else memset(s->o, 0, (size_t)d * 4);
        for (int64_t i = 0; i < d; i++) s->values_t[i][j] = s->o[i];
    }
}

/// What every block of one call shares.
typedef struct {
    float *grad;
    const void *d_out, *out, *q;
    const float *lse;
    const ck_attention_shape *shape;
    int kv;
} K(backward_inputs);

/// Adds one span's queries, from its query `first` on, to the gradients of the loaded block of keys. Lane 0 of the
/// block is position `base`; lanes [lo, hi) are keys of this block's owner.
INLINE void K(block_gradient_for)(
    bool ruled, K(backward_scratch) * s, const K(backward_inputs) * in, const ck_span *span, int64_t first,
    int64_t base, int64_t lo, int64_t hi) {
    static const vi lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const ck_attention_shape *shape = in->shape;
    const int64_t d = shape->head_dim, heads = shape->heads, kv_heads = shape->kv_heads, group = heads / kv_heads;
    const int64_t width = (heads + 2 * kv_heads) * d, ld = shape->v_stride, vectors = ld / LANES;
    const int64_t key_vectors = K(key_vectors)(hi);
    const float scale = shape->scale, cap = ruled ? shape->soft_cap : 0;
    // Queries that see the last key of the block, and how far before its position a query's window begins.
    const int64_t seeing = base + hi - 1 + shape->window - span->position;
    const int64_t last = ruled && shape->window && seeing < span->count ? seeing : span->count;
    const int64_t reach = ruled && shape->window ? shape->window - 1 : span->position + span->count;
    for (int64_t h = in->kv * group; h < (in->kv + 1) * group; h++)
        for (int64_t from = first; from < last; from += CK_PAGE) {
            const int64_t queries = last - from < CK_PAGE ? last - from : CK_PAGE;
            for (int64_t i = 0; i < queries; i++) {
                int64_t at = ((span->row + from + i) * heads + h) * d;
                K(load_head)(s->q + i * ld, in->q, shape->type, at, d);
                EACH_VECTOR(j, k, 0, d) store_f32(s->q + i * ld + j, load_f32(s->q + i * ld + j) * scale);
                K(load_head)(s->d_out + i * ld, in->d_out, shape->type, at, d);
            }
            K(product)(queries, key_vectors, d, s->q, ld, 1, s->keys_t, CK_F32, CK_PAGE, s->p[0], CK_PAGE, false,
                       (K(rows_ahead)){0});
            K(product)(queries, key_vectors, d, s->d_out, ld, 1, s->values_t, CK_F32, CK_PAGE, s->ds[0], CK_PAGE,
                       false, (K(rows_ahead)){0});
            for (int64_t i = 0; i < queries; i++) {
                int64_t row = (span->row + from + i) * heads + h;
                K(load_head)(s->o, in->out, shape->type, row * d, d);
                float delta = K(dot)(s->o, s->d_out + i * ld, d);
                int64_t visible = span->position + from + i - base + 1;
                int32_t end = (int32_t)(visible < hi ? visible : hi), begin = (int32_t)lo;
                if (ruled && visible - 1 - reach > lo) begin = (int32_t)(visible - 1 - reach);
                for (int64_t v = 0; v < key_vectors; v++) {
                    vi index = lane + (int32_t)v * LANES;
                    vf score = load_f32(s->p[i] + v * LANES), slope = 1.0f;
                    if (ruled && cap > 0) {
                        vf tanh = tanh16(score / cap);
                        score = tanh * cap;
                        slope = cap_slope16(tanh);
                    }
                    vf p = exp16(score - in->lse[row]);
                    p = (index < end) ? p : (vf)0.0f;
                    p = (index < begin) ? (vf)0.0f : p;
                    store_f32(s->p[i] + v * LANES, p);
                    vf ds = p * (load_f32(s->ds[i] + v * LANES) - delta);
                    store_f32(s->ds[i] + v * LANES, ruled && cap > 0 ? ds * slope : ds);
                }
            }
            K(product)(hi - lo, vectors, queries, s->p[0] + lo, 1, CK_PAGE, s->d_out, CK_F32, ld,
                       s->d_values + lo * ld, ld, true, (K(rows_ahead)){0});
            K(product)(hi - lo, vectors, queries, s->ds[0] + lo, 1, CK_PAGE, s->q, CK_F32, ld, s->d_keys + lo * ld,
                       ld, true, (K(rows_ahead)){0});
            K(product)(queries, vectors, hi - lo, s->ds[0] + lo, CK_PAGE, 1, s->keys + lo * ld, CK_F32, ld, s->d_q,
                       ld, false, (K(rows_ahead)){0});
            for (int64_t i = 0; i < queries; i++) {
                float *to = in->grad + (span->row + from + i) * width + h * d;
                EACH_VECTOR(j, k, 0, d)
                store_n(to, CK_F32, j, fma16(load_f32(s->d_q + i * ld + j), (vf)scale, load_n(to, CK_F32, j, k)), k);
            }
        }
}

static void K(plain_gradient)(
    K(backward_scratch) * s, const K(backward_inputs) * in, const ck_span *span, int64_t first, int64_t base,
    int64_t lo, int64_t hi) {
    K(block_gradient_for)(false, s, in, span, first, base, lo, hi);
}

static void K(ruled_gradient)(
    K(backward_scratch) * s, const K(backward_inputs) * in, const ck_span *span, int64_t first, int64_t base,
    int64_t lo, int64_t hi) {
    K(block_gradient_for)(true, s, in, span, first, base, lo, hi);
}

static void K(attention_backward)(
    float *grad, const void *d_out, const void *out, const float *lse, const void *q,
    const ck_attention_shape *shape, void *const *table, const ck_span *spans, int64_t span_count, int kv,
    void *scratch) {
    K(backward_scratch) *s = scratch;
    const K(backward_inputs) in = {grad, d_out, out, q, lse, shape, kv};
    const int64_t d = shape->head_dim, heads = shape->heads, kv_heads = shape->kv_heads, group = heads / kv_heads;
    const int64_t width = (heads + 2 * kv_heads) * d, ld = shape->v_stride;
    // Lanes between d and the padded width hold anything: products keep lanes apart, and they are never stored.
    for (int64_t i = 0; i < span_count; i++)
        for (int64_t r = spans[i].row; r < spans[i].row + spans[i].count; r++)
            memset(grad + r * width + kv * group * d, 0, (size_t)(group * d) * 4);

    // The keys of span `owner`, block by block: its own queries see them, and those of the spans that continue it.
    for (int64_t owner = 0; owner < span_count; owner++) {
        const ck_span *keys = spans + owner;
        const int64_t end = keys->position + keys->count, readers = owner + 1 + keys->descendants;
        for (int64_t base = keys->position / CK_PAGE * CK_PAGE; base < end; base += CK_PAGE) {
            const int64_t lo = keys->position > base ? keys->position - base : 0;
            const int64_t hi = end - base < CK_PAGE ? end - base : CK_PAGE;
            K(load_block)(s, table[keys->ids[base / CK_PAGE]], shape, kv, hi);
            memset(s->d_keys, 0, (size_t)(CK_PAGE * ld) * 4);
            memset(s->d_values, 0, (size_t)(CK_PAGE * ld) * 4);
            for (int64_t reader = owner; reader < readers; reader++) {
                const int64_t first = base > spans[reader].position ? base - spans[reader].position : 0;
                (K(is_ruled)(shape) ? K(ruled_gradient) : K(plain_gradient))(
                    s, &in, spans + reader, reader == owner ? first : 0, base, lo, hi);
            }
            for (int64_t j = lo; j < hi; j++) {
                float *row = grad + (keys->row + base + j - keys->position) * width;
                memcpy(row + (heads + kv) * d, s->d_keys + j * ld, (size_t)d * 4);
                memcpy(row + (heads + kv_heads + kv) * d, s->d_values + j * ld, (size_t)d * 4);
            }
        }
    }
}
