#if defined(__x86_64__)
#include <float.h>
#include <stdint.h>
#include <string.h>

#include "include/ckernels.h"

#define CK_ISA avx2
#define CK_FMA 1
#define CK_TILE_ROWS 6
#define CK_TILE_VECTORS 1

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#include "kernels/all.h"
#pragma clang attribute pop
#endif
