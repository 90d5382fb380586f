/* e^(x - max), as exactly as e^x itself: what rounding takes from the difference goes into the exponent's low part. */
#ifndef CNNFAST_SOFTMAX_EXPONENTIAL_H
#define CNNFAST_SOFTMAX_EXPONENTIAL_H

#include "elementary.h"

#if CNNFAST_REAL

/* d + low = x - max exactly (Knuth, The Art of Computer Programming, vol. 2, 4.2.2, theorem B); low is 0 where d is
 * infinite or so far down that e^d is 0. */
INLINE vec softmax_exp(vec x, vec max) {
    vec d = x - max, back = d - x;
    vec low = (x - (d - back)) - (max + back);
    low = v_select(d > v_splat(-EXP_CLAMP), low, v_splat(0));
    exp_parts e = v_exp_sum(v_at_least(d, v_splat(-EXP_CLAMP)), low);
    return v_fma(e.expm1_r, e.scale, e.scale) * EXP_UNSCALE;
}

#endif
#endif
