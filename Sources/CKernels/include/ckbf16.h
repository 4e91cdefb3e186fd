// bf16 matrix product for few rows, whose time is that of reading the weights: they are prefetched while earlier ones
// are multiplied, which oneDNN's kernels do not do. Same layout and same bits as oneDNN's, so that either may serve.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    /// Outputs in one block of packed weights: [outputs / 64][depth / 2][64][2], depth padded to a multiple of 32.
    CK_BF16_BLOCK = 64,
    /// Most rows that one pass over the weights serves.
    CK_BF16_TILE = 14,
};

/// Where a product goes: f32, f32 added to what is there, or bf16.
typedef enum { CK_BF16_SET, CK_BF16_ADD, CK_BF16_NARROW } ck_bf16_store;

/// Whether this CPU has the instruction.
bool ck_bf16_available(void);
/// Packs a panel of weights [depth][width], element (k, n) at source[k * stride_k + n * stride_n], one stride being 1;
/// f32 is rounded to the nearest, ties to even. type: CK_F32 or CK_BF16.
void ck_bf16_pack(
    uint16_t *packed, const void *source, int type, int64_t stride_k, int64_t stride_n, int64_t depth, int64_t width);
/// 32-bit words that ck_bf16_arrange writes.
int64_t ck_bf16_arranged_words(int64_t rows, int64_t depth);
/// Rows x [rows][depth], dense, in the order in which ck_bf16_product reads them.
void ck_bf16_arrange(uint32_t *arranged, const uint16_t *x, int64_t rows, int64_t depth);
/// y [rows][width], row stride ldy = x [rows][depth] times one panel of packed weights.
///
/// A sum is made of parts of `part` products each (even), every one a chain of its own over ascending depth; the parts
/// are added in order. next: packed weights that will be wanted after these, `next_bytes` of them, or null.
void ck_bf16_product(
    void *y, ck_bf16_store store, int64_t ldy, const uint32_t *arranged, const uint16_t *panel, int64_t rows,
    int64_t depth, int64_t width, int64_t part, const void *next, int64_t next_bytes);

/// Whether this CPU has AMX tiles of bf16. The first call asks the kernel to let the process use them.
bool ck_bf16_tiles_available(void);
/// y [rows][width], row stride ldy = x [rows][depth], dense, times one panel of packed weights, by AMX tiles.
///
/// A sum is made of 32 products at a time: those with even and with odd index are a chain each, their sum is added to
/// the sum so far. Subnormal numbers count as zero. next: packed weights that will be wanted after these, `next_bytes`
/// of them, or null.
void ck_bf16_tiles_product(
    void *y, ck_bf16_store store, int64_t ldy, const uint16_t *x, const uint16_t *panel, int64_t rows, int64_t depth,
    int64_t width, const void *next, int64_t next_bytes);
