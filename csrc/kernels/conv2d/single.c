/* One channel of x, few filters: vectors lie along the pixels of a row, so that no lane waits for filters that are not there.
 *
 * Rows of x that a block of outputs stands on get their padding first. A tile is a few vectors of outputs, wherever they begin in
 * the block, times all filters; its sums are then interleaved, a pixel's filters side by side.
 *
 * An output is one chain: the bias, then the taps in order. */
#include "common/band.h"
#include "common/cost.h"
#include "common/epilogue.h"
#include "conv2d/problem.h"

#if CNNFAST_REAL

enum {
    MOST_FILTERS = 6,
    SUMS = VEC_BYTES == 64 ? 24 : 12, /* in registers */
    MOST_VECTORS = 6,                 /* of outputs in a tile */
    ROWS_BYTES = 16 * 1024,           /* of x that wait in L1, or one row's */
};

/* Vectors of a tile of so many filters. */
INLINE int vectors_for(int filters) { return SUMS / filters < MOST_VECTORS ? SUMS / filters : MOST_VECTORS; }

static bool accepts(const void *problem) {
    const conv2d_problem *p = problem;
    const window *g = &p->g;
    return g->C == 1 && p->groups == 1 && g->K <= MOST_FILTERS && g->stride[1] == 1 && g->R * g->S > 1;
}

/* Measured: besides its FMAs a vector of outputs takes the time of 14, and of 8 for each filter. */
static double cost(const void *problem, int64_t N) {
    const window *g = &((const conv2d_problem *)problem)->g;
    const double vectors = (double)(N * g->P * ceil_div(g->Q, NOMINAL_LANES)), K = (double)g->K;
    const double bytes = 4 * (double)N * ((double)(g->H * g->W) + (double)(g->P * g->Q) * K);
    const double fmas = vectors * (K * (1.1 * (double)(g->R * g->S) + 8) + 14);
    return cost_max(fmas * 2 * NOMINAL_LANES / NOMINAL_FLOPS, bytes / NOMINAL_DRAM);
}

/* A row of x with its padding; rows under some rows of outputs. */
static int64_t row_width(const window *g) { return g->Q + (g->S - 1) * g->dilation[1]; }
static int64_t rows_under(const window *g, int64_t rows) { return (rows - 1) * g->stride[0] + (g->R - 1) * g->dilation[0] + 1; }

/* What a row's last vector of outputs reads past its end is not used. */
static size_t rows_size(const window *g, int64_t rows) {
    return size_mul(size_add(size_mul((size_t)rows_under(g, rows), (size_t)row_width(g)), LANES), sizeof(real));
}

static grain grain_of(const void *problem) {
    const window *g = &((const conv2d_problem *)problem)->g;
    const int64_t fit = ROWS_BYTES / (row_width(g) * (int64_t)sizeof(real)) - rows_under(g, 1);
    const int64_t rows = max64(1, min64(g->P, fit / g->stride[0] + 1));
    return (grain){.columns = 1, .block_rows = rows, .tile_pixels = vectors_for((int)g->K) * LANES, .tile_channels = g->K,
                   .workspace = rows_size(g, rows)};
}

/* Biases; weights [R][S][K]. */
static size_t packed_size(const void *problem) {
    const window *g = &((const conv2d_problem *)problem)->g;
    return size_mul((size_t)((1 + g->R * g->S) * g->K), sizeof(real));
}

static ONCE_A_PLAN void pack(const void *problem, const void *weight, const void *bias, void *packed) {
    const conv2d_problem *p = problem;
    const window *g = &p->g;
    real *to = packed;
    memset(packed, 0, (size_t)g->K * sizeof *to);
    if (bias) memcpy(to, bias, (size_t)g->K * sizeof *to);
    to += g->K;
    for (int64_t r = 0; r < g->R; r++)
        for (int64_t s = 0; s < g->S; s++)
            for (int64_t k = 0; k < g->K; k++) *to++ = ((const real *)weight)[r * p->step_r + s * p->step_s + k * p->step_k];
}

/* Rows of outputs, over rows of x with their padding. */
typedef struct {
    const conv2d_problem *problem;
    const real *packed;
    real *y;
    const real *residual;
    int64_t y_step;
} work;

INLINE void put(const work *w, vec v, int64_t at, int n) {
    const cnnfast_activation activation = w->problem->epilogue.activation;
    if (w->residual) v += v_load_n(w->residual + at, n);
    if (activation == CNNFAST_RELU || activation == CNNFAST_RELU6) v = v_at_least(v, v_splat(0));
    if (activation == CNNFAST_RELU6) v = v_at_most(v, v_splat(6));
    v_store_n(w->y + at, v, n);
}

/* Of the elements of `sources` vectors, interleaved `unit` at a time, those of vector `i`: as far as source k, the ones before it
 * in place already. */
INLINE vec mix_in(int sources, int unit, int i, int k, vec before, vec source) {
    mask from;
    for (int j = 0; j < LANES; j++) {
        const int at = (i * LANES + j) / unit, lane = at / sources * unit + j % unit;
        from[j] = at % sources == k ? LANES + lane : at % sources == 0 && k == 1 ? lane : j;
    }
    return __builtin_shuffle(before, source, from);
}

/* Sums become outputs, a pixel's filters side by side. Pairs first: of six filters that takes 18 shuffles instead of 30. */
INLINE void interleave(int filters, const real *sums, vec *to) {
    const int unit = filters % 2 ? 1 : 2, sources = filters / unit;
    vec from[MOST_FILTERS];
#pragma GCC unroll 6
    for (int i = 0; i < filters; i++) {
        const real *pair = sums + i % sources * 2 * LANES;
        from[i] = unit == 1 ? v_load(sums + i * LANES) : mix_in(2, 1, i / sources, 1, v_load(pair), v_load(pair + LANES));
    }
#pragma GCC unroll 6
    for (int i = 0; i < filters; i++) {
        const vec *of = from + (unit == 1 ? 0 : i / sources * sources);
        to[i] = of[0];
#pragma GCC unroll 6
        for (int k = 1; k < sources; k++) to[i] = mix_in(sources, unit, i % sources, k, to[i], of[k]);
    }
}

/* Sums [filter][LANES] of a vector of outputs, of which `pixels` are there, the first one at y + at. */
INLINE void put_vector(const work *w, int filters, const real *sums, int pixels, int64_t at) {
    const epilogue *e = &w->problem->epilogue;
    const bool together = w->y_step == filters; /* no gaps between pixels */
    const int count = pixels * filters;
    vec v[MOST_FILTERS];
    real mixed[MOST_FILTERS * LANES];
    interleave(filters, sums, v);
#pragma GCC unroll 6
    for (int i = 0; i < filters; i++) {
        if (!together) v_store(mixed + i * LANES, v[i]);
        else if (i * LANES < count) put(w, v[i], at + i * LANES, count - i * LANES < LANES ? count - i * LANES : LANES);
    }
    for (int i = 0; i < pixels && !together; i++)
        for (int k = 0; k < filters; k += LANES) {
            const int n = filters - k < LANES ? filters - k : LANES;
            put(w, v_load_n(mixed + i * filters + k, n), at + i * w->y_step + k, n);
        }
    if (e->activation > CNNFAST_RELU6)
        for (int i = 0; i < (together ? 1 : pixels); i++) SYMBOL(epilogue_run)(e, w->y + at + i * w->y_step, together ? count : filters);
}

/* A vector of outputs: the row and the column it begins at. */
typedef struct {
    int64_t row, column;
} place;

/* Outputs of rows [0, rows) of an image's block. */
INLINE void run_rows(int filters, const work *w, int64_t rows, const real *x) {
    const window *g = &w->problem->g;
    const int vectors = vectors_for(filters);
    for (place next = {0, 0}; next.row < rows;) {
        const real *from[MOST_VECTORS];
        place at[MOST_VECTORS];
        int there = 0; /* the last tile may do its last vector more than once */
#pragma GCC unroll 6
        for (int v = 0; v < vectors; v++) {
            at[v] = next.row < rows ? next : at[v - 1];
            from[v] = x + at[v].row * g->stride[0] * row_width(g) + at[v].column;
            there += next.row < rows;
            next.column += LANES;
            if (next.column >= g->Q) next = (place){next.row + 1, 0};
        }
        vec sum[MOST_VECTORS][MOST_FILTERS];
#pragma GCC unroll 6
        for (int k = 0; k < filters; k++)
#pragma GCC unroll 6
            for (int v = 0; v < vectors; v++) sum[v][k] = v_splat(w->packed[k]);
        const real *weight = w->packed + filters;
        for (int64_t r = 0, tap = 0; r < g->R; r++, tap += g->dilation[0] * row_width(g))
            for (int64_t s = 0, to = tap; s < g->S; s++, to += g->dilation[1], weight += filters) {
                vec pixels[MOST_VECTORS];
#pragma GCC unroll 6
                for (int v = 0; v < vectors; v++) pixels[v] = v_keep(v_load(from[v] + to));
#pragma GCC unroll 6
                for (int k = 0; k < filters; k++) {
                    const vec of = v_splat(weight[k]);
#pragma GCC unroll 6
                    for (int v = 0; v < vectors; v++) sum[v][k] = v_fma(pixels[v], of, sum[v][k]);
                }
            }
        real sums[MOST_VECTORS][MOST_FILTERS * LANES]; /* so that what follows stands here once */
#pragma GCC unroll 6
        for (int v = 0; v < vectors; v++)
#pragma GCC unroll 6
            for (int k = 0; k < filters; k++) v_store(sums[v] + k * LANES, sum[v][k]);
        for (int v = 0; v < there; v++)
            put_vector(w, filters, sums[v], (int)min64(LANES, g->Q - at[v].column), (at[v].row * g->Q + at[v].column) * w->y_step);
    }
}

#define FILTERS(n) static __attribute__((noinline)) void rows_##n(const work *w, int64_t rows, const real *x) { run_rows(n, w, rows, x); }
FILTERS(1) FILTERS(2) FILTERS(3) FILTERS(4) FILTERS(5) FILTERS(6)
static void (*const rows_of[])(const work *, int64_t, const real *) = {NULL, rows_1, rows_2, rows_3, rows_4, rows_5, rows_6};

static void run(const void *problem, const void *packed, const tensors *t, tile at, void *workspace) {
    const conv2d_problem *p = problem;
    const window *g = &p->g;
    for (int64_t row = at.row0, end; row < at.row1; row = end) {
        const int64_t n = row / g->P, p0 = row % g->P;
        end = min64(at.row1, (n + 1) * g->P);
        const int64_t rows = end - row, h0 = p0 * g->stride[0] - g->pad[0], under = rows_under(g, rows);
        const band b = {.h0 = h0, .h1 = h0 + under, .w0 = -g->pad[2], .w1 = row_width(g) - g->pad[2], .channels = 1};
        real *x = workspace;
        band_copy(g, p->padding_mode, (const real *)t->x + n * g->H * g->W, b, x, 1);
        memset(x + under * row_width(g), 0, LANES * sizeof *x);
        const int64_t to = row * g->Q * t->y_step;
        const work w = {p, packed, (real *)t->y + to, t->residual ? (const real *)t->residual + to : NULL, t->y_step};
        rows_of[g->K](&w, rows, x);
    }
}

const kernel SYMBOL(conv2d_single) = {accepts, cost, grain_of, packed_size, pack, run};
#endif
