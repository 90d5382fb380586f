/* Where the vectors of a pixel's channels start. */
#ifndef CNNFAST_HEAD_H
#define CNNFAST_HEAD_H

#include "kernel.h"
#include "simd.h"

/* Lanes of the first vector of `channels`: so many that y's later ones start at a cache line, if those of all pixels do, and if
 * there are enough to be worth one vector more. y's and not x's, for what is stored across two lines costs several times what is
 * loaded across two. */
INLINE int64_t head_to_line(const real *y, int64_t y_step, int64_t channels) {
    const int64_t past = (int64_t)((uintptr_t)y % VEC_BYTES / sizeof(real));
    return channels % LANES == 0 && y_step % LANES == 0 && channels >= 4 * LANES ? LANES - past : min64(LANES, channels);
}

#endif
