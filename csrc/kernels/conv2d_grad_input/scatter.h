/* Adding what pixels of x give to y, for the kernels whose GEMM gives it. */
#ifndef CNNFAST_CONV2D_GRAD_INPUT_SCATTER_H
#define CNNFAST_CONV2D_GRAD_INPUT_SCATTER_H

#include "conv2d_grad_input/problem.h"
#include "kernel.h"
#include "simd.h"

/* Of what a row of x gives: it waits in L2 to be added. And of short rows together, which fill the GEMM's tiles. */
static const int64_t ROW_BYTES = 512 * 1024, ROWS_BYTES = 128 * 1024;

/* Runs of S pixels, one for each column of x and each of some rows, that a GEMM gave: added to y's rows. */
typedef struct {
    int64_t rows, step, row;  /* elements from a column's run to the next one's, and from a row's */
    int64_t y_step, y_row;    /* from a pixel of y to the next, and to the next row that is added to */
} runs;
void SYMBOL(scatter_add)(const window *, const runs *, const real *from, real *y);

/* Rows of outputs from `row` on begin as the residual, or zero. */
void SYMBOL(scatter_begin)(const window *, const tensors *, int64_t row, int64_t rows);

#endif
