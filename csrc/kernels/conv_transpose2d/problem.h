/* A transposed convolution as its kernels see it: output (p, q) takes tap (r, s) of input (h, w) where
 * p + pad_top = h*stride + r*dilation, and likewise along the width. */
#ifndef CNNFAST_CONV_TRANSPOSE2D_PROBLEM_H
#define CNNFAST_CONV_TRANSPOSE2D_PROBLEM_H

#include "conv2d/problem.h"

typedef struct {
    conv2d_problem conv; /* g.C is x's channels, g.K is y's; P and Q are y's, output_padding included */
    bool finite;         /* all weights are: a tap without input may then be a zero times its weight */
} conv_transpose2d_problem;

static inline double conv_transpose2d_macs(const conv_transpose2d_problem *p, int64_t N) {
    const window *g = &p->conv.g;
    return (double)N * g->H * g->W * g->C * (g->K / p->conv.groups) * g->R * g->S;
}

static inline int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }

#endif
