/* A channel a lane: the sums of a vector of channels, all nine of a 3x3 kernel or those of one of its rows, wait in registers
 * while a row of grad_output goes by. A row whose window leaves the image at its top or bottom goes by once for each row of the
 * kernel that is inside; its ends at the left and right tap by tap. */
#include "common/cost.h"
#include "conv2d_grad_weight/problem.h"
#include "simd.h"

#if CNNFAST_REAL

enum { ROWS = 8 }; /* of grad_output at a time, that the rows of x they share stay in L2 */

static bool accepts(const void *problem) {
    const conv2d_problem *p = &((const grad_weight_problem *)problem)->conv;
    return p->groups == p->g.C && p->g.K == p->g.C && p->g.C > 1;
}

static double cost(const void *problem, int64_t N) {
    const grad_weight_problem *p = problem;
    const window *g = &p->conv.g;
    const double pixels = (double)N * ((double)g->P * (double)g->Q + (double)g->H * (double)g->W);
    const double compute = 2 * 2 * conv2d_macs(&p->conv, N) / lane_efficiency(g->C) / NOMINAL_FLOPS;
    return cost_max(compute, sizeof(real) * pixels * (double)g->C / NOMINAL_DRAM);
}

static grain grain_of(const void *problem) {
    return (grain){.columns = ceil_div(((const grad_weight_problem *)problem)->conv.g.C, LANES), .block_rows = INT64_MAX};
}

/* A row of grad_output, columns [q0, q1), of one vector of channels, and the rows of x that it meets. */
typedef struct {
    const real *gradient, *x[3]; /* x: tap (r, 0) of column 0, which may lie before the row */
    ptrdiff_t C, step, gap;      /* elements from a column of grad_output to the next, and of x; from a tap to the next */
    int lanes;
} line;

INLINE vec load(const real *from, int lanes) { return lanes == LANES ? v_load(from) : v_load_n(from, lanes); }

/* acc[r][s] += x * gradient, R and S constant. */
INLINE void columns(int R, int S, const line *l, int64_t q0, int64_t q1, int lanes, real *sums, ptrdiff_t row) {
    vec acc[3][7];
    const ptrdiff_t C = l->C, step = l->step, gap = l->gap;
#pragma GCC unroll 3
    for (int r = 0; r < R; r++)
#pragma GCC unroll 7
        for (int s = 0; s < S; s++) acc[r][s] = load(sums + r * row + s * C, lanes);
    const real *gradient = l->gradient + q0 * C, *x[3];
#pragma GCC unroll 3
    for (int r = 0; r < R; r++) x[r] = l->x[r] + q0 * step;
    for (int64_t q = q0; q < q1; q++, gradient += C) {
        const vec by = load(gradient, lanes);
#pragma GCC unroll 3
        for (int r = 0; r < R; r++) {
#pragma GCC unroll 7
            for (int s = 0; s < S; s++) acc[r][s] = v_fma(load(x[r] + s * gap, lanes), by, acc[r][s]);
            x[r] += step;
        }
    }
#pragma GCC unroll 3
    for (int r = 0; r < R; r++)
#pragma GCC unroll 7
        for (int s = 0; s < S; s++) {
            if (lanes == LANES) v_store(sums + r * row + s * C, acc[r][s]);
            else v_store_n(sums + r * row + s * C, acc[r][s], lanes);
        }
}

#define COLUMNS(name, R, S) \
    static __attribute__((noinline)) void name(const line *l, int64_t q0, int64_t q1, real *sums, ptrdiff_t row) { \
        if (l->lanes == LANES) columns(R, S, l, q0, q1, LANES, sums, row); \
        else columns(R, S, l, q0, q1, l->lanes, sums, row); \
    }
COLUMNS(columns_3x3, 3, 3)
COLUMNS(columns_1x3, 1, 3)
COLUMNS(columns_1x5, 1, 5)
COLUMNS(columns_1x7, 1, 7)
COLUMNS(columns_1x1, 1, 1)

/* The columns of grad_output whose tap s is inside the row. */
static void inside(const window *g, int64_t s, int64_t *q0, int64_t *q1) {
    const int64_t from = s * g->dilation[1] - g->pad[2];
    *q0 = min64(g->Q, from < 0 ? ceil_div(-from, g->stride[1]) : 0);
    *q1 = from >= g->W ? 0 : min64(g->Q, (g->W - 1 - from) / g->stride[1] + 1);
    if (*q1 < *q0) *q1 = *q0;
}

/* Row r of the kernel, or all three where `all`: where every tap is inside at once, then the ends. */
static void run_row(const window *g, const line *l, bool all, int64_t q0, int64_t q1, real *sums, ptrdiff_t row) {
    const int rows = all ? 3 : 1;
    int64_t a0 = q0, a1 = q1, from, past;
    for (int64_t s = 0; s < g->S; s++) {
        inside(g, s, &from, &past);
        a0 = max64(a0, from), a1 = min64(a1, past);
    }
    const bool wide = a0 < a1 && (all || g->S == 3 || g->S == 5 || g->S == 7);
    if (!wide) a0 = a1 = q1;
    line tap = *l;
    for (int64_t s = 0; s < g->S; s++) { /* before, */
        inside(g, s, &from, &past);
        from = max64(from, q0), past = min64(past, a0);
        for (int r = 0; r < rows && from < past; r++) {
            tap.x[0] = l->x[r] + s * l->gap;
            columns_1x1(&tap, from, past, sums + r * row + s * g->C, row);
        }
    }
    if (wide && all) columns_3x3(l, a0, a1, sums, row);
    else if (wide && g->S == 3) columns_1x3(l, a0, a1, sums, row);
    else if (wide && g->S == 5) columns_1x5(l, a0, a1, sums, row);
    else if (wide) columns_1x7(l, a0, a1, sums, row);
    for (int64_t s = 0; s < g->S && a1 < q1; s++) { /* and after */
        inside(g, s, &from, &past);
        from = max64(from, a1), past = min64(past, q1);
        for (int r = 0; r < rows && from < past; r++) {
            tap.x[0] = l->x[r] + s * l->gap;
            columns_1x1(&tap, from, past, sums + r * row + s * g->C, row);
        }
    }
}

static void add_row(const real *gradient, int64_t n, ptrdiff_t C, int lanes, real *sum) {
    vec total = load(sum, lanes);
    for (int64_t q = 0; q < n; q++, gradient += C) total += load(gradient, lanes);
    v_store_n(sum, total, lanes);
}

/* Pixels [begin, end) of one row, one vector of channels from c on. */
static void run_line(const grad_weight_problem *p, const grad_weight_tensors *t, int64_t begin, int64_t end, int64_t c) {
    const window *g = &p->conv.g;
    const place_of i = place_at(g, begin);
    const int64_t h = i.p * g->stride[0] - g->pad[0], row = g->S * g->C, q0 = i.q, q1 = i.q + end - begin;
    line l = {.C = g->C, .step = g->stride[1] * g->C, .gap = g->dilation[1] * g->C, .lanes = (int)min64(LANES, g->C - c)};
    l.gradient = (const real *)t->of.residual + (begin - i.q) * g->C + c;
    const real *const x = (const real *)t->of.x + ((i.n * g->H + h) * g->W - g->pad[2]) * g->C + c;
    const ptrdiff_t down = g->dilation[0] * g->W * g->C;
    real *const sums = (real *)t->of.y + c;
    if (g->R == 3 && g->S == 3 && h >= 0 && h + 2 * g->dilation[0] < g->H) {
        for (int r = 0; r < 3; r++) l.x[r] = x + r * down;
        run_row(g, &l, true, q0, q1, sums, row);
    } else
        for (int64_t r = 0; r < g->R; r++) {
            if (h + r * g->dilation[0] < 0 || h + r * g->dilation[0] >= g->H) continue;
            l.x[0] = x + r * down;
            run_row(g, &l, false, q0, q1, sums + r * row, row);
        }
    if (t->bias) add_row(l.gradient + q0 * g->C, q1 - q0, g->C, l.lanes, (real *)t->bias + c);
}

static void run(const void *problem, const void *packed, const tensors *t, tile at, void *workspace) {
    (void)packed, (void)workspace;
    const grad_weight_problem *p = problem;
    const grad_weight_tensors *all = (const grad_weight_tensors *)t;
    const int64_t C = p->conv.g.C, c0 = at.col0 * LANES, c1 = min64(C, at.col1 * LANES), taps = p->conv.g.R * p->conv.g.S;
    for (int64_t i = 0; i < taps; i++) memset((real *)t->y + i * C + c0, 0, (size_t)(c1 - c0) * sizeof(real));
    if (all->bias) memset((real *)all->bias + c0, 0, (size_t)(c1 - c0) * sizeof(real));
    for (int64_t unit = at.row0; unit < at.row1; unit += ROWS)
        for (int64_t c = c0; c < c1; c += LANES)
            for (int64_t u = unit; u < min64(at.row1, unit + ROWS); u++) run_line(p, all, unit_pixel(p, u), unit_pixel(p, u + 1), c);
}

const kernel SYMBOL(conv2d_grad_weight_depthwise) = {accepts, cost, grain_of, nothing_packed, pack_nothing, run};
#endif
