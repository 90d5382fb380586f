/* upsample2d as its kernels see it: NHWC, or NCHW as N*C images of one channel. */
#ifndef CNNFAST_UPSAMPLE2D_PROBLEM_H
#define CNNFAST_UPSAMPLE2D_PROBLEM_H

#include "kernel.h"

typedef struct {
    int64_t N, H, W, C;
    int64_t scale[2];
    bool bilinear, align_corners;
} upsample2d_problem;

#endif
