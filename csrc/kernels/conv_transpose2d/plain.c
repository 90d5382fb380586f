/* The last row: every valid transposed convolution, every element type, one output at a time, gathering only the taps
 * that have an input. */
#include "common/cost.h"
#include "common/epilogue.h"
#include "conv_transpose2d/problem.h"

static bool accepts(const void *problem) {
    (void)problem;
    return true;
}

static double cost(const void *problem, int64_t N) {
    return 2 * conv_transpose2d_macs(problem, N) / (NOMINAL_FLOPS / 100);
}

/* Biases, then weights as [K][R][S][C/groups]. */
static size_t packed_size(const void *problem) {
    const conv2d_problem *p = &((const conv_transpose2d_problem *)problem)->conv;
    return size_mul((size_t)p->g.K * (size_t)(1 + p->g.R * p->g.S * (p->g.C / p->groups)), sizeof(real));
}

static void pack(const void *problem, const void *weight, const void *bias, void *packed) {
    const conv2d_problem *p = &((const conv_transpose2d_problem *)problem)->conv;
    const int64_t Cg = p->g.C / p->groups, Kg = p->g.K / p->groups;
    real *to = packed;
    for (int64_t k = 0; k < p->g.K; k++) *to++ = bias ? ((const real *)bias)[k] : 0;
    for (int64_t k = 0; k < p->g.K; k++)
        for (int64_t r = 0; r < p->g.R; r++)
            for (int64_t s = 0; s < p->g.S; s++)
                for (int64_t c = 0; c < Cg; c++)
                    *to++ = ((const real *)weight)[r * p->step_r + s * p->step_s + (k / Kg * Cg + c) * p->step_c + k % Kg * p->step_k];
}

static grain grain_of(const void *problem) {
    const conv_transpose2d_problem *t = problem;
    return (grain){.columns = t->conv.g.K,
                   .block_rows = max64(1, (int64_t)(1e7 * (double)t->conv.g.P / conv_transpose2d_macs(t, 1)))};
}

/* The input index that tap `tap` of output `out` reads along an axis; -1: none. */
static int64_t input_of(int64_t out, int64_t pad, int64_t tap, int64_t dilation, int64_t stride, int64_t n) {
    int64_t at = out + pad - tap * dilation;
    return at < 0 || at % stride || at / stride >= n ? -1 : at / stride;
}

static real one_output(const conv2d_problem *p, const real *packed, const real *image, int64_t row, int64_t q, int64_t k) {
    const window *g = &p->g;
    const int64_t Cg = g->C / p->groups, c0 = k / (g->K / p->groups) * Cg;
    const real *w = packed + g->K + k * g->R * g->S * Cg;
    real sum = packed[k];
    for (int64_t r = 0; r < g->R; r++) {
        int64_t h = input_of(row, g->pad[0], r, g->dilation[0], g->stride[0], g->H);
        for (int64_t s = 0; s < g->S; s++, w += Cg) {
            int64_t v = input_of(q, g->pad[2], s, g->dilation[1], g->stride[1], g->W);
            if (h < 0 || v < 0) continue;
            const real *x = image + (h * g->W + v) * g->C + c0;
            for (int64_t c = 0; c < Cg; c++) sum = s_fma(x[c], w[c], sum);
        }
    }
    return sum;
}

static void run(const void *problem, const void *packed, const tensors *t, tile at, void *workspace) {
    (void)workspace;
    const conv2d_problem *p = &((const conv_transpose2d_problem *)problem)->conv;
    const window *g = &p->g;
    for (int64_t row = at.row0; row < at.row1; row++) {
        const real *image = (const real *)t->x + row / g->P * g->H * g->W * g->C;
        for (int64_t q = 0; q < g->Q; q++) {
            const int64_t to = (row * g->Q + q) * t->y_step;
            for (int64_t k = at.col0; k < at.col1; k++) {
                real sum = one_output(p, packed, image, row % g->P, q, k);
                ((real *)t->y)[to + k] = t->residual ? sum + ((const real *)t->residual)[to + k] : sum;
            }
            SYMBOL(epilogue_run)(&p->epilogue, (real *)t->y + to + at.col0, at.col1 - at.col0);
        }
    }
}

const kernel SYMBOL(conv_transpose2d_plain) = {accepts, cost, grain_of, packed_size, pack, run};
