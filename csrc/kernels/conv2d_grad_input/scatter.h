/* Adding what pixels of x give to y, for the kernels whose GEMM gives it in runs of `values` numbers. */
#ifndef CNNFAST_CONV2D_GRAD_INPUT_SCATTER_H
#define CNNFAST_CONV2D_GRAD_INPUT_SCATTER_H

#include "conv2d_grad_input/problem.h"
#include "common/gemm.h"
#include "kernel.h"
#include "simd.h"

/* Of what a row of x gives: it waits in L2 to be added. And of short rows together, which fill the GEMM's tiles. */
static const int64_t ROW_BYTES = 512 * 1024, ROWS_BYTES = 128 * 1024;

static inline int64_t panels(int64_t values) { return ceil_div(values, TILE_N); }
/* Elements from one run to the next: odd in cache lines, or they would meet in few sets of L1. */
static inline int64_t value_step(int64_t values) { return panels(values) * TILE_N + LANES; }
static inline int64_t row_bytes(const window *g, int64_t values) { return g->W * value_step(values) * (int64_t)sizeof(real); }

static inline grain grain_of_rows(const void *problem, int64_t workspace) {
    const window *g = &((const conv2d_grad_input_problem *)problem)->conv.g;
    const int64_t by_time = max64(1, (int64_t)(3e8 * (double)g->P / conv_transpose2d_macs(problem, 1)));
    return (grain){.columns = 1, .block_rows = min64(g->P, by_time), .tile_pixels = TILE_M, .tile_channels = TILE_N,
                   .workspace = (size_t)workspace};
}

/* Runs of S pixels, one for each column of x and each of some rows, that a GEMM gave: added to y's rows. */
typedef struct {
    int64_t rows, step, row;  /* elements from a column's run to the next one's, and from a row's */
    int64_t y_step, y_row;    /* from a pixel of y to the next, and to the next row that is added to */
} runs;
void SYMBOL(scatter_add)(const window *, const runs *, const real *from, real *y);

/* Rows of outputs from `row` on begin as the residual, or zero. */
void SYMBOL(scatter_begin)(const window *, const tensors *, int64_t row, int64_t rows);

#endif
