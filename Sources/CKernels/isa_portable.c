#define CK_ISA portable
#if defined(__aarch64__)
#define CK_FMA 1
#define CK_TILE_ROWS 3
#define CK_TILE_VECTORS 2
#else
#define CK_FMA 0
#define CK_TILE_ROWS 3
#define CK_TILE_VECTORS 1
#endif

#include "kernels/all.h"
