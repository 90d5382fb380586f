/* F(2x2, 3x3): 16 products for 36, and the least growth of the weights: for deep layers on small maps. */
#include "simd.h"

#if CNNFAST_REAL
#define WINOGRAD_AXIS ((axis){2, 3, 1, WHOLE})
#include "winograd.h"

const kernel SYMBOL(conv2d_winograd_f23) = WINOGRAD_KERNEL;
#endif
