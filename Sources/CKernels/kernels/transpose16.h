// Transposition of sixteen vectors of 32-bit lanes: v is [row][lane] before and [lane][row] after.
#pragma once
#include "vector.h"

/// One step of a transposition: pairs of lanes `DISTANCE` apart change places between rows as far apart.
#define EXCHANGE(DISTANCE) \
    _Pragma("clang loop unroll(full)") for (int i = 0; i < LANES; i++) \
        if (!(i & DISTANCE)) { \
            vu low = v[i], high = v[i + DISTANCE]; \
            v[i] = __builtin_shufflevector(low, high, LOW_LANES_##DISTANCE); \
            v[i + DISTANCE] = __builtin_shufflevector(low, high, HIGH_LANES_##DISTANCE); \
        }
#define LOW_LANES_1 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30
#define HIGH_LANES_1 1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31
#define LOW_LANES_2 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29
#define HIGH_LANES_2 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31
#define LOW_LANES_4 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27
#define HIGH_LANES_4 4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31
#define LOW_LANES_8 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23
#define HIGH_LANES_8 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31

INLINE void transpose16(vu v[LANES]) { EXCHANGE(1) EXCHANGE(2) EXCHANGE(4) EXCHANGE(8) }
