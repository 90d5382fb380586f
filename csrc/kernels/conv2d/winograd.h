/* Winograd convolution, stride 1, fused: a block of tiles goes from x to y without leaving the caches.
 *
 *     V[f][tile][c]   the input tiles, transformed: one matrix for each of the F products of a tile
 *     M[tile][f][k]   V[f] times the transformed weights, for one panel of output channels: F small GEMMs
 *     y               M transformed back, with bias, residual and activation
 *
 * Tiles are anchored at the output's origin and each is computed alone, so that neither threads nor blocks nor the batch
 * change a bit. A dilation of d makes d^2 interleaved images ("phases"), each a problem of dilation 1.
 *
 * Every function here is given the tile's two axes as constants; a row of the table calls them with its own. */
#ifndef CNNFAST_WINOGRAD_H
#define CNNFAST_WINOGRAD_H

#include "activation.h"
#include "common/band.h"
#include "common/cost.h"
#include "common/epilogue.h"
#include "panels.h"
#include "winograd_transform.h"

#define OUTPUT_ROWS 2 /* of a tile, that are transformed back at a time: what the registers hold */
#define MOST_VALUES (MOST_PRODUCTS * MOST_PRODUCTS)

typedef struct {
    axis h, w;
} tiling;

INLINE int tile_values(tiling of) { return products(of.h) * products(of.w); }

/* A problem's tiles, in the order they are counted: image, phase, row, column. */
typedef struct {
    int64_t down, across; /* tiles of a phase */
    int64_t image;        /* tiles of an image */
} tile_grid;

INLINE tile_grid grid_of(const conv2d_problem *p, int m_h, int m_w) {
    const window *g = &p->g;
    tile_grid t = {.down = ceil_div(ceil_div(g->P, g->dilation[0]), m_h), .across = ceil_div(ceil_div(g->Q, g->dilation[1]), m_w)};
    t.image = t.down * t.across * min64(g->dilation[0], g->P) * min64(g->dilation[1], g->Q);
    return t;
}

/* Where a tile's outputs begin: dilation lies between one and the next. */
typedef struct {
    int64_t n, p, q;
} origin;

INLINE origin origin_of(const conv2d_problem *p, const tile_grid *t, int m_h, int m_w, int64_t tile) {
    const int64_t in_phase = tile % (t->down * t->across), phase = tile % t->image / (t->down * t->across);
    const int64_t phases = min64(p->g.dilation[1], p->g.Q);
    return (origin){.n = tile / t->image,
                    .p = phase / phases + in_phase / t->across * m_h * p->g.dilation[0],
                    .q = phase % phases + in_phase % t->across * m_w * p->g.dilation[1]};
}

/* How the workspace lies: zeros, V, M. Counts are elements. */
typedef struct {
    int64_t zeros, pixel, product, tile; /* pixel: from one tile of V[f] to the next; product: from V[f] to V[f + 1] */
    int64_t block;                       /* tiles */
} blocking;

static const int64_t LINE = CACHE_LINE / (int64_t)sizeof(real);
/* V shares a 1 MB L2 with the panel of weights that streams through it; but weights that stream from farther away are worth
 * two tiles of the micro-kernel, even where V itself then comes from L3. */
static const int64_t V_BYTES = 512 * 1024;
static const int64_t LEAST_BLOCK = 2 * NOMINAL_TILE_PIXELS, MOST_BLOCK = 4 * NOMINAL_TILE_PIXELS;

INLINE blocking blocking_of(const conv2d_problem *p, int values) {
    const int64_t Cg = ceil_div(p->g.C / p->groups, LINE) * LINE, size = (int64_t)sizeof(real);
    blocking b = {.zeros = max64(Cg, TILE_N), .pixel = Cg, .tile = values * TILE_N + LINE};
    if (b.pixel * size % 2048 == 0) b.pixel += LINE; /* or a tile's pixels share a few sets of L1 */
    const int64_t fit = V_BYTES / (values * b.pixel * size) / TILE_M * TILE_M;
    b.block = min64(MOST_BLOCK, max64(fit, LEAST_BLOCK));
    b.product = b.block * b.pixel;
    if (b.product / LINE % 2 == 0) b.product += LINE;
    return b;
}

INLINE size_t workspace_of(const blocking *b, int values) {
    const size_t V = size_mul((size_t)values, (size_t)b->product), M = size_mul((size_t)b->block, (size_t)b->tile);
    return size_mul(size_add((size_t)b->zeros, size_add(V, M)), sizeof(real));
}

/* The pixels a tile reads, row by row. */
INLINE void find_pixels(tiling of, const conv2d_problem *p, origin at, const real *x, const real *zeros, const real **to) {
    const window *g = &p->g;
    int64_t row[MOST_PRODUCTS], col[MOST_PRODUCTS];
    for (int i = 0; i < products(of.h); i++) {
        const int64_t h = at.p + i * g->dilation[0] - g->pad[0];
        row[i] = h < g->H + g->pad[1] ? pad_index(h, g->H, p->padding_mode) : -1;
    }
    for (int i = 0; i < products(of.w); i++) {
        const int64_t w = at.q + i * g->dilation[1] - g->pad[2];
        col[i] = w < g->W + g->pad[3] ? pad_index(w, g->W, p->padding_mode) : -1;
    }
    x += at.n * g->H * g->W * g->C;
    for (int i = 0; i < products(of.h); i++)
        for (int j = 0; j < products(of.w); j++)
            *to++ = row[i] < 0 || col[j] < 0 ? zeros : x + (row[i] * g->W + col[j]) * g->C;
}

/* One vector of channels: B^T x B. Reading the pixels again for each part costs less than keeping what all parts need. */
INLINE void input_vector(tiling of, const real *const *pixel, int64_t c, int lanes, real *V, int64_t product) {
#pragma GCC unroll 4
    for (int part = 0; part < parts(of.h); part++) {
        vec half[MOST_PRODUCTS][MOST_PRODUCTS];
#pragma GCC unroll 8
        for (int j = 0; j < products(of.w); j++) {
            vec column[MOST_PRODUCTS], to[MOST_PRODUCTS];
#pragma GCC unroll 8
            for (int i = 0; i < products(of.h); i++) {
                const real *from = pixel[i * products(of.w) + j] + c;
                column[i] = lanes == LANES ? v_load(from) : v_load_n(from, lanes);
            }
            input_part(of.h, part, column, to);
#pragma GCC unroll 8
            for (int i = part_begin(part); i < part_end(of.h, part); i++) half[i][j] = to[i];
        }
#pragma GCC unroll 8
        for (int i = part_begin(part); i < part_end(of.h, part); i++) {
            vec to[MOST_PRODUCTS];
            input_transform(of.w, half[i], to);
#pragma GCC unroll 8
            for (int j = 0; j < products(of.w); j++) v_store(V + (i * products(of.w) + j) * product, to[j]);
        }
        __asm__("" ::: "memory"); /* or the compiler merges the parts' loads, and keeps them all */
    }
}

INLINE void input_tile(tiling of, const real *const *pixel, int64_t channels, real *V, int64_t product) {
    int64_t c = 0;
    for (; c + LANES <= channels; c += LANES) input_vector(of, pixel, c, LANES, V + c, product);
    if (c < channels) input_vector(of, pixel, c, (int)(channels - c), V + c, product);
}

/* Where a tile's outputs go. */
typedef struct {
    int rows, cols;    /* of the tile's m x m, that exist */
    int64_t down, across; /* elements from an output to the one below, and beside */
    const real *residual;
    real *y;
} outputs;

/* One vector of output channels: A^T M A + bias + residual, and the activations that are one instruction. */
INLINE void output_vector(tiling of, const real *M, vec bias, cnnfast_activation activation, const outputs *to, int64_t k, int lanes) {
#pragma GCC unroll 4
    for (int begin = 0; begin < of.h.m; begin += OUTPUT_ROWS) {
        const int end = begin + OUTPUT_ROWS < of.h.m ? begin + OUTPUT_ROWS : of.h.m;
        if (begin >= to->rows) return;
        vec half[MOST_PRODUCTS][MOST_PRODUCTS];
#pragma GCC unroll 8
        for (int j = 0; j < products(of.w); j++) {
            vec column[MOST_PRODUCTS], sum[MOST_PRODUCTS];
#pragma GCC unroll 8
            for (int i = 0; i < products(of.h); i++) column[i] = v_load(M + (i * products(of.w) + j) * TILE_N);
            output_part(of.h, begin, end, column, sum);
#pragma GCC unroll 8
            for (int i = begin; i < end; i++) half[i][j] = sum[i];
        }
#pragma GCC unroll 8
        for (int i = begin; i < end; i++) {
            if (i >= to->rows) return;
            vec sum[MOST_PRODUCTS];
            output_part(of.w, 0, of.w.m, half[i], sum);
#pragma GCC unroll 8
            for (int j = 0; j < of.w.m; j++) {
                if (j >= to->cols) break;
                const int64_t at = i * to->down + j * to->across + k;
                vec v = sum[j] + bias;
                if (to->residual) v += lanes == LANES ? v_load(to->residual + at) : v_load_n(to->residual + at, lanes);
                if (activation == CNNFAST_RELU || activation == CNNFAST_RELU6) v = v_at_least(v, v_splat(0));
                if (activation == CNNFAST_RELU6) v = v_at_most(v, v_splat(6));
                if (lanes == LANES) v_store(to->y + at, v);
                else v_store_n(to->y + at, v, lanes);
            }
        }
    }
}

INLINE void output_tile(tiling of, const conv2d_problem *p, const panel *at, const real *M, const outputs *to) {
    const epilogue *e = &p->epilogue;
    int k = 0;
    for (; k + LANES <= at->channels; k += LANES)
        output_vector(of, M + k, v_load(at->bias + k), e->activation, to, k, LANES);
    if (k < at->channels) output_vector(of, M + k, v_load(at->bias + k), e->activation, to, k, at->channels - k);
    if (e->activation <= CNNFAST_RELU6) return;
    for (int i = 0; i < to->rows; i++)
        for (int j = 0; j < to->cols; j++) epilogue_run(e, to->y + i * to->down + j * to->across, at->channels);
}

/* The weights of a panel: TILE_N biases, then [f][C/groups][TILE_N]. */
INLINE panel winograd_panel(const conv2d_problem *p, const real *packed, int64_t column, int values) {
    panel at = panel_at(p, packed, column);
    at.bias = packed + column * (1 + values * (p->g.C / p->groups)) * TILE_N;
    at.weight = at.bias + TILE_N;
    return at;
}

INLINE size_t winograd_bytes(const conv2d_problem *p, int values) {
    const size_t rows = size_add(1, size_mul((size_t)values, (size_t)(p->g.C / p->groups)));
    return size_mul(size_mul((size_t)(p->groups * panels_per_group(p)), rows), TILE_N * sizeof(real));
}

/* A block of tiles for one panel. */
INLINE void run_panel(tiling of, const conv2d_problem *p, const tile_grid *t, const blocking *b, const panel *at, int64_t first,
                      int64_t tiles, const real *zeros, const real *V, real *M, const tensors *io) {
    const window *g = &p->g;
    const int64_t Cg = g->C / p->groups, dh = g->dilation[0], dw = g->dilation[1];
    static const ptrdiff_t tap[1] = {0};
    const gemm m = {.tap = tap, .taps = 1, .len = Cg, .x_step = b->pixel, .y_step = b->tile};
    const int whole = (int)ceil_div(at->channels, LANES) * LANES; /* M has room for all lanes of the last vector */
    for (int f = 0; f < tile_values(of); f++)
        gemm_row(&m, tiles, whole, V + f * b->product, at->weight + f * Cg * TILE_N, zeros, NULL, M + f * TILE_N);
    for (int64_t i = 0; i < tiles; i++, M += b->tile) {
        const origin o = origin_of(p, t, of.h.m, of.w.m, first + i);
        const int64_t to = ((o.n * g->P + o.p) * g->Q + o.q) * g->K + at->k0;
        const outputs y = {.rows = (int)max64(0, min64(of.h.m, ceil_div(g->P - o.p, dh))),
                           .cols = (int)max64(0, min64(of.w.m, ceil_div(g->Q - o.q, dw))),
                           .down = dh * g->Q * g->K, .across = dw * g->K,
                           .residual = io->residual ? (const real *)io->residual + to : NULL, .y = (real *)io->y + to};
        output_tile(of, p, at, M, &y);
    }
}

/* Tiles [row0, row1) of the batch, a block of them at a time. */
INLINE void winograd_run(tiling of, const conv2d_problem *p, const real *packed, const tensors *io, tile at, real *workspace) {
    const int64_t Cg = p->g.C / p->groups, per_group = panels_per_group(p);
    const tile_grid t = grid_of(p, of.h.m, of.w.m);
    const blocking b = blocking_of(p, tile_values(of));
    real *zeros = workspace, *V = zeros + b.zeros, *M = V + tile_values(of) * b.product;
    memset(zeros, 0, (size_t)b.zeros * sizeof *zeros); /* of pixels, and of the GEMMs' bias */
    for (int64_t first = at.row0; first < at.row1; first += b.block) {
        const int64_t tiles = min64(b.block, at.row1 - first);
        for (int64_t col = at.col0; col < at.col1;) {
            const int64_t group = col / per_group, end = min64(at.col1, (group + 1) * per_group);
            for (int64_t i = 0; i < tiles; i++) {
                const real *pixel[MOST_VALUES];
                find_pixels(of, p, origin_of(p, &t, of.h.m, of.w.m, first + i), (const real *)io->x + group * Cg, zeros, pixel);
                input_tile(of, pixel, Cg, V + i * b.pixel, b.product);
            }
            for (; col < end; col++) {
                const panel of_column = winograd_panel(p, packed, col, tile_values(of));
                run_panel(of, p, &t, &b, &of_column, first, tiles, zeros, V, M, io);
            }
        }
    }
}

/* Weights are transformed in double: G w G^T, rounded once. */
INLINE void winograd_pack(tiling of, const conv2d_problem *p, const real *weight, const real *bias, real *packed) {
    enum { AT_ONCE = TILE_N < 8 ? TILE_N : 8 };
    const int64_t Cg = p->g.C / p->groups, columns = p->groups * panels_per_group(p);
    const int R = of.h.r, S = of.w.r, F_h = products(of.h), F_w = products(of.w);
    double G_h[MOST_PRODUCTS][MOST_PRODUCTS], G_w[MOST_PRODUCTS][MOST_PRODUCTS];
    filter_matrix(of.h, G_h);
    filter_matrix(of.w, G_w);
    for (int64_t column = 0; column < columns; column++) {
        const panel to = winograd_panel(p, packed, column, tile_values(of));
        real *at = (real *)to.bias;
        memset(at, 0, TILE_N * sizeof *at);
        if (bias) memcpy(at, bias + to.k0, (size_t)to.channels * sizeof *at);
        at += TILE_N;
        for (int64_t c = 0; c < Cg; c++)
            for (int k0 = 0; k0 < TILE_N; k0 += AT_ONCE) {
                double half[MOST_PRODUCTS][MOST_PRODUCTS][AT_ONCE] = {0};
                const real *from = weight + c * p->step_c + (to.k0 + k0) * p->step_k;
                for (int r = 0; r < R; r++)
                    for (int s = 0; s < S; s++) {
                        double w[AT_ONCE] = {0};
                        const int there = to.channels - k0 < AT_ONCE ? to.channels - k0 : AT_ONCE;
                        for (int k = 0; k < there; k++) w[k] = (double)from[r * p->step_r + s * p->step_s + k * p->step_k];
                        for (int i = 0; i < F_h; i++)
                            for (int k = 0; k < AT_ONCE; k++) half[i][s][k] += G_h[i][r] * w[k];
                    }
                for (int i = 0; i < F_h; i++)
                    for (int j = 0; j < F_w; j++) {
                        double u[AT_ONCE] = {0};
                        for (int s = 0; s < S; s++)
                            for (int k = 0; k < AT_ONCE; k++) u[k] += G_w[j][s] * half[i][s][k];
                        real *put = at + ((i * F_w + j) * Cg + c) * TILE_N + k0;
                        for (int k = 0; k < AT_ONCE; k++) put[k] = (real)u[k];
                    }
            }
    }
}

/* Of one transformed weight: the one step that is not cheap beside a single run. */
static const double PACKING = 0.002;

/* Nominal microseconds: the products, the transforms, and the bytes that come from memory. */
static double winograd_cost(const conv2d_problem *p, int64_t N, int m_h, int m_w, int values) {
    const window *g = &p->g;
    const tile_grid t = grid_of(p, m_h, m_w);
    const double tiles = (double)N * (double)t.image, Cg = (double)(g->C / p->groups), Kg = (double)(g->K / p->groups);
    const double rate = NOMINAL_FLOPS * tile_efficiency(N * t.image) * lane_efficiency(g->K / p->groups);
    /* A GEMM's loads of zeros and stores take the time of four steps of its reduction. */
    const double gemms = 2 * tiles * values * (Cg + 4) * (double)g->K / rate;
    /* Measured: a vector costs about twice its additions. */
    const double vectors = (double)p->groups * ((double)ceil_div((int64_t)Cg, NOMINAL_LANES) + (double)ceil_div((int64_t)Kg, NOMINAL_LANES));
    const double transforms = tiles * values * 7 * vectors * 2 * NOMINAL_LANES / NOMINAL_FLOPS;
    const double weights = 4.0 * values * Cg * (double)g->K;
    const double bytes = 4.0 * ((double)N * g->H * g->W * g->C + (double)N * g->P * g->Q * g->K) + weights;
    return cost_max(gemms + transforms, bytes / NOMINAL_DRAM) + (p->once ? weights / 4 * PACKING : 0);
}

/* A row of the table: WINOGRAD_AXIS, F(m, r), over both axes of an r x r kernel, or along the longer one of r x 1 and 1 x r. */
#define UNTOUCHED ((axis){1, 1, 0})
#define SQUARE ((tiling){WINOGRAD_AXIS, WINOGRAD_AXIS})
#define TALL ((tiling){WINOGRAD_AXIS, UNTOUCHED})
#define WIDE ((tiling){UNTOUCHED, WINOGRAD_AXIS})
#define WITH_TILING(p, call) \
    if ((p)->g.R == 1) { const tiling of = WIDE; call; } \
    else if ((p)->g.S == 1) { const tiling of = TALL; call; } \
    else { const tiling of = SQUARE; call; }

static bool accepts(const void *problem) {
    const conv2d_problem *p = problem;
    const int r = WINOGRAD_AXIS.r;
    if (p->precision == CNNFAST_STRICT || (p->precision != CNNFAST_FAST && WINOGRAD_AXIS.m > 4)) return false;
    return p->g.stride[0] == 1 && p->g.stride[1] == 1 && (p->g.R == r || p->g.R == 1) && (p->g.S == r || p->g.S == 1) &&
           p->g.R * p->g.S > 1;
}

static double cost(const void *problem, int64_t N) {
    const conv2d_problem *p = problem;
    double of_tiles = 0;
    WITH_TILING(p, of_tiles = winograd_cost(p, N, of.h.m, of.w.m, tile_values(of)));
    return of_tiles;
}

static grain grain_of(const void *problem) {
    const conv2d_problem *p = problem;
    grain to = {.columns = p->groups * panels_per_group(p), .tile_pixels = TILE_M, .tile_channels = TILE_N};
    WITH_TILING(p, {
        const blocking b = blocking_of(p, tile_values(of));
        to.rows_per_image = grid_of(p, of.h.m, of.w.m).image;
        to.strip_rows = p->g.dilation[0] == 1 && p->g.dilation[1] == 1 ? of.h.m : 0;
        to.block_rows = b.block;
        to.workspace = workspace_of(&b, tile_values(of));
    });
    return to;
}

static size_t packed_size(const void *problem) {
    const conv2d_problem *p = problem;
    size_t size = 0;
    WITH_TILING(p, size = winograd_bytes(p, tile_values(of)));
    return size;
}

static void pack(const void *problem, const void *weight, const void *bias, void *packed) {
    const conv2d_problem *p = problem;
    WITH_TILING(p, winograd_pack(of, p, weight, bias, packed));
}

static void run(const void *problem, const void *packed, const tensors *io, tile at, void *workspace) {
    const conv2d_problem *p = problem;
    WITH_TILING(p, winograd_run(of, p, packed, io, at, workspace));
}

#define WINOGRAD_KERNEL {accepts, cost, grain_of, packed_size, pack, run}

#endif
