/* F(4x4, 3x3) of groups of up to 16 channels: vectors run across groups, as in the grouped kernel (lanes.h), and 36 products
 * stand for 144. A few tiles at a time go through L1: V, products in its place, the way back. */
#include "simd.h"

#if CNNFAST_REAL
#include "lanes.h"
#include "winograd_ahead.h"
#include "winograd_pixels.h"
#include "winograd_weights.h"

#define F43 ((tiling){{4, 3, 2, WHOLE}, {4, 3, 2, WHOLE}})
enum { VALUES = 36, MOST_CHANNELS = 16 };
/* Tiles and products at once: tiles share the loads of weights, and these are sums enough to keep the FMA units busy. */
enum { TILES = 4, VALUES_AT_ONCE = 2 };

static bool accepts(const void *problem) {
    const conv2d_problem *p = problem;
    const window *g = &p->g;
    return p->precision != CNNFAST_STRICT && p->groups > 1 && g->C > p->groups && g->C / p->groups <= MOST_CHANNELS &&
           g->K / p->groups <= MOST_CHANNELS && g->R == 3 && g->S == 3 && g->stride[0] == 1 && g->stride[1] == 1;
}

/* Measured: a pick costs a quarter of an FMA beside it, a vector's transforms as in the other rows. */
static double cost(const void *problem, int64_t N) {
    const conv2d_problem *p = problem;
    const window *g = &p->g;
    const int64_t Cg = g->C / p->groups, Kg = g->K / p->groups, together = NOMINAL_LANES / max64(Cg, Kg);
    const double step = together > 1 ? 1.25 : 1;
    const double vectors = (double)(N * grid_of(p, 4, 4).image * ceil_div(p->groups, together));
    const double work = vectors * VALUES * (step * (double)Cg + 14) * 2 * NOMINAL_LANES / NOMINAL_FLOPS;
    const double weights = VALUES * (double)(Cg * g->K);
    const double bytes = 4.0 * ((double)N * g->H * g->W * g->C + (double)N * g->P * g->Q * g->K);
    return cost_max(work, bytes / NOMINAL_DRAM) + (p->once ? weights * PACKING : 0);
}

/* The workspace: a pixel of zeros; V[f][tile][width]. */
static int64_t zeros_of_pixel(const conv2d_problem *p) { return ceil_div(p->g.C, LANES) * LANES; }
/* Lanes for the inputs of a vector of outputs: as many as its groups have channels, which one vector may not hold. */
static int64_t width_of(const lanes *l) {
    return LANES >= MOST_CHANNELS || l->source == PICKED ? LANES : ceil_div(l->Cg, LANES) * LANES;
}
static int64_t elements_of_V(const lanes *l) { return VALUES * TILES * width_of(l); }

static grain grain_of(const void *problem) {
    const conv2d_problem *p = problem;
    const lanes l = lanes_of(p);
    const int64_t tiles = grid_of(p, 4, 4).image;
    const bool dilated = p->g.dilation[0] > 1 || p->g.dilation[1] > 1;
    return (grain){.rows_per_image = tiles, .strip_rows = dilated ? 0 : 4, .columns = lanes_columns(p, &l), .block_rows = 64 * TILES,
                   .tile_pixels = TILES, .tile_channels = LANES, .streams = epilogue_streams(&p->epilogue, p->g.K) && VEC_BYTES == CACHE_LINE,
                   .workspace = size_mul((size_t)(zeros_of_pixel(p) + elements_of_V(&l)), sizeof(real)),
                   .flops = 2.0 * (double)(tiles * VALUES * l.Cg) * (double)p->g.K};
}

/* Packed, a vector of channels after another: the bias; Cg picks; [36][Cg] weights. */
static int64_t column_size(const lanes *l) { return (1 + (1 + VALUES) * l->Cg) * LANES; }

static size_t packed_size(const void *problem) {
    const lanes l = lanes_of(problem);
    return size_mul(size_mul((size_t)lanes_columns(problem, &l), (size_t)column_size(&l)), sizeof(real));
}

static ONCE_A_PLAN void pack(const void *problem, const void *weight, const void *bias, void *packed) {
    const conv2d_problem *p = problem;
    const lanes l = lanes_of(p);
    const filter_matrices G = matrices_of(F43);
    memset(packed, 0, packed_size(p));
    for (int64_t i = 0; i < lanes_columns(p, &l); i++) {
        const column c = lanes_channels(p, &l, i);
        real *to = (real *)packed + i * column_size(&l), *weights = to + (1 + l.Cg) * LANES;
        if (bias) memcpy(to, (const real *)bias + c.k0, (size_t)c.outputs * sizeof *to);
        if (l.source == PICKED) lanes_pack_picks(&l, c.outputs, to + LANES);
        for (int64_t j = 0; j < l.Cg; j++) {
            real taps[9 * SLAB * TILE_N] = {0};
            gather_slab(F43, p, (const real *)weight + j * p->step_c + c.k0 * p->step_k, 1, (int)c.outputs, taps);
            for (int k = 0; k < c.outputs; k += FILTERS) transform_filters(F43, &G, taps + k, l.Cg * LANES, weights + j * LANES + k);
        }
    }
}

/* V[f][tile] becomes the sum over a group's channels of each times its weights. */
INLINE void multiply(lane_source source, int64_t channels, int64_t width, const real *picked, const real *weights, real *V) {
    const int64_t step = TILES * width;
    for (int f = 0; f < VALUES; f += VALUES_AT_ONCE, V += VALUES_AT_ONCE * step, weights += VALUES_AT_ONCE * channels * LANES) {
        vec sum[VALUES_AT_ONCE][TILES] = {0};
#pragma GCC unroll 4
        for (int64_t j = 0; j < channels; j++) {
            picks from = {0};
            if (source == PICKED) from = v_picks_load(picked + j * LANES);
#pragma GCC unroll 2
            for (int i = 0; i < VALUES_AT_ONCE; i++) {
                const vec w = v_keep(v_load(weights + (i * channels + j) * LANES));
#pragma GCC unroll 4
                for (int t = 0; t < TILES; t++) {
                    const real *v = V + i * step + t * width;
                    sum[i][t] = v_fma(source == PICKED ? v_pick(v_load(v), from) : v_splat(v[j]), w, sum[i][t]);
                }
            }
        }
#pragma GCC unroll 2
        for (int i = 0; i < VALUES_AT_ONCE; i++)
#pragma GCC unroll 4
            for (int t = 0; t < TILES; t++) v_store(V + i * step + t * width, sum[i][t]);
    }
}

/* Tiles that one run takes together: from `first`, `count` of them. What all their vectors share is found once. */
typedef struct {
    int64_t first;
    int count;
    origin at[TILES];
    outputs y[TILES]; /* of channel 0 */
    const real *pixel[TILES][VALUES];
} together;

static void find_tiles(const conv2d_problem *p, const tile_grid *t, int64_t first, int64_t end, const tensors *io, const real *zeros, together *to) {
    to->first = first;
    to->count = (int)max64(0, min64(TILES, end - first));
    for (int i = 0; i < to->count; i++) {
        const origin o = to->at[i] = origin_of(p, t, 4, 4, first + i);
        to->y[i] = outputs_at(F43, p, o, ((o.n * p->g.P + o.p) * p->g.Q + o.q) * io->y_step, io);
        find_pixels(F43, p, o, io->x, zeros, to->pixel[i]);
    }
}

/* What these tiles read and write of a vector of channels. */
static void ask_for_tiles(const conv2d_problem *p, const column *c, const together *of, const tensors *io) {
    for (int i = 0; i < of->count; i++) {
        ask_for_inputs(F43, of->pixel[i], c->c0);
        if (!io->stream) ask_for_outputs(F43, p, of->at[i], c->k0, c->outputs, io);
    }
}

/* Tiles for one vector of output channels. */
static void run_tiles(const conv2d_problem *p, const lanes *l, const column *c, const together *of, real *V) {
    const int64_t width = width_of(l), step = TILES * width;
    const cnnfast_activation activation = p->epilogue.activation;
    for (int i = 0; i < of->count; i++)
        for (int64_t j = 0; j < width; j += LANES) {
            const int64_t c0 = c->c0 + j, there = min64(LANES, p->g.C - c0);
            const values at = values_together(V + i * width + j);
            if (there == LANES) input_vector(F43, of->pixel[i], c0, LANES, &at, step);
            else if (there > 0) input_vector(F43, of->pixel[i], c0, (int)there, &at, step);
        }
    if (l->source == SPREAD) multiply(SPREAD, l->Cg, width, NULL, c->weight, V);
    else if (l->Cg == 4) multiply(PICKED, 4, LANES, c->picks, c->weight, V);
    else multiply(PICKED, l->Cg, LANES, c->picks, c->weight, V);
    for (int i = 0; i < of->count; i++) {
        outputs y = of->y[i];
        y.y += c->k0;
        if (y.residual) y.residual += c->k0;
        y.stream = y.stream && c->k0 % LANES == 0;
        const values at = values_together(V + i * width);
        if (c->outputs == LANES) output_vector(F43, &at, step, v_load(c->bias), activation, &y, 0, LANES);
        else output_vector(F43, &at, step, v_load(c->bias), activation, &y, 0, c->outputs);
        finish_tile(p, &y, c->outputs);
    }
}

static void run(const void *problem, const void *packed, const tensors *io, tile at, void *workspace) {
    const conv2d_problem *p = problem;
    const lanes l = lanes_of(p);
    const tile_grid t = grid_of(p, 4, 4);
    const bool ask = worth_asking(p, io);
    real *zeros = workspace, *V = zeros + zeros_of_pixel(p);
    memset(zeros, 0, (size_t)(zeros_of_pixel(p) + elements_of_V(&l)) * sizeof *zeros); /* V's: where fewer tiles are left */
    together tiles[2]; /* those of now, and the next */
    find_tiles(p, &t, at.row0, at.row1, io, zeros, &tiles[0]);
    for (int now = 0; tiles[now].count; now = !now) {
        find_tiles(p, &t, tiles[now].first + TILES, at.row1, io, zeros, &tiles[!now]);
        for (int64_t i = at.col0; i < at.col1; i++) {
            column c = lanes_channels(p, &l, i);
            c.bias = (const real *)packed + i * column_size(&l);
            c.picks = c.bias + LANES;
            c.weight = c.picks + l.Cg * LANES;
            if (ask) ask_for_tiles(p, &c, &tiles[!now], io);
            run_tiles(p, &l, &c, &tiles[now], V);
        }
    }
    if (io->stream) v_stream_end();
}

const kernel SYMBOL(conv2d_winograd_grouped) = {accepts, cost, grain_of, packed_size, pack, run};
#endif
