/* local_response_norm as its kernels see it: x is [outer][C][inner], so inner is 1 for NHWC and H*W for NCHW. */
#ifndef CNNFAST_LOCAL_RESPONSE_NORM_PROBLEM_H
#define CNNFAST_LOCAL_RESPONSE_NORM_PROBLEM_H

#include "kernel.h"

typedef struct {
    int64_t outer, C, inner;
    int64_t before, after; /* channels of the window on either side, at most C */
    double scale, beta, k; /* x / (k + scale * sum of squares)^beta */
} local_response_norm_problem;

#endif
