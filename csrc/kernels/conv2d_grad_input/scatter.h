/* Adding what pixels of x give to y, for the kernels whose GEMM gives it. */
#ifndef CNNFAST_CONV2D_GRAD_INPUT_SCATTER_H
#define CNNFAST_CONV2D_GRAD_INPUT_SCATTER_H

#include <string.h>

#include "conv2d_grad_input/problem.h"
#include "kernel.h"
#include "simd.h"

/* Of what a row of x gives: it waits in L2 to be added. And of short rows together, which fill the GEMM's tiles. */
static const int64_t ROW_BYTES = 512 * 1024, ROWS_BYTES = 128 * 1024;

/* y += x. */
static inline void add(real *y, const real *x, int64_t count) {
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES) v_store(y + i, v_load(y + i) + v_load(x + i));
    if (i < count) v_store_n(y + i, v_load_n(y + i, (int)(count - i)) + v_load_n(x + i, (int)(count - i)), (int)(count - i));
}

/* What pixel w of a row of x adds to a row of y by one row of taps. */
static inline void add_pixel(const window *g, int64_t w, const real *from, real *y, int64_t y_step) {
    const int64_t q = w * g->stride[1] - g->pad[2], d = g->dilation[1];
    int64_t first = 0, past = g->S;
    if (q < 0 || q + (g->S - 1) * d >= g->Q) { /* else nothing is divided: a run is short */
        first = q < 0 ? min64(g->S, ceil_div(-q, d)) : 0, past = q < g->Q ? min64(g->S, ceil_div(g->Q - q, d)) : 0;
        if (past <= first) return;
    }
    if (y_step == g->K && (d == 1 || g->S == 1)) add(y + (q + first) * g->K, from + first * g->K, (past - first) * g->K);
    else
        for (int64_t s = first; s < past; s++) add(y + (q + s * d) * y_step, from + s * g->K, g->K);
}

/* Pixels whose outputs do not meet, then the next ones, so that no sum is read back right after it was stored. */
static inline int64_t turns(const window *g) {
    return min64(g->W, ceil_div((g->S - 1) * g->dilation[1] + 1, g->stride[1]) + 1);
}

/* What is added to. */
static inline void begin_rows(const window *g, const tensors *t, int64_t row, int64_t rows) {
    const bool dense = t->y_step == g->K;
    const int64_t runs = dense ? 1 : rows * g->Q, first = row * g->Q * t->y_step;
    const size_t bytes = (size_t)(dense ? rows * g->Q * g->K : g->K) * sizeof(real);
    if (t->residual == t->y) return;
    for (int64_t i = 0, at = first; i < runs; i++, at += t->y_step) {
        if (t->residual) memcpy((real *)t->y + at, (const real *)t->residual + at, bytes);
        else memset((real *)t->y + at, 0, bytes);
    }
}

#endif
