/* Transposed convolution by phases: the outputs whose p + pad is a mod stride use the same taps, so each of the
 * stride^2 phases is a small stride-1 convolution whose outputs are stored stride apart. A band of the input is copied
 * with zeros around it, so that every tap of a phase has an input.
 */
#include "common/band.h"
#include "common/cost.h"
#include "common/epilogue.h"
#include "common/gemm.h"
#include "conv2d/panels.h"
#include "conv_transpose2d/problem.h"

#if CNNFAST_REAL

static const int64_t BAND_BYTES = 384 * 1024;
/* Of outputs, which panels and phases write in turn, so that a line meets its neighbours before it leaves L2; but weights
 * that do not stay in L2 should pass seldom. */
static const int64_t OUTPUT_BYTES = 256 * 1024;
static const size_t WEIGHT_BYTES = 256 * 1024;

/* One axis: tap i belongs to the phase i*dilation mod stride. */
typedef struct {
    int64_t taps, dilation, stride;
} axis;

static axis axis_of(const conv2d_problem *p, int i) {
    return (axis){i ? p->g.S : p->g.R, p->g.dilation[i], p->g.stride[i]};
}

static int64_t phase_of(axis a, int64_t tap) { return tap * a.dilation % a.stride; }

/* Taps of this phase among the first `before`, and taps of lower phases among all. */
static int64_t taps_in(axis a, int64_t phase, int64_t before) {
    int64_t n = 0;
    for (int64_t i = 0; i < before; i++) n += phase_of(a, i) == phase;
    return n;
}
static int64_t taps_below(axis a, int64_t phase) {
    int64_t n = 0;
    for (int64_t i = 0; i < a.taps; i++) n += phase_of(a, i) < phase;
    return n;
}

/* Packed: conv2d's panels, whose taps are those of each row phase and column phase in turn, a phase's as [r][s][C/groups][TILE_N]. */

/* Elements from a panel's weights to those of a phase. */
static int64_t phase_offset(const conv2d_problem *p, int64_t a, int64_t b) {
    axis rows = axis_of(p, 0), cols = axis_of(p, 1);
    int64_t taps = taps_below(rows, a) * cols.taps + taps_in(rows, a, rows.taps) * taps_below(cols, b);
    return taps * (p->g.C / p->groups) * TILE_N;
}

static bool accepts(const void *problem) { return ((const conv_transpose2d_problem *)problem)->finite; }

static double cost(const void *problem, int64_t N) {
    const conv_transpose2d_problem *t = problem;
    const window *g = &t->conv.g;
    double rate = NOMINAL_FLOPS * tile_efficiency(ceil_div(g->Q, g->stride[1])) * lane_efficiency(g->K / t->conv.groups);
    double bytes = 4.0 * ((double)N * g->H * g->W * g->C + (double)N * g->P * g->Q * g->K + (double)g->R * g->S * g->C * g->K);
    return cost_max(2 * conv_transpose2d_macs(t, N) / rate, bytes / NOMINAL_DRAM);
}

static size_t packed_size(const void *problem) {
    return panels_bytes(&((const conv_transpose2d_problem *)problem)->conv);
}

static void pack_columns(const void *problem, const void *weight, const void *bias, void *packed, int64_t col0, int64_t col1) {
    const conv2d_problem *p = &((const conv_transpose2d_problem *)problem)->conv;
    const int64_t Cg = p->g.C / p->groups, Kg = p->g.K / p->groups;
    const axis rows = axis_of(p, 0), cols = axis_of(p, 1);
    for (int64_t column = col0; column < col1; column++) {
        const int64_t group = column / panels_per_group(p), k0 = column % panels_per_group(p) * TILE_N, channels = min64(TILE_N, Kg - k0);
        real *at = (real *)packed + column * panel_size(p);
        memset(at, 0, (size_t)(channels < TILE_N ? panel_size(p) : TILE_N) * sizeof *at);
        if (bias) memcpy(at, (const real *)bias + group * Kg + k0, (size_t)channels * sizeof *at);
        for (int64_t c0 = 0; c0 < Cg; c0 += PACK_CHANNELS)
            for (int64_t r = 0; r < rows.taps; r++)
                for (int64_t s = 0; s < cols.taps; s++) {
                    const int64_t a = phase_of(rows, r), b = phase_of(cols, s);
                    const int64_t tap = taps_in(rows, a, r) * taps_in(cols, b, cols.taps) + taps_in(cols, b, s);
                    const real *from = (const real *)weight + r * p->step_r + s * p->step_s + (group * Cg + c0) * p->step_c + k0 * p->step_k;
                    pack_tap(from, p->step_c, p->step_k, min64(PACK_CHANNELS, Cg - c0), channels,
                             at + TILE_N + phase_offset(p, a, b) + (tap * Cg + c0) * TILE_N);
                }
    }
}

static void pack(const void *problem, const void *weight, const void *bias, void *packed) {
    const conv2d_problem *p = &((const conv_transpose2d_problem *)problem)->conv;
    pack_columns(problem, weight, bias, packed, 0, p->groups * panels_per_group(p));
}

/* Input rows (axis 0) or columns (axis 1) that outputs [begin, end) may read; beyond the image they are zeros. */
static void input_range(const conv2d_problem *p, int i, int64_t begin, int64_t end, int64_t *first, int64_t *past) {
    axis a = axis_of(p, i);
    *first = floor_div(begin + p->g.pad[2 * i] - (a.taps - 1) * a.dilation, a.stride);
    *past = (end - 1 + p->g.pad[2 * i]) / a.stride + 1;
}

static int64_t pixel_step(const conv2d_problem *p) {
    const int64_t Cg = p->g.C / p->groups; /* as in direct.c: rows of a tile must not share a set of L1 */
    return Cg * (int64_t)sizeof(real) % 2048 ? Cg : Cg + CACHE_LINE / (int64_t)sizeof(real);
}

static size_t band_bytes(const conv2d_problem *p, int64_t rows) {
    const int64_t tall = (rows + (p->g.R - 1) * p->g.dilation[0]) / p->g.stride[0] + 2;
    const int64_t wide = (p->g.Q + (p->g.S - 1) * p->g.dilation[1]) / p->g.stride[1] + 2;
    return size_mul(size_mul((size_t)tall, (size_t)wide), size_mul((size_t)pixel_step(p), sizeof(real)));
}

static size_t taps_bytes(const conv2d_problem *p) {
    return size_align(size_mul((size_t)p->g.R * (size_t)p->g.S, sizeof(ptrdiff_t)));
}

static grain grain_of(const void *problem) {
    const conv_transpose2d_problem *t = problem;
    const conv2d_problem *p = &t->conv;
    int64_t rows = p->g.P, by_time = max64(1, (int64_t)(3e8 * (double)p->g.P / conv_transpose2d_macs(t, 1)));
    while (rows > 1 && band_bytes(p, rows) > (size_t)BAND_BYTES) rows = (rows + 1) / 2;
    rows = min64(rows, by_time);
    if (packed_size(problem) <= WEIGHT_BYTES) rows = min64(rows, max64(p->g.stride[0], OUTPUT_BYTES / (p->g.Q * p->g.K * (int64_t)sizeof(real))));
    return (grain){.columns = p->groups * panels_per_group(p), .block_rows = rows, .tile_pixels = TILE_M, .tile_channels = TILE_N,
                   .streams = epilogue_streams(&p->epilogue, p->g.K / p->groups), .workspace = size_add(taps_bytes(p), band_bytes(p, rows))};
}

/* Where a call's band lies. */
typedef struct {
    int64_t h0, w0, row_step, step;
    const real *x;
    bool far, stream;
} band_at;

/* All outputs of row `row` in the column phase of output q0, for one panel. */
static void run_phase(const conv2d_problem *p, const band_at *b, const real *at, int64_t row, int64_t q0, int channels,
                      const real *residual, real *y, int64_t y_step, ptrdiff_t *tap) {
    const window *g = &p->g;
    const axis rows = axis_of(p, 0), cols = axis_of(p, 1);
    const int64_t a = (row + g->pad[0]) % rows.stride, c = (q0 + g->pad[2]) % cols.stride;
    int64_t taps = 0;
    for (int64_t r = 0; r < rows.taps; r++)
        for (int64_t s = 0; phase_of(rows, r) == a && s < cols.taps; s++)
            if (phase_of(cols, s) == c)
                tap[taps++] = -(r * rows.dilation - a) / rows.stride * b->row_step - (s * cols.dilation - c) / cols.stride * b->step;
    gemm m = {.tap = tap, .taps = taps, .len = g->C / p->groups, .x_step = b->step, .y_step = cols.stride * y_step,
              .activation = p->epilogue.activation, .alpha = (real)p->epilogue.alpha};
    m.stream = b->stream && gemm_may_stream(&m, y + q0 * y_step, g->K / p->groups);
    m.far = b->far;
    const real *x = b->x + ((row + g->pad[0]) / rows.stride - b->h0) * b->row_step +
                    ((q0 + g->pad[2]) / cols.stride - b->w0) * b->step;
    gemm_row(&m, ceil_div(g->Q - q0, cols.stride), channels, x, at + TILE_N + phase_offset(p, a, c), at,
             residual ? residual + q0 * y_step : NULL, y + q0 * y_step);
}

static void run_image(const conv2d_problem *p, const real *packed, const tensors *t, int64_t n, int64_t p0, int64_t p1,
                      tile at, void *workspace) {
    const window *g = &p->g;
    const int64_t Cg = g->C / p->groups, Kg = g->K / p->groups;
    band from = {.channels = Cg};
    input_range(p, 0, p0, p1, &from.h0, &from.h1);
    input_range(p, 1, 0, g->Q, &from.w0, &from.w1);
    real *copy = (real *)((char *)workspace + taps_bytes(p));
    const band_at b = {from.h0, from.w0, (from.w1 - from.w0) * pixel_step(p), pixel_step(p), copy, t->far, t->stream};
    int64_t copied = -1;
    for (int64_t col = at.col0; col < at.col1; col++) {
        const int64_t group = col / panels_per_group(p), k0 = col % panels_per_group(p) * TILE_N;
        from.c0 = group * Cg;
        if (group != copied)
            band_copy(g, CNNFAST_ZEROS, (const real *)t->x + n * g->H * g->W * g->C, from, copy, b.step);
        copied = group;
        for (int64_t row = p0; row < p1; row++) {
            const int64_t to = (n * g->P + row) * g->Q * t->y_step + group * Kg + k0;
            for (int64_t q0 = 0; q0 < min64(g->stride[1], g->Q); q0++)
                run_phase(p, &b, packed + col * panel_size(p), row, q0, (int)min64(TILE_N, Kg - k0),
                          t->residual ? (const real *)t->residual + to : NULL, (real *)t->y + to, t->y_step, workspace);
        }
    }
}

static void run(const void *problem, const void *packed, const tensors *t, tile at, void *workspace) {
    const conv2d_problem *p = &((const conv_transpose2d_problem *)problem)->conv;
    for (int64_t row = at.row0, rows; row < at.row1; row += rows) {
        const int64_t p0 = row % p->g.P;
        rows = min64(p->g.P - p0, at.row1 - row);
        run_image(p, packed, t, row / p->g.P, p0, p0 + rows, at, workspace);
    }
    v_stream_end();
}

const kernel SYMBOL(conv_transpose2d_phases) = {accepts, cost, grain_of, packed_size, pack, run, pack_columns};
#endif
