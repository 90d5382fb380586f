/* To few channels, as a network's stem has: a GEMM gives, for every pixel of x, what it adds to each of the R x S pixels of y
 * that it meets; these are then added to y. So vectors run over taps and channels together: 7 x 7 taps of three channels fill
 * 147 of 160 lanes, where three channels alone would fill 3 of 16.
 *
 * An output is a sum over its taps of chains over C: rows of x in order, in a row in scatter_add's turns. Neither the tile nor the
 * threads change it. */
#include "common/cost.h"
#include "common/gemm.h"

#if CNNFAST_REAL
#include "scatter.h"

/* What a run of the GEMM gives. */
static int64_t values(const window *g) { return g->R * g->S * g->K; }

/* Rows of x at a time. */
static int64_t rows_at_once(const window *g) {
    return max64(1, min64(g->H, ROWS_BYTES / row_bytes(g, values(g))));
}

static bool accepts(const void *problem) {
    const conv2d_problem *p = &((const conv2d_grad_input_problem *)problem)->conv;
    const int64_t row = p->g.W * values(&p->g) * (int64_t)sizeof(real);
    return p->groups == 1 && p->g.R * p->g.S > 1 && p->precision != CNNFAST_STRICT && row <= ROW_BYTES;
}

static double cost(const void *problem, int64_t N) {
    const window *g = &((const conv2d_grad_input_problem *)problem)->conv.g;
    const double pixels = (double)N * (double)g->H * (double)g->W;
    const double rate = NOMINAL_FLOPS * tile_efficiency(g->W) * lane_efficiency(values(g));
    const double gemm = 2 * pixels * ((double)g->C + 4) * (double)values(g) / rate;
    /* A run of a tap's row is a few vectors, each loaded twice and stored twice. */
    const double vectors = (double)(g->R * ceil_div(g->S * g->K, NOMINAL_LANES));
    const double sums = pixels * vectors * 4 * 4 * NOMINAL_LANES / NOMINAL_L2;
    const double bytes = 4 * ((double)g->C * pixels + (double)N * (double)(g->P * g->Q * g->K));
    return cost_max(gemm + sums, bytes / NOMINAL_DRAM);
}

static grain grain_of(const void *problem) {
    const window *g = &((const conv2d_grad_input_problem *)problem)->conv.g;
    return grain_of_rows(problem, rows_at_once(g) * row_bytes(g, values(g)));
}

/* For each panel a bias of zeros and [C][TILE_N] weights, their columns [R][S][K] in order. */
static int64_t panel_size(const window *g) { return (1 + g->C) * TILE_N; }

static size_t packed_size(const void *problem) {
    const window *g = &((const conv2d_grad_input_problem *)problem)->conv.g;
    return size_mul(size_mul((size_t)panels(values(g)), (size_t)panel_size(g)), sizeof(real));
}

static ONCE_A_PLAN void pack(const void *problem, const void *weight, const void *bias, void *packed) {
    (void)bias;
    const conv2d_problem *p = &((const conv2d_grad_input_problem *)problem)->conv;
    const window *g = &p->g;
    memset(packed, 0, packed_size(problem));
    int64_t column = 0;
    for (int64_t r = 0; r < g->R; r++)
        for (int64_t s = 0; s < g->S; s++)
            for (int64_t k = 0; k < g->K; k++, column++) {
                const real *from = (const real *)weight + r * p->step_r + s * p->step_s + k * p->step_k;
                real *to = (real *)packed + column / TILE_N * panel_size(g) + TILE_N + column % TILE_N;
                for (int64_t c = 0; c < g->C; c++) to[c * TILE_N] = from[c * p->step_c];
            }
}

/* y += x. */
static void add(real *y, const real *x, int64_t count) {
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES) v_store(y + i, v_load(y + i) + v_load(x + i));
    if (i < count) v_store_n(y + i, v_load_n(y + i, (int)(count - i)) + v_load_n(x + i, (int)(count - i)), (int)(count - i));
}

static void add_pixel(const window *g, int64_t w, const real *from, real *y, int64_t y_step) {
    const int64_t q = w * g->stride[1] - g->pad[2], d = g->dilation[1];
    int64_t first = 0, past = g->S;
    if (q < 0 || q + (g->S - 1) * d >= g->Q) { /* else nothing is divided: a run is short */
        first = q < 0 ? min64(g->S, ceil_div(-q, d)) : 0, past = q < g->Q ? min64(g->S, ceil_div(g->Q - q, d)) : 0;
        if (past <= first) return;
    }
    if (y_step == g->K && (d == 1 || g->S == 1)) add(y + (q + first) * g->K, from + first * g->K, (past - first) * g->K);
    else
        for (int64_t s = first; s < past; s++) add(y + (q + s * d) * y_step, from + s * g->K, g->K);
}

/* y += x for n runs of `whole` vectors and `rest` numbers. */
INLINE void add_runs_of(int whole, int rest, int64_t n, const real *x, ptrdiff_t step, real *y, ptrdiff_t y_step) {
    for (; n > 0; n--, x += step, y += y_step) {
#pragma GCC unroll 3
        for (int j = 0; j < whole * LANES; j += LANES) v_store(y + j, v_load(y + j) + v_load(x + j));
        if (rest) v_store_n(y + whole * LANES, v_load_n(y + whole * LANES, rest) + v_load_n(x + whole * LANES, rest), rest);
    }
}

static void add_runs(int64_t count, int64_t n, const real *x, ptrdiff_t step, real *y, ptrdiff_t y_step) {
    const int rest = (int)(count % LANES);
    switch (count / LANES) {
    case 0: add_runs_of(0, rest, n, x, step, y, y_step); break;
    case 1: add_runs_of(1, rest, n, x, step, y, y_step); break;
    case 2: add_runs_of(2, rest, n, x, step, y, y_step); break;
    case 3: add_runs_of(3, rest, n, x, step, y, y_step); break;
    default:
        for (; n > 0; n--, x += step, y += y_step) add(y, x, count);
    }
}

/* Columns all of whose run is inside and lies in one piece. */
static void inside(const window *g, int64_t y_step, int64_t to[2]) {
    const int64_t reach = (g->S - 1) * g->dilation[1], pad = g->pad[2], stride = g->stride[1];
    const bool whole = y_step == g->K && (g->dilation[1] == 1 || g->S == 1);
    to[0] = min64(g->W, ceil_div(pad, stride));
    to[1] = whole && g->Q + pad > reach ? max64(to[0], min64(g->W, (g->Q - 1 - reach + pad) / stride + 1)) : to[0];
}

/* Columns whose runs do not meet, in all rows, then the next ones: no sum is read back right after it was stored. */
void SYMBOL(scatter_add)(const window *g, const runs *of, const real *from, real *y) {
    const int64_t every = min64(g->W, ceil_div((g->S - 1) * g->dilation[1] + 1, g->stride[1]) + 1), along = g->stride[1] * of->y_step;
    int64_t in[2];
    inside(g, of->y_step, in);
    for (int64_t turn = 0; turn < every; turn++)
        for (int64_t i = 0; i < of->rows; i++) {
            const real *const x = from + i * of->row;
            real *const to = y + i * of->y_row;
            int64_t w = turn;
            for (; w < in[0]; w += every) add_pixel(g, w, x + w * of->step, to, of->y_step);
            if (w < in[1]) {
                const int64_t n = ceil_div(in[1] - w, every);
                add_runs(g->S * g->K, n, x + w * of->step, every * of->step, to + w * along - g->pad[2] * of->y_step, every * along);
                w += n * every;
            }
            for (; w < g->W; w += every) add_pixel(g, w, x + w * of->step, to, of->y_step);
        }
}

void SYMBOL(scatter_begin)(const window *g, const tensors *t, int64_t row, int64_t rows) {
    const bool dense = t->y_step == g->K;
    const int64_t runs = dense ? 1 : rows * g->Q, first = row * g->Q * t->y_step;
    const size_t bytes = (size_t)(dense ? rows * g->Q * g->K : g->K) * sizeof(real);
    if (t->residual == t->y) return;
    for (int64_t i = 0, at = first; i < runs; i++, at += t->y_step) {
        if (t->residual) memcpy((real *)t->y + at, (const real *)t->residual + at, bytes);
        else memset((real *)t->y + at, 0, bytes);
    }
}

/* What row h of x adds to rows [p0, p1) of y. */
static void add_row(const window *g, int64_t h, const real *from, real *y, int64_t y_step, int64_t p0, int64_t p1) {
    const int64_t p = h * g->stride[0] - g->pad[0], d = g->dilation[0];
    const int64_t r0 = p < p0 ? ceil_div(p0 - p, d) : 0, r1 = p < p1 ? min64(g->R, ceil_div(p1 - p, d)) : 0;
    const runs of = {max64(0, r1 - r0), value_step(values(g)), g->S * g->K, y_step, d * g->Q * y_step};
    SYMBOL(scatter_add)(g, &of, from + r0 * of.row, y + (p + r0 * d) * g->Q * y_step);
}

/* Rows [p0, p1) of an image whose first output is y. */
static void run_image(const window *g, const real *packed, const real *x, real *y, int64_t y_step, int64_t p0, int64_t p1, real *given) {
    const gemm m = {.tap = (const ptrdiff_t[]){0}, .taps = 1, .len = g->C, .x_step = g->C, .y_step = value_step(values(g)),
                    .beside = panel_size(g)};
    const int64_t tall = (g->R - 1) * g->dilation[0], begin = max64(0, ceil_div(p0 + g->pad[0] - tall, g->stride[0]));
    const int64_t end = min64(g->H, ceil_div(p1 + g->pad[0], g->stride[0])); /* rows of x that meet one of y's */
    for (int64_t h = begin, rows; h < end; h += rows) {
        rows = min64(rows_at_once(g), end - h);
        for (int64_t k = 0, channels; k < values(g); k += channels) {
            const int64_t left = values(g) - k;
            channels = gemm_takes_two(rows * g->W, left) ? 2 * TILE_N : min64(TILE_N, left);
            const real *const panel = packed + k / TILE_N * panel_size(g);
            gemm_row(&m, rows * g->W, (int)channels, x + h * g->W * g->C, panel + TILE_N, panel, NULL, given + k);
        }
        for (int64_t i = 0; i < rows; i++) add_row(g, h + i, given + i * g->W * value_step(values(g)), y, y_step, p0, p1);
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

const kernel SYMBOL(conv2d_grad_input_scatter) = {accepts, cost, grain_of, packed_size, pack, run};
#endif
