/* Groups of few channels, and a depth multiplier: vectors of filters run across groups, as in conv2d's `grouped`. A lane's filter
 * wants its group's channels one after another: one load of channels as they lie, then a pick of lanes for each, or one channel
 * for all lanes where a group fills the vector. The sums of a row of taps wait in registers while a row of grad_output goes by. */
#include "common/cost.h"
#include "conv2d_grad_weight/problem.h"
#include "simd.h"

#if CNNFAST_REAL
#include "conv2d/lanes.h"

enum { MOST_CHANNELS = 8, ROWS = 8 };

static bool accepts(const void *problem) {
    const conv2d_problem *p = &((const grad_weight_problem *)problem)->conv;
    return p->groups > 1 && p->g.C / p->groups <= MOST_CHANNELS && p->g.K / p->groups <= MOST_CHANNELS;
}

static double cost(const void *problem, int64_t N) {
    const grad_weight_problem *p = problem;
    const window *g = &p->conv.g;
    const int64_t Cg = g->C / p->conv.groups, Kg = g->K / p->conv.groups, groups = max64(1, NOMINAL_LANES / max64(Cg, Kg));
    const double numbers = (double)N * ((double)g->P * (double)g->Q * (double)g->K + (double)g->H * (double)g->W * (double)g->C);
    const double compute = 2 * 2 * conv2d_macs(&p->conv, N) * NOMINAL_LANES / (double)(groups * Kg) / NOMINAL_FLOPS;
    /* A row of taps at a time: what it reads again is partly in a cache still, but nothing hides the reading. */
    return compute + (g->R > 1 ? 2 : 1) * sizeof(real) * numbers / NOMINAL_DRAM;
}

static grain grain_of(const void *problem) {
    const conv2d_problem *p = &((const grad_weight_problem *)problem)->conv;
    const lanes l = lanes_of(p);
    return (grain){.columns = lanes_columns(p, &l), .block_rows = INT64_MAX, .workspace = size_align(MOST_CHANNELS * VEC_BYTES)};
}

/* One vector of filters: where tap 0 of column 0 lies, and the steps to the next column and tap. */
typedef struct {
    const real *gradient, *x, *picks;
    ptrdiff_t K, step, gap;
    int inputs, outputs;
} line;

/* Taps [0, S) of columns [q0, q1), which are all inside. S and Cg constant: the sums are registers. */
INLINE void columns(lane_source source, int S, int Cg, bool whole, const line *l, int64_t q0, int64_t q1, real *sums) {
    const int n = whole ? LANES : l->outputs, inputs = whole ? LANES : l->inputs;
    const ptrdiff_t K = l->K;
    vec acc[3][MOST_CHANNELS];
    picks of[MOST_CHANNELS];
#pragma GCC unroll 8
    for (int j = 0; j < Cg && source == PICKED; j++) of[j] = v_picks_load(l->picks + j * LANES);
#pragma GCC unroll 3
    for (int s = 0; s < S; s++)
#pragma GCC unroll 8
        for (int j = 0; j < Cg; j++) acc[s][j] = whole ? v_load(sums + (s * Cg + j) * K) : v_load_n(sums + (s * Cg + j) * K, n);
    const real *gradient = l->gradient + q0 * K, *x = l->x + q0 * l->step;
    for (int64_t q = q0; q < q1; q++, gradient += K, x += l->step) {
        const vec by = whole ? v_load(gradient) : v_load_n(gradient, n);
#pragma GCC unroll 3
        for (int s = 0; s < S; s++) {
            const real *at = x + s * l->gap;
            if (source == PICKED) {
                const vec channels = whole ? v_load(at) : v_load_n(at, inputs);
#pragma GCC unroll 8
                for (int j = 0; j < Cg; j++) acc[s][j] = v_fma(v_pick(channels, of[j]), by, acc[s][j]);
            } else {
#pragma GCC unroll 8
                for (int j = 0; j < Cg; j++) acc[s][j] = v_fma(v_splat(at[j]), by, acc[s][j]);
            }
        }
    }
#pragma GCC unroll 3
    for (int s = 0; s < S; s++)
#pragma GCC unroll 8
        for (int j = 0; j < Cg; j++) {
            if (whole) v_store(sums + (s * Cg + j) * K, acc[s][j]);
            else v_store_n(sums + (s * Cg + j) * K, acc[s][j], n);
        }
}

#define COLUMNS(S, source, Cg) \
    do { \
        if (l->inputs == LANES && l->outputs == LANES) columns(source, S, Cg, true, l, q0, q1, sums); \
        else columns(source, S, Cg, false, l, q0, q1, sums); \
    } while (0)
#define CASE(S, source, Cg) case Cg: COLUMNS(S, source, Cg); break;

static void one_tap(lane_source source, int64_t Cg, const line *l, int64_t q0, int64_t q1, real *sums) {
    if (source == PICKED)
        switch (Cg) {
            CASE(1, PICKED, 1) CASE(1, PICKED, 2) CASE(1, PICKED, 3) CASE(1, PICKED, 4) CASE(1, PICKED, 5) CASE(1, PICKED, 6)
            CASE(1, PICKED, 7) CASE(1, PICKED, 8)
        }
    else
        switch (Cg) {
            CASE(1, SPREAD, 1) CASE(1, SPREAD, 2) CASE(1, SPREAD, 3) CASE(1, SPREAD, 4) CASE(1, SPREAD, 5) CASE(1, SPREAD, 6)
            CASE(1, SPREAD, 7) CASE(1, SPREAD, 8)
        }
}

static void three_taps(const line *l, int64_t q0, int64_t q1, real *sums) { COLUMNS(3, PICKED, 4); }

/* The columns of grad_output whose tap s is inside the row, of [q0, q1). */
static int64_t inside(const window *g, int64_t s, int64_t q0, int64_t q1, int64_t *past) {
    const int64_t from = s * g->dilation[1] - g->pad[2];
    *past = from >= g->W ? 0 : min64(q1, (g->W - 1 - from) / g->stride[1] + 1);
    return max64(q0, from < 0 ? ceil_div(-from, g->stride[1]) : 0);
}

/* A row of taps. */
static void run_taps(const conv2d_problem *p, const lanes *of, line *l, int64_t q0, int64_t q1, real *sums) {
    const window *g = &p->g;
    const real *const x = l->x;
    for (int64_t s = 0; s < g->S;) {
        int64_t end = 0, count = 1, from = inside(g, s, q0, q1, &end);
        l->x = x + s * l->gap;
        if (s + 3 <= g->S && of->Cg == 4 && of->source == PICKED) { /* where three taps are inside at once they share grad_output */
            int64_t a1, a0 = max64(inside(g, s, q0, q1, &end), inside(g, s + 1, q0, q1, &a1));
            end = min64(end, a1);
            a0 = max64(a0, inside(g, s + 2, q0, q1, &a1));
            end = min64(end, a1);
            for (int64_t i = 0; i < 3 && a0 < end; i++) { /* in the order of columns: before */
                int64_t past;
                from = inside(g, s + i, q0, q1, &past);
                l->x = x + (s + i) * l->gap;
                if (from < min64(past, a0)) one_tap(of->source, of->Cg, l, from, min64(past, a0), sums + (s + i) * of->Cg * g->K);
            }
            l->x = x + s * l->gap;
            if (a0 < end) {
                three_taps(l, a0, end, sums + s * of->Cg * g->K);
                for (int64_t i = 0; i < 3; i++) { /* after */
                    int64_t past;
                    from = max64(inside(g, s + i, q0, q1, &past), end);
                    l->x = x + (s + i) * l->gap;
                    if (from < past) one_tap(of->source, of->Cg, l, from, past, sums + (s + i) * of->Cg * g->K);
                }
                count = 3;
            } else {
                from = inside(g, s, q0, q1, &end);
                if (from < end) one_tap(of->source, of->Cg, l, from, end, sums + s * of->Cg * g->K);
            }
        } else if (from < end) one_tap(of->source, of->Cg, l, from, end, sums + s * of->Cg * g->K);
        s += count;
    }
    l->x = x;
}

static void run_line(const grad_weight_problem *p, const grad_weight_tensors *t, int64_t begin, int64_t end, const lanes *of, const column *c,
                     const real *picks) {
    const window *g = &p->conv.g;
    const place_of i = place_at(g, begin);
    const int64_t h0 = i.p * g->stride[0] - g->pad[0], q0 = i.q, q1 = i.q + end - begin;
    line l = {.picks = picks, .K = g->K, .step = g->stride[1] * g->C, .gap = g->dilation[1] * g->C, .inputs = c->inputs, .outputs = c->outputs};
    l.gradient = (const real *)t->of.residual + (begin - i.q) * g->K + c->k0;
    for (int64_t r = 0; r < g->R; r++) {
        const int64_t h = h0 + r * g->dilation[0];
        if (h < 0 || h >= g->H) continue;
        l.x = (const real *)t->of.x + ((i.n * g->H + h) * g->W - g->pad[2]) * g->C + c->c0;
        run_taps(&p->conv, of, &l, q0, q1, (real *)t->of.y + r * g->S * of->Cg * g->K + c->k0);
    }
    if (!t->bias) return;
    real *const sum = (real *)t->bias + c->k0;
    vec total = v_load_n(sum, c->outputs);
    for (int64_t q = q0; q < q1; q++) total += v_load_n(l.gradient + q * g->K, c->outputs);
    v_store_n(sum, total, c->outputs);
}

static void run(const void *problem, const void *packed, const tensors *t, tile at, void *workspace) {
    (void)packed;
    const grad_weight_problem *p = problem;
    const grad_weight_tensors *all = (const grad_weight_tensors *)t;
    const lanes of = lanes_of(&p->conv);
    for (int64_t i = at.col0; i < at.col1; i++) {
        const column c = lanes_channels(&p->conv, &of, i);
        for (int64_t row = 0; row < weight_rows(p); row++)
            memset((real *)t->y + row * p->conv.g.K + c.k0, 0, (size_t)c.outputs * sizeof(real));
        if (all->bias) memset((real *)all->bias + c.k0, 0, (size_t)c.outputs * sizeof(real));
    }
    for (int64_t unit = at.row0; unit < at.row1; unit += ROWS)
        for (int64_t i = at.col0; i < at.col1; i++) {
            const column c = lanes_channels(&p->conv, &of, i);
            if (of.source == PICKED) lanes_pack_picks(&of, c.outputs, workspace);
            for (int64_t u = unit; u < min64(at.row1, unit + ROWS); u++)
                run_line(p, all, unit_pixel(p, u), unit_pixel(p, u + 1), &of, &c, workspace);
        }
}

const kernel SYMBOL(conv2d_grad_weight_grouped) = {accepts, cost, grain_of, nothing_packed, pack_nothing, run};
#endif
