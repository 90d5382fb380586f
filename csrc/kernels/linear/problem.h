/* A dense layer as its kernels see it: x is [N][C], weight [K][C], y [N][K]. */
#ifndef CNNFAST_LINEAR_PROBLEM_H
#define CNNFAST_LINEAR_PROBLEM_H

#include "kernel.h"

typedef struct {
    int64_t C, K;
    epilogue epilogue;
} linear_problem;

#endif
