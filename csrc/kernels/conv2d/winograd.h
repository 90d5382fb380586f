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

#include "winograd_pixels.h"
#include "winograd_weights.h"

/* A block of tiles for one panel. */
INLINE void run_panel(tiling of, const conv2d_problem *p, const tile_grid *t, const blocking *b, const panel *at, int64_t first,
                      int64_t tiles, const real *zeros, const real *V, real *M, const tensors *io) {
    const window *g = &p->g;
    const int64_t Cg = g->C / p->groups;
    static const ptrdiff_t tap[1] = {0};
    const gemm m = {.tap = tap, .taps = 1, .len = Cg, .x_step = b->pixel, .y_step = b->tile};
    const int whole = (int)ceil_div(at->channels, LANES) * LANES; /* M has room for all lanes of the last vector */
    for (int f = 0; f < tile_values(of); f++)
        gemm_row(&m, tiles, whole, V + f * b->product, at->weight + f * Cg * TILE_N, zeros, NULL, M + f * TILE_N);
    for (int64_t i = 0; i < tiles; i++, M += b->tile) {
        const origin o = origin_of(p, t, of.h.m, of.w.m, first + i);
        const int64_t to = ((o.n * g->P + o.p) * g->Q + o.q) * io->y_step + at->k0;
        const outputs y = outputs_at(of, p, o, to, io);
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
    if (io->stream) v_stream_end();
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
    grain to = {.columns = p->groups * panels_per_group(p), .tile_pixels = TILE_M, .tile_channels = TILE_N,
                .streams = epilogue_streams(&p->epilogue, p->g.K) && VEC_BYTES == CACHE_LINE};
    WITH_TILING(p, {
        const blocking b = blocking_of(p, tile_values(of));
        to.rows_per_image = grid_of(p, of.h.m, of.w.m).image;
        to.strip_rows = p->g.dilation[0] == 1 && p->g.dilation[1] == 1 ? of.h.m : 0;
        to.flops = 2.0 * (double)(to.rows_per_image * tile_values(of)) * (double)(p->g.C / p->groups) * (double)p->g.K;
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
