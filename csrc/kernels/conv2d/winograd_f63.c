/* F(6x6, 3x3): 64 products for 324, with three to four times the error of F(4x4, 3x3): under precision "fast" only. */
#include "simd.h"

#if CNNFAST_REAL
#define WINOGRAD_AXIS ((axis){6, 3, 3, WHOLE})
#include "winograd.h"

const kernel SYMBOL(conv2d_winograd_f63) = WINOGRAD_KERNEL;
#endif
