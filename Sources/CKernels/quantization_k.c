// Block formats with more than one scale, and those with five bits: layouts of ggml (ggml-common.h), the values that its
// reference dequantization gives. A product is rounded before it is added to.
#pragma STDC FP_CONTRACT OFF

#include "quantization.h"

static inline float half_at(const uint8_t *p) {
    float value;
    opd_f16_to_f32(&value, p, 1);
    return value;
}

static inline uint32_t load32(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

void opd_q5_0_to_f32(float *out, const void *in, size_t count) {
    const uint8_t *p = in;
    for (size_t block = 0; block < count / 32; block++, p += 22, out += 32) {
        float d = half_at(p);
        uint32_t high = load32(p + 2);
        for (int i = 0; i < 16; i++) {
            int q = p[6 + i];
            out[i] = d * (float)((int)((q & 15) | ((high >> i) & 1) << 4) - 16);
            out[i + 16] = d * (float)((int)((q >> 4) | ((high >> (i + 16)) & 1) << 4) - 16);
        }
    }
}

void opd_q5_1_to_f32(float *out, const void *in, size_t count) {
    const uint8_t *p = in;
    for (size_t block = 0; block < count / 32; block++, p += 24, out += 32) {
        float d = half_at(p);
        float m = half_at(p + 2);
        uint32_t high = load32(p + 4);
        for (int i = 0; i < 16; i++) {
            int q = p[8 + i];
            float low = d * (float)((q & 15) | ((high >> i) & 1) << 4);
            float upper = d * (float)((q >> 4) | ((high >> (i + 16)) & 1) << 4);
            out[i] = low + m;
            out[i + 16] = upper + m;
        }
    }
}

void opd_iq4_nl_to_f32(float *out, const void *in, size_t count) {
    static const int8_t values[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
    const uint8_t *p = in;
    for (size_t block = 0; block < count / 32; block++, p += 18, out += 32) {
        float d = half_at(p);
        for (int i = 0; i < 16; i++) {
            out[i] = d * (float)values[p[2 + i] & 15];
            out[i + 16] = d * (float)values[p[2 + i] >> 4];
        }
    }
}

void opd_q2_k_to_f32(float *out, const void *in, size_t count) {
    const uint8_t *p = in;
    for (size_t block = 0; block < count / 256; block++, p += 84, out += 256) {
        float d = half_at(p + 80);
        float minimum = half_at(p + 82);
        for (int i = 0; i < 256; i++) {
            // 128 values share 32 bytes, two bits each; 16 values share a scale.
            int within = i & 127;
            int q = p[16 + (i >> 7) * 32 + (within & 31)] >> (within >> 5) * 2 & 3;
            int scale = p[i >> 4];
            float product = d * (float)(scale & 15) * (float)q;
            out[i] = product - minimum * (float)(scale >> 4);
        }
    }
}

void opd_q3_k_to_f32(float *out, const void *in, size_t count) {
    const uint8_t *p = in;
    for (size_t block = 0; block < count / 256; block++, p += 110, out += 256) {
        const uint8_t *packed = p + 96;
        float d = half_at(p + 108);
        float scales[16];
        for (int k = 0; k < 16; k++) {
            int low = k < 8 ? packed[k] & 15 : packed[k - 8] >> 4;
            int high = packed[8 + (k & 3)] >> (k >> 2) * 2 & 3;
            scales[k] = d * (float)((low | high << 4) - 32);
        }
        for (int i = 0; i < 256; i++) {
            int within = i & 127;
            int q = p[32 + (i >> 7) * 32 + (within & 31)] >> (within >> 5) * 2 & 3;
            // The third bit is stored inverted: where it is clear, 4 goes.
            if (!(p[i & 31] >> (i >> 5) & 1)) q -= 4;
            out[i] = scales[i >> 4] * (float)q;
        }
    }
}

/// Scale and minimum `k` of the eight that 12 bytes hold with six bits each.
static inline void scale_and_minimum(const uint8_t *p, int k, int *scale, int *minimum) {
    if (k < 4) {
        *scale = p[k] & 63;
        *minimum = p[k + 4] & 63;
    } else {
        *scale = (p[k + 4] & 15) | p[k - 4] >> 6 << 4;
        *minimum = p[k + 4] >> 4 | p[k] >> 6 << 4;
    }
}

/// Four bits a value, with a fifth of each in 32 bytes before them, or none.
static inline void q45_k_to_f32(float *out, const uint8_t *p, size_t count, int has_fifth) {
    int low = has_fifth ? 48 : 16;
    for (size_t block = 0; block < count / 256; block++, p += low + 128, out += 256) {
        float d = half_at(p);
        float m = half_at(p + 2);
        for (int k = 0; k < 8; k++) {
            int scale, minimum;
            scale_and_minimum(p + 4, k, &scale, &minimum);
            float step = d * (float)scale;
            float offset = m * (float)minimum;
            const uint8_t *q = p + low + (k >> 1) * 32;
            for (int i = 0; i < 32; i++) {
                int fifth = has_fifth ? (p[16 + i] >> k & 1) << 4 : 0;
                float product = step * (float)((q[i] >> (k & 1) * 4 & 15) | fifth);
                out[k * 32 + i] = product - offset;
            }
        }
    }
}

void opd_q4_k_to_f32(float *out, const void *in, size_t count) { q45_k_to_f32(out, in, count, 0); }

void opd_q5_k_to_f32(float *out, const void *in, size_t count) { q45_k_to_f32(out, in, count, 1); }

void opd_q6_k_to_f32(float *out, const void *in, size_t count) {
    const uint8_t *p = in;
    for (size_t block = 0; block < count / 256; block++, p += 210, out += 256) {
        float d = half_at(p + 208);
        for (int i = 0; i < 256; i++) {
            int half = i >> 7;
            int quarter = i >> 5 & 3;
            int low = p[half * 64 + (quarter & 1) * 32 + (i & 31)] >> (quarter >> 1) * 4 & 15;
            int high = p[128 + half * 32 + (i & 31)] >> quarter * 2 & 3;
            float step = d * (float)(int8_t)p[192 + (i >> 4)];
            out[i] = step * (float)((low | high << 4) - 32);
        }
    }
}
