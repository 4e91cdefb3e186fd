#if defined(__x86_64__)
// The C library's headers come first: the attribute below is for our functions.
#include <float.h>
#include <stdint.h>
#include <string.h>

#include "include/ckernels.h"

#define CK_ISA avx512
#define CK_FMA 1
#define CK_TILE_ROWS 6
#define CK_TILE_VECTORS 4

#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,fma,f16c"), min_vector_width(512))), \
    apply_to = function)
#include "kernels/all.h"
#pragma clang attribute pop
#endif
