/* A convolution as its kernels see it: valid, NHWC. */
#ifndef CNNFAST_CONV2D_PROBLEM_H
#define CNNFAST_CONV2D_PROBLEM_H

#include "kernel.h"

typedef struct {
    window g;
    int64_t groups;
    cnnfast_padding_mode padding_mode;
    epilogue epilogue;
    cnnfast_precision precision;
    bool once; /* the weights are packed for a single run, so that packing is part of its cost */
    /* Elements from one weight to the next along r, s, c and k, as the caller's layout has them. */
    int64_t step_r, step_s, step_c, step_k;
} conv2d_problem;

static inline bool conv2d_padded(const conv2d_problem *p) {
    return p->g.pad[0] || p->g.pad[1] || p->g.pad[2] || p->g.pad[3];
}
/* Each output reads one pixel, whatever the stride. */
static inline bool conv2d_pointwise(const conv2d_problem *p) {
    return p->g.R == 1 && p->g.S == 1 && !conv2d_padded(p);
}
static inline double conv2d_macs(const conv2d_problem *p, int64_t N) {
    return (double)N * p->g.P * p->g.Q * p->g.K * (p->g.C / p->groups) * p->g.R * p->g.S;
}

#endif
