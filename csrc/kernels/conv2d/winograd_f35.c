/* F(3x3, 5x5): 49 products for 225. Twice the error of F(2x2, 5x5), and 1.65 times as few products. */
#include "simd.h"

#if CNNFAST_REAL
#define WINOGRAD_AXIS ((axis){3, 5, 3, WHOLE})
#include "winograd.h"

const kernel SYMBOL(conv2d_winograd_f35) = WINOGRAD_KERNEL;
#endif
