/* Winograd convolution, fused: a block of tiles goes from x to y without leaving the caches.
 *
 *     V[f][tile][c]   the input tiles, transformed: one matrix for each of the F products of a tile
 *     M[tile][s][k]   the sums of V[f] times the transformed weights, for one panel of output channels: a small GEMM for
 *                     each sum s of products
 *     y               M transformed back, with bias, residual and activation
 *
 * A tile that lacks its last row or column of outputs goes without the sums that are theirs alone (`kinds`): V[f] and M[.][s]
 * hold the tiles that have them, one after the other.
 *
 * Tiles are anchored at the output's origin and each is computed alone, so that neither threads nor blocks nor the batch
 * change a bit. A dilation of d makes d^2 interleaved images ("phases"), each a problem of dilation 1.
 *
 * Every function here is given the tile's two axes as constants; a row of the table calls them with its own. */
#ifndef CNNFAST_WINOGRAD_H
#define CNNFAST_WINOGRAD_H

#include "winograd_pixels.h"
#include "winograd_weights.h"

/* Of the tiles of a block before this one, how many have the sums of each kind. */
typedef struct {
    int64_t of[KINDS];
} places;

INLINE void count_tile(places *at, int missing) {
    for (int kind = 0; kind < KINDS; kind++) at->of[kind] += !(kind & missing);
}
INLINE values at_places(real *first, const places *at, int64_t step) {
    return (values){{first + at->of[0] * step, first + at->of[1] * step, first + at->of[2] * step, first + at->of[3] * step}};
}

/* V of the block's tiles; how many have the sums of each kind. */
INLINE places write_V(tiling of, const conv2d_problem *p, const tile_grid *t, const blocking *b, const real *x, int64_t first,
                      int64_t tiles, const real *zeros, real *V) {
    places at = {{0}};
    const real *pixel[2][MOST_PIXELS]; /* a tile's, and the next one's */
    origin next = {0, 0, 0};
    for (int64_t i = -1; i < tiles; i++) { /* from -1: find_pixels is long, and stands here once */
        const bool last = i + 1 == tiles;
        const origin o = next;
        if (!last) {
            next = origin_of(p, t, of.h.m, of.w.m, first + i + 1);
            find_pixels(of, p, next, x, zeros, pixel[(i + 1) % 2]);
        }
        if (i < 0) continue;
        const values to = at_places(V, &at, b->pixel);
        input_tile(of, pixel[i % 2], pixel[last ? i % 2 : (i + 1) % 2], p->g.C / p->groups, &to, b->product);
        count_tile(&at, kinds_missing(of, p, o));
    }
    return at;
}

/* A block of tiles for one panel. */
INLINE void run_panel(tiling of, const conv2d_problem *p, const tile_grid *t, const blocking *b, const panel *panel, int64_t first,
                      const places *tiles, const real *zeros, const real *V, real *M, const tensors *io) {
    const window *g = &p->g;
    const int64_t Cg = g->C / p->groups;
    const int whole = (int)ceil_div(panel->channels, LANES) * LANES; /* M has room for all lanes of the last vector */
    const real *weight = panel->weight;
    const int64_t to_ask_for = asks_ahead(of) && io->far && !io->stream ? tiles->of[0] : 0;
    for (int64_t f = 0, asked = 0; f < tile_sums(of); f++) {
        for (; asked < to_ask_for * (f + 1) / tile_sums(of); asked++)
            ask_for_outputs(of, p, origin_of(p, t, of.h.m, of.w.m, first + asked), panel->k0, panel->channels, io);
        const products_of_sum sum = products_of(of, (int)f);
        ptrdiff_t tap[4];
        gemm m = {.tap = tap, .len = Cg, .x_step = b->pixel, .y_step = b->tile};
        const int64_t from = sum.i0 * products(of.w) + sum.j0;
        for (int i = sum.i0; i < sum.i1; i++)
            for (int j = sum.j0; j < sum.j1; j++) tap[m.taps++] = (i * products(of.w) + j - from) * b->product;
        if (tiles->of[sum.kind]) gemm_row(&m, tiles->of[sum.kind], whole, V + from * b->product, weight, zeros, NULL, M + f * TILE_N);
        weight += m.taps * Cg * TILE_N;
    }
    places at = {{0}};
    for (int64_t i = 0; i < tiles->of[0]; i++) {
        const origin o = origin_of(p, t, of.h.m, of.w.m, first + i);
        const int64_t to = ((o.n * g->P + o.p) * g->Q + o.q) * io->y_step + panel->k0;
        const outputs y = outputs_at(of, p, o, to, io);
        const values sums_of_tile = at_places(M, &at, b->tile);
        output_tile(of, p, panel, &sums_of_tile, &y);
        count_tile(&at, kinds_missing(of, p, o));
    }
}

/* Tiles [row0, row1) of the batch, a block of them at a time. */
INLINE void winograd_run(tiling of, const conv2d_problem *p, const real *packed, const tensors *io, tile at, real *workspace) {
    const int64_t Cg = p->g.C / p->groups, per_group = panels_per_group(p);
    const tile_grid t = grid_of(p, of.h.m, of.w.m);
    const blocking b = blocking_of(p, of);
    real *zeros = workspace, *V = zeros + b.zeros, *M = V + tile_values(of) * b.product;
    memset(zeros, 0, (size_t)b.zeros * sizeof *zeros); /* of pixels, and of the GEMMs' bias */
    for (int64_t first = at.row0; first < at.row1; first += b.block) {
        const int64_t tiles = min64(b.block, at.row1 - first);
        for (int64_t col = at.col0; col < at.col1;) {
            const int64_t group = col / per_group, end = min64(at.col1, (group + 1) * per_group);
            const places counts = write_V(of, p, &t, &b, (const real *)io->x + group * Cg, first, tiles, zeros, V);
            for (; col < end; col++) {
                const panel of_column = winograd_panel(p, packed, col, tile_values(of));
                run_panel(of, p, &t, &b, &of_column, first, &counts, zeros, V, M, io);
            }
        }
    }
    if (io->stream) v_stream_end();
}

/* A row of the table: WINOGRAD_AXIS, F(m, r), over both axes of an r x r kernel, or along the longer one of r x 1 and 1 x r. */
#define UNTOUCHED ((axis){1, 1, 0, WHOLE})
#define SQUARE ((tiling){WINOGRAD_AXIS, WINOGRAD_AXIS})
#define TALL ((tiling){WINOGRAD_AXIS, UNTOUCHED})
#define WIDE ((tiling){UNTOUCHED, WINOGRAD_AXIS})
/* What does not pay is not compiled: along one axis alone at stride 2, over both in halves. */
#define WITH_TILING(p, call) \
    if (WINOGRAD_AXIS.cut != PARITY && (p)->g.R == 1) { const tiling of = WIDE; call; } \
    else if (WINOGRAD_AXIS.cut != PARITY && (p)->g.S == 1) { const tiling of = TALL; call; } \
    else if (WINOGRAD_AXIS.cut != HALVES) { const tiling of = SQUARE; call; }

static bool accepts(const void *problem) {
    const conv2d_problem *p = problem;
    const window *g = &p->g;
    const int r = WINOGRAD_AXIS.r, stride = stride_of(WINOGRAD_AXIS);
    if (p->precision == CNNFAST_STRICT || (p->precision != CNNFAST_FAST && WINOGRAD_AXIS.m > 4)) return false;
    if (g->stride[0] != stride || g->stride[1] != stride) return false;
    if (WINOGRAD_AXIS.cut == PARITY) return g->R == r && g->S == r && g->dilation[0] == 1 && g->dilation[1] == 1;
    if (WINOGRAD_AXIS.cut == HALVES && g->R > 1 && g->S > 1) return false;
    return (g->R == r || g->R == 1) && (g->S == r || g->S == 1) && g->R * g->S > 1;
}

static double cost(const void *problem, int64_t N) {
    const conv2d_problem *p = problem;
    double of_tiles = 0;
    WITH_TILING(p, of_tiles = winograd_cost(p, N, of));
    return of_tiles;
}

static grain grain_of(const void *problem) {
    const conv2d_problem *p = problem;
    grain to = {.columns = p->groups * panels_per_group(p), .tile_pixels = TILE_M, .tile_channels = TILE_N,
                .streams = epilogue_streams(&p->epilogue, p->g.K / p->groups) && VEC_BYTES == CACHE_LINE};
    WITH_TILING(p, {
        const blocking b = blocking_of(p, of);
        to.rows_per_image = grid_of(p, of.h.m, of.w.m).image;
        to.strip_rows = p->g.dilation[0] == 1 && p->g.dilation[1] == 1 ? of.h.m : 0;
        to.flops = 2.0 * (double)products_of_image(of, p) * (double)(p->g.C / p->groups) * (double)p->g.K;
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

static void pack_columns(const void *problem, const void *weight, const void *bias, void *packed, int64_t col0, int64_t col1) {
    const conv2d_problem *p = problem;
    WITH_TILING(p, winograd_pack(of, p, weight, bias, packed, col0, col1));
}

static void pack(const void *problem, const void *weight, const void *bias, void *packed) {
    pack_columns(problem, weight, bias, packed, 0, grain_of(problem).columns);
}

static void run(const void *problem, const void *packed, const tensors *io, tile at, void *workspace) {
    const conv2d_problem *p = problem;
    WITH_TILING(p, winograd_run(of, p, packed, io, at, workspace));
}

#define WINOGRAD_KERNEL {accepts, cost, grain_of, packed_size, pack, run, pack_columns}

#endif
