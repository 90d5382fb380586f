/* softmax and log_softmax as their kernels see them: x is [outer][n][inner], sums go over n. */
#ifndef CNNFAST_SOFTMAX_PROBLEM_H
#define CNNFAST_SOFTMAX_PROBLEM_H

#include "kernel.h"

typedef struct {
    int64_t outer, n, inner;
    bool log;
    bool stream; /* y is larger than the caches: store past them */
} softmax_problem;

#endif
