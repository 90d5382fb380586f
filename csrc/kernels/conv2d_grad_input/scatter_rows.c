/* To few channels, as `scatter`, but with the rows of taps in the GEMM's chain: it gives, for a row of y and every column of x, what
 * that column adds to the S pixels it meets, over all rows of x at once. One run a row of y to add where `scatter` has R, and longer
 * chains; vectors hold a row of taps and its channels: 5 taps of six channels fill 30 of 32 lanes.
 *
 * Rows of y a stride apart read the same taps: a phase's taps lie together. An output is a sum over the columns that reach it, in
 * the order of scatter_add, of chains over rows and channels. Neither the tile nor the threads change it. */
#include "common/cost.h"
#include "common/gemm.h"

#if CNNFAST_REAL
#include "scatter.h"

enum { MOST_ROWS = 16 }; /* of taps */

/* What a run of the GEMM gives. */
static int64_t values(const window *g) { return g->S * g->K; }

static int64_t panel_size(const window *g) { return g->R * g->C * TILE_N; }

/* Rows of y at a time. */
static int64_t rows_at_once(const window *g) {
    return max64(1, min64(g->P, ROWS_BYTES / row_bytes(g, values(g))));
}

static bool accepts(const void *problem) {
    const conv2d_problem *p = &((const conv2d_grad_input_problem *)problem)->conv;
    const window *g = &p->g;
    return p->groups == 1 && g->R > 1 && g->R <= MOST_ROWS && g->dilation[0] == 1 && p->precision != CNNFAST_STRICT &&
           row_bytes(g, values(g)) <= ROW_BYTES;
}

static double cost(const void *problem, int64_t N) {
    const window *g = &((const conv2d_grad_input_problem *)problem)->conv.g;
    const double columns = (double)N * (double)g->W, met = columns * (double)g->H * (double)g->R, runs = columns * (double)g->P;
    const double rate = NOMINAL_FLOPS * tile_efficiency(g->W) * lane_efficiency(values(g));
    const double gemm = 2 * (met * (double)g->C + runs * 4) * (double)values(g) / rate;
    /* A run is a few vectors, each loaded twice and stored twice. */
    const double sums = runs * (double)ceil_div(values(g), NOMINAL_LANES) * 4 * 4 * NOMINAL_LANES / NOMINAL_L2;
    const double bytes = 4 * ((double)g->C * columns * (double)g->H + (double)N * (double)(g->P * g->Q * g->K));
    return cost_max(gemm + sums, bytes / NOMINAL_DRAM);
}

static grain grain_of(const void *problem) {
    const window *g = &((const conv2d_grad_input_problem *)problem)->conv.g;
    return grain_of_rows(problem, rows_at_once(g) * row_bytes(g, values(g)));
}

/* A vector of zeros, then for each panel [R][C][TILE_N] weights, a phase's rows of taps after another's; their columns [S][K]. */
static size_t packed_size(const void *problem) {
    const window *g = &((const conv2d_grad_input_problem *)problem)->conv.g;
    return size_mul(size_add(TILE_N, size_mul((size_t)panels(values(g)), size_mul((size_t)(g->R * g->C), TILE_N))), sizeof(real));
}

/* Rows of taps of the phases before one. */
static int64_t taps_before(const window *g, int64_t phase) {
    return phase * (g->R / g->stride[0]) + min64(phase, g->R % g->stride[0]);
}

static ONCE_A_PLAN void pack(const void *problem, const void *weight, const void *bias, void *packed) {
    (void)bias;
    const conv2d_problem *p = &((const conv2d_grad_input_problem *)problem)->conv;
    const window *g = &p->g;
    memset(packed, 0, packed_size(problem));
    for (int64_t r = 0; r < g->R; r++) {
        const int64_t place = taps_before(g, r % g->stride[0]) + r / g->stride[0];
        for (int64_t s = 0, column = 0; s < g->S; s++)
            for (int64_t k = 0; k < g->K; k++, column++) {
                const real *from = (const real *)weight + r * p->step_r + s * p->step_s + k * p->step_k;
                real *to = (real *)packed + TILE_N + column / TILE_N * panel_size(g) + place * g->C * TILE_N + column % TILE_N;
                for (int64_t c = 0; c < g->C; c++) to[c * TILE_N] = from[c * p->step_c];
            }
    }
}

/* What a row of y reads: rows of x upwards from `h`, by a phase's rows of taps from `first` on. */
typedef struct {
    int64_t h, first, taps;
} meeting;

static meeting meet(const window *g, int64_t p) {
    const int64_t at = p + g->pad[0], phase = at % g->stride[0], last = at / g->stride[0];
    const int64_t below = max64(0, last - (g->H - 1)), taps = ceil_div(g->R - phase, g->stride[0]);
    return (meeting){last - below, taps_before(g, phase) + below, max64(0, min64(taps, last + 1) - below)};
}

/* Rows p and those a stride below it, as many as are told: they meet as many rows of x by the same taps. */
static void run_rows(const window *g, const gemm *m, const real *packed, meeting of, int64_t p, int64_t rows, const real *x, real *y,
                     int64_t y_step, real *given) {
    for (int64_t i = 0; i < panels(values(g)); i++) {
        const int channels = (int)min64(TILE_N, values(g) - i * TILE_N);
        const real *weights = packed + TILE_N + i * panel_size(g) + of.first * g->C * TILE_N;
        gemm_row(m, rows * g->W, channels, x + of.h * g->W * g->C, weights, packed, NULL, given + i * TILE_N);
    }
    const runs found = {rows, value_step(values(g)), g->W * value_step(values(g)), y_step, g->stride[0] * g->Q * y_step};
    SYMBOL(scatter_add)(g, &found, given, y + p * g->Q * y_step);
}

/* Rows [p0, p1) of an image whose first output is y. */
static void run_image(const window *g, const real *packed, const real *x, real *y, int64_t y_step, int64_t p0, int64_t p1, real *given) {
    ptrdiff_t up[MOST_ROWS];
    for (int i = 0; i < MOST_ROWS; i++) up[i] = -i * g->W * g->C;
    gemm m = {.tap = up, .len = g->C, .x_step = g->C, .y_step = value_step(values(g))};
    const int64_t most = rows_at_once(g);
    for (int64_t phase = p0; phase < min64(p1, p0 + g->stride[0]); phase++)
        for (int64_t p = phase, rows; p < p1; p += rows * g->stride[0]) {
            const meeting of = meet(g, p);
            for (rows = 1; rows < most && p + rows * g->stride[0] < p1; rows++) {
                const meeting next = meet(g, p + rows * g->stride[0]);
                if (next.first != of.first || next.taps != of.taps || next.h != of.h + rows) break;
            }
            m.taps = of.taps;
            if (of.taps) run_rows(g, &m, packed, of, p, rows, x, y, y_step, given);
        }
}

static void run(const void *problem, const void *packed, const tensors *t, tile at, void *workspace) {
    const window *g = &((const conv2d_grad_input_problem *)problem)->conv.g;
    SYMBOL(scatter_begin)(g, t, at.row0, at.row1 - at.row0);
    for (int64_t row = at.row0, rows; row < at.row1; row += rows) {
        const int64_t n = row / g->P, p0 = row % g->P;
        rows = min64(g->P - p0, at.row1 - row);
        run_image(g, packed, (const real *)t->x + n * g->H * g->W * g->C, (real *)t->y + n * g->P * g->Q * t->y_step, t->y_step, p0,
                  p0 + rows, workspace);
    }
}

const kernel SYMBOL(conv2d_grad_input_scatter_rows) = {accepts, cost, grain_of, packed_size, pack, run};
#endif
