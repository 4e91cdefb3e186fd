#include "quantization.h"

#include <string.h>

static inline float half_to_float(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16;
    uint32_t exponent = (h >> 10) & 0x1Fu;
    uint32_t mantissa = h & 0x3FFu;
    uint32_t bits;
    if (exponent == 0x1Fu) {
        bits = sign | 0x7F800000u | (mantissa << 13);
    } else if (exponent != 0) {
        bits = sign | ((exponent + 112u) << 23) | (mantissa << 13);
    } else {
        // Zero or subnormal: mantissa * 2^-24 is exact in f32.
        float value = (float)mantissa * 0x1p-24f;
        memcpy(&bits, &value, 4);
        bits |= sign;
    }
    float out;
    memcpy(&out, &bits, 4);
    return out;
}

static inline uint16_t load16(const uint8_t *p) {
    return (uint16_t)(p[0] | (uint16_t)p[1] << 8);
}

void opd_f16_to_f32(float *out, const void *in, size_t count) {
    const uint8_t *p = in;
    for (size_t i = 0; i < count; i++) out[i] = half_to_float(load16(p + 2 * i));
}

void opd_bf16_to_f32(float *out, const void *in, size_t count) {
    const uint8_t *p = in;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits = (uint32_t)load16(p + 2 * i) << 16;
        memcpy(out + i, &bits, 4);
    }
}

void opd_f32_to_bf16(uint16_t *out, const float *in, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, in + i, 4);
        uint32_t rounded = (bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16;
        uint32_t quiet = (bits >> 16) | 0x40u;
        out[i] = (uint16_t)((bits & 0x7FFFFFFFu) > 0x7F800000u ? quiet : rounded);
    }
}

void opd_q8_0_to_f32(float *out, const void *in, size_t count) {
    const uint8_t *p = in;
    for (size_t block = 0; block < count / 32; block++, p += 34, out += 32) {
        float d = half_to_float(load16(p));
        for (int i = 0; i < 32; i++) out[i] = d * (float)(int8_t)p[2 + i];
    }
}

void opd_q4_0_to_f32(float *out, const void *in, size_t count) {
    const uint8_t *p = in;
    for (size_t block = 0; block < count / 32; block++, p += 18, out += 32) {
        float d = half_to_float(load16(p));
        for (int i = 0; i < 16; i++) {
            out[i] = d * (float)((int)(p[2 + i] & 15) - 8);
            out[i + 16] = d * (float)((int)(p[2 + i] >> 4) - 8);
        }
    }
}

void opd_q4_1_to_f32(float *out, const void *in, size_t count) {
    const uint8_t *p = in;
    for (size_t block = 0; block < count / 32; block++, p += 20, out += 32) {
        float d = half_to_float(load16(p));
        float m = half_to_float(load16(p + 2));
        for (int i = 0; i < 16; i++) {
            out[i] = d * (float)(p[4 + i] & 15) + m;
            out[i + 16] = d * (float)(p[4 + i] >> 4) + m;
        }
    }
}
