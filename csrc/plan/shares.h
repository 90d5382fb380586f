/* A kernel's run over a batch, in equal shares, one a thread, of a few pieces each. */
#ifndef CNNFAST_SHARES_H
#define CNNFAST_SHARES_H

#include "pieces.h"
#include "plan.h"

typedef struct {
    const cnnfast_plan *plan;
    const tensors *t;
    char *workspace; /* for each thread the grain's, and a landing */
    int64_t landing; /* strips of output at a time that go past the caches by way of L2, 0: none */
    int64_t rows;    /* these run_kernels fills in: units, the grid of shares, and their pieces */
    int row_shares, col_shares;
    pieces *pieces;
} job;

/* On N images. False: stopped. */
bool run_kernels(job, int64_t N, int threads, parallel_watch *);

/* Outputs of so many images, larger than the last level of cache, that a kernel cannot store past it itself because y does
 * not lie at a cache line, or the kernel has no whole lines to store, may land in L2, some rows at a time, and go from there:
 * the strips of a landing, 0 where that does not pay. */
int64_t landing_strips(const cnnfast_plan *, int64_t images);
size_t landing_bytes(const cnnfast_plan *, int64_t strips);

#endif
