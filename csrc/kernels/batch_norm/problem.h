/* batch_norm as its kernels see it: x is [outer][C][inner], so inner is 1 for NHWC and H*W for NCHW. */
#ifndef CNNFAST_BATCH_NORM_PROBLEM_H
#define CNNFAST_BATCH_NORM_PROBLEM_H

#include "kernel.h"

#define BATCH_NORM_ROW 4096 /* elements of a tile's row */

typedef struct {
    int64_t outer, C, inner;
    double eps;
    epilogue epilogue;
    bool stream; /* y is larger than the caches: store past them */
} batch_norm_problem;

/* What is packed: C numbers each, the last two may be NULL. */
typedef struct {
    const void *mean, *var, *weight, *bias;
} batch_norm_weights;

#endif
