/* The last row of the table: every valid convolution, every element type, one output at a time. Integers run here. */
#include "common/band.h"
#include "common/cost.h"
#include "conv2d/problem.h"
#include "common/epilogue.h"

static bool accepts(const void *problem) {
    (void)problem;
    return true;
}

static double cost(const void *problem, int64_t N) { return 2 * conv2d_macs(problem, N) / (NOMINAL_FLOPS / 100); }

/* Biases, then weights as [K][R][S][C/groups]: an output reads its weights in a row. */
static int64_t depth(const conv2d_problem *p) { return p->g.R * p->g.S * (p->g.C / p->groups); }

static size_t packed_size(const void *problem) {
    const conv2d_problem *p = problem;
    return size_mul((size_t)p->g.K * (size_t)(1 + depth(p)), sizeof(real));
}

static void pack(const void *problem, const void *weight, const void *bias, void *packed) {
    const conv2d_problem *p = problem;
    real *to = packed;
    for (int64_t k = 0; k < p->g.K; k++) *to++ = bias ? ((const real *)bias)[k] : 0;
    for (int64_t k = 0; k < p->g.K; k++)
        for (int64_t r = 0; r < p->g.R; r++)
            for (int64_t s = 0; s < p->g.S; s++)
                for (int64_t c = 0; c < p->g.C / p->groups; c++)
                    *to++ = ((const real *)weight)[k * p->step_k + r * p->step_r + s * p->step_s + c * p->step_c];
}

static grain grain_of(const void *problem) {
    const conv2d_problem *p = problem;
    return (grain){.columns = p->g.K, .block_rows = max64(1, (int64_t)(1e7 * (double)p->g.P / conv2d_macs(p, 1)))};
}

static real one_output(const conv2d_problem *p, const real *packed, const real *image, int64_t row, int64_t q, int64_t k) {
    const window *g = &p->g;
    const int64_t Cg = g->C / p->groups, c0 = k / (g->K / p->groups) * Cg;
    const real *w = packed + g->K + k * depth(p);
    real sum = packed[k];
    for (int64_t r = 0; r < g->R; r++) {
        int64_t h = pad_index(row * g->stride[0] - g->pad[0] + r * g->dilation[0], g->H, p->padding_mode);
        for (int64_t s = 0; s < g->S; s++) {
            int64_t v = pad_index(q * g->stride[1] - g->pad[2] + s * g->dilation[1], g->W, p->padding_mode);
            const real *x = h < 0 || v < 0 ? NULL : image + (h * g->W + v) * g->C + c0;
            for (int64_t c = 0; c < Cg; c++) sum = s_fma(x ? x[c] : 0, *w++, sum);
        }
    }
    return sum;
}

static void run(const void *problem, const void *packed, const tensors *t, tile at, void *workspace) {
    (void)workspace;
    const conv2d_problem *p = problem;
    const window *g = &p->g;
    for (int64_t row = at.row0; row < at.row1; row++) {
        const real *image = (const real *)t->x + row / g->P * g->H * g->W * g->C;
        for (int64_t q = 0; q < g->Q; q++) {
            int64_t to = (row * g->Q + q) * t->y_step + at.col0;
            real *y = (real *)t->y + to;
            const real *residual = t->residual ? (const real *)t->residual + to : NULL;
            for (int64_t k = at.col0; k < at.col1; k++, y++) {
                real sum = one_output(p, packed, image, row % g->P, q, k);
                *y = residual ? sum + residual[k - at.col0] : sum;
            }
            SYMBOL(epilogue_run)(&p->epilogue, (real *)t->y + to, at.col1 - at.col0);
        }
    }
}

const kernel SYMBOL(conv2d_plain) = {accepts, cost, grain_of, packed_size, pack, run};
