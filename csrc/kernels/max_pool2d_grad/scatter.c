/* y = 0, then y[index] += x, in the order of x's rows. The plan has checked every index.
 *
 * A pool's indices go down the image as its rows do, so y is zeroed just ahead of them, and is in cache when they come. */
#include "common/cost.h"
#include "max_pool2d_grad/problem.h"
#include "simd.h"

#if CNNFAST_REAL

static bool accepts(const void *problem) {
    (void)problem;
    return true;
}

static double cost(const void *problem, int64_t N) {
    const window *g = &((const max_pool2d_grad_problem *)problem)->g;
    const double in = (double)(g->H * g->W) * (2 * sizeof(real) + sizeof(int64_t)), out = (double)(g->P * g->Q) * sizeof(real);
    return (double)N * (double)g->C * (in + out) / NOMINAL_DRAM;
}

/* A column is a cache line of channels, so that threads do not share lines. */
enum { COLUMN = CACHE_LINE / (int)sizeof(real) };

static grain grain_of(const void *problem) {
    const window *g = &((const max_pool2d_grad_problem *)problem)->g;
    return (grain){.columns = ceil_div(g->C, COLUMN), .block_rows = 1};
}

static size_t packed_size(const void *problem) {
    (void)problem;
    return 0;
}

static void pack(const void *problem, const void *weight, const void *bias, void *packed) {
    (void)problem, (void)weight, (void)bias, (void)packed;
}

/* Channels [c0, c1) of pixels [from, to). */
INLINE void zero(real *y, int64_t C, int64_t c0, int64_t c1, int64_t from, int64_t to) {
    if (c1 - c0 == C) memset(y + from * C, 0, (size_t)((to - from) * C) * sizeof *y);
    else
        for (int64_t i = from; i < to; i++) memset(y + i * C + c0, 0, (size_t)(c1 - c0) * sizeof *y);
}

INLINE int64_t largest(const int64_t *index, int64_t n, int64_t so_far) {
    for (int64_t i = 0; i < n; i++) so_far = max64(so_far, index[i]);
    return so_far;
}

static void run(const void *problem, const void *packed, const tensors *t, tile at, void *workspace) {
    (void)packed, (void)workspace;
    const window *g = &((const max_pool2d_grad_problem *)problem)->g;
    const int64_t C = g->C, c0 = at.col0 * COLUMN, c1 = min64(C, at.col1 * COLUMN), in = g->H * g->W, out = g->P * g->Q;
    for (int64_t n = at.row0; n < at.row1; n++) {
        real *y = (real *)t->y + n * out * C;
        const real *x = (const real *)t->x + n * in * C;
        const int64_t *index = t->indices + n * in * C;
        int64_t zeroed = 0;
        for (int64_t i = 0; i < in; i += g->W) {
            int64_t reach = zeroed - 1;
            if (c1 - c0 == C) reach = largest(index + i * C, g->W * C, reach);
            else
                for (int64_t w = i; w < i + g->W; w++) reach = largest(index + w * C + c0, c1 - c0, reach);
            zero(y, C, c0, c1, zeroed, reach + 1);
            zeroed = reach + 1;
            for (int64_t w = i; w < i + g->W; w++)
                for (int64_t c = c0; c < c1; c++) y[index[w * C + c] * C + c] += x[w * C + c];
        }
        zero(y, C, c0, c1, zeroed, out);
    }
}

const kernel SYMBOL(max_pool2d_grad_scatter) = {accepts, cost, grain_of, packed_size, pack, run};
#endif
