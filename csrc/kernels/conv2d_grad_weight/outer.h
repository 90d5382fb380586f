/* What the sums of grad_weight are made of: an outer product, m numbers of x times v vectors of grad_output. With m and v constant
 * every sum is a register. */
#ifndef CNNFAST_OUTER_H
#define CNNFAST_OUTER_H

#include "simd.h"

INLINE void add_outer(int m, int v, const real *x, const real *gradient, vec (*sum)[TILE_V]) {
    vec by[TILE_V];
    __asm__("" : "+r"(x)); /* or the compiler makes an address of each number's own */
    __asm__ volatile("" : : : "memory"); /* or numbers of the next product are read early, and no register is left for them */
#pragma GCC unroll 4
    for (int j = 0; j < v; j++) by[j] = v_load(gradient + j * LANES);
#pragma GCC unroll 14
    for (int i = 0; i < m; i++) {
        const vec channel = v_splat(x[i]);
#pragma GCC unroll 4
        for (int j = 0; j < v; j++) sum[i][j] = v > 1 ? v_fma_in_place(channel, by[j], sum[i][j]) : v_fma(channel, by[j], sum[i][j]);
    }
}

#endif
