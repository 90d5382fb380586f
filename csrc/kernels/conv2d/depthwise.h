/* Depthwise rows, shared by the depthwise and the separable kernels. */
#ifndef CNNFAST_DEPTHWISE_H
#define CNNFAST_DEPTHWISE_H

#include "conv2d/problem.h"
#include "simd.h"

size_t SYMBOL(depthwise_packed_size)(const conv2d_problem *);
void SYMBOL(depthwise_pack)(const conv2d_problem *, const real *weight, const real *bias, real *packed);

/* Bytes that a call over `rows` output rows needs. */
size_t SYMBOL(depthwise_workspace)(const conv2d_problem *, int64_t rows);

/* Rows [p0, p1) of one image and channels [k0, k1) of its K, k0 a multiple of LANES. y and residual point at output
 * (p0, 0, 0); pixels lie y_step elements apart, rows Q of them. `stream`: as of tensors; `far`, too. */
typedef struct {
    int64_t p0, p1, k0, k1, y_step;
    const real *image, *residual;
    real *y;
    bool far, stream;
} depthwise_rows;
void SYMBOL(depthwise_run)(const conv2d_problem *, const real *packed, const depthwise_rows *, void *workspace);

#endif
