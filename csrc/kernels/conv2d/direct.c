/* Direct convolution: implicit GEMM over NHWC. The micro-kernel reads the image where it lies, or, where there is
 * padding, a band of it copied with its border into the workspace, once for all output channels. */
#include "common/band.h"
#include "common/cost.h"
#include "common/epilogue.h"
#include "panels.h"

#if CNNFAST_REAL

/* Half of a 1 MB L2; a panel of weights streams through the other. */
static const int64_t BAND_BYTES = 512 * 1024;
/* Of outputs, which the panels write in turn, so that a line meets its neighbours before it leaves L2. */
static const int64_t OUTPUT_BYTES = 1024 * 1024;
/* Of outputs that wait in L1 for a long activation. */
static const int64_t ACTIVATE_BYTES = 8 * 1024;
/* How far ahead pixels that lie one after another are asked for: a tile reads a little of each of its own at a time, in which
 * no hardware sees one stream. */
static const ptrdiff_t PIXELS_AHEAD = 8192 / sizeof(real);
/* A call on one core stays well under 100 ms on any ISA. */
static const double CALL_MACS = 3e8;

/* Rows this long fill their tiles without spanning; and where weights stay close too, their border alone is copied. */
static const int64_t LONG_ROW = 32, NEAR_BYTES = 256 * 1024;

/* Outputs of an axis. */
typedef struct {
    int64_t begin, end;
} range;

/* How a call's band is cut: rows by columns of the output. */
typedef struct {
    bool copied;
    int64_t rows, cols, step; /* step: elements from one pixel of the band to the next */
    range in_rows, in_cols;   /* outputs that read the image where it lies */
} cut;

/* Pixels of a tile that lie a large power of two apart fall into a few sets of L1 (4 KB of 8 ways or more) and evict
 * each other: no more than half of the ways for them. */
static bool aliases(int64_t elements) {
    const int64_t bytes = elements * (int64_t)sizeof(real), spread = bytes & -bytes;
    return spread >= 4096 ? TILE_M > 4 : TILE_M * spread > 8 * 4096;
}

/* The outputs of an axis whose windows meet no padding: n numbers, `taken` of them in a window. */
static range inside(const window *g, int axis, int64_t outputs, int64_t n, int64_t taken) {
    const int64_t pad = g->pad[2 * axis], stride = g->stride[axis], begin = min64(outputs, ceil_div(pad, stride));
    const int64_t last = n + pad - taken;
    return (range){begin, max64(begin, last < 0 ? 0 : min64(outputs, last / stride + 1))};
}

/* Up to where outputs from `at` on are alike: all in the range, or none. */
static int64_t alike(int64_t at, range in, int64_t end) {
    return at < in.begin ? min64(in.begin, end) : at < in.end ? min64(in.end, end) : end;
}

static bool within(int64_t at, range in) { return at >= in.begin && at < in.end; }

static cut cut_band(const conv2d_problem *p) {
    const window *g = &p->g;
    int64_t Cg = g->C / p->groups;
    const bool pointwise = conv2d_pointwise(p), gathered = pointwise && (g->stride[0] > 1 || g->stride[1] > 1);
    const int64_t stride = pointwise ? 1 : g->stride[1]; /* from a tile's pixel to the next, in the band */
    const bool moved = gathered || aliases(stride * g->C);
    cut b = {.copied = moved || conv2d_padded(p)};
    b.step = aliases(stride * Cg) ? Cg + CACHE_LINE / (int64_t)sizeof(real) : Cg;
    int64_t pixels = BAND_BYTES / (b.step * (int64_t)sizeof(real)); /* that fit */
    int64_t tall = (g->R - 1) * g->dilation[0] + 1, wide = (g->S - 1) * g->dilation[1] + 1;
    if (!b.copied || (!moved && g->Q >= LONG_ROW && panels_bytes(p) <= NEAR_BYTES)) {
        b.in_rows = inside(g, 0, g->P, g->H, tall);
        b.in_cols = inside(g, 1, g->Q, g->W, wide);
        if (b.in_cols.begin) b.in_cols.begin = min64(b.in_cols.end, max64(TILE_M, b.in_cols.begin)); /* no tile of a pixel or two */
    }
    if (pointwise) { /* rows of a pixel list: no halo */
        b.cols = g->Q;
        b.rows = max64(1, pixels / g->Q);
    } else {
        b.cols = min64(g->Q, max64(TILE_M, (pixels / tall - wide) / g->stride[1] + 1));
        int64_t band_cols = (b.cols - 1) * g->stride[1] + wide;
        b.rows = max64(1, (pixels / band_cols - tall) / g->stride[0] + 1);
    }
    double row_macs = conv2d_macs(p, 1) / (double)g->P;
    b.rows = max64(1, min64(b.rows, (int64_t)(CALL_MACS / row_macs)));
    if (panels_bytes(p) <= OUTPUT_BYTES) /* weights that stay close may pass more often */
        b.rows = max64(1, min64(b.rows, OUTPUT_BYTES / (g->Q * g->K * (int64_t)sizeof(real))));
    return b;
}

static bool accepts(const void *problem) {
    (void)problem;
    return true;
}

/* A group's channels of a pixel, copied by a call: microseconds. */
static const double PIXEL_COPY = 0.004;

static double cost(const void *problem, int64_t N) {
    const conv2d_problem *p = problem;
    const window *g = &p->g;
    int64_t run = conv2d_pointwise(p) ? N * g->P * g->Q : g->Q;
    double rate = NOMINAL_FLOPS * tile_efficiency(run) * lane_efficiency(g->K / p->groups);
    double weights = 4.0 * (double)panel_depth(p) * g->K;
    double bytes = 4.0 * ((double)N * g->H * g->W * g->C + (double)N * g->P * g->Q * g->K) + weights;
    const double copies = p->groups > 1 && conv2d_padded(p) ? PIXEL_COPY * (double)N * g->H * g->W * p->groups : 0;
    return cost_max(2 * conv2d_macs(p, N) / rate, bytes / NOMINAL_DRAM) + far_weights(weights) + copies;
}

static size_t taps_bytes(const conv2d_problem *p) {
    return size_align(size_mul((size_t)p->g.R * (size_t)p->g.S, sizeof(ptrdiff_t)));
}

static grain grain_of(const void *problem) {
    const conv2d_problem *p = problem;
    const window *g = &p->g;
    cut b = cut_band(p);
    const bool pointwise = conv2d_pointwise(p);
    size_t rows = (size_t)((b.rows - 1) * (pointwise ? 1 : g->stride[0]) + (g->R - 1) * g->dilation[0] + 1);
    size_t cols = (size_t)((b.cols - 1) * (pointwise ? 1 : g->stride[1]) + (g->S - 1) * g->dilation[1] + 1);
    size_t band = b.copied ? size_mul(size_mul(rows, cols), size_mul((size_t)b.step, sizeof(real))) : 0;
    return (grain){.columns = p->groups * panels_per_group(p), .block_rows = b.rows, .tile_pixels = TILE_M,
                   .tile_channels = TILE_N, .streams = epilogue_streams(&p->epilogue, p->g.K / p->groups), .workspace = size_add(taps_bytes(p), band)};
}

static size_t packed_size(const void *problem) { return panels_bytes(problem); }

static void pack_columns(const void *problem, const void *weight, const void *bias, void *packed, int64_t col0, int64_t col1) {
    panels_pack(problem, weight, bias, packed, col0, col1);
}

static void pack(const void *problem, const void *weight, const void *bias, void *packed) {
    pack_columns(problem, weight, bias, packed, 0, grain_of(problem).columns);
}

/* One (image, rows, columns of the output) block of one group's panels. */
typedef struct {
    int64_t n, p0, p1, q0, q1, col0, col1;
    bool copied;
} block;

static gemm describe(const conv2d_problem *p, int64_t row_step, int64_t pixel_step, int64_t y_step, ptrdiff_t *tap) {
    const window *g = &p->g;
    int64_t Cg = g->C / p->groups, i = 0;
    /* (s, c) is one contiguous run where neighbouring pixels' channels are neighbours. */
    bool merged = g->dilation[1] == 1 && pixel_step == Cg;
    for (int64_t r = 0; r < g->R; r++)
        for (int64_t s = 0; s < (merged ? 1 : g->S); s++)
            tap[i++] = r * g->dilation[0] * row_step + s * g->dilation[1] * pixel_step;
    return (gemm){.tap = tap, .taps = i, .len = merged ? g->S * Cg : Cg, .x_step = g->stride[1] * pixel_step,
                  .y_step = y_step, .activation = p->epilogue.activation, .alpha = (real)p->epilogue.alpha};
}

/* Whole rows of the output as one list of pixels, so that narrow maps fill their tiles. */
static void run_spanning(const conv2d_problem *p, const gemm *g, const block *at, const panel *of, const real *x,
                         int64_t row_step, const real *residual, real *y) {
    const int64_t Q = p->g.Q, pixels = (at->p1 - at->p0) * Q, tiles = ceil_div(pixels, TILE_M);
    ptrdiff_t from[TILE_M];
    gemm m = *g;
    m.x_at = from;
    for (int64_t i = 0, begin = 0, end; i < tiles; i++, begin = end) {
        end = pixels * (i + 1) / tiles;
        int64_t row = begin / Q, q = begin % Q;
        for (int64_t j = begin; j < end; j++) {
            from[j - begin] = row * p->g.stride[0] * row_step + q * m.x_step;
            if (++q == Q) q = 0, row++;
        }
        SYMBOL(gemm_tiles)(&m, (int)(end - begin), 1, of->channels, x, of->weight, of->bias,
                          residual ? residual + begin * m.y_step : NULL, y + begin * m.y_step);
    }
}

/* One panel over the block. */
static void run_rows(const conv2d_problem *p, const gemm *g, const block *at, const panel *of, const real *x, int64_t row_step,
                     const tensors *t) {
    const int64_t to = ((at->n * p->g.P + at->p0) * p->g.Q + at->q0) * t->y_step + of->k0;
    const real *residual = t->residual ? (const real *)t->residual + to : NULL;
    real *y = (real *)t->y + to;
    if (TILE_SPANS && p->g.Q < LONG_ROW && at->q1 - at->q0 == p->g.Q) {
        run_spanning(p, g, at, of, x, row_step, residual, y);
        return;
    }
    for (int64_t row = 0; row < at->p1 - at->p0; row++) {
        const int64_t down = row * p->g.Q * t->y_step;
        gemm_row(g, at->q1 - at->q0, of->channels, x + row * p->g.stride[0] * row_step, of->weight, of->bias,
                 residual ? residual + down : NULL, y + down);
    }
}

/* run_rows, but where y has no gaps a long activation comes after some rows together: a short run of it is mostly waiting
 * for its own chain. */
static void run_panel(const conv2d_problem *p, const gemm *g, const block *at, const panel *of, const real *x, int64_t row_step,
                      const tensors *t) {
    const int64_t Q = p->g.Q, K = p->g.K, most = max64(1, ACTIVATE_BYTES / (Q * K * (int64_t)sizeof(real)));
    if (!gemm_activates_after(g) || at->q1 - at->q0 < Q || of->channels < K) {
        run_rows(p, g, at, of, x, row_step, t);
        return;
    }
    gemm bare = *g;
    bare.activation = CNNFAST_NONE;
    block some = *at;
    for (; some.p0 < at->p1; some.p0 = some.p1) {
        some.p1 = min64(at->p1, some.p0 + most);
        run_rows(p, &bare, &some, of, x + (some.p0 - at->p0) * p->g.stride[0] * row_step, row_step, t);
        SYMBOL(gemm_activate)(g, (some.p1 - some.p0) * Q, of->channels, (real *)t->y + (some.n * p->g.P + some.p0) * Q * t->y_step);
    }
}

static void run_block(const conv2d_problem *p, const cut *b, const real *packed, const tensors *t, block at,
                      ptrdiff_t *tap, real *buffer) {
    const window *g = &p->g;
    int64_t Cg = g->C / p->groups;
    const real *image = (const real *)t->x + at.n * g->H * g->W * g->C;
    for (int64_t col = at.col0; col < at.col1;) {
        int64_t group = panel_at(p, packed, col).group;
        int64_t end = min64(at.col1, (group + 1) * panels_per_group(p));
        const int64_t h0 = at.p0 * g->stride[0] - g->pad[0], w0 = at.q0 * g->stride[1] - g->pad[2];
        int64_t row_step = g->W * g->C, pixel_step = g->C;
        const real *x;
        if (at.copied) {
            band r = {.h0 = h0, .w0 = w0, .c0 = group * Cg, .channels = Cg};
            r.h1 = r.h0 + (at.p1 - at.p0 - 1) * g->stride[0] + (g->R - 1) * g->dilation[0] + 1;
            r.w1 = r.w0 + (at.q1 - at.q0 - 1) * g->stride[1] + (g->S - 1) * g->dilation[1] + 1;
            band_copy(g, p->padding_mode, image, r, buffer, b->step);
            x = buffer, pixel_step = b->step, row_step = (r.w1 - r.w0) * b->step;
        } else {
            x = image + h0 * row_step + w0 * pixel_step + group * Cg;
        }
        gemm m = describe(p, row_step, pixel_step, t->y_step, tap);
        m.stream = t->stream && gemm_may_stream(&m, t->y, g->K / p->groups);
        m.far = t->far;
        m.beside = panel_size(p);
        for (panel of; col < end; col += panels_in(&of)) {
            of = panels_at(p, packed, col, end, (at.p1 - at.p0) * (at.q1 - at.q0));
            run_panel(p, &m, &at, &of, x, row_step, t);
        }
    }
}

/* The pixels that a 1x1 convolution of any stride reads, one after another. */
static void gather(const conv2d_problem *p, const real *x, int64_t first, int64_t pixels, int64_t group, real *to, int64_t step) {
    const window *g = &p->g;
    const int64_t Cg = g->C / p->groups;
    int64_t row = first / g->Q, q = first % g->Q;
    for (int64_t i = 0; i < pixels; i++, to += step) {
        const int64_t h = row % g->P * g->stride[0] + row / g->P * g->H;
        copy_pixel(to, x + (h * g->W + q * g->stride[1]) * g->C + group * Cg, Cg);
        if (++q == g->Q) q = 0, row++;
    }
}

/* 1x1, no padding: the batch is one list of pixels, and a tile may span rows and images. */
static void run_pointwise(const conv2d_problem *p, const cut *b, const real *packed, const tensors *t, tile at,
                          ptrdiff_t *tap, real *buffer) {
    const window *g = &p->g;
    int64_t Cg = g->C / p->groups, first = at.row0 * g->Q, pixels = (at.row1 - at.row0) * g->Q;
    for (int64_t col = at.col0; col < at.col1;) {
        const int64_t group = panel_at(p, packed, col).group, end = min64(at.col1, (group + 1) * panels_per_group(p));
        const real *x = (const real *)t->x + first * g->C + group * Cg;
        if (b->copied) gather(p, t->x, first, pixels, group, buffer, b->step), x = buffer;
        gemm m = describe(p, 0, b->copied ? b->step : g->C, t->y_step, tap);
        m.x_step = b->copied ? b->step : g->C;
        m.stream = t->stream && gemm_may_stream(&m, t->y, g->K / p->groups);
        m.far = t->far;
        m.ahead = b->copied || p->groups > 1 ? 0 : PIXELS_AHEAD; /* by the first panel; the others find them in L2 */
        m.beside = panel_size(p);
        for (panel of; col < end; col += panels_in(&of), m.ahead = 0) {
            of = panels_at(p, packed, col, end, pixels);
            const int64_t to = first * t->y_step + of.k0;
            gemm_row(&m, pixels, of.channels, x, of.weight, of.bias, t->residual ? (const real *)t->residual + to : NULL,
                     (real *)t->y + to);
        }
    }
}

static void run(const void *problem, const void *packed, const tensors *t, tile at, void *workspace) {
    const conv2d_problem *p = problem;
    const window *g = &p->g;
    cut b = cut_band(p);
    ptrdiff_t *tap = workspace;
    real *buffer = (real *)((char *)workspace + taps_bytes(p));
    if (conv2d_pointwise(p)) {
        run_pointwise(p, &b, packed, t, at, tap, buffer);
        v_stream_end();
        return;
    }
    for (int64_t row = at.row0; row < at.row1;) {
        block of = {.n = row / g->P, .p0 = row % g->P, .col0 = at.col0, .col1 = at.col1};
        of.p1 = alike(of.p0, b.in_rows, min64(g->P, of.p0 + (at.row1 - row)));
        const range in_cols = within(of.p0, b.in_rows) ? b.in_cols : (range){0, 0};
        for (of.q0 = 0; of.q0 < g->Q; of.q0 = of.q1) {
            of.q1 = alike(of.q0, in_cols, min64(g->Q, of.q0 + b.cols));
            of.copied = !within(of.q0, in_cols);
            run_block(p, &b, packed, t, of, tap, buffer);
        }
        row += of.p1 - of.p0;
    }
    v_stream_end();
}

const kernel SYMBOL(conv2d_direct) = {accepts, cost, grain_of, packed_size, pack, run, pack_columns};
#endif
