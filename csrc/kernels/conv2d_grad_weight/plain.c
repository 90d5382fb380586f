/* The definition: pixel by pixel, every weight it meets. */
#include "common/cost.h"
#include "conv2d_grad_weight/problem.h"
#include "simd.h"

#if CNNFAST_REAL

static bool accepts(const void *problem) {
    (void)problem;
    return true;
}

static double cost(const void *problem, int64_t N) {
    const grad_weight_problem *p = problem;
    return 2 * conv2d_macs(&p->conv, N) / (NOMINAL_FLOPS / 40);
}

static grain grain_of(const void *problem) {
    const grad_weight_problem *p = problem;
    return (grain){.columns = p->conv.g.K, .block_rows = INT64_MAX};
}

/* A column is a filter. */
static void run(const void *problem, const void *packed, const tensors *t, tile at, void *workspace) {
    (void)packed, (void)workspace;
    const grad_weight_problem *p = problem;
    const window *g = &p->conv.g;
    const int64_t Cg = g->C / p->conv.groups, Kg = g->K / p->conv.groups, end = unit_pixel(p, at.row1);
    real *const sums = t->y, *const bias = ((const grad_weight_tensors *)t)->bias;
    for (int64_t k = at.col0; k < at.col1; k++) {
        for (int64_t i = 0; i < weight_rows(p); i++) sums[i * g->K + k] = 0;
        if (bias) bias[k] = 0;
        int64_t pixel = unit_pixel(p, at.row0);
        for (place_of i = place_at(g, pixel); pixel < end; pixel++, place_next(g, &i)) {
            const real gradient = ((const real *)t->residual)[pixel * g->K + k];
            if (bias) bias[k] += gradient;
            for (int64_t r = 0; r < g->R; r++)
                for (int64_t s = 0; s < g->S; s++) {
                    const int64_t h = i.p * g->stride[0] - g->pad[0] + r * g->dilation[0];
                    const int64_t w = i.q * g->stride[1] - g->pad[2] + s * g->dilation[1];
                    if (h < 0 || h >= g->H || w < 0 || w >= g->W) continue;
                    const real *x = (const real *)t->x + ((i.n * g->H + h) * g->W + w) * g->C + k / Kg * Cg;
                    real *sum = sums + (r * g->S + s) * Cg * g->K + k;
                    for (int64_t c = 0; c < Cg; c++) sum[c * g->K] = s_fma(x[c], gradient, sum[c * g->K]);
                }
        }
    }
}

const kernel SYMBOL(conv2d_grad_weight_plain) = {accepts, cost, grain_of, nothing_packed, pack_nothing, run};
#endif
