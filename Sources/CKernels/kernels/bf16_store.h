// Where a bf16 product's sums go: y is bf16 for CK_BF16_NARROW and f32 otherwise, and `at` counts its elements.
#pragma once
#include "../include/ckbf16.h"
#include "vector.h"

/// The first n (1...16) of sixteen sums, to element `at` of y.
INLINE void put(void *y, ck_bf16_store store_as, int64_t at, vf v, int64_t n) {
    if (store_as == CK_BF16_NARROW) return store_n(y, CK_BF16, at, v, n);
    if (store_as == CK_BF16_ADD) v = load_n(y, CK_F32, at, n) + v;
    store_n(y, CK_F32, at, v, n);
}
