/* The last row: every kind of pooling, every element type, a vector of channels of one output at a time. */
#include <math.h>

#include "pool2d/view.h"

static bool accepts(const void *problem) {
    (void)problem;
    return true;
}

static double cost(const void *problem, int64_t N) {
    const pool2d_problem *p = problem;
    const bool powers = p->kind == CNNFAST_LP && p->norm != 1 && p->norm != 2;
    return (powers ? 50 : 5) * cost_max(pool2d_taps(p, N) / (NOMINAL_FLOPS * 0.2), pool2d_bytes(p, N) / NOMINAL_DRAM);
}

static grain grain_of(const void *problem) {
    const pool2d_problem *p = problem;
    return (grain){.columns = ceil_div(p->g.C, CHANNELS), .block_rows = pool2d_block_rows(p)};
}

static size_t packed_size(const void *problem) {
    (void)problem;
    return 0;
}

static void pack(const void *problem, const void *weight, const void *bias, void *packed) {
    (void)problem, (void)weight, (void)bias, (void)packed;
}

/* The extreme, and which tap it was: kept in lanes, and turned into h*W + w of the image at the end. */
static void extreme(const pool2d_problem *p, const view *w, span rows, span cols, int64_t c, int n, real *y, int64_t *index) {
    vec best = load(w->x + c, n);
    mask tap = {0};
    lane_int t = 0;
    for (int64_t r = 0; r < w->rows; r++)
        for (int64_t s = 0; s < w->cols; s++, t++) {
            vec v = load(w->x + r * w->row_step + s * w->col_step + c, n);
            mask better = beats(p->kind, v, best), now = t - (mask){0};
            best = v_select(better, v, best);
            tap = (better & now) | (~better & tap);
        }
    store(y + c, best, n);
    for (int i = 0; index && i < n; i++) {
        int64_t h = rows.first + tap[i] / w->cols * p->g.dilation[0], v = cols.first + tap[i] % w->cols * p->g.dilation[1];
        index[c + i] = h * p->g.W + v;
    }
}

#if CNNFAST_REAL
/* Down each column, then along the columns, as in window.c. */
static void average(const view *w, int64_t c, int n, real *y) {
    vec all = {0};
    for (int64_t s = 0; s < w->cols; s++) {
        const real *x = w->x + s * w->col_step + c;
        vec col = load(x, n);
        for (int64_t r = 1; r < w->rows; r++) col += load(x + r * w->row_step, n);
        all = s ? all + col : col;
    }
    store(y + c, all / v_splat(w->divisor), n);
}

/* (sum |x|^p)^(1/p), in double. */
static void lp(double norm, const view *w, int64_t c, int n, real *y) {
    double sum[LANES] = {0};
    for (int64_t r = 0; r < w->rows; r++)
        for (int64_t s = 0; s < w->cols; s++) {
            const real *x = w->x + r * w->row_step + s * w->col_step + c;
            for (int i = 0; i < n; i++) {
                double v = fabs((double)x[i]);
                sum[i] += norm == 2 ? v * v : norm == 1 ? v : pow(v, norm);
            }
        }
    for (int i = 0; i < n; i++) y[c + i] = (real)(norm == 2 ? sqrt(sum[i]) : norm == 1 ? sum[i] : pow(sum[i], 1 / norm));
}
#endif

static void run(const void *problem, const void *packed, const tensors *t, tile at, void *workspace) {
    (void)packed, (void)workspace;
    const pool2d_problem *p = problem;
    const window *g = &p->g;
    const int64_t c0 = at.col0 * CHANNELS, c1 = min64(g->C, at.col1 * CHANNELS);
    for (int64_t i = at.row0 * g->Q; i < at.row1 * g->Q; i++) {
        const span rows = p->rows[i / g->Q % g->P], cols = p->cols[i % g->Q];
        const view w = view_of(p, (const real *)t->x + i / g->Q / g->P * g->H * g->W * g->C, rows, cols);
        real *y = (real *)t->y + i * t->y_step;
        for (int64_t c = c0; c < c1; c += LANES) {
            const int n = (int)min64(LANES, c1 - c);
#if CNNFAST_REAL
            if (p->kind == CNNFAST_AVERAGE) average(&w, c, n, y);
            else if (p->kind == CNNFAST_LP) lp(p->norm, &w, c, n, y);
            else
#endif
                extreme(p, &w, rows, cols, c, n, y, p->with_indices ? t->indices + i * g->C : NULL);
        }
    }
}

const kernel SYMBOL(pool2d_plain) = {accepts, cost, grain_of, packed_size, pack, run};
