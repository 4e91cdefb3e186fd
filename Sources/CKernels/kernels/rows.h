// Embedding, biases, column sums, SwiGLU and GEGLU.
//
// Pointers are to row 0 of dense rows, f32 where no type is given with them. Embedding: x and dx [rows][c], table and
// d_table [vocabulary][c], ids [rows] int32. Biases: y and dy [rows][n], bias and db [n]. store_block:
// block [rows][w], y [rows][w] with row stride ldy. Gated units: h and dh [rows][n], gate_up and d_gate_up
// [rows][2][n], gate first.

INLINE void K(embed_typed)(
    float *x, const void *table, int type, int64_t c, const int32_t *ids, int64_t r0, int64_t r1) {
    for (int64_t r = r0; r < r1; r++) {
        int64_t from = (int64_t)ids[r] * c;
        EACH_VECTOR(i, k, 0, c) store_n(x, CK_F32, r * c + i, load_n(table, type, from + i, k), k);
    }
}

static void K(embed)(
    float *x, const void *table, int type, int64_t c, const int32_t *ids, int64_t r0, int64_t r1) {
    if (type == CK_F32) K(embed_typed)(x, table, CK_F32, c, ids, r0, r1);
    else K(embed_typed)(x, table, CK_BF16, c, ids, r0, r1);
}

static void K(embed_backward)(
    float *d_table, const float *dx, int64_t c, const int32_t *ids, int64_t t, int64_t c0, int64_t c1) {
    for (int64_t r = 0; r < t; r++) {
        float *to = d_table + (int64_t)ids[r] * c;
        EACH_VECTOR(i, k, c0, c1)
        store_n(to, CK_F32, i, load_n(to, CK_F32, i, k) + load_n(dx, CK_F32, r * c + i, k), k);
    }
}

INLINE void K(add_bias_typed)(void *y, int type, const float *bias, int64_t n, int64_t r0, int64_t r1) {
    for (int64_t r = r0; r < r1; r++)
        EACH_VECTOR(i, k, 0, n)
    store_n(y, type, r * n + i, load_n(y, type, r * n + i, k) + load_n(bias, CK_F32, i, k), k);
}

static void K(add_bias)(void *y, int type, const float *bias, int64_t n, int64_t r0, int64_t r1) {
    if (type == CK_F32) K(add_bias_typed)(y, CK_F32, bias, n, r0, r1);
    else K(add_bias_typed)(y, CK_BF16, bias, n, r0, r1);
}

static void K(add)(float *y, const float *x, int64_t n) {
    EACH_VECTOR(i, k, 0, n) store_n(y, CK_F32, i, load_n(y, CK_F32, i, k) + load_n(x, CK_F32, i, k), k);
}

static void K(add_scaled)(float *y, const float *x, float factor, int64_t n) {
    EACH_VECTOR(i, k, 0, n)
    store_n(y, CK_F32, i, load_n(y, CK_F32, i, k) + load_n(x, CK_F32, i, k) * factor, k);
}

static void K(scale)(float *x, float factor, int64_t n) {
    EACH_VECTOR(i, k, 0, n) store_n(x, CK_F32, i, load_n(x, CK_F32, i, k) * factor, k);
}

INLINE void K(store_block_typed)(
    void *y, int type, int64_t ldy, const float *block, int64_t w, int64_t rows, bool add) {
    for (int64_t r = 0; r < rows; r++)
        EACH_VECTOR(i, k, 0, w) {
            vf v = load_n(block, CK_F32, r * w + i, k);
            if (add) v += load_n(y, type, r * ldy + i, k);
            store_n(y, type, r * ldy + i, v, k);
        }
}

static void K(store_block)(
    void *y, int type, int64_t ldy, const float *block, int64_t w, int64_t rows, bool add) {
    if (type == CK_BF16) K(store_block_typed)(y, CK_BF16, ldy, block, w, rows, false);
    else if (add) K(store_block_typed)(y, CK_F32, ldy, block, w, rows, true);
    else K(store_block_typed)(y, CK_F32, ldy, block, w, rows, false);
}

INLINE void K(column_sums_typed)(
    float *db, const void *dy, int type, int64_t t, int64_t n, int64_t c0, int64_t c1) {
    EACH_VECTOR(i, k, c0, c1) {
        vf s = load_n(db, CK_F32, i, k);
        for (int64_t r = 0; r < t; r++) s += load_n(dy, type, r * n + i, k);
        store_n(db, CK_F32, i, s, k);
    }
}

static void K(column_sums)(float *db, const void *dy, int type, int64_t t, int64_t n, int64_t c0, int64_t c1) {
    if (type == CK_F32) K(column_sums_typed)(db, dy, CK_F32, t, n, c0, c1);
    else K(column_sums_typed)(db, dy, CK_BF16, t, n, c0, c1);
}

INLINE vf K(sigmoid)(vf x) { return 1.0f / (1.0f + exp16(-x)); }

/// h = silu(gate) * up.
INLINE void K(swiglu_typed)(void *h, const void *gate_up, int type, int64_t n, int64_t r0, int64_t r1) {
    for (int64_t r = r0; r < r1; r++) EACH_VECTOR(i, k, 0, n) {
            vf g = load_n(gate_up, type, 2 * r * n + i, k), u = load_n(gate_up, type, (2 * r + 1) * n + i, k);
            store_n(h, type, r * n + i, g * K(sigmoid)(g) * u, k);
        }
}

static void K(swiglu)(void *h, const void *gate_up, int type, int64_t n, int64_t r0, int64_t r1) {
    if (type == CK_F32) K(swiglu_typed)(h, gate_up, CK_F32, n, r0, r1);
    else K(swiglu_typed)(h, gate_up, CK_BF16, n, r0, r1);
}

/// With s = sigmoid(g): d_up = dh g s; d_gate = dh up s (1 + g (1 - s)).
INLINE void K(swiglu_backward_typed)(
    void *d_gate_up, const void *dh, int dh_type, const void *gate_up, int type, int64_t n, int64_t r0, int64_t r1) {
    for (int64_t r = r0; r < r1; r++) EACH_VECTOR(i, k, 0, n) {
            int64_t at = 2 * r * n + i;
            vf g = load_n(gate_up, type, at, k), u = load_n(gate_up, type, at + n, k);
            vf d = load_n(dh, dh_type, r * n + i, k), s = K(sigmoid)(g);
            store_n(d_gate_up, type, at, d * u * s * fma16(g, 1.0f - s, (vf)1.0f), k);
            store_n(d_gate_up, type, at + n, d * g * s, k);
        }
}

static void K(swiglu_backward)(
    void *d_gate_up, const void *dh, int dh_type, const void *gate_up, int type, int64_t n, int64_t r0, int64_t r1) {
    if (type == CK_F32) K(swiglu_backward_typed)(d_gate_up, dh, CK_F32, gate_up, CK_F32, n, r0, r1);
    else if (dh_type == CK_F32) K(swiglu_backward_typed)(d_gate_up, dh, CK_F32, gate_up, CK_BF16, n, r0, r1);
    else K(swiglu_backward_typed)(d_gate_up, dh, CK_BF16, gate_up, CK_BF16, n, r0, r1);
}

/// The gate of GELU in its tanh form is sigmoid(2u), u = sqrt(2 / pi) (g + 0.044715 g^3): 1 + tanh(u) = 2 sigmoid(2u).
INLINE vf K(gelu_gate)(vf g) {
    const vf twice = 1.5957691216057308f, cube = 0.044715f;
    return K(sigmoid)(twice * fma16(g * g * cube, g, g));
}

/// h = gelu(gate) * up.
INLINE void K(geglu_typed)(void *h, const void *gate_up, int type, int64_t n, int64_t r0, int64_t r1) {
    for (int64_t r = r0; r < r1; r++) EACH_VECTOR(i, k, 0, n) {
            vf g = load_n(gate_up, type, 2 * r * n + i, k), u = load_n(gate_up, type, (2 * r + 1) * n + i, k);
            store_n(h, type, r * n + i, g * K(gelu_gate)(g) * u, k);
        }
}

static void K(geglu)(void *h, const void *gate_up, int type, int64_t n, int64_t r0, int64_t r1) {
    if (type == CK_F32) K(geglu_typed)(h, gate_up, CK_F32, n, r0, r1);
    else K(geglu_typed)(h, gate_up, CK_BF16, n, r0, r1);
}

/// With s = sigmoid(2u): d_up = dh g s; d_gate = dh up s (1 + g (1 - s) 2u').
INLINE void K(geglu_backward_typed)(
    void *d_gate_up, const void *dh, int dh_type, const void *gate_up, int type, int64_t n, int64_t r0, int64_t r1) {
    const vf twice = 1.5957691216057308f, square = 3 * 0.044715f;
    for (int64_t r = r0; r < r1; r++) EACH_VECTOR(i, k, 0, n) {
            int64_t at = 2 * r * n + i;
            vf g = load_n(gate_up, type, at, k), u = load_n(gate_up, type, at + n, k);
            vf d = load_n(dh, dh_type, r * n + i, k), s = K(gelu_gate)(g);
            vf slope = twice * fma16(g * g, square, (vf)1.0f);
            store_n(d_gate_up, type, at, d * u * s * fma16(g * (1.0f - s), slope, (vf)1.0f), k);
            store_n(d_gate_up, type, at + n, d * g * s, k);
        }
}

static void K(geglu_backward)(
    void *d_gate_up, const void *dh, int dh_type, const void *gate_up, int type, int64_t n, int64_t r0, int64_t r1) {
    if (type == CK_F32) K(geglu_backward_typed)(d_gate_up, dh, CK_F32, gate_up, CK_F32, n, r0, r1);
    else if (dh_type == CK_F32) K(geglu_backward_typed)(d_gate_up, dh, CK_F32, gate_up, CK_BF16, n, r0, r1);
    else K(geglu_backward_typed)(d_gate_up, dh, CK_BF16, gate_up, CK_BF16, n, r0, r1);
}
