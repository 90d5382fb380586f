/* Pooling, vectors over channels: each output reads its window's taps in order. */
#include <math.h>

#include "common/cost.h"
#include "pool2d/problem.h"
#include "simd.h"

enum { UNROLL = 4 }; /* vectors of channels at once, which hides the latency of a chain of maxima */

static bool accepts(const void *problem) {
    (void)problem;
    return true;
}

static double taps(const pool2d_problem *p, int64_t N) {
    return (double)N * p->g.P * p->g.Q * p->g.C * p->g.R * p->g.S;
}

static double cost(const void *problem, int64_t N) {
    const pool2d_problem *p = problem;
    double bytes = 4.0 * N * p->g.C * ((double)p->g.H * p->g.W + (double)p->g.P * p->g.Q);
    double slow = p->kind == CNNFAST_LP && p->norm != 1 && p->norm != 2 ? 50 : p->with_indices ? 4 : 1;
    return cost_max(slow * taps(p, N) / (NOMINAL_FLOPS * 0.2), bytes / NOMINAL_DRAM);
}

/* A column is a vector of channels, and at least a cache line of them. */
static int64_t column(void) { return max64(LANES, CACHE_LINE / (int64_t)sizeof(real)); }

static grain grain_of(const void *problem) {
    const pool2d_problem *p = problem;
    return (grain){.columns = ceil_div(p->g.C, column()),
                   .block_rows = max64(1, min64(64, (int64_t)(1e7 * (double)p->g.P / taps(p, 1)))), .tile_pixels = 1,
                   .tile_channels = LANES};
}

static size_t packed_size(const void *problem) {
    (void)problem;
    return 0;
}

static void pack(const void *problem, const void *weight, const void *bias, void *packed) {
    (void)problem, (void)weight, (void)bias, (void)packed;
}

/* One output: where its first tap's channel 0 lies, how many taps, and how far apart. */
typedef struct {
    const real *x;
    int64_t rows, cols, row_step, col_step;
    real divisor;
} view;

INLINE vec load(const real *p, int n) { return n == LANES ? v_load(p) : v_load_n(p, n); }
INLINE void store(real *p, vec v, int n) {
    if (n == LANES) v_store(p, v);
    else v_store_n(p, v, n);
}

/* The extreme where no tap is NaN; kinds differ only in the sign of the comparison. */
INLINE vec further(cnnfast_pool_kind kind, vec v, vec best) {
    return kind == CNNFAST_MAX ? v_greater(v, best) : v_lesser(v, best);
}
/* The first NaN wins and stays. */
INLINE mask beats(cnnfast_pool_kind kind, vec v, vec best) {
    return (kind == CNNFAST_MAX ? v > best : v < best) | ((v != v) & (best == best));
}

static vec extreme_with_nan(cnnfast_pool_kind kind, const view *w, int64_t c, int n) {
    vec best = load(w->x + c, n);
    for (int64_t r = 0; r < w->rows; r++)
        for (int64_t s = 0; s < w->cols; s++) {
            vec v = load(w->x + r * w->row_step + s * w->col_step + c, n);
            best = v_select(beats(kind, v, best), v, best);
        }
    return best;
}

INLINE void extreme(cnnfast_pool_kind kind, int vectors, const view *w, int64_t c, int n, real *y) {
    vec best[UNROLL], suspect[UNROLL];
#pragma GCC unroll 4
    for (int i = 0; i < vectors; i++) {
        best[i] = load(w->x + c + i * LANES, n);
        suspect[i] = v_splat(0);
    }
    for (int64_t r = 0; r < w->rows; r++)
        for (int64_t s = 0; s < w->cols; s++) {
            const real *x = w->x + r * w->row_step + s * w->col_step + c;
#pragma GCC unroll 4
            for (int i = 0; i < vectors; i++) {
                vec v = load(x + i * LANES, n);
                best[i] = further(kind, v, best[i]);
                suspect[i] = v_fma(v, v_splat(0), suspect[i]); /* NaN after a NaN or an infinity, else 0 */
            }
        }
#pragma GCC unroll 4
    for (int i = 0; i < vectors; i++) {
        if (v_any(suspect[i] != suspect[i])) best[i] = extreme_with_nan(kind, w, c + i * LANES, n);
        store(y + c + i * LANES, best[i], n);
    }
}

/* Also which tap it was, kept in lanes and turned into h*W + w of its image at the end. */
static void max_with_index(const pool2d_problem *p, const view *w, span rows, span cols, int64_t c, int n, real *y,
                           int64_t *index) {
    vec best = load(w->x + c, n);
    mask tap = {0};
    lane_int t = 0;
    for (int64_t r = 0; r < w->rows; r++)
        for (int64_t s = 0; s < w->cols; s++, t++) {
            vec v = load(w->x + r * w->row_step + s * w->col_step + c, n);
            mask better = beats(CNNFAST_MAX, v, best), now = t - (mask){0};
            best = v_select(better, v, best);
            tap = (better & now) | (~better & tap);
        }
    store(y + c, best, n);
    for (int i = 0; i < n; i++) {
        int64_t h = rows.first + tap[i] / w->cols * p->g.dilation[0], v = cols.first + tap[i] % w->cols * p->g.dilation[1];
        index[c + i] = h * p->g.W + v;
    }
}

#if CNNFAST_REAL
/* Rows are summed first, then their sums: a fixed tree, and a smaller error than one chain where windows are large. */
INLINE void average(int vectors, const view *w, int64_t c, int n, real *y) {
    vec sum[UNROLL];
#pragma GCC unroll 4
    for (int i = 0; i < vectors; i++) sum[i] = v_splat(0);
    for (int64_t r = 0; r < w->rows; r++) {
        vec row[UNROLL];
#pragma GCC unroll 4
        for (int i = 0; i < vectors; i++) row[i] = v_splat(0);
        for (int64_t s = 0; s < w->cols; s++) {
            const real *x = w->x + r * w->row_step + s * w->col_step + c;
#pragma GCC unroll 4
            for (int i = 0; i < vectors; i++) row[i] += load(x + i * LANES, n);
        }
#pragma GCC unroll 4
        for (int i = 0; i < vectors; i++) sum[i] += row[i];
    }
#pragma GCC unroll 4
    for (int i = 0; i < vectors; i++) store(y + c + i * LANES, sum[i] / v_splat(w->divisor), n);
}

/* (sum |x|^p)^(1/p), summed in double. */
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

INLINE void vectors_of(cnnfast_pool_kind kind, int vectors, const view *w, int64_t c, int n, real *y) {
#if CNNFAST_REAL
    if (kind == CNNFAST_AVERAGE) average(vectors, w, c, n, y);
    else
#endif
        extreme(kind, vectors, w, c, n, y);
}

/* All channels [c0, c1) of one output. */
INLINE void output(cnnfast_pool_kind kind, const view *w, int64_t c0, int64_t c1, real *y) {
    int64_t c = c0;
    for (; c + UNROLL * LANES <= c1; c += UNROLL * LANES) vectors_of(kind, UNROLL, w, c, LANES, y);
    for (; c + LANES <= c1; c += LANES) vectors_of(kind, 1, w, c, LANES, y);
    if (c < c1) vectors_of(kind, 1, w, c, (int)(c1 - c), y);
}

static void output_slow(const pool2d_problem *p, const view *w, span rows, span cols, int64_t c0, int64_t c1, real *y,
                        int64_t *index) {
    for (int64_t c = c0; c < c1; c += LANES) {
        int n = (int)min64(LANES, c1 - c);
        if (p->with_indices) max_with_index(p, w, rows, cols, c, n, y, index);
#if CNNFAST_REAL
        else lp(p->norm, w, c, n, y);
#endif
    }
}

static void run(const void *problem, const void *packed, const tensors *t, tile at, void *workspace) {
    (void)packed, (void)workspace;
    const pool2d_problem *p = problem;
    const window *g = &p->g;
    const int64_t c0 = at.col0 * column(), c1 = min64(g->C, at.col1 * column());
    for (int64_t row = at.row0; row < at.row1; row++) {
        const real *image = (const real *)t->x + row / g->P * g->H * g->W * g->C;
        const span rows = p->rows[row % g->P];
        for (int64_t q = 0; q < g->Q; q++) {
            const span cols = p->cols[q];
            const view w = {.x = image + (rows.first * g->W + cols.first) * g->C, .rows = rows.taps, .cols = cols.taps,
                            .row_step = g->dilation[0] * g->W * g->C, .col_step = g->dilation[1] * g->C,
                            .divisor = (real)(rows.extent * cols.extent)};
            real *y = (real *)t->y + (row * g->Q + q) * g->C;
            if (p->with_indices || p->kind == CNNFAST_LP)
                output_slow(p, &w, rows, cols, c0, c1, y, t->indices ? t->indices + (row * g->Q + q) * g->C : NULL);
            else if (p->kind == CNNFAST_MAX) output(CNNFAST_MAX, &w, c0, c1, y);
            else if (p->kind == CNNFAST_MIN) output(CNNFAST_MIN, &w, c0, c1, y);
#if CNNFAST_REAL
            else output(CNNFAST_AVERAGE, &w, c0, c1, y);
#endif
        }
    }
}

const kernel SYMBOL(pool2d_window) = {accepts, cost, grain_of, packed_size, pack, run};
