/* A pooling as its kernels see it. The plan works out each output row's and column's window once, so that padding,
 * ceil_mode, global and adaptive windows are all the same to a kernel. */
#ifndef CNNFAST_POOL2D_PROBLEM_H
#define CNNFAST_POOL2D_PROBLEM_H

#include "kernel.h"

/* One axis of one output's window: taps at first, first + dilation, ... , all inside the image. */
typedef struct {
    int64_t first, taps;
    int64_t extent; /* what an average divides by: taps, or the window with its padding */
} span;

typedef struct {
    window g; /* K == C; R and S are the largest window */
    cnnfast_pool_kind kind;
    double norm;
    bool with_indices;
    const span *rows, *cols; /* P and Q of them */
    int64_t whole_begin, whole_end; /* columns whose windows are whole and a stride apart: empty where adaptive */
} pool2d_problem;

#endif
