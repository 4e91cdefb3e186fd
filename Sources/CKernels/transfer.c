// Conversions and transposition outside the row kernels.
#include <string.h>

#include "include/ckernels.h"

void ck_convert_f32_to_bf16(uint16_t *dst, const float *src, int64_t n) {
    ck_kernels_best()->convert(dst, CK_BF16, src, CK_F32, n);
}

void ck_convert_bf16_to_f32(float *dst, const uint16_t *src, int64_t n) {
    ck_kernels_best()->convert(dst, CK_F32, src, CK_BF16, n);
}

/// It has no branch, so that it vectorises: normal numbers are shifted, subnormals go through a subtraction.
void ck_convert_f16_to_f32(float *dst, const uint16_t *src, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        uint32_t h = src[i], sign = (h & 0x8000u) << 16, magnitude = h & 0x7fffu;
        uint32_t normal = (magnitude << 13) + (112u << 23);
        normal += magnitude >= 0x7c00u ? 112u << 23 : 0;
        float small;
        uint32_t biased = (113u << 23) + (magnitude << 13);
        memcpy(&small, &biased, 4);
        small -= 6.103515625e-05f;
        uint32_t subnormal;
        memcpy(&subnormal, &small, 4);
        uint32_t bits = sign | (magnitude < 0x400u ? subnormal : normal);
        memcpy(&dst[i], &bits, 4);
    }
}

void ck_gather(float *dst, const void *source, int type, const int64_t *offsets, int64_t n) {
    if (type == CK_F32) {
        for (int64_t i = 0; i < n; i++) dst[i] = ((const float *)source)[offsets[i]];
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits = (uint32_t)((const uint16_t *)source)[offsets[i]] << 16;
        memcpy(&dst[i], &bits, 4);
    }
}

typedef uint16_t h8 __attribute__((vector_size(16)));

/// One 8 x 8 tile of 16-bit elements in registers: three rounds of interleaving.
static void transpose_8x8(uint16_t *dst, int64_t ld, const uint16_t *src, int64_t src_ld) {
    h8 a[8], b[8];
    for (int i = 0; i < 8; i++) memcpy(&a[i], src + i * src_ld, 16);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 4; i++) {
            b[2 * i] = __builtin_shufflevector(a[i], a[i + 4], 0, 8, 1, 9, 2, 10, 3, 11);
            b[2 * i + 1] = __builtin_shufflevector(a[i], a[i + 4], 4, 12, 5, 13, 6, 14, 7, 15);
        }
        memcpy(a, b, sizeof a);
    }
    for (int i = 0; i < 8; i++) memcpy(dst + i * ld, &a[i], 16);
}

static void transpose_16_bit(
    uint16_t *dst, int64_t ld, const uint16_t *src, int64_t src_ld, int64_t rows, int64_t columns) {
    const int64_t whole_rows = rows & ~(int64_t)7, whole_columns = columns & ~(int64_t)7;
    // 32 rows at a time, which fill whole cache lines of the destination.
    for (int64_t from = 0; from < whole_rows; from += 32) {
        const int64_t to = from + 32 < whole_rows ? from + 32 : whole_rows;
        for (int64_t c = 0; c < whole_columns; c += 8)
            for (int64_t r = from; r < to; r += 8) transpose_8x8(dst + c * ld + r, ld, src + r * src_ld + c, src_ld);
    }
    for (int64_t c = 0; c < columns; c++)
        for (int64_t r = c < whole_columns ? whole_rows : 0; r < rows; r++) dst[c * ld + r] = src[r * src_ld + c];
}

void ck_transpose(void *dst, int64_t ld, const void *src, int64_t src_ld, int64_t rows, int64_t columns, int bytes) {
    if (bytes == 2) {
        transpose_16_bit(dst, ld, src, src_ld, rows, columns);
    } else {
        // Tiles of 16 x 16: a tile's cache lines stay while it is turned.
        for (int64_t r0 = 0; r0 < rows; r0 += 16)
            for (int64_t c0 = 0; c0 < columns; c0 += 16) {
                int64_t r1 = r0 + 16 < rows ? r0 + 16 : rows, c1 = c0 + 16 < columns ? c0 + 16 : columns;
                for (int64_t c = c0; c < c1; c++)
                    for (int64_t r = r0; r < r1; r++)
                        ((uint32_t *)dst)[c * ld + r] = ((const uint32_t *)src)[r * src_ld + c];
            }
    }
}
