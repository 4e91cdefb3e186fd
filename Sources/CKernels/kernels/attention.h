// Causal attention over pages: online softmax, key blocks of 64 aligned to absolute positions.
//
// A tile holds queries of consecutive positions times the query heads that share one KV head, so that keys and
// values are read once for all of them. Each (query, head) row's arithmetic is the same alone or in a tile.
//
// q and out are [rows][heads][head_dim] of the shape's type, lse [rows][heads] f32, and qkv, which attend_next reads,
// [rows][heads + 2 kv_heads][head_dim] as projected. A page holds, for one layer and KV head, keys
// [head_dim][CK_PAGE] and values [CK_PAGE][v_stride] of that type. `scratch` is one thread's attention_scratch, in
// which a tile is q and out [tile rows][v_stride] and p [tile rows][CK_PAGE].
//
// With a window a row takes no part in the blocks that lie before its window, and keys before it in the block where it
// begins get a weight of 0. `ruled`, a constant where it is a parameter, says that there is a window or a soft cap.

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

/// Vectors of lanes that hold the first `count` keys of a block.
INLINE int64_t K(key_vectors)(int64_t count) { return (count + LANES - 1) / LANES; }

/// One row's softmax step on a block: scores -> weights, and out rescaled. `valid` keys of the block are visible, of
/// those in its first `key_vectors` vectors, a constant where this is inlined; others would add weights of 0. Of them
/// `begin` come before the row's window.
INLINE void K(softmax_step)(
    float *p, float *out, float *max, float *sum, int64_t valid, int key_vectors, int64_t vectors, bool ruled,
    int64_t begin, float cap) {
    static const vi lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    vf s[4], top = -FLT_MAX;
#pragma clang loop unroll(full)
    for (int i = 0; i < key_vectors; i++) {
        s[i] = load_f32(p + i * LANES);
        if (ruled && cap > 0) s[i] = cap16(s[i], cap);
        if (ruled && begin > 0) s[i] = (lane + i * LANES < (int32_t)begin) ? (vf)-FLT_MAX : s[i];
        if (valid < CK_PAGE) s[i] = (lane + i * LANES < (int32_t)valid) ? s[i] : (vf)-FLT_MAX;
        top = max16(top, s[i]);
    }
    float highest = max_lanes(top);
    highest = highest > *max ? highest : *max;
    vf total = 0;
#pragma clang loop unroll(full)
    for (int i = 0; i < key_vectors; i++) {
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

/// Keys and values of one block that will be wanted next, `count` positions of them.
typedef struct {
    const char *keys, *values;
    int64_t count;
} K(block_ahead);

INLINE K(block_ahead) K(block_at)(
    const ck_attention_shape *shape, ck_pages pages, int64_t kv, int64_t base, int64_t position) {
    const char *page = pages.table[pages.ids[base / CK_PAGE]];
    const int64_t count = position - base + 1;
    return (K(block_ahead)){page + shape->k_offset + kv * shape->k_bytes, page + shape->v_offset + kv * shape->v_bytes,
                            count < CK_PAGE ? count : CK_PAGE};
}

/// The first block of keys that a query at `position` sees.
INLINE int64_t K(first_block)(const ck_attention_shape *shape, int64_t position) {
    const int64_t begin = shape->window ? position - shape->window + 1 : 0;
    return begin > 0 ? begin / CK_PAGE * CK_PAGE : 0;
}

INLINE bool K(is_ruled)(const ck_attention_shape *shape) { return shape->window != 0 || shape->soft_cap != 0; }

/// `after`: what is wanted when the tile is done, with null pointers when that is not known.
INLINE void K(attention_tile_for)(
    bool ruled, K(attention_scratch) * s, int64_t rows, const ck_attention_shape *shape, ck_pages pages, int kv,
    K(block_ahead) after) {
    const int64_t d = shape->head_dim, ld = shape->v_stride, vectors = ld / LANES;
    const int64_t last = s->position[rows - 1], element = shape->type == CK_F32 ? 4 : 2;
    for (int64_t r = 0; r < rows; r++) {
        memset(s->out + r * ld, 0, (size_t)ld * 4);
        s->max[r] = -FLT_MAX;
        s->sum[r] = 0;
    }
    const int64_t start = ruled ? K(first_block)(shape, s->position[0]) : 0;
    // How far before a row's position its window begins.
    const int64_t reach = ruled && shape->window ? shape->window - 1 : last;
    K(block_ahead) block = K(block_at)(shape, pages, kv, start, last);
    for (int64_t base = start, first = 0, end = ruled ? 0 : rows; base <= last; base += CK_PAGE) {
        while (s->position[first] < base) first++;
        if (ruled)
            while (end < rows && s->position[end] - reach < base + CK_PAGE) end++;
        K(block_ahead) next = base + CK_PAGE <= last ? K(block_at)(shape, pages, kv, base + CK_PAGE, last) : after;
        // Vectors of keys that no row sees are left out.
        const int64_t key_vectors = K(key_vectors)(block.count);
        K(product)(end - first, key_vectors, d, s->q + first * ld, ld, 1, block.keys, shape->type, CK_PAGE,
                   s->p[first], CK_PAGE, false,
                   (K(rows_ahead)){next.keys, next.count * element, CK_PAGE * element, K(TILE_PIECE)});
        for (int64_t r = first; r < end; r++) {
            const int64_t behind = s->position[r] - base + 1, valid = behind < CK_PAGE ? behind : CK_PAGE;
            const int64_t begin = ruled ? s->position[r] - reach - base : 0;
            const float cap = ruled ? shape->soft_cap : 0;
#define STEP_CASE(N) \
    case N: \
        K(softmax_step)(s->p[r], s->out + r * ld, &s->max[r], &s->sum[r], valid, N, vectors, ruled, begin, cap); \
        break;
            switch (key_vectors) { STEP_CASE(1) STEP_CASE(2) STEP_CASE(3) STEP_CASE(4) }
#undef STEP_CASE
        }
        // Keys past the last query's position may never have been written; weights of keys past a row's own are 0.
        K(product)(end - first, vectors, block.count, s->p[first], CK_PAGE, 1, block.values, shape->type, ld,
                   s->out + first * ld, ld, true,
                   (K(rows_ahead)){next.values, next.values ? ld * element : 0, ld * element, K(TILE_PIECE)});
        for (int64_t at = block.count * ld * element; at < next.count * ld * element; at += 64)
            __builtin_prefetch(next.values + at, 0, 2);
        block = next;
    }
}

static void K(plain_tile)(
    K(attention_scratch) * s, int64_t rows, const ck_attention_shape *shape, ck_pages pages, int kv,
    K(block_ahead) after) {
    K(attention_tile_for)(false, s, rows, shape, pages, kv, after);
}

static void K(ruled_tile)(
    K(attention_scratch) * s, int64_t rows, const ck_attention_shape *shape, ck_pages pages, int kv,
    K(block_ahead) after) {
    K(attention_tile_for)(true, s, rows, shape, pages, kv, after);
}

INLINE void K(attention_tile)(
    K(attention_scratch) * s, int64_t rows, const ck_attention_shape *shape, ck_pages pages, int kv,
    K(block_ahead) after) {
    if (K(is_ruled)(shape)) K(ruled_tile)(s, rows, shape, pages, kv, after);
    else K(plain_tile)(s, rows, shape, pages, kv, after);
}

/// A tile's query rows from row `r` on: `queries` of consecutive positions times heads [h0, h1) of the group of `kv`.
INLINE int64_t K(begin_tile)(
    K(attention_scratch) * s, const ck_attention_shape *shape, int64_t r, int64_t queries, int64_t h0, int64_t h1,
    int64_t kv, int64_t position) {
    const int64_t group = shape->heads / shape->kv_heads;
    int64_t rows = 0;
    for (int64_t i = 0; i < queries; i++)
        for (int64_t h = h0; h < h1; h++, rows++) {
            s->row[rows] = r + i;
            s->position[rows] = position + i;
            s->head[rows] = (int32_t)(kv * group + h);
        }
    return rows;
}

/// Loads row `row` of the tile, scaled.
INLINE void K(load_query)(
    K(attention_scratch) * s, int64_t row, const void *q, const ck_attention_shape *shape, int64_t at) {
    const int64_t d = shape->head_dim;
    const float scale = shape->scale;
    float *to = s->q + row * shape->v_stride;
    K(load_head)(to, q, shape->type, at, d);
    EACH_VECTOR(i, k, 0, d) store_f32(to + i, load_f32(to + i) * scale);
}

INLINE void K(finish_tile)(
    K(attention_scratch) * s, int64_t rows, const ck_attention_shape *shape, void *out, float *lse) {
    const int64_t d = shape->head_dim, ld = shape->v_stride;
    for (int64_t r = 0; r < rows; r++) {
        int64_t at = s->row[r] * shape->heads + s->head[r];
        vf inverse = 1.0f / s->sum[r];
        // Adding zero turns -0 into +0, whose sign could depend on how far the tile's blocks went.
        float *row = s->out + r * ld;
        for (int64_t i = 0; i < ld; i += LANES) store_f32(row + i, load_f32(row + i) * inverse + 0.0f);
        K(store_head)(out, shape->type, at * d, row, d);
        if (lse) lse[at] = s->max[r] + (float)__builtin_log((double)s->sum[r]);
    }
}

static void K(attention)(
    void *out, float *lse, const void *q, const ck_attention_shape *shape, ck_pages pages, int kv, int64_t r0,
    int64_t r1, int64_t position, void *scratch) {
    K(attention_scratch) *s = scratch;
    const int64_t d = shape->head_dim, heads = shape->heads, group = heads / shape->kv_heads;
    const int64_t heads_at_once = group < K(TILE) ? group : K(TILE), queries = K(TILE) / heads_at_once;
    for (int64_t h0 = 0; h0 < group; h0 += heads_at_once)
        for (int64_t from = r0; from < r1; from += queries) {
            int64_t count = r1 - from < queries ? r1 - from : queries;
            int64_t h1 = h0 + heads_at_once < group ? h0 + heads_at_once : group;
            int64_t rows = K(begin_tile)(s, shape, from, count, h0, h1, kv, position + (from - r0));
            for (int64_t i = 0; i < rows; i++) K(load_query)(s, i, q, shape, (s->row[i] * heads + s->head[i]) * d);
            K(attention_tile)(s, rows, shape, pages, kv, (K(block_ahead)){0});
            K(finish_tile)(s, rows, shape, out, lse);
        }
}

static void K(attend_next)(
    void *out, const void *qkv, const ck_attention_shape *shape, const ck_rope *rope, void *const *table,
    const ck_attend *tasks, int64_t count, void *scratch) {
    K(attention_scratch) *s = scratch;
    const int64_t d = shape->head_dim, heads = shape->heads, group = heads / shape->kv_heads;
    for (const ck_attend *task = tasks; task < tasks + count; task++) {
        const ck_pages pages = {table, task->ids};
        const int64_t at = task->row * (heads + 2 * shape->kv_heads) * d;
        // A norm over all heads of the row is found again for every KV head: its tasks are apart.
        const K(row_norm) queries = K(query_norm)(qkv, shape, rope, task->row);
        const K(row_norm) keys = K(key_norm)(qkv, shape, rope, task->row);
        K(cache_head)(qkv, shape, rope, pages, keys, task->kv, task->row, task->position);
        K(block_ahead) after = {0};
        if (task + 1 < tasks + count)
            after = K(block_at)(
                shape, (ck_pages){table, task[1].ids}, task[1].kv, K(first_block)(shape, task[1].position),
                task[1].position);
        for (int64_t h0 = 0; h0 < group; h0 += K(TILE)) {
            int64_t h1 = h0 + K(TILE) < group ? h0 + K(TILE) : group;
            int64_t rows = K(begin_tile)(s, shape, task->row, 1, h0, h1, task->kv, task->position);
            for (int64_t i = 0; i < rows; i++) {
                _Alignas(64) float query[CK_MAX_HEAD];
                K(turned_head)(
                    query, 0, qkv, shape->type, at + s->head[i] * d, queries, s->head[i], rope, task->position, d);
                K(load_query)(s, i, query, shape, 0);
            }
            K(attention_tile)(s, rows, shape, pages, task->kv, h1 == group ? after : (K(block_ahead)){0});
            K(finish_tile)(s, rows, shape, out, NULL);
        }
    }
}
