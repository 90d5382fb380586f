/* Groups of few channels, and a depth multiplier: vectors run across groups.
 *
 * Lane l of a vector belongs to some group, and for that group's j-th channel it wants x[group * Cg + j]: one load of
 * channels as they lie, then a pick of lanes a j. A table of pixels says where each column of the padded image lies.
 */
#include "common/cost.h"
#include "pixels.h"

#if CNNFAST_REAL
#include "grouped_tile.h"

/* Skipping so many columns of padding pays for the additions that stand for them. */
enum { LEAST_SKIP = 4 };
static const int64_t TABLE_BYTES = 128 * 1024;

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
TILES(picked_1, PICKED, 1)
TILES(picked_4, PICKED, 4)
TILES(picked, PICKED, 0)
TILES(spread, SPREAD, 0)

typedef void tile_run(int rows, int tq, const work *);
static tile_run *tile_for(const lanes *l) {
    switch (l->source) {
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
static void skip_rows(const conv2d_problem *p, const strip *at, work *k) {
    const window *g = &p->g;
    k->r0 = 0, k->r1 = g->R;
    if (p->padding_mode != CNNFAST_ZEROS) return;
    const int64_t h = at->row * g->stride[0] - g->pad[0];
    k->r0 = first_inside(h + (at->rows - 1) * g->stride[0], g->dilation[0], g->R);
    k->r1 = max64(k->r0, end_inside(h, g->dilation[0], g->R, g->H));
}

static void skip_columns(const conv2d_problem *p, const strip *at, work *k) {
    const window *g = &p->g;
    k->s0 = 0, k->s1 = g->S;
    if (p->padding_mode != CNNFAST_ZEROS || g->S <= LEAST_SKIP) return;
    const int64_t w = at->q * g->stride[1] - g->pad[2];
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
    skip_rows(p, &of, &k);
    for (int64_t phase = 0; phase < of.step; phase++) {
        const int64_t outputs = ceil_div(g->Q - phase, of.step);
        for (int64_t i = 0; i < outputs; i += of.count) {
            of.count = i + TILE_Q <= outputs ? TILE_Q : 1;
            if (of.count == 1 && outputs - i > 1 && outputs >= TILE_Q && residual != y) i = outputs - TILE_Q, of.count = TILE_Q;
            of.q = phase + i * of.step;
            skip_columns(p, &of, &k);
            k.at = table + of.q * g->stride[1];
            k.y = y + of.q * k.pixel + c->k0;
            k.residual = residual ? residual + of.q * k.pixel + c->k0 : NULL;
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
        pixels_fill_row(p, h < 0 ? NULL : image + h * g->W * g->C, g->C, zeros, 1, table + i * width);
    }
    const int64_t common = common_divisor(g->stride[1], g->dilation[1]);
    strip of = {.step = g->dilation[1] / common};
    work shared = {.row_step = g->dilation[0] * width, .stream_step = g->stride[0] * width, .unit = g->dilation[1],
                   .stride = g->stride[1] / common, .R = g->R, .S = g->S, .Cg = l.Cg, .pixel = t->y_step, .y_row = g->Q * t->y_step,
                   .y_step = of.step * t->y_step, .epilogue = &p->epilogue};
    for (of.row = p0; of.row < p1; of.row += of.rows) {
        of.rows = (int)min64(ROWS, p1 - of.row);
        const int64_t to = (n * g->P + of.row) * g->Q * t->y_step;
        for (int64_t i = at->col0; i < at->col1; i++) {
            const column c = lanes_column(p, &l, packed, i);
            run_rows(p, &c, tile_for(&l), of, &shared, table + (of.row - p0) * g->stride[0] * width,
                     t->residual ? (const real *)t->residual + to : NULL, (real *)t->y + to);
        }
    }
}

static bool accepts(const void *problem) {
    const conv2d_problem *p = problem;
    return (p->groups > 1 || p->g.C == 1) && p->g.C + p->g.K > 2 * p->groups; /* one to one is depthwise's */
}

static double cost(const void *problem, int64_t N) {
    const conv2d_problem *p = problem;
    const window *g = &p->g;
    const int64_t Cg = g->C / p->groups, Kg = g->K / p->groups, together = max64(1, min64(p->groups, NOMINAL_LANES / max64(Cg, Kg)));
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
