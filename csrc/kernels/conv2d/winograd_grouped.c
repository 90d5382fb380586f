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
    const double step = together > 1 && Cg != Kg ? 1.25 : 1;
    const double vectors = (double)(N * grid_of(p, 4, 4).image * ceil_div(p->groups, together));
    const double work = vectors * VALUES * (step * (double)Cg + 12) * 2 * NOMINAL_LANES / NOMINAL_FLOPS;
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

/* Groups of 2, 4 or 8 inputs and as many outputs need no picks: a lane's inputs are the lanes of its group, lane k's input k ^ j
 * lane k of V turned by j. Sums turn as well: weights [i][j] are for V turned by j, 0 or 1, in a sum that is turned by 2 i before
 * it joins the others. */
INLINE bool turns(const lanes *l) { return l->source == PICKED && l->Cg == l->Kg && (l->Cg == 2 || l->Cg == 4 || l->Cg == 8); }

INLINE vec turned(vec v, int by) {
    mask from;
    for (int i = 0; i < LANES; i++) from[i] = i ^ by;
    return v_permute(v, from);
}

/* Of weights [input][lane]. */
static void turn_weights(int64_t channels, real *weights) {
    real from[MOST_CHANNELS * LANES];
    memcpy(from, weights, (size_t)(channels * LANES) * sizeof *from);
    for (int64_t i = 0; i < channels; i++) {
        const int64_t v = i % 2, sum = i - v;
        for (int64_t k = 0; k < LANES; k++) weights[i * LANES + k] = from[(k ^ v) % channels * LANES + (k ^ sum)];
    }
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
        if (turns(&l))
            for (int f = 0; f < VALUES; f++) turn_weights(l.Cg, weights + f * l.Cg * LANES);
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

/* The same where turns(). */
INLINE void multiply_turned(int channels, const real *weights, real *V) {
    for (int f = 0; f < VALUES; f++, V += TILES * LANES, weights += channels * LANES) {
        vec v[2][TILES], sum[MOST_CHANNELS / 4][TILES];
#pragma GCC unroll 4
        for (int t = 0; t < TILES; t++) v[0][t] = v_keep(v_load(V + t * LANES)), v[1][t] = turned(v[0][t], 1);
#pragma GCC unroll 8
        for (int i = 0; i < channels; i++) {
            const vec w = v_keep(v_load(weights + i * LANES));
#pragma GCC unroll 4
            for (int t = 0; t < TILES; t++) sum[i / 2][t] = i % 2 ? v_fma(v[1][t], w, sum[i / 2][t]) : v[0][t] * w;
        }
#pragma GCC unroll 4
        for (int t = 0; t < TILES; t++) {
            if (channels == 8) sum[0][t] += turned(sum[2][t], 4), sum[1][t] += turned(sum[3][t], 4);
            if (channels >= 4) sum[0][t] += turned(sum[1][t], 2);
            v_store(V + t * LANES, sum[0][t]);
        }
    }
}

/* Tiles that one run takes together: from `first`, `count` of them. What all their vectors share is found once. */
typedef struct {
    int64_t first;
    int count;
    origin at[TILES];
    bool beside[TILES]; /* whether its first columns are the last ones of the tile before it */
    outputs y[TILES]; /* of channel 0 */
    const real *pixel[TILES][VALUES];
} together;

static void find_tiles(const conv2d_problem *p, const tile_grid *t, int64_t first, int64_t end, const tensors *io, const real *zeros, together *to) {
    to->first = first;
    to->count = (int)max64(0, min64(TILES, end - first));
    for (int i = 0; i < to->count; i++) {
        const origin o = to->at[i] = origin_of(p, t, 4, 4, first + i);
        to->beside[i] = i && o.q == to->at[i - 1].q + 4 * p->g.dilation[1]; /* else a row begins, nearer the left */
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

/* V of one vector of channels. */
INLINE void input_tiles(const together *of, int64_t c, int lanes, int64_t width, real *V) {
    const int step = F43.w.m, shared = inputs(F43.w) - step;
#pragma GCC unroll 2
    for (int part = 0; part < parts(F43.h); part++) {
        halves half = {{{0}}}; /* the first tile has none before it, which the compiler cannot know */
        for (int t = 0; t < of->count; t++) {
            if (!of->beside[t]) input_columns(F43, part, 0, shared, of->pixel[t], c, lanes, half);
            else
#pragma GCC unroll 8
                for (int i = part_begin(F43.h, part); i < part_end(F43.h, part); i++)
#pragma GCC unroll 2
                    for (int j = 0; j < shared; j++) half[i][j] = half[i][step + j];
            input_columns(F43, part, shared, inputs(F43.w), of->pixel[t], c, lanes, half);
            const values at = values_together(V + t * width);
            input_rows(F43, part, half, &at, TILES * width);
        }
    }
}

/* Tiles for one vector of output channels. */
static void run_tiles(const conv2d_problem *p, const lanes *l, const column *c, const together *of, real *V) {
    const int64_t width = width_of(l), step = TILES * width;
    const cnnfast_activation activation = p->epilogue.activation;
    for (int64_t j = 0; j < width; j += LANES) {
        const int64_t there = min64(LANES, p->g.C - c->c0 - j);
        if (there == LANES) input_tiles(of, c->c0 + j, LANES, width, V + j);
        else if (there > 0) input_tiles(of, c->c0 + j, (int)there, width, V + j);
    }
    if (l->source == SPREAD) multiply(SPREAD, l->Cg, width, NULL, c->weight, V);
    else if (!turns(l)) multiply(PICKED, l->Cg, LANES, c->picks, c->weight, V);
    else if (l->Cg == 2) multiply_turned(2, c->weight, V);
    else if (l->Cg == 4) multiply_turned(4, c->weight, V);
    else multiply_turned(8, c->weight, V);
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
            if (io->far) ask_for_tiles(p, &c, &tiles[!now], io);
            run_tiles(p, &l, &c, &tiles[now], V);
        }
    }
    if (io->stream) v_stream_end();
}

const kernel SYMBOL(conv2d_winograd_grouped) = {accepts, cost, grain_of, packed_size, pack, run};
#endif
