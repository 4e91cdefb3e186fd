#pragma once
#include <stddef.h>
#include <stdint.h>

// Element types of model files to f32 and back. Sources are at any alignment and little-endian; counts are values,
// for block types a multiple of 32. Block layouts: ggml (ggml-common.h).

#ifdef __cplusplus
extern "C" {
#endif

void opd_f16_to_f32(float *out, const void *in, size_t count);
void opd_bf16_to_f32(float *out, const void *in, size_t count);
/// Rounds to nearest even; NaN stays NaN.
void opd_f32_to_bf16(uint16_t *out, const float *in, size_t count);

/// 34-byte blocks of 32: f16 scale d, 32 signed bytes q; x = d q.
void opd_q8_0_to_f32(float *out, const void *in, size_t count);
/// 18-byte blocks of 32: f16 scale d, 16 bytes of two nibbles q (low ones first); x = d (q - 8).
void opd_q4_0_to_f32(float *out, const void *in, size_t count);
/// 20-byte blocks of 32: f16 scale d, f16 minimum m, 16 bytes of two nibbles q; x = d q + m.
void opd_q4_1_to_f32(float *out, const void *in, size_t count);

#ifdef __cplusplus
}
#endif
