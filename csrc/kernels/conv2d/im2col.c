/* im2col: the receptive field of each output pixel written out as a row of R*S*C elements, a block of pixels at a
 * time, then the same micro-kernel as direct, with the same chain. Tiles span image rows, so narrow maps fill them. */
#include "common/band.h"
#include "common/cost.h"
#include "panels.h"

#if CNNFAST_REAL

static const int64_t COLUMN_BYTES = 384 * 1024;

/* Elements from one pixel's row to the next: an odd number of cache lines, so that rows spread over the sets of L1. */
static int64_t row_step(const conv2d_problem *p) {
    int64_t line = CACHE_LINE / (int64_t)sizeof(real);
    return (ceil_div(panel_depth(p), line) | 1) * line;
}

static int64_t block_pixels(const conv2d_problem *p) {
    int64_t fit = COLUMN_BYTES / (row_step(p) * (int64_t)sizeof(real));
    return max64(1, fit / TILE_M) * TILE_M;
}

static bool accepts(const void *problem) {
    const conv2d_problem *p = problem;
    return panel_depth(p) <= INT64_C(1) << 24; /* a block of TILE_M rows stays below 2 GB */
}

static double cost(const void *problem, int64_t N) {
    const conv2d_problem *p = problem;
    const window *g = &p->g;
    double pixels = (double)N * g->P * g->Q;
    double rate = NOMINAL_FLOPS * tile_efficiency(N * g->P * g->Q) * lane_efficiency(g->K / p->groups);
    double copied = 8.0 * pixels * panel_depth(p) * p->groups;
    double weights = 4.0 * (double)panel_depth(p) * g->K;
    double bytes = 4.0 * ((double)N * g->H * g->W * g->C + pixels * g->K) + weights;
    return cost_max(2 * conv2d_macs(p, N) / rate, bytes / NOMINAL_DRAM) + far_weights(weights) + copied / NOMINAL_L2;
}

static grain grain_of(const void *problem) {
    const conv2d_problem *p = problem;
    size_t columns = size_mul((size_t)block_pixels(p), size_mul((size_t)row_step(p), sizeof(real)));
    return (grain){.columns = p->groups * panels_per_group(p), .block_rows = max64(1, block_pixels(p) / p->g.Q),
                   .tile_pixels = TILE_M, .tile_channels = TILE_N, .workspace = columns};
}

static size_t packed_size(const void *problem) { return panels_bytes(problem); }

static void pack_columns(const void *problem, const void *weight, const void *bias, void *packed, int64_t col0, int64_t col1) {
    panels_pack(problem, weight, bias, packed, col0, col1);
}

static void pack(const void *problem, const void *weight, const void *bias, void *packed) {
    pack_columns(problem, weight, bias, packed, 0, grain_of(problem).columns);
}

/* The receptive field of output pixel `pixel` of the batch, of one group. */
static void write_row(const conv2d_problem *p, const real *x, int64_t pixel, int64_t group, real *to) {
    const window *g = &p->g;
    const int64_t Cg = g->C / p->groups, q = pixel % g->Q, row = pixel / g->Q;
    const real *image = x + row / g->P * g->H * g->W * g->C + group * Cg;
    const int64_t h0 = row % g->P * g->stride[0] - g->pad[0], w0 = q * g->stride[1] - g->pad[2];
    bool contiguous = g->dilation[1] == 1 && Cg == g->C && w0 >= 0 && w0 + g->S <= g->W;
    for (int64_t r = 0; r < g->R; r++) {
        int64_t h = pad_index(h0 + r * g->dilation[0], g->H, p->padding_mode);
        if (h >= 0 && contiguous) {
            copy_pixel(to, image + (h * g->W + w0) * g->C, g->S * Cg);
            to += g->S * Cg;
            continue;
        }
        for (int64_t s = 0; s < g->S; s++, to += Cg) {
            int64_t w = h < 0 ? -1 : pad_index(w0 + s * g->dilation[1], g->W, p->padding_mode);
            copy_pixel(to, w < 0 ? NULL : image + (h * g->W + w) * g->C, Cg);
        }
    }
}

static void run(const void *problem, const void *packed, const tensors *t, tile at, void *workspace) {
    const conv2d_problem *p = problem;
    const window *g = &p->g;
    const ptrdiff_t start = 0;
    const int64_t step = row_step(p), most = block_pixels(p), last = at.row1 * g->Q;
    const gemm m = {.tap = &start, .taps = 1, .len = panel_depth(p), .x_step = step, .y_step = t->y_step,
                    .far = t->far, .activation = p->epilogue.activation, .alpha = (real)p->epilogue.alpha, .beside = panel_size(p)};
    for (int64_t first = at.row0 * g->Q; first < last; first += most) {
        int64_t pixels = min64(most, last - first), written = -1;
        panel of;
        for (int64_t col = at.col0; col < at.col1; col += panels_in(&of)) {
            of = panels_at(p, packed, col, at.col1, pixels);
            if (of.group != written)
                for (int64_t i = 0; i < pixels; i++)
                    write_row(p, t->x, first + i, of.group, (real *)workspace + i * step);
            written = of.group;
            int64_t to = first * t->y_step + of.k0;
            gemm_row(&m, pixels, of.channels, workspace, of.weight, of.bias,
                     t->residual ? (const real *)t->residual + to : NULL, (real *)t->y + to);
        }
    }
}

const kernel SYMBOL(conv2d_im2col) = {accepts, cost, grain_of, packed_size, pack, run, pack_columns};
#endif
