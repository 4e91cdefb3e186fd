// Sixteen-lane vectors that clang lowers to whatever the instruction set has. Included once per instruction set;
// CK_FMA says that fused multiply-add is an instruction there. Lane order is part of the results: do not reorder.
//
// p is storage of either type, of which i is the index of an element, not of a byte; n counts elements.
#pragma once
#include <float.h>
#include <stdint.h>
#include <string.h>

#include "../include/ckernels.h"

// Vectors pass between functions that are always inlined: no calling convention is involved.
#pragma clang diagnostic ignored "-Wpsabi"

#define INLINE static inline __attribute__((always_inline, unused))

typedef float vf __attribute__((ext_vector_type(16)));
typedef float vf8 __attribute__((ext_vector_type(8)));
typedef float vf4 __attribute__((ext_vector_type(4)));
typedef int32_t vi __attribute__((ext_vector_type(16)));
typedef uint32_t vu __attribute__((ext_vector_type(16)));
typedef uint16_t vh __attribute__((ext_vector_type(16)));
typedef uint16_t vh8 __attribute__((ext_vector_type(8)));
typedef uint16_t vh4 __attribute__((ext_vector_type(4)));
typedef double vd8 __attribute__((ext_vector_type(8)));

enum { LANES = 16 };

INLINE vf fma16(vf a, vf b, vf c) {
#if CK_FMA
    return __builtin_elementwise_fma(a, b, c);
#else
    return a * b + c;
#endif
}

INLINE vf load_f32(const float *p) {
    vf v;
    memcpy(&v, p, sizeof v);
    return v;
}
INLINE void store_f32(float *p, vf v) { memcpy(p, &v, sizeof v); }

INLINE vf widen(vh h) { return (vf)(__builtin_convertvector(h, vu) << 16); }
/// Round to nearest even; NaN stays NaN.
INLINE vh narrow(vf v) {
    vu u = (vu)v;
    u = (u + 0x7fff + ((u >> 16) & 1)) >> 16;
    u = (v != v) ? (vu)0x7fc0 : u;
    return __builtin_convertvector(u, vh);
}

/// Sixteen elements of storage of either type, from element index i. `type` is a constant where this is inlined.
INLINE vf load(const void *p, int type, int64_t i) {
    if (type == CK_F32) return load_f32((const float *)p + i);
    vh h;
    memcpy(&h, (const uint16_t *)p + i, sizeof h);
    return widen(h);
}
INLINE void store(void *p, int type, int64_t i, vf v) {
    if (type == CK_F32) {
        store_f32((float *)p + i, v);
    } else {
        vh h = narrow(v);
        memcpy((uint16_t *)p + i, &h, sizeof h);
    }
}
// The first n (1...15) of sixteen elements, in pieces of 8, 4, 2, 1: a copy of unknown size would be a call of the C
// library, which costs more than the arithmetic on a narrow head. Other lanes are zero.

/// Fewer than twice as many elements as `half` has lanes, which are `lanes`; `shorter` loads fewer than those.
#define LOAD_TAIL(name, element, whole, half, lanes, shorter) \
    INLINE whole name(const element *p, int64_t n) { \
        whole v = 0; \
        half first; \
        if (n & lanes) { \
            memcpy(&first, p, sizeof first); \
            v.lo = first; \
            if (n & (lanes - 1)) v.hi = shorter(p + lanes, n); \
        } else { \
            v.lo = shorter(p, n); \
        } \
        return v; \
    }
#define TAIL_OF(name, element, v16, v8, v4) \
    INLINE v4 load_tail3_##name(const element *p, int64_t n) { \
        v4 v = 0; \
        if (n & 2) { \
            v.x = p[0]; \
            v.y = p[1]; \
            if (n & 1) v.z = p[2]; \
        } else if (n & 1) { \
            v.x = p[0]; \
        } \
        return v; \
    } \
    LOAD_TAIL(load_tail7_##name, element, v8, v4, 4, load_tail3_##name) \
    LOAD_TAIL(load_tail_##name, element, v16, v8, 8, load_tail7_##name) \
    INLINE void store_tail_##name(element *p, v16 v, int64_t n) { \
        v8 eight = v.lo; \
        if (n & 8) { \
            memcpy(p, &eight, sizeof eight); \
            eight = v.hi; \
            p += 8; \
        } \
        v4 four = eight.lo; \
        if (n & 4) { \
            memcpy(p, &four, sizeof four); \
            four = eight.hi; \
            p += 4; \
        } \
        if (n & 2) { \
            p[0] = four.x; \
            p[1] = four.y; \
            if (n & 1) p[2] = four.z; \
        } else if (n & 1) { \
            p[0] = four.x; \
        } \
    }
TAIL_OF(f32, float, vf, vf8, vf4)
TAIL_OF(bf16, uint16_t, vh, vh8, vh4)
#undef TAIL_OF
#undef LOAD_TAIL

INLINE vf load_tail(const void *p, int type, int64_t i, int64_t n) {
    return type == CK_F32 ? load_tail_f32((const float *)p + i, n) : widen(load_tail_bf16((const uint16_t *)p + i, n));
}
INLINE void store_tail(void *p, int type, int64_t i, vf v, int64_t n) {
    if (type == CK_F32) store_tail_f32((float *)p + i, v, n);
    else store_tail_bf16((uint16_t *)p + i, narrow(v), n);
}

/// Runs BODY(i, n) over [from, to) in steps of 16: n is 16 but for the tail.
#define EACH_VECTOR(i, n, from, to) \
    for (int64_t i = (from), n; n = (to) - i < LANES ? (to) - i : LANES, n > 0; i += LANES)
INLINE vf load_n(const void *p, int type, int64_t i, int64_t n) {
    return n == LANES ? load(p, type, i) : load_tail(p, type, i, n);
}
INLINE void store_n(void *p, int type, int64_t i, vf v, int64_t n) {
    if (n == LANES) store(p, type, i, v);
    else store_tail(p, type, i, v, n);
}

INLINE float sum_lanes(vf v) {
    vf8 a = v.lo + v.hi;
    vf4 b = a.lo + a.hi;
    return (b.x + b.z) + (b.y + b.w);
}
INLINE vf max16(vf a, vf b) { return a > b ? a : b; }
INLINE float max_lanes(vf v) {
    vf8 a = v.lo > v.hi ? v.lo : v.hi;
    vf4 b = a.lo > a.hi ? a.lo : a.hi;
    float x = b.x > b.z ? b.x : b.z, y = b.y > b.w ? b.y : b.w;
    return x > y ? x : y;
}

/// exp(x): Cody and Waite's reduction, a degree-6 polynomial, within 1 ulp or so; 0 below -87.3, clamped above 88.3.
INLINE vf exp16(vf x) {
    vf low = x < -87.3f ? (vf)0.0f : (vf)1.0f;
    vf c = x > 88.3f ? (vf)88.3f : x;
    c = c < -87.3f ? (vf)-87.3f : c;
    const vf magic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
    vf n = fma16(c, (vf)1.44269504088896341f, magic) - magic;
    vf r = fma16(n, (vf)-0.693359375f, c);
    r = fma16(n, (vf)2.12194440e-4f, r);
    vf p = 1.9875691500e-4f;
    p = fma16(p, r, (vf)1.3981999507e-3f);
    p = fma16(p, r, (vf)8.3334519073e-3f);
    p = fma16(p, r, (vf)4.1665795894e-2f);
    p = fma16(p, r, (vf)1.6666665459e-1f);
    p = fma16(p, r, (vf)5.0000001201e-1f);
    p = fma16(p, r * r, r) + 1.0f;
    vi e = (__builtin_convertvector(n, vi) + 127) << 23;
    return p * (vf)e * low;
}

/// tanh(x), within 2 ulp or so: below 0.625 an odd polynomial (Moshier's Cephes), above it 1 - 2 / (exp(2|x|) + 1).
/// Scalars use it too, as a vector of one value, so that a value has the same bits wherever it stands.
INLINE vf tanh16(vf x) {
    vf magnitude = x < 0.0f ? -x : x;
    vf z = x * x;
    vf p = -5.70498872745e-3f;
    p = fma16(p, z, (vf)2.06390887954e-2f);
    p = fma16(p, z, (vf)-5.37397155531e-2f);
    p = fma16(p, z, (vf)1.33314422036e-1f);
    p = fma16(p, z, (vf)-3.33332819422e-1f);
    vf near = fma16(p * z, x, x);
    vf far = 1.0f - 2.0f / (exp16(magnitude + magnitude) + 1.0f);
    far = x < 0.0f ? -far : far;
    return magnitude < 0.625f ? near : far;
}

/// The soft cap c tanh(x / c), and its slope for a given tanh.
INLINE vf cap16(vf x, float cap) { return tanh16(x / cap) * cap; }
INLINE vf cap_slope16(vf tanh) { return 1.0f - tanh * tanh; }
