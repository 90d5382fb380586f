/* The gradient of a conv2d with respect to its input, as its kernels see it: the transposed convolution of x, the gradient of
 * the conv2d's output, to y, that of its input. Zero padding; neither bias nor activation. */
#ifndef CNNFAST_CONV2D_GRAD_INPUT_PROBLEM_H
#define CNNFAST_CONV2D_GRAD_INPUT_PROBLEM_H

#include "conv_transpose2d/problem.h"

typedef conv_transpose2d_problem conv2d_grad_input_problem;

#endif
