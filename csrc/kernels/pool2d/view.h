/* What the pooling kernels share: one output's window, and how its taps join. */
#ifndef CNNFAST_POOL2D_VIEW_H
#define CNNFAST_POOL2D_VIEW_H

#include <math.h>

#include "common/cost.h"
#include "pool2d/problem.h"
#include "simd.h"

/* One output: where channel 0 of its first tap lies, how many taps there are, and how far apart. */
typedef struct {
    const real *x;
    int64_t rows, cols, row_step, col_step;
    real divisor;
} view;

INLINE view view_of(const pool2d_problem *p, const real *image, span rows, span cols) {
    const window *g = &p->g;
    return (view){.x = image + (rows.first * g->W + cols.first) * g->C, .rows = rows.taps, .cols = cols.taps,
                  .row_step = g->dilation[0] * g->W * g->C, .col_step = g->dilation[1] * g->C,
                  .divisor = (real)(rows.extent * cols.extent)};
}

INLINE vec load(const real *p, int n) { return n == LANES ? v_load(p) : v_load_n(p, n); }
INLINE void store(real *p, vec v, int n) {
    if (n == LANES) v_store(p, v);
    else v_store_n(p, v, n);
}

/* A column of channels: a vector, and at least a cache line, so that threads do not share lines. */
enum { CHANNELS = CACHE_LINE / (int)sizeof(real) };

/* The first NaN wins and stays. */
INLINE mask beats(cnnfast_pool_kind kind, vec v, vec best) {
    return (kind == CNNFAST_MIN ? v < best : v > best) | ((v != v) & (best == best));
}

/* Maxima and minima as the ISA has them lose a NaN. */
INLINE vec join(cnnfast_pool_kind kind, vec known, vec v) {
    if (kind == CNNFAST_AVERAGE) return known + v;
    return kind == CNNFAST_MAX ? v_greater(v, known) : v_lesser(v, known);
}

/* So they are watched, and where one was seen the outputs are done again. */
INLINE bool watched(cnnfast_pool_kind kind) { return CNNFAST_REAL && kind != CNNFAST_AVERAGE; }

INLINE vec finish(cnnfast_pool_kind kind, vec v, real divisor) { return kind == CNNFAST_AVERAGE ? v / v_splat(divisor) : v; }

INLINE double pool2d_taps(const pool2d_problem *p, int64_t N) {
    return (double)N * p->g.P * p->g.Q * p->g.C * p->g.R * p->g.S;
}

/* Bytes of the pixels read and written; windows with gaps do not read all there are. */
INLINE double pool2d_bytes(const pool2d_problem *p, int64_t N) {
    const double pixels = fmin((double)p->g.H * p->g.W, (double)p->g.P * p->g.Q * p->g.R * p->g.S);
    return sizeof(real) * (double)N * p->g.C * (pixels + (double)p->g.P * p->g.Q);
}

/* Below 100 ms a call whatever the window. */
INLINE int64_t pool2d_block_rows(const pool2d_problem *p) {
    return max64(1, min64(64, (int64_t)(1e7 * (double)p->g.P / pool2d_taps(p, 1))));
}

#endif
