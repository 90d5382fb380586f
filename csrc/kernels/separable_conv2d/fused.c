/* Depthwise, then pointwise, through a buffer of a few rows that stays in L2: the intermediate image is never whole.
 * The bits are those of the two convolutions one after the other. */
#include "common/cost.h"
#include "conv2d/depthwise.h"
#include "conv2d/panels.h"
#include "separable_conv2d/problem.h"

#if CNNFAST_REAL

static const int64_t BUFFER_BYTES = 256 * 1024;

/* Elements from one pixel of the buffer to the next: whole vectors, and off the 2 KB grid (see direct.c). */
static int64_t pixel_step(const separable_problem *p) {
    int64_t line = CACHE_LINE / (int64_t)sizeof(real);
    return (ceil_div(p->pointwise.g.C, line) | 1) * line;
}

static bool accepts(const void *problem) {
    (void)problem;
    return true;
}

static double macs(const separable_problem *p, int64_t N) { return conv2d_macs(&p->depthwise, N) + conv2d_macs(&p->pointwise, N); }

static double cost(const void *problem, int64_t N) {
    const separable_problem *p = problem;
    const window *in = &p->depthwise.g, *out = &p->pointwise.g;
    double bytes = 4.0 * N * ((double)in->H * in->W * in->C + (double)out->P * out->Q * out->K);
    double compute = conv2d_macs(&p->depthwise, N) / 0.6 + conv2d_macs(&p->pointwise, N) / lane_efficiency(out->K);
    return cost_max(2 * compute / NOMINAL_FLOPS, bytes / NOMINAL_DRAM);
}

static size_t depthwise_packed(const separable_problem *p) {
    return size_align(SYMBOL(depthwise_packed_size)(&p->depthwise));
}

static size_t packed_size(const void *problem) {
    const separable_problem *p = problem;
    return size_add(depthwise_packed(p), panels_bytes(&p->pointwise));
}

static void pack(const void *problem, const void *weight, const void *bias, void *packed) {
    (void)bias;
    const separable_problem *p = problem;
    const separable_weights *w = weight;
    SYMBOL(depthwise_pack)(&p->depthwise, w->depthwise, w->depthwise_bias, packed);
    panels_pack(&p->pointwise, w->pointwise, w->bias, (real *)((char *)packed + depthwise_packed(p)), 0, panels_per_group(&p->pointwise));
}

static int64_t block_rows(const separable_problem *p) {
    const window *g = &p->pointwise.g;
    int64_t fit = BUFFER_BYTES / (g->Q * pixel_step(p) * (int64_t)sizeof(real));
    int64_t by_time = (int64_t)(1e8 * (double)g->P / macs(p, 1));
    return max64(1, min64(fit, by_time));
}

static size_t buffer_bytes(const separable_problem *p) {
    size_t pixels = size_mul((size_t)block_rows(p), (size_t)p->pointwise.g.Q);
    return size_align(size_mul(pixels, size_mul((size_t)pixel_step(p), sizeof(real))));
}

static grain grain_of(const void *problem) {
    const separable_problem *p = problem;
    int64_t rows = block_rows(p);
    return (grain){.columns = panels_per_group(&p->pointwise), .block_rows = rows, .tile_pixels = TILE_M,
                   .tile_channels = TILE_N,
                   .workspace = size_add(buffer_bytes(p), SYMBOL(depthwise_workspace)(&p->depthwise, rows))};
}

static void run(const void *problem, const void *packed, const tensors *t, tile at, void *workspace) {
    const separable_problem *p = problem;
    const window *in = &p->depthwise.g, *out = &p->pointwise.g;
    const real *panels = (const real *)((const char *)packed + depthwise_packed(p));
    const ptrdiff_t start = 0;
    const gemm m = {.tap = &start, .taps = 1, .len = out->C, .x_step = pixel_step(p), .y_step = t->y_step, .far = t->far,
                    .activation = p->pointwise.epilogue.activation, .alpha = (real)p->pointwise.epilogue.alpha, .beside = panel_size(&p->pointwise)};
    for (int64_t row = at.row0, rows; row < at.row1; row += rows) {
        depthwise_rows d = {.p0 = row % out->P, .k1 = out->C, .y_step = pixel_step(p), .y = workspace, .far = t->far,
                            .image = (const real *)t->x + row / out->P * in->H * in->W * in->C};
        rows = min64(out->P - d.p0, at.row1 - row);
        d.p1 = d.p0 + rows;
        SYMBOL(depthwise_run)(&p->depthwise, packed, &d, (char *)workspace + buffer_bytes(p));
        panel of;
        for (int64_t col = at.col0; col < at.col1; col += panels_in(&of)) {
            of = panels_at(&p->pointwise, panels, col, at.col1, rows * out->Q);
            int64_t to = row * out->Q * t->y_step + of.k0;
            gemm_row(&m, rows * out->Q, of.channels, workspace, of.weight, of.bias,
                     t->residual ? (const real *)t->residual + to : NULL, (real *)t->y + to);
        }
    }
}

const kernel SYMBOL(separable_conv2d_fused) = {accepts, cost, grain_of, packed_size, pack, run};
#endif
