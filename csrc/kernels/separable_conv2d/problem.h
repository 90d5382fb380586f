/* A depthwise-separable convolution: the depthwise convolution's output is the pointwise one's input. */
#ifndef CNNFAST_SEPARABLE_CONV2D_PROBLEM_H
#define CNNFAST_SEPARABLE_CONV2D_PROBLEM_H

#include "conv2d/problem.h"

typedef struct {
    conv2d_problem depthwise, pointwise;
} separable_problem;

typedef struct {
    const void *depthwise, *depthwise_bias, *pointwise, *bias;
} separable_weights;

#endif
