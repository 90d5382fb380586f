/* Groups of few channels, and depthwise windows of every size: vectors run across groups.
 *
 * Lane l of a vector belongs to some group, and for that group's j-th channel it wants x[group * Cg + j]: one load of
 * channels as they lie, then a pick of lanes a j. A tile is 2 rows x 7 outputs, `unit` columns of the padded image apart, so
 * that dilation 1 and 2 are the same code. It walks the columns, and an input, picked once, serves the up to three taps
 * that read it while it is in a register. Rows of the window that lie in zero padding cost one addition, columns that do
 * for all of the tile one FMA: same bits (lanes_pack_padding). A table of pixels says where each column lies.
 */
#include "common/cost.h"
#include "common/epilogue.h"
#include "lanes.h"
#include "pixels.h"

#if CNNFAST_REAL

/* Outputs a row: the accumulators of two rows, the taps' weights and inputs, and picks fit the registers. */
enum { TILE_Q = TILE_M == 14 || TILE_V == 4 ? 7 : 4, ROWS = 2, TAPS = 3 };
/* Skipping so many columns of padding pays for the additions that stand for them. */
enum { LEAST_SKIP = 4 };
static const int64_t TABLE_BYTES = 128 * 1024;

/* A tile, and what it shares with the others. Taps [s0, s1) of rows [r0, r1) read some of the image. */
typedef struct {
    const pixel *at;
    ptrdiff_t row_step, stream_step; /* pointers to the next row of taps, and to the next row of outputs */
    ptrdiff_t unit, stride;          /* from tap to tap; from output to output, in units */
    int64_t R, S, Cg, r0, r1, s0, s1;
    const column *lanes;
    ptrdiff_t y_row, y_step;
    const real *residual;
    real *y;
    const epilogue *epilogue;
} work;

/* Channel j of one column of the tile, pixels x or `loaded`, to the `taps` taps that read it. */
INLINE void feed(lane_source source, int taps, int stride, int rows, int tq, int i, const real **x, const vec *loaded, int64_t j,
                 const real *picked, const real *w, int64_t channels, vec acc[ROWS][TILE_Q]) {
    vec v[ROWS];
    picks from = {0};
    if (source == PICKED) from = v_picks_load(picked + j * LANES);
#pragma GCC unroll 2
    for (int a = 0; a < rows; a++)
        v[a] = source == STRAIGHT ? loaded[a]
               : source == SPREAD ? v_splat(x[a][j])
                                  : v_keep(v_pick(loaded[a], from));
#pragma GCC unroll 3
    for (int t = 0; t < taps; t++) {
        const int b = (i - t) / stride;
        if (i < t || (i - t) % stride || b >= tq) continue;
        vec weight = v_load(w + (t * channels + j) * LANES);
        if (rows > 1 && source != SPREAD) weight = v_keep(weight); /* or it is read once a row */
#pragma GCC unroll 2
        for (int a = 0; a < rows; a++) acc[a][b] = v_fma(v[a], weight, acc[a][b]);
    }
}

/* `taps` taps from pixels[0] on, for tq outputs of `rows` rows. Cg constant, or 0: work's. `stride` constant, or 0: work's,
 * for one tap. */
INLINE void walk(lane_source source, int Cg, int taps, int stride, int rows, int tq, const work *k, const pixel *pixels,
                 const real *w, vec acc[ROWS][TILE_Q]) {
    const ptrdiff_t step = (stride ? 1 : k->stride) * k->unit;
    const int64_t c0 = k->lanes->c0;
    const int inputs = k->lanes->inputs, columns = stride ? (tq - 1) * stride + taps : tq, every = stride ? stride : 1;
    const real *picked = k->lanes->picks;
#pragma GCC unroll 16
    for (int i = 0; i < columns; i++) {
        const pixel *at = pixels;
        __asm__("" : "+r"(pixels)); /* one address that moves: all of them would not fit the registers */
        pixels += step;
        if (i % every >= taps) continue; /* no output reads it */
        const real *x[ROWS];
        vec loaded[ROWS];
#pragma GCC unroll 2
        for (int a = 0; a < rows; a++) {
            x[a] = at[a * k->stream_step] + c0;
            if (source != SPREAD) loaded[a] = v_keep(inputs == LANES ? v_load(x[a]) : v_load_n(x[a], inputs));
        }
        if (Cg != 1) __asm__("" : "+r"(w), "+r"(picked)); /* or every column's weights are to wait in registers */
        if (Cg)
#pragma GCC unroll 4
            for (int j = 0; j < Cg; j++) feed(source, taps, every, rows, tq, i, x, loaded, j, picked, w, Cg, acc);
        else
#pragma GCC unroll 1
            for (int64_t j = 0; j < k->Cg; j++) feed(source, taps, every, rows, tq, i, x, loaded, j, picked, w, k->Cg, acc);
    }
}

INLINE void add_everywhere(int rows, int tq, vec v, vec acc[ROWS][TILE_Q]) {
#pragma GCC unroll 2
    for (int a = 0; a < rows; a++)
#pragma GCC unroll 7
        for (int b = 0; b < tq; b++) acc[a][b] += v;
}

/* `count` vectors of weights whose inputs are all padding. */
INLINE vec padding_sum(const real *w, int64_t count) {
    vec sum = v_splat(-(real)0);
    for (int64_t i = 0; i < count; i++) sum = v_fma(v_splat(0), v_load(w + i * LANES), sum);
    return sum;
}

/* The activations that are too long to stand in every kind of tile. */
static __attribute__((noinline)) void activate(int rows, int tq, const work *k) {
    for (int i = 0; i < rows * tq; i++)
        epilogue_run(k->epilogue, k->y + i / tq * k->y_row + i % tq * k->y_step, k->lanes->outputs);
}

INLINE void finish(int rows, int tq, const work *k, vec acc[ROWS][TILE_Q]) {
    const int n = k->lanes->outputs;
    const cnnfast_activation activation = k->epilogue->activation;
#pragma GCC unroll 2
    for (int a = 0; a < rows; a++)
#pragma GCC unroll 7
        for (int b = 0; b < tq; b++) {
            const ptrdiff_t to = a * k->y_row + b * k->y_step;
            vec v = acc[a][b];
            if (k->residual) v += v_load_n(k->residual + to, n);
            if (activation == CNNFAST_RELU || activation == CNNFAST_RELU6) v = v_at_least(v, v_splat(0));
            if (activation == CNNFAST_RELU6) v = v_at_most(v, v_splat(6));
            if (n == LANES) v_store(k->y + to, v);
            else v_store_n(k->y + to, v, n);
        }
    if (activation > CNNFAST_RELU6) activate(rows, tq, k);
}

/* One column of a tile, in registers from the bias to the end. */
INLINE void run_tile(lane_source source, int Cg, int stride, int rows, int tq, const work *k) {
    const column *l = k->lanes;
    const int64_t channels = Cg ? Cg : k->Cg, row_taps = k->S * channels, after = (k->S - k->s1) * channels;
    vec acc[ROWS][TILE_Q];
    const vec bias = v_load(l->bias);
#pragma GCC unroll 2
    for (int a = 0; a < rows; a++)
#pragma GCC unroll 7
        for (int b = 0; b < tq; b++) acc[a][b] = bias;

    for (int64_t r = 0; r < k->R; r++) {
        if (r < k->r0 || r >= k->r1) {
            add_everywhere(rows, tq, v_load(l->padding + r * LANES), acc);
            continue;
        }
        const real *w = l->weight + r * row_taps * LANES;
        const pixel *row = k->at + r * k->row_step;
        if (k->s0) add_everywhere(rows, tq, padding_sum(w, k->s0 * channels), acc);
        int64_t s = k->s0;
        if (stride) {
            for (; s + TAPS <= k->s1; s += TAPS)
                walk(source, Cg, TAPS, stride, rows, tq, k, row + s * k->unit, w + s * channels * LANES, acc);
            if (s + 2 <= k->s1) {
                walk(source, Cg, 2, stride, rows, tq, k, row + s * k->unit, w + s * channels * LANES, acc);
                s += 2;
            }
        }
        for (; s < k->s1; s++) walk(source, Cg, 1, 0, rows, tq, k, row + s * k->unit, w + s * channels * LANES, acc);
        if (after) add_everywhere(rows, tq, padding_sum(w + k->s1 * channels * LANES, after), acc);
    }
    finish(rows, tq, k, acc);
}

/* Constant arguments make each its own code. */
#define TILES(name, source, Cg) \
    static __attribute__((noinline)) void name(int rows, int tq, const work *k) { \
        if (tq == 1 && rows == 1) run_tile(source, Cg, 0, 1, 1, k); \
        else if (tq == 1) run_tile(source, Cg, 0, ROWS, 1, k); \
        else if (k->stride == 1 && rows == 1) run_tile(source, Cg, 1, 1, TILE_Q, k); \
        else if (k->stride == 1) run_tile(source, Cg, 1, ROWS, TILE_Q, k); \
        else if (k->stride == 2 && rows == 1) run_tile(source, Cg, 2, 1, TILE_Q, k); \
        else if (k->stride == 2) run_tile(source, Cg, 2, ROWS, TILE_Q, k); \
        else if (rows == 1) run_tile(source, Cg, 0, 1, TILE_Q, k); \
        else run_tile(source, Cg, 0, ROWS, TILE_Q, k); \
    }
TILES(straight, STRAIGHT, 1)
TILES(picked_1, PICKED, 1)
TILES(picked_4, PICKED, 4)
TILES(picked, PICKED, 0)
TILES(spread, SPREAD, 0)

typedef void tile_run(int rows, int tq, const work *);
static tile_run *tile_for(const lanes *l) {
    switch (l->source) {
    case STRAIGHT: return straight;
    case SPREAD: return spread;
    default: return l->Cg == 1 ? picked_1 : l->Cg == 4 ? picked_4 : picked;
    }
}

/* The first tap of an axis, of `taps` that lie `dilation` apart from `from` on, that is inside the image, from 0 to n - 1. */
static int64_t first_inside(int64_t from, int64_t dilation, int64_t taps) {
    return from >= 0 ? 0 : min64(taps, ceil_div(-from, dilation));
}
static int64_t end_inside(int64_t from, int64_t dilation, int64_t taps, int64_t n) {
    return from >= n ? 0 : min64(taps, ceil_div(n - from, dilation));
}

/* Outputs q, q + step, ... of one row, or of two. */
typedef struct {
    int64_t row, q, step;
    int rows, count;
} strip;

/* Which taps read nothing but zeros: those of padding rows, and of columns where they are many. */
static void skip_padding(const conv2d_problem *p, const strip *at, work *k) {
    const window *g = &p->g;
    k->r0 = k->s0 = 0, k->r1 = g->R, k->s1 = g->S;
    if (p->padding_mode != CNNFAST_ZEROS) return;
    const int64_t h = at->row * g->stride[0] - g->pad[0], w = at->q * g->stride[1] - g->pad[2];
    k->r0 = first_inside(h + (at->rows - 1) * g->stride[0], g->dilation[0], g->R);
    k->r1 = max64(k->r0, end_inside(h, g->dilation[0], g->R, g->H));
    const int64_t s0 = first_inside(w + (at->count - 1) * at->step * g->stride[1], g->dilation[1], g->S);
    const int64_t s1 = max64(s0, end_inside(w, g->dilation[1], g->S, g->W));
    if (s0 >= LEAST_SKIP) k->s0 = s0;
    if (g->S - s1 >= LEAST_SKIP) k->s1 = max64(k->s0, s1);
}

/* One column of `rows` rows of outputs: those of one phase of the dilation lie `step` apart and share their inputs. No output
 * twice where y is its own residual. */
static void run_rows(const conv2d_problem *p, const column *c, tile_run *run, strip of, const work *shared, const pixel *table,
                     const real *residual, real *y) {
    const window *g = &p->g;
    work k = *shared;
    k.lanes = c;
    for (int64_t phase = 0; phase < of.step; phase++) {
        const int64_t outputs = ceil_div(g->Q - phase, of.step);
        for (int64_t i = 0; i < outputs; i += of.count) {
            of.count = i + TILE_Q <= outputs ? TILE_Q : 1;
            if (of.count == 1 && outputs - i > 1 && outputs >= TILE_Q && residual != y) i = outputs - TILE_Q, of.count = TILE_Q;
            of.q = phase + i * of.step;
            skip_padding(p, &of, &k);
            k.at = table + of.q * g->stride[1];
            k.y = y + of.q * g->K + c->k0;
            k.residual = residual ? residual + of.q * g->K + c->k0 : NULL;
            run(of.rows, of.count, &k);
        }
    }
}

static int64_t common_divisor(int64_t a, int64_t b) { return b ? common_divisor(b, a % b) : a; }

static size_t zeros_bytes(const conv2d_problem *p) { return size_align(size_mul((size_t)p->g.C, sizeof(real))); }

/* Rows [p0, p1) of image n. */
static void run_image(const conv2d_problem *p, const real *packed, const tensors *t, const tile *at, int64_t n, int64_t p0,
                      int64_t p1, void *workspace) {
    const window *g = &p->g;
    const lanes l = lanes_of(p);
    const real *image = (const real *)t->x + n * g->H * g->W * g->C, *zeros = workspace;
    pixel *table = (pixel *)((char *)workspace + zeros_bytes(p));
    const int64_t width = pixels_width(p), h0 = p0 * g->stride[0] - g->pad[0];
    for (int64_t i = 0; i < pixels_rows(p, p1 - p0); i++) {
        const int64_t h = pad_index(h0 + i, g->H, p->padding_mode);
        pixels_fill_row(p, h < 0 ? NULL : image + h * g->W * g->C, g->C, zeros, table + i * width);
    }
    const int64_t common = common_divisor(g->stride[1], g->dilation[1]);
    strip of = {.step = g->dilation[1] / common};
    work shared = {.row_step = g->dilation[0] * width, .stream_step = g->stride[0] * width, .unit = g->dilation[1],
                   .stride = g->stride[1] / common, .R = g->R, .S = g->S, .Cg = l.Cg, .y_row = g->Q * g->K,
                   .y_step = of.step * g->K, .epilogue = &p->epilogue};
    for (of.row = p0; of.row < p1; of.row += of.rows) {
        of.rows = (int)min64(ROWS, p1 - of.row);
        const int64_t to = (n * g->P + of.row) * g->Q * g->K;
        for (int64_t i = at->col0; i < at->col1; i++) {
            const column c = lanes_column(p, &l, packed, i);
            run_rows(p, &c, tile_for(&l), of, &shared, table + (of.row - p0) * g->stride[0] * width,
                     t->residual ? (const real *)t->residual + to : NULL, (real *)t->y + to);
        }
    }
}

static bool accepts(const void *problem) {
    const conv2d_problem *p = problem;
    return p->groups > 1 || p->g.C == 1;
}

static double cost(const void *problem, int64_t N) {
    const conv2d_problem *p = problem;
    const window *g = &p->g;
    const int64_t Cg = g->C / p->groups, Kg = g->K / p->groups, together = max64(1, NOMINAL_LANES / max64(Cg, Kg));
    const double rate = NOMINAL_FLOPS * (Cg == 1 ? 0.55 : 0.7) * lane_efficiency(together * Kg);
    const double bytes = 4.0 * ((double)N * g->H * g->W * g->C + (double)N * g->P * g->Q * g->K + (double)g->R * g->S * Cg * g->K);
    return cost_max(2 * conv2d_macs(p, N) / rate, bytes / NOMINAL_DRAM);
}

static grain grain_of(const void *problem) {
    const conv2d_problem *p = problem;
    const lanes l = lanes_of(p);
    /* Below 100 ms, and with a table that stays in L2. */
    const int64_t by_time = (int64_t)(1e8 * (double)p->g.P / conv2d_macs(p, 1));
    const int64_t row_bytes = pixels_width(p) * (int64_t)sizeof(pixel);
    const int64_t by_size = (TABLE_BYTES / row_bytes - pixels_rows(p, 1)) / p->g.stride[0] + 1;
    const int64_t rows = max64(1, min64(64, min64(by_time, by_size)));
    return (grain){.columns = lanes_columns(p, &l), .block_rows = rows, .tile_pixels = ROWS * TILE_Q, .tile_channels = LANES,
                   .workspace = size_add(zeros_bytes(p), pixels_bytes(p, rows))};
}

static size_t packed_size(const void *problem) {
    const lanes l = lanes_of(problem);
    return size_mul(size_mul((size_t)lanes_columns(problem, &l), lanes_column_size(problem, &l)), sizeof(real));
}

static void pack(const void *problem, const void *weight, const void *bias, void *packed) {
    lanes_pack(problem, weight, bias, packed);
}

static void run(const void *problem, const void *packed, const tensors *t, tile at, void *workspace) {
    const conv2d_problem *p = problem;
    memset(workspace, 0, zeros_bytes(p));
    for (int64_t row = at.row0, end; row < at.row1; row = end) {
        const int64_t n = row / p->g.P, p0 = row % p->g.P;
        end = min64(at.row1, (n + 1) * p->g.P);
        run_image(p, packed, t, &at, n, p0, p0 + end - row, workspace);
    }
}

const kernel SYMBOL(conv2d_grouped) = {accepts, cost, grain_of, packed_size, pack, run};
#endif
