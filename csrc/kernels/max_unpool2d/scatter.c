/* y = 0, then y[index] = x. The plan has checked every index. Where windows overlapped, the last one wins. */
#include "common/cost.h"
#include "max_unpool2d/problem.h"
#include "simd.h"

static bool accepts(const void *problem) {
    (void)problem;
    return true;
}

static double cost(const void *problem, int64_t N) {
    const window *g = &((const max_unpool2d_problem *)problem)->g;
    return (double)N * g->C * (4.0 * (double)(g->P * g->Q) + 12.0 * (double)(g->H * g->W)) / NOMINAL_DRAM;
}

/* A column is a cache line of channels, so that threads do not share lines. */
enum { COLUMN = CACHE_LINE / (int)sizeof(real) };

static grain grain_of(const void *problem) {
    const window *g = &((const max_unpool2d_problem *)problem)->g;
    return (grain){.columns = ceil_div(g->C, COLUMN), .block_rows = 1};
}

static size_t packed_size(const void *problem) {
    (void)problem;
    return 0;
}

static void pack(const void *problem, const void *weight, const void *bias, void *packed) {
    (void)problem, (void)weight, (void)bias, (void)packed;
}

static void run(const void *problem, const void *packed, const tensors *t, tile at, void *workspace) {
    (void)packed, (void)workspace;
    const window *g = &((const max_unpool2d_problem *)problem)->g;
    const int64_t c0 = at.col0 * COLUMN, c1 = min64(g->C, at.col1 * COLUMN), in = g->H * g->W, out = g->P * g->Q;
    for (int64_t n = at.row0; n < at.row1; n++) {
        real *y = (real *)t->y + n * out * g->C;
        for (int64_t i = 0; i < out; i++) memset(y + i * g->C + c0, 0, (size_t)(c1 - c0) * sizeof(real));
        const real *x = (const real *)t->x + n * in * g->C;
        const int64_t *index = t->indices + n * in * g->C;
        for (int64_t i = 0; i < in; i++)
            for (int64_t c = c0; c < c1; c++) y[index[i * g->C + c] * g->C + c] = x[i * g->C + c];
    }
}

const kernel SYMBOL(max_unpool2d_scatter) = {accepts, cost, grain_of, packed_size, pack, run};
