/* F(4, 7) along one axis: 13 products for 28. Four taps and three, F(4, 4) at the same points for both, whose products are
 * added before the way back: it errs less than F(3, 7) in one piece, which has no fewer products an output. */
#include "simd.h"

#if CNNFAST_REAL
#define WINOGRAD_AXIS ((axis){4, 7, 3, HALVES})
#include "winograd.h"

const kernel SYMBOL(conv2d_winograd_f47) = WINOGRAD_KERNEL;
#endif
