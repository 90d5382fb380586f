/* F(4x4, 3x3): 36 products for 144. */
#include "simd.h"

#if CNNFAST_REAL
#define WINOGRAD_AXIS ((axis){4, 3, 2, WHOLE})
#include "winograd.h"

const kernel SYMBOL(conv2d_winograd_f43) = WINOGRAD_KERNEL;
#endif
