// Vector kernels under the Compute module, and the thread team they run on.
//
// Types are passed as CK_F32 or CK_BF16; such storage is `void *`. Row kernels work on rows [r0, r1) of row-major
// matrices; their result for a row depends on that row alone, so any split over threads gives the same bits.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ckbf16.h"
#include "ckteam.h"

enum { CK_F32 = 0, CK_BF16 = 1 };

/// Positions in one page of keys and values; also the key block of attention.
enum { CK_PAGE = 64 };
/// Largest head dimension.
enum { CK_MAX_HEAD = 256 };

/// One layer's attention geometry. `k_offset`/`v_offset`: bytes from a page's start to (layer, KV head 0).
typedef struct {
    int32_t heads, kv_heads, head_dim;
    /// Row length of V in a page: head_dim rounded up to 16.
    int32_t v_stride;
    int32_t type;
    /// Bytes of one KV head's K and V in a page.
    int64_t k_bytes, v_bytes;
    int64_t k_offset, v_offset;
    /// Keys that a query sees, itself included; 0: all before it.
    int64_t window;
    /// Scores s = scale q k become soft_cap * tanh(s / soft_cap); a cap of 0: they stay.
    float scale, soft_cap;
} ck_attention_shape;

/// One sequence's pages: table[ids[i]] is the start of the page for positions 64 i ..< 64 (i+1).
typedef struct {
    void *const *table;
    const int32_t *ids;
} ck_pages;

/// Rows [row, row + count) of one sequence at positions from `position`; `ids`: its pages from position 0.
typedef struct {
    const int32_t *ids;
    int64_t row, count, position;
    int64_t descendants;  // spans right after this one that continue it, directly or not
} ck_span;

/// One row of one sequence, at `position`, and KV head `kv`; `ids`: the sequence's pages.
typedef struct {
    const int32_t *ids;
    int64_t row, position;
    int32_t kv;
} ck_attend;

/// Optional RMS norm and rotation applied to queries and keys.
typedef struct {
    /// Null: no norm. [head_dim]: of every head by itself; with `whole` [heads][head_dim] and [kv_heads][head_dim]: of
    /// all queries, or all keys, of a row together.
    const float *q_norm, *k_norm;
    float epsilon;
    bool whole;
    /// [positions][rotary_dim / 2]; null: no rotation. The first rotary_dim elements of a head turn.
    const float *cos, *sin;
    int32_t rotary_dim;
} ck_rope;

typedef struct {
    float learning_rate, beta1, beta2, epsilon, weight_decay;
    /// 1 - beta^step, and the factor applied to gradients first.
    float correction1, correction2, gradient_scale;
} ck_adamw;

/// The kernels of one instruction set.
/// What a divergence's backward pass needs of each row: arrays of all rows. `unit` may be null.
typedef struct {
    const float *weight, *total, *scale, *unit, *lse, *teacher_lse, *own;
    const int32_t *targets;
} ck_divergence_rows;

typedef struct ck_kernels {
    const char *name;

    /// Panels packed as f32 or bf16, for CPUs where oneDNN does not serve: outputs are padded to a multiple of
    /// block_columns.
    int64_t block_columns;
    /// Element (k, n) of the panel [depth][w] is source[k * stride_k + n * stride_n].
    void (*pack_panel)(
        void *packed, int packed_type, const void *source, int type, int64_t stride_k, int64_t stride_n, int64_t depth,
        int64_t w);
    /// y [rows][w], row stride ldy, = x [rows][depth] times the panel.
    void (*panel_product)(
        float *y, int64_t ldy, const float *x, const void *packed, int type, int64_t rows, int64_t depth, int64_t w);
    /// y [rows][w], row stride ldy, = the transpose of x [depth][rows], row stride ldx, times the panel, or added to.
    void (*panel_outer_product)(
        float *y, int64_t ldy, const float *x, int64_t ldx, const void *packed, int type, int64_t rows, int64_t depth,
        int64_t w, bool add);

    void (*convert)(void *dst, int dst_type, const void *src, int src_type, int64_t n);
    void (*exp)(float *y, const float *x, int64_t n);
    /// Sum of a[i] b[i], f32.
    float (*dot)(const float *a, const float *b, int64_t n);

    void (*embed)(float *x, const void *table, int type, int64_t c, const int32_t *ids, int64_t r0, int64_t r1);
    /// Columns [c0, c1) of d_table[ids[t]] += dx[t], t ascending.
    void (*embed_backward)(
        float *d_table, const float *dx, int64_t c, const int32_t *ids, int64_t t, int64_t c0, int64_t c1);

    void (*rms_norm)(
        void *y, int y_type, const float *x, const float *w, int64_t c, float epsilon, int64_t r0, int64_t r1);
    /// dx += ..., dw [c] += sum over the rows, ascending.
    void (*rms_norm_backward)(
        float *dx, float *dw, const void *dy, int dy_type, const float *x, const float *w, int64_t c, float epsilon,
        int64_t r0, int64_t r1);

    void (*add_bias)(void *y, int type, const float *bias, int64_t n, int64_t r0, int64_t r1);
    /// y += x, f32.
    void (*add)(float *y, const float *x, int64_t n);
    /// y += factor * x, and x *= factor; f32.
    void (*add_scaled)(float *y, const float *x, float factor, int64_t n);
    void (*scale)(float *x, float factor, int64_t n);
    /// y += rms_norm(x) * w; f32.
    void (*add_rms_norm)(float *y, const float *x, const float *w, int64_t c, float epsilon, int64_t r0, int64_t r1);
    /// y (row stride ldy) = block [rows][w], or += when y is f32 and `add`.
    void (*store_block)(
        void *y, int type, int64_t ldy, const float *block, int64_t w, int64_t rows, bool add);
    /// db[c0..<c1] += sum over rows of dy, ascending.
    void (*column_sums)(float *db, const void *dy, int type, int64_t t, int64_t n, int64_t c0, int64_t c1);

    void (*swiglu)(void *h, const void *gate_up, int type, int64_t n, int64_t r0, int64_t r1);
    void (*swiglu_backward)(
        void *d_gate_up, const void *dh, int dh_type, const void *gate_up, int type, int64_t n, int64_t r0,
        int64_t r1);
    /// The same with GELU in its tanh form in place of SiLU.
    void (*geglu)(void *h, const void *gate_up, int type, int64_t n, int64_t r0, int64_t r1);
    void (*geglu_backward)(
        void *d_gate_up, const void *dh, int dh_type, const void *gate_up, int type, int64_t n, int64_t r0,
        int64_t r1);

    /// Rows of one sequence: row r0 + i is position `position + i`.
    void (*rope_and_cache)(
        void *q, const void *qkv, const ck_attention_shape *shape, const ck_rope *rope, ck_pages pages, int64_t r0,
        int64_t r1, int64_t position);
    /// d [.., (H+2KV)D] f32 holds gradients after the rotation; writes those of the raw rows to d_qkv. The norm
    /// gradients [D], when not null, accumulate.
    void (*rope_backward)(
        void *d_qkv, const float *d, const void *qkv, const ck_attention_shape *shape, const ck_rope *rope,
        float *d_q_norm, float *d_k_norm, int64_t r0, int64_t r1, int64_t position);

    /// Rows [r0, r1) of q attend with KV head `kv`; row r0 is at `position`. lse [.., heads] may be null.
    void (*attention)(
        void *out, float *lse, const void *q, const ck_attention_shape *shape, ck_pages pages, int kv, int64_t r0,
        int64_t r1, int64_t position, void *scratch);
    /// rope_and_cache and attention of single rows, task by task; what the next task reads is fetched meanwhile. Tasks
    /// of one row, all KV heads, stand for that row. No task may read what another writes.
    void (*attend_next)(
        void *out, const void *qkv, const ck_attention_shape *shape, const ck_rope *rope, void *const *table,
        const ck_attend *tasks, int64_t count, void *scratch);
    /// A prompt (spans[0], position 0) and the responses that continue it, one KV head. Writes that head's parts of
    /// d [.., (H+2KV)D] f32 for the rows of all spans.
    void (*attention_backward)(
        float *d, const void *d_out, const void *out, const float *lse, const void *q,
        const ck_attention_shape *shape, void *const *table, const ck_span *spans, int64_t span_count, int kv,
        void *scratch);

    /// Statistics of z * scale over w columns: maximum, sum of exp(z - max), sum of exp(z - max)(z - max) (may be
    /// null). Writes the scaled values back. Row r's results go to index r * stats_stride.
    void (*panel_stats)(
        float *z, int64_t ldz, int64_t w, const float *scale, float *max, float *sum, float *weighted,
        int64_t stats_stride, int64_t rows);
    /// z = cap * tanh(factor * z / cap), element by element.
    void (*panel_cap)(float *z, int64_t ldz, int64_t w, float factor, float cap, int64_t rows);
    /// d[r][j] = coefficient * scale * ([j == target] - exp(z * scale - lse)); target < 0 or >= w: none in this panel.
    void (*panel_gradient)(
        void *d, int type, int64_t ldd, const float *z, int64_t ldz, int64_t w, const float *scale, const float *lse,
        const float *coefficient, const int32_t *targets, int32_t first_column, int64_t rows);
    /// The same times factor * (1 - (z * unit)^2): z went through panel_cap, and z * unit is its tanh.
    void (*panel_gradient_capped)(
        void *d, int type, int64_t ldd, const float *z, int64_t ldz, int64_t w, const float *scale, const float *lse,
        const float *coefficient, const int32_t *targets, int32_t first_column, int64_t rows, float factor,
        const float *unit);
    /// d[ids[i] - first_column] = values[i] * scale of one row; with a unit above 0 also times factor * (1 - (z * unit)^2)
    /// at that column, as panel_gradient_capped.
    void (*panel_points)(
        void *d, int type, const float *z, const int32_t *ids, const float *values, int64_t count,
        int32_t first_column, float scale, float factor, float unit);

    /// Sums over w columns of a divergence's value and of what it pulls by (ck_divergence), from scaled logits of student
    /// and teacher [rows][w]. Row r's results go to index r * stats_stride.
    void (*panel_divergence)(
        int kind, float parameter, const float *z, const float *zt, int64_t w, const float *lse, const float *lset,
        float *value, float *pull, int64_t stats_stride, int64_t rows);
    /// d[r][j] = scale * (weight * pull_j - total * p_j + [j == target] own), times factor * (1 - (z * unit)^2) where
    /// units are given, for `count` rows of `rows` from `first` on.
    void (*panel_divergence_gradient)(
        int kind, float parameter, void *d, int type, int64_t ldd, const float *z, const float *zt, int64_t w,
        const ck_divergence_rows *rows, int64_t first, int64_t count, int64_t first_column, float factor);

    void (*adamw)(float *p, const float *g, float *m, float *v, int64_t n, const ck_adamw *options);
    /// t = t + share * (p - t), an exponential moving average of p. The same bits in every instruction set.
    void (*move_average)(float *t, const float *p, float share, int64_t n);
    double (*sum_of_squares)(const float *x, int64_t n);
    /// Sum of n floats, a multiple of 64, to measure read bandwidth: straight on, or in four places by turns, a quarter
    /// of them apart.
    float (*sum)(const float *x, int64_t n, bool in_places);

    /// Rows [r0, r1) of out [rows][k] = base + scale * b [rows][rank] a [rank][k]; out may be base. The same bits in
    /// every instruction set.
    void (*add_adapter)(
        float *out, const float *base, const float *a, const float *b, float scale, int64_t k, int64_t rank,
        int64_t r0, int64_t r1);
} ck_kernels;

/// Kernels of the named instruction set ("portable", "avx2", "avx512"), or null when this CPU or build lacks it.
const ck_kernels *ck_kernels_named(const char *name);
/// The best available, or the one named by the environment variable OPD_ISA when that is available.
const ck_kernels *ck_kernels_best(void);
/// Bytes of 64-byte aligned scratch a thread needs for attention and its backward.
size_t ck_attention_scratch(void);

void ck_convert_f32_to_bf16(uint16_t *dst, const float *src, int64_t n);
void ck_convert_bf16_to_f32(float *dst, const uint16_t *src, int64_t n);
void ck_convert_f16_to_f32(float *dst, const uint16_t *src, int64_t n);
/// dst[i] = source[offsets[i]], as f32.
void ck_gather(float *dst, const void *source, int type, const int64_t *offsets, int64_t n);
/// dst [columns][ld] = srcᵀ of src [rows][columns]; 2- or 4-byte elements.
void ck_transpose(void *dst, int64_t ld, const void *src, int64_t src_ld, int64_t rows, int64_t columns, int bytes);
