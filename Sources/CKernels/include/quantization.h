#pragma once
#include <stddef.h>
#include <stdint.h>

// Element types of model files to f32 and back. Sources are at any alignment and little-endian; counts are values,
// for block types whole blocks. Block layouts: ggml (ggml-common.h).

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
/// 22-byte blocks of 32: f16 scale d, 32 fifth bits, 16 bytes of two nibbles; x = d (q - 16).
void opd_q5_0_to_f32(float *out, const void *in, size_t count);
/// 24-byte blocks of 32: f16 scale d, f16 minimum m, 32 fifth bits, 16 bytes of two nibbles; x = d q + m.
void opd_q5_1_to_f32(float *out, const void *in, size_t count);
/// 18-byte blocks of 32: f16 scale d, 16 bytes of two nibbles, each the index of one of 16 fixed values v; x = d v.
void opd_iq4_nl_to_f32(float *out, const void *in, size_t count);
/// 84-byte blocks of 256: 16 bytes of a scale s and a minimum n of 4 bits, 64 bytes of four q, f16 d, f16 m;
/// x = d s q - m n, s and n of 16 values each.
void opd_q2_k_to_f32(float *out, const void *in, size_t count);
/// 110-byte blocks of 256: 32 bytes of third bits, 64 of four q, 12 of 16 scales s of 6 bits, f16 d; x = d (s - 32) q.
void opd_q3_k_to_f32(float *out, const void *in, size_t count);
/// 144-byte blocks of 256: f16 d, f16 m, 12 bytes of 8 scales s and minima n of 6 bits, 128 bytes of two q;
/// x = d s q - m n, s and n of 32 values each.
void opd_q4_k_to_f32(float *out, const void *in, size_t count);
/// 176-byte blocks of 256: as q4_k, with 32 bytes of fifth bits before the nibbles.
void opd_q5_k_to_f32(float *out, const void *in, size_t count);
/// 210-byte blocks of 256: 128 bytes of nibbles, 64 of upper bits, 16 signed scales s, f16 d; x = d s (q - 32).
void opd_q6_k_to_f32(float *out, const void *in, size_t count);

#ifdef __cplusplus
}
#endif
