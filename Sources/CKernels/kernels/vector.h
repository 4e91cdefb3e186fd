// Sixteen-lane vectors that clang lowers to whatever the instruction set has. Included once per instruction set;
// CK_FMA says that fused multiply-add is an instruction there. Lane order is part of the results: do not reorder.
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
/// The first n (1...15) elements; other lanes are zero.
INLINE vf load_tail(const void *p, int type, int64_t i, int64_t n) {
    if (type == CK_F32) {
        vf v = 0;
        memcpy(&v, (const float *)p + i, (size_t)n * 4);
        return v;
    }
    vh h = 0;
    memcpy(&h, (const uint16_t *)p + i, (size_t)n * 2);
    return widen(h);
}
INLINE void store_tail(void *p, int type, int64_t i, vf v, int64_t n) {
    if (type == CK_F32) {
        memcpy((float *)p + i, &v, (size_t)n * 4);
    } else {
        vh h = narrow(v);
        memcpy((uint16_t *)p + i, &h, (size_t)n * 2);
    }
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
