/* F(3x3, 3x3) at stride 2: 49 products for 81. Along an axis the outer taps meet even samples alone, F(3, 2), and the middle
 * one odd samples, F(3, 1): 4 + 3 products for 9. */
#include "simd.h"

#if CNNFAST_REAL
#define WINOGRAD_AXIS ((axis){3, 3, 1, PARITY})
#include "winograd.h"

const kernel SYMBOL(conv2d_winograd_f33s2) = WINOGRAD_KERNEL;
#endif
