#include "include/ckbf16.h"
#include "include/ckernels.h"

#if defined(__x86_64__)
#include <float.h>
#include <string.h>

#define CK_FMA 1
#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,fma,f16c"), min_vector_width(512))), apply_to = function)
#include "kernels/transpose16.h"

typedef uint16_t halves __attribute__((ext_vector_type(2 * LANES)));

/// Sixteen elements as bf16; those past the first `n` are zero.
INLINE vh rounded(const void *source, int type, int64_t at, int64_t n) {
    if (n <= 0) return 0;
    if (type == CK_F32) return narrow(load_n(source, CK_F32, at, n < LANES ? n : LANES));
    vh v;
    if (n < LANES) return load_tail_bf16((const uint16_t *)source + at, n);
    memcpy(&v, (const uint16_t *)source + at, sizeof v);
    return v;
}

/// Sixteen pairs from element `at` on; elements past the first `n` are zero.
INLINE vu load_pairs(const void *source, int type, int64_t at, int64_t n) {
    vh low = rounded(source, type, at, n), high = rounded(source, type, at + LANES, n - LANES);
    halves all = __builtin_shufflevector(
        low, high, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27,
        28, 29, 30, 31);
    return (vu)all;
}

/// Outputs are rows of the source: sixteen of them, sixteen pairs at a time, change rows for columns.
INLINE void pack_rows(
    uint32_t *packed, const void *source, int type, int64_t stride_n, int64_t depth, int64_t padded, int64_t outputs) {
    for (int64_t k = 0; k < padded; k += 2 * LANES) {
        vu v[LANES];
#pragma clang loop unroll(full)
        for (int n = 0; n < LANES; n++)
            v[n] = n < outputs && k < depth ? load_pairs(source, type, n * stride_n + k, depth - k) : (vu)0;
        transpose16(v);
        for (int p = 0; p < LANES; p++) memcpy(packed + (k / 2 + p) * CK_BF16_BLOCK, &v[p], sizeof v[p]);
    }
}

/// Outputs are columns of the source: two of its rows are woven together, a whole block of outputs wide.
INLINE void pack_columns(
    uint32_t *packed, const void *source, int type, int64_t stride_k, int64_t depth, int64_t padded, int64_t outputs) {
    for (int64_t k = 0; k < padded; k += 2)
#pragma clang loop unroll(full)
        for (int64_t n = 0; n < CK_BF16_BLOCK; n += LANES) {
            vu low = __builtin_convertvector(rounded(source, type, k * stride_k + n, k < depth ? outputs - n : 0), vu);
            vu high = __builtin_convertvector(
                rounded(source, type, (k + 1) * stride_k + n, k + 1 < depth ? outputs - n : 0), vu);
            vu pairs = low | high << 16;
            memcpy(packed + k / 2 * CK_BF16_BLOCK + n, &pairs, sizeof pairs);
        }
}

void ck_bf16_pack(
    uint16_t *packed, const void *source, int type, int64_t stride_k, int64_t stride_n, int64_t depth, int64_t width) {
    const int64_t padded = (depth + 31) / 32 * 32, element = type == CK_F32 ? 4 : 2;
    for (int64_t n = 0; n < width; n += CK_BF16_BLOCK) {
        uint32_t *to = (uint32_t *)(packed + n * padded);
        const char *from = (const char *)source + n * stride_n * element;
        if (stride_k != 1) {
            if (type == CK_F32) pack_columns(to, from, CK_F32, stride_k, depth, padded, width - n);
            else pack_columns(to, from, CK_BF16, stride_k, depth, padded, width - n);
            continue;
        }
        for (int64_t i = 0; i < CK_BF16_BLOCK; i += LANES, to += LANES, from += LANES * stride_n * element) {
            if (type == CK_F32) pack_rows(to, from, CK_F32, stride_n, depth, padded, width - n - i);
            else pack_rows(to, from, CK_BF16, stride_n, depth, padded, width - n - i);
        }
    }
}
#pragma clang attribute pop
#else
void ck_bf16_pack(
    uint16_t *packed, const void *source, int type, int64_t stride_k, int64_t stride_n, int64_t depth, int64_t width) {}
#endif
