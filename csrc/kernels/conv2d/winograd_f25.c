/* F(2x2, 5x5): 36 products for 100, on the tile of F(4x4, 3x3). */
#include "simd.h"

#if CNNFAST_REAL
#define WINOGRAD_AXIS ((axis){2, 5, 2, WHOLE})
#include "winograd.h"

const kernel SYMBOL(conv2d_winograd_f25) = WINOGRAD_KERNEL;
#endif
