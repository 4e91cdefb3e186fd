// Causal attention over pages: online softmax, key blocks of 64 aligned to absolute positions.
//
// A tile holds queries of consecutive positions times the query heads that share one KV head, so that keys and
// values are read once for all of them. Each (query, head) row's arithmetic is the same alone or in a tile.

enum { K(TILE) = 48 };

typedef struct {
    // Rows of v_stride: a fixed long stride would put them all in the same few cache sets.
    _Alignas(64) float q[K(TILE) * CK_MAX_HEAD];
    _Alignas(64) float out[K(TILE) * CK_MAX_HEAD];
    _Alignas(64) float p[K(TILE)][CK_PAGE];
    float max[K(TILE)], sum[K(TILE)];
    int64_t position[K(TILE)], row[K(TILE)];
    int32_t head[K(TILE)];
} K(attention_scratch);

/// One row's softmax step on a block: scores -> weights, and out rescaled. `valid` keys of the block are visible.
INLINE void K(softmax_step)(float *p, float *out, float *max, float *sum, int64_t valid, int64_t vectors) {
    static const vi lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    vf s[4], top = -FLT_MAX;
    for (int i = 0; i < 4; i++) {
        s[i] = load_f32(p + i * LANES);
        if (valid < CK_PAGE) s[i] = (lane + i * LANES < (int32_t)valid) ? s[i] : (vf)-FLT_MAX;
        top = max16(top, s[i]);
    }
    float highest = max_lanes(top);
    highest = highest > *max ? highest : *max;
    vf total = 0;
    for (int i = 0; i < 4; i++) {
        s[i] = exp16(s[i] - highest);
        store_f32(p + i * LANES, s[i]);
        total += s[i];
    }
    if (highest != *max) {
        vf factor = exp16((vf)(*max - highest));
        for (int64_t v = 0; v < vectors; v++) store_f32(out + v * LANES, load_f32(out + v * LANES) * factor);
        *sum *= factor.x;
        *max = highest;
    }
    *sum += sum_lanes(total);
}

static void K(attention_tile)(
    K(attention_scratch) * s, int64_t rows, const ck_attention_shape *shape, ck_pages pages, int kv) {
    const int64_t d = shape->head_dim, ld = shape->v_stride, vectors = ld / LANES;
    for (int64_t r = 0; r < rows; r++) {
        memset(s->out + r * ld, 0, (size_t)ld * 4);
        s->max[r] = -FLT_MAX;
        s->sum[r] = 0;
    }
    for (int64_t base = 0, first = 0; base <= s->position[rows - 1]; base += CK_PAGE) {
        while (s->position[first] < base) first++;
        const char *page = pages.table[pages.ids[base / CK_PAGE]];
        const void *keys = page + shape->k_offset + kv * shape->k_bytes;
        const void *values = page + shape->v_offset + kv * shape->v_bytes;
        K(product)(rows - first, CK_PAGE / LANES, d, s->q + first * ld, ld, 1, keys, shape->type, CK_PAGE,
                   s->p[first], CK_PAGE, false);
        for (int64_t r = first; r < rows; r++) {
            int64_t valid = s->position[r] - base + 1;
            K(softmax_step)(s->p[r], s->out + r * ld, &s->max[r], &s->sum[r], valid < CK_PAGE ? valid : CK_PAGE, vectors);
        }
        // Keys past the last query's position may never have been written; weights of keys past a row's own are 0.
        int64_t count = s->position[rows - 1] - base + 1;
        K(product)(rows - first, vectors, count < CK_PAGE ? count : CK_PAGE, s->p[first], CK_PAGE, 1, values,
                   shape->type, ld, s->out + first * ld, ld, true);
    }
}

static void K(attention)(
    void *out, float *lse, const void *q, const ck_attention_shape *shape, ck_pages pages, int kv, int64_t r0,
    int64_t r1, int64_t position, void *scratch) {
    K(attention_scratch) *s = scratch;
    const int64_t d = shape->head_dim, heads = shape->heads, group = heads / shape->kv_heads, ld = shape->v_stride;
    const float scale = 1.0f / __builtin_sqrtf((float)d);
    const int64_t heads_at_once = group < K(TILE) ? group : K(TILE), queries = K(TILE) / heads_at_once;
    for (int64_t h0 = 0; h0 < group; h0 += heads_at_once)
        for (int64_t from = r0; from < r1; from += queries) {
            int64_t to = from + queries < r1 ? from + queries : r1, rows = 0;
            int64_t h1 = h0 + heads_at_once < group ? h0 + heads_at_once : group;
            for (int64_t r = from; r < to; r++)
                for (int64_t h = h0; h < h1; h++, rows++) {
                    s->row[rows] = r;
                    s->position[rows] = position + (r - r0);
                    s->head[rows] = (int32_t)(kv * group + h);
                    float *row = s->q + rows * ld;
                    K(load_head)(row, q, shape->type, (r * heads + s->head[rows]) * d, d);
                    EACH_VECTOR(i, k, 0, d) store_f32(row + i, load_f32(row + i) * scale);
                }
            K(attention_tile)(s, rows, shape, pages, kv);
            for (int64_t r = 0; r < rows; r++) {
                int64_t at = s->row[r] * heads + s->head[r];
                vf inverse = 1.0f / s->sum[r];
                // Adding zero turns -0 into +0, whose sign could depend on how far the tile's blocks went.
                float *row = s->out + r * ld;
                for (int64_t i = 0; i < ld; i += LANES) store_f32(row + i, load_f32(row + i) * inverse + 0.0f);
                K(store_head)(out, shape->type, at * d, row, d);
                if (lse) lse[at] = s->max[r] + (float)__builtin_log((double)s->sum[r]);
            }
        }
}
