/* y = x / (k + scale*sum)^beta. The sum is a chain over the window's channels, ascending, on both layouts: its terms
 * are positive, so it is within gamma(size + 1) of exact and y within (beta*(size + 3) + 3)u. */
#include "local_response_norm/problem.h"

#include <math.h>

#include "common/cost.h"
#include "simd.h"

#if CNNFAST_REAL

static bool accepts(const void *problem) {
    (void)problem;
    return true;
}

static double cost(const void *problem, int64_t N) {
    const local_response_norm_problem *p = problem;
    const double elements = (double)N * (double)p->C * (double)p->inner;
    return elements * (2e-4 * (double)(p->before + p->after + 1) + 1e-3);
}

/* A pixel's channels, between zeros. */
static int64_t line_size(const local_response_norm_problem *p) { return p->before + p->C + p->after + LANES; }

static grain grain_of(const void *problem) {
    const local_response_norm_problem *p = problem;
    return (grain){.columns = 1, .block_rows = max64(1, (1 << 20) / (p->C * p->inner)),
                   .workspace = p->inner == 1 ? size_mul((size_t)line_size(p), sizeof(real)) : 0};
}

static size_t packed_size(const void *problem) {
    (void)problem;
    return 0;
}

static void pack(const void *problem, const void *weight, const void *bias, void *packed) {
    (void)problem, (void)weight, (void)bias, (void)packed;
}

INLINE vec power(vec v, double beta) {
    if (beta == 0.75) return v_sqrt(v) * v_sqrt(v_sqrt(v));
    if (beta == 0.5) return v_sqrt(v);
    if (beta == 1) return v;
    for (int j = 0; j < LANES; j++) v[j] = (real)pow((double)v[j], beta);
    return v;
}

INLINE vec divided(const local_response_norm_problem *p, vec x, vec sum) {
    return x / power(v_fma(sum, v_splat((real)p->scale), v_splat((real)p->k)), p->beta);
}

/* Channels side by side: the window slides over them. */
static void run_pixel(const local_response_norm_problem *p, const real *x, real *y, real *line) {
    real *middle = line + p->before;
    memcpy(middle, x, (size_t)p->C * sizeof *x);
    for (int64_t c = 0; c < p->C; c += LANES) {
        const int lanes = (int)min64(LANES, p->C - c);
        vec sum = v_splat(0);
        for (int64_t j = -p->before; j <= p->after; j++) {
            const vec v = v_load(middle + c + j);
            sum = v_fma(v, v, sum);
        }
        v_store_n(y + c, divided(p, v_load_n(x + c, lanes), sum), lanes);
    }
}

/* Channels `inner` apart: vectors go over the pixels. */
static void run_image(const local_response_norm_problem *p, const real *x, real *y) {
    for (int64_t i = 0; i < p->inner; i += LANES) {
        const int lanes = (int)min64(LANES, p->inner - i);
        for (int64_t c = 0; c < p->C; c++) {
            vec sum = v_splat(0);
            for (int64_t j = max64(0, c - p->before); j <= min64(p->C - 1, c + p->after); j++) {
                const vec v = v_load_n(x + j * p->inner + i, lanes);
                sum = v_fma(v, v, sum);
            }
            v_store_n(y + c * p->inner + i, divided(p, v_load_n(x + c * p->inner + i, lanes), sum), lanes);
        }
    }
}

static void run(const void *problem, const void *packed, const tensors *t, tile at, void *workspace) {
    (void)packed;
    const local_response_norm_problem *p = problem;
    if (p->inner == 1) memset(workspace, 0, (size_t)line_size(p) * sizeof(real));
    for (int64_t row = at.row0; row < at.row1; row++) {
        const int64_t from = row * p->C * p->inner;
        if (p->inner == 1) run_pixel(p, (const real *)t->x + from, (real *)t->y + from, workspace);
        else run_image(p, (const real *)t->x + from, (real *)t->y + from);
    }
}

const kernel SYMBOL(local_response_norm_window) = {accepts, cost, grain_of, packed_size, pack, run};
#endif
