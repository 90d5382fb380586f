/* How Winograd's rows cut an output into tiles and those into blocks, and what that costs. */
#ifndef CNNFAST_WINOGRAD_TILES_H
#define CNNFAST_WINOGRAD_TILES_H

#include "common/cost.h"
#include "common/gemm.h"
#include "conv2d/problem.h"
#include "winograd_transform.h"

typedef struct {
    axis h, w;
} tiling;

/* What follows was measured for F(4x4, 3x3) alone, and the others are as they were: pixels of x and y that are asked for before
 * their turn, and blocks whose V leaves room for them in L2. */
INLINE bool asks_ahead(tiling of) { return of.h.m == 4 && of.h.r == 3 && of.w.m == 4 && of.w.r == 3; }

INLINE int tile_values(tiling of) { return products(of.h) * products(of.w); }
INLINE int tile_sums(tiling of) { return sums(of.h) * sums(of.w); }

/* A tile's products (i, j) that make sum f. */
typedef struct {
    int i0, i1, j0, j1;
    int kind; /* which tiles have it: see `kinds` */
} products_of_sum;

/* Tiles at the output's lower edge may lack their last row of outputs, and with it that axis' last sum; those at the right
 * edge likewise. Kinds of sums: of every tile, of those with a last column (1), a last row (2), both (3). */
enum { LAST_COLUMN = 1, LAST_ROW = 2, KINDS = 4 };

INLINE int kind_of(axis h, axis w, int i, int j) {
    return (h.pairs && i == sums(h) - 1 ? LAST_ROW : 0) + (w.pairs && j == sums(w) - 1 ? LAST_COLUMN : 0);
}

INLINE products_of_sum products_of(tiling of, int f) {
    const int i = f / sums(of.w), j = f % sums(of.w);
    return (products_of_sum){first_of(of.h, i), first_of(of.h, i + 1), first_of(of.w, j), first_of(of.w, j + 1), kind_of(of.h, of.w, i, j)};
}

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

INLINE bool has_last(axis a, int64_t first, int64_t outputs, int64_t dilation) { return first + (a.m - 1) * dilation < outputs; }

INLINE int kinds_missing(tiling of, const conv2d_problem *p, origin o) {
    const window *g = &p->g;
    return (has_last(of.h, o.p, g->P, g->dilation[0]) ? 0 : LAST_ROW) + (has_last(of.w, o.q, g->Q, g->dilation[1]) ? 0 : LAST_COLUMN);
}

/* The products along an axis, all its tiles' together. */
INLINE int64_t products_along(axis a, int64_t outputs, int64_t dilation) {
    const int64_t phases = min64(dilation, outputs), longer = outputs % dilation, least = outputs / dilation;
    const int64_t tiles = ceil_div(ceil_div(outputs, dilation), a.m) * phases;
    const int64_t whole = longer * ((least + 1) / a.m) + (phases - longer) * (least / a.m);
    return tiles * first_of(a, sums(a) - 1) + (a.pairs ? whole : tiles) * (products(a) - first_of(a, sums(a) - 1));
}

INLINE int64_t products_of_image(tiling of, const conv2d_problem *p) {
    return products_along(of.h, p->g.P, p->g.dilation[0]) * products_along(of.w, p->g.Q, p->g.dilation[1]);
}

/* How the workspace lies: zeros, V, M. Counts are elements. */
typedef struct {
    int64_t zeros, pixel, product, tile; /* pixel: from one tile of V[f] to the next; product: from V[f] to V[f + 1] */
    int64_t block;                       /* tiles */
} blocking;

static const int64_t LINE = CACHE_LINE / (int64_t)sizeof(real);
/* V shares a 1 MB L2 with the panel of weights that streams through it; but a block reads all weights, which is worth two tiles
 * of the micro-kernel, even where V itself then comes from L3, and where they come from memory as many tiles as there may be. */
static const int64_t V_BYTES = 512 * 1024;
static const int64_t LEAST_BLOCK = 2 * NOMINAL_TILE_PIXELS, MOST_BLOCK = 4 * NOMINAL_TILE_PIXELS;

/* Bytes, of float32: nominal, as all that `auto` goes by. */
INLINE double winograd_weights(const conv2d_problem *p, tiling of) {
    return 4.0 * tile_values(of) * (double)(p->g.C / p->groups) * (double)p->g.K;
}

INLINE blocking blocking_of(const conv2d_problem *p, tiling of) {
    const int values = tile_values(of), sums = tile_sums(of);
    const int64_t Cg = ceil_div(p->g.C / p->groups, LINE) * LINE, size = (int64_t)sizeof(real);
    blocking b = {.zeros = max64(Cg, TILE_N), .pixel = Cg, .tile = sums * TILE_N + LINE};
    if (b.pixel * size % 2048 == 0) b.pixel += LINE; /* or a tile's pixels share a few sets of L1 */
    const int64_t fit = (asks_ahead(of) ? V_BYTES / 2 : V_BYTES) / (values * b.pixel * size) / TILE_M * TILE_M;
    const int64_t near_weights = asks_ahead(of) && fit ? fit : max64(fit, LEAST_BLOCK);
    b.block = winograd_weights(p, of) > NEAR_WEIGHTS ? MOST_BLOCK : min64(MOST_BLOCK, near_weights);
    b.product = b.block * b.pixel;
    if (b.product / LINE % 2 == 0) b.product += LINE;
    return b;
}

INLINE size_t workspace_of(const blocking *b, int values) {
    const size_t V = size_mul((size_t)values, (size_t)b->product), M = size_mul((size_t)b->block, (size_t)b->tile);
    return size_mul(size_add((size_t)b->zeros, size_add(V, M)), sizeof(real));
}

/* Of one transformed weight: the one step that is not cheap beside a single run. */
static const double PACKING = 0.0005;

/* Nominal microseconds: the products, the transforms, and the bytes that come from memory. */
static double winograd_cost(const conv2d_problem *p, int64_t N, tiling of) {
    const window *g = &p->g;
    const tile_grid t = grid_of(p, of.h.m, of.w.m);
    const double tiles = (double)N * (double)t.image, Cg = (double)(g->C / p->groups), Kg = (double)(g->K / p->groups);
    const double values = tile_values(of), sums = tile_sums(of);
    const double rate = NOMINAL_FLOPS * tile_efficiency(N * t.image) * lane_efficiency(g->K / p->groups);
    /* A GEMM's loads of zeros and stores take the time of four steps of its reduction. */
    const double gemms = 2 * ((double)N * (double)products_of_image(of, p) * Cg + 4 * tiles * sums) * (double)g->K / rate;
    /* Measured: a vector costs about twice its additions. */
    const double in = values * (double)ceil_div((int64_t)Cg, NOMINAL_LANES), out = sums * (double)ceil_div((int64_t)Kg, NOMINAL_LANES);
    const double transforms = tiles * 7 * (double)p->groups * (in + out) * 2 * NOMINAL_LANES / NOMINAL_FLOPS;
    const double weights = winograd_weights(p, of);
    const double bytes = 4.0 * ((double)N * g->H * g->W * g->C + (double)N * g->P * g->Q * g->K) + weights;
    return cost_max(gemms + transforms, bytes / NOMINAL_DRAM) + far_weights(weights) + (p->once ? weights / 4 * PACKING : 0);
}

#endif
