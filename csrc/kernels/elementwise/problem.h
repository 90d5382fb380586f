/* An elementwise op as its kernels see it. */
#ifndef CNNFAST_ELEMENTWISE_PROBLEM_H
#define CNNFAST_ELEMENTWISE_PROBLEM_H

#include "kernel.h"

/* Elements of a tile's row: shares and blocks begin at multiples of it. */
#define ELEMENTWISE_ROW 4096

typedef struct {
    cnnfast_elementwise_kind kind;
    epilogue epilogue;
    double beta;    /* softplus: alpha is its beta, and this its threshold */
    int64_t count;  /* elements of y */
    int64_t period; /* elements of `other`, repeated (packed); 0: as many as y has */
    bool stream;    /* y is larger than the caches: store past them */
} elementwise_problem;

#endif
