/* Winograd's way back to a 3x3 weight. Where y = A^T ((G w G^T) * (B^T x B)) A is a tile of F(4x4, 3x3)'s outputs,
 *     grad_weight = G^T (sum over the tiles of (A grad_output A^T) * (B^T x B)) G
 * 36 products a tile for 144. A block of tiles goes into the caches, transformed:
 *     V[f][tile][c]          B^T x B
 *     U[f][panel][tile][k]   A grad_output A^T
 *     M[f][c][k]             the sums of V[f]^T U[f], for a few channels and a panel of filters, and from there back to the weight
 */
#include "conv2d_grad_weight/outer.h"
#include "conv2d_grad_weight/problem.h"

#if CNNFAST_REAL
#include "conv2d/winograd_pixels.h"

#define TILING ((tiling){{4, 3, 2, WHOLE}, {4, 3, 2, WHOLE}})
enum {
    SIDE = 4,                         /* of a tile of grad_output */
    EDGE = 6,                         /* of a tile of x, and of its products */
    VALUES = EDGE * EDGE,
    CHANNELS = TILE_M >= 8 ? 8 : LANES < 4 ? LANES : 4, /* x TILE_V vectors of filters: the micro-kernel's accumulators */
    STEPS = 4,                        /* tiles between two moves of the addresses */
    CHANNEL_BLOCK = 64,               /* M: in f32 288 KB */
    LEAST_BLOCK_TILES = 64,           /* fewer, and the way back from M is no longer small beside the sums */
    MOST_BLOCK_TILES = 128,
};
static const int64_t BLOCK_BYTES = 512 * 1024; /* of V and U */

/* How the workspace lies: zeros, V, U, M. Counts are elements. */
typedef struct {
    int64_t channels, panels;         /* C in whole vectors; K in panels of TILE_N */
    int64_t pixel, V_step, U_step;    /* from one tile of V[f] to the next; from V[f] to V[f + 1]; from U[f] to U[f + 1] */
    int64_t block;                    /* tiles */
} room;

/* An odd number of cache lines, so that what lies so far apart shares no set of L1. */
static int64_t odd_lines(int64_t elements) { return (ceil_div(elements, LINE) | 1) * LINE; }

static room room_for(const conv2d_problem *p) {
    room to = {.channels = ceil_div(p->g.C, LANES) * LANES, .panels = ceil_div(p->g.K, TILE_N)};
    const int64_t tile = VALUES * (to.channels + to.panels * TILE_N) * (int64_t)sizeof(real);
    to.block = min64(MOST_BLOCK_TILES, max64(LEAST_BLOCK_TILES, BLOCK_BYTES / tile));
    to.pixel = odd_lines(to.channels);
    to.V_step = odd_lines(to.block * to.pixel);
    to.U_step = odd_lines(to.panels * to.block * TILE_N);
    return to;
}

static size_t size_of(const room *r) {
    const size_t V = size_mul(VALUES, (size_t)r->V_step), U = size_mul(VALUES, (size_t)r->U_step);
    return size_mul(size_add(size_add((size_t)r->channels, VALUES * CHANNEL_BLOCK * TILE_N), size_add(V, U)), sizeof(real));
}

static bool accepts(const void *problem) {
    const grad_weight_problem *p = problem;
    const window *g = &p->conv.g;
    return p->conv.precision != CNNFAST_STRICT && p->conv.groups == 1 && p->parts == 1 && g->R == 3 && g->S == 3 &&
           g->stride[0] == 1 && g->stride[1] == 1 && g->dilation[0] == 1 && g->dilation[1] == 1;
}

static double cost(const void *problem, int64_t N) {
    const grad_weight_problem *p = problem;
    const window *g = &p->conv.g;
    const double tiles = (double)N * (double)ceil_div(g->P, SIDE) * (double)ceil_div(g->Q, SIDE), C = (double)g->C, K = (double)g->K;
    const double sums = 2 * VALUES * tiles * (double)ceil_div(g->C, 8) * 8 * K / lane_efficiency(g->K) / NOMINAL_FLOPS;
    const double vectors = tiles * (double)(ceil_div(g->C, NOMINAL_LANES) + ceil_div(g->K, NOMINAL_LANES));
    const double transforms = vectors * VALUES * 7 * 2 * NOMINAL_LANES / NOMINAL_FLOPS;
    const double back = (1 + tiles / LEAST_BLOCK_TILES) * 3 * VALUES * C * K / lane_efficiency(g->K) * 2 / NOMINAL_FLOPS;
    const double pixels = (double)N * (double)g->P * (double)g->Q;
    return cost_max(sums + transforms + back, sizeof(real) * pixels * (C + K) / NOMINAL_DRAM);
}

static grain grain_of(const void *problem) {
    const grad_weight_problem *p = problem;
    const room r = room_for(&p->conv);
    return (grain){.columns = r.panels, .block_rows = INT64_MAX, .tile_pixels = CHANNELS, .tile_channels = TILE_N, .workspace = size_of(&r)};
}

/* The tiles of rows [row, end) of grad_output, counted over the batch: none reaches into another image or over the end. */
typedef struct {
    const window *g;
    int64_t row, end, q;
} tiles_left;

static int64_t rows_of(const tiles_left *t) { return min64(SIDE, min64(t->g->P - t->row % t->g->P, t->end - t->row)); }

static void next_tile(tiles_left *t) {
    t->q += SIDE;
    if (t->q < t->g->Q) return;
    t->row += rows_of(t);
    t->q = 0;
}

static int64_t count_tiles(tiles_left t) {
    int64_t count = 0;
    for (; t.row < t.end; t.row += rows_of(&t)) count += ceil_div(t.g->Q, SIDE);
    return count;
}

/* A: the values of d[0] + d[1] x + d[2] x^2 + d[3] x^3 at the points, infinity's is d[3]. */
INLINE void spread(axis a, const vec *d, vec *to) {
    to[0] = d[0];
#pragma GCC unroll 2
    for (int j = 0; j < 2; j++) {
        const double p = point(a, j);
        const vec even = plus_scaled(d[0], p * p, d[2]), odd = plus_scaled(d[1], p * p, d[3]);
        to[1 + 2 * j] = plus_scaled(even, p, odd), to[2 + 2 * j] = plus_scaled(even, -p, odd);
    }
    to[EDGE - 1] = d[SIDE - 1];
}

/* G^T: 6 products' sums to 3 taps. */
INLINE void gather(axis a, const vec *d, vec *to) {
    to[0] = d[0] * (real)(1 / coefficient(a, -1, 2));
    to[1] = (vec){0};
    to[2] = d[EDGE - 1];
#pragma GCC unroll 2
    for (int j = 0; j < 2; j++) {
        const double p = point(a, j), q = p * p, other = point(a, 1 - j), slope = 2 * q * (q - other * other);
        const vec even = d[1 + 2 * j] + d[2 + 2 * j], odd = d[1 + 2 * j] - d[2 + 2 * j];
        to[0] = plus_scaled(to[0], 1 / slope, even);
        to[1] = plus_scaled(to[1], p / slope, odd);
        to[2] = plus_scaled(to[2], q / slope, even);
    }
}

/* A vector of filters of a tile with `rows` x `cols` pixels, from `gradient` on; their sum is added to `bias`, where that is. */
INLINE void spread_tile(const window *g, int64_t rows, int64_t cols, const real *gradient, int lanes, int64_t step, real *U, real *bias) {
    vec half[EDGE][SIDE], total = {0};
#pragma GCC unroll 4
    for (int j = 0; j < SIDE; j++) {
        vec column[SIDE], to[EDGE];
#pragma GCC unroll 4
        for (int i = 0; i < SIDE; i++) {
            const real *from = gradient + (i * g->Q + j) * g->K;
            column[i] = i >= rows || j >= cols ? (vec){0} : lanes == LANES ? v_load(from) : v_load_n(from, lanes);
            total += column[i];
        }
        spread(TILING.h, column, to);
#pragma GCC unroll 6
        for (int i = 0; i < EDGE; i++) half[i][j] = to[i];
    }
    if (bias) v_store_n(bias, v_load_n(bias, lanes) + total, lanes);
#pragma GCC unroll 6
    for (int i = 0; i < EDGE; i++) {
        vec to[EDGE];
        spread(TILING.w, half[i], to);
#pragma GCC unroll 6
        for (int j = 0; j < EDGE; j++) v_store(U + (i * EDGE + j) * step, to[j]);
    }
}

static const real *gradient_of(const grad_weight_tensors *t, const tiles_left *at) {
    return (const real *)t->of.residual + (at->row * at->g->Q + at->q) * at->g->K;
}

static void find_tile(const grad_weight_problem *p, const grad_weight_tensors *t, const tiles_left *at, const real *zeros, const real **pixel) {
    find_pixels(TILING, &p->conv, (origin){at->row / at->g->P, at->row % at->g->P, at->q}, t->of.x, zeros, pixel);
}

/* A vector of filters of a tile. */
INLINE void ask_for_gradient(const tiles_left *at, const real *gradient) {
    const window *g = at->g;
    for (int64_t i = 0; i < rows_of(at); i++)
        for (int64_t j = 0; j < min64(SIDE, g->Q - at->q); j++) ask(gradient + (i * g->Q + j) * g->K);
}

/* V and U of the next `count` tiles, U for panels [panel0, panel1). */
static void fill(const grad_weight_problem *p, const room *r, const grad_weight_tensors *t, tiles_left *left, int64_t count,
                 int64_t panel0, int64_t panel1, const real *zeros, real *V, real *U) {
    const window *g = &p->conv.g;
    const real *pixel[2][MOST_PIXELS]; /* this tile's, and the next one's */
    find_tile(p, t, left, zeros, pixel[0]);
    for (int64_t i = 0; i < count; i++) {
        const int64_t rows = rows_of(left), cols = min64(SIDE, g->Q - left->q);
        const real *const gradient = gradient_of(t, left);
        const bool last = i + 1 == count;
        next_tile(left);
        if (!last) find_tile(p, t, left, zeros, pixel[(i + 1) % 2]);
        const values to = values_together(V + i * r->pixel);
        input_tile(TILING, pixel[i % 2], pixel[last ? i % 2 : (i + 1) % 2], g->C, &to, r->V_step);
        const int64_t end = min64(g->K, panel1 * TILE_N);
        for (int64_t k = panel0 * TILE_N; k < end; k += LANES) {
            if (!last && t->of.far) ask_for_gradient(left, gradient_of(t, left) + k);
            real *const at = U + (k / TILE_N - panel0) * r->block * TILE_N + i * TILE_N + k % TILE_N;
            spread_tile(g, rows, cols, gradient + k, (int)min64(LANES, end - k), r->U_step, at, t->bias ? (real *)t->bias + k : NULL);
        }
    }
}

/* CHANNELS channels x v vectors of M[f], over n tiles. */
INLINE void sums_of(int v, int64_t n, const real *V, int64_t pixel, const real *U, real *M) {
    vec acc[CHANNELS][TILE_V];
#pragma GCC unroll 8
    for (int i = 0; i < CHANNELS; i++)
#pragma GCC unroll 4
        for (int j = 0; j < v; j++) acc[i][j] = (vec){0};
    for (int64_t a = 0; a + STEPS <= n; a += STEPS, V += STEPS * pixel, U += STEPS * TILE_N)
#pragma GCC unroll 4
        for (int s = 0; s < STEPS; s++) add_outer(CHANNELS, v, V + s * pixel, U + s * TILE_N, acc);
    for (int64_t a = n % STEPS; a > 0; a--, V += pixel, U += TILE_N) add_outer(CHANNELS, v, V, U, acc);
#pragma GCC unroll 8
    for (int i = 0; i < CHANNELS; i++)
#pragma GCC unroll 4
        for (int j = 0; j < v; j++) v_store(M + i * TILE_N + j * LANES, acc[i][j]);
}

/* From M of a channel to the weight's nine taps, which are added to what is there unless they are the first. */
INLINE void gather_taps(bool first, const real *M, real *weight, int64_t tap, int lanes) {
    vec half[3][EDGE];
#pragma GCC unroll 6
    for (int j = 0; j < EDGE; j++) {
        vec column[EDGE], to[3];
#pragma GCC unroll 6
        for (int i = 0; i < EDGE; i++) column[i] = v_load(M + (i * EDGE + j) * CHANNEL_BLOCK * TILE_N);
        gather(TILING.h, column, to);
#pragma GCC unroll 3
        for (int i = 0; i < 3; i++) half[i][j] = to[i];
    }
#pragma GCC unroll 3
    for (int i = 0; i < 3; i++) {
        vec to[3];
        gather(TILING.w, half[i], to);
#pragma GCC unroll 3
        for (int j = 0; j < 3; j++) {
            real *const at = weight + (i * 3 + j) * tap;
            if (lanes == LANES) v_store(at, first ? to[j] : v_load(at) + to[j]);
            else v_store_n(at, first ? to[j] : v_load_n(at, lanes) + to[j], lanes);
        }
    }
}

/* A block's part of the weight for channels [c0, c1) and filters [k0, k1), at most a panel of them. */
static __attribute__((noinline)) void add_weights(const window *g, const room *r, bool first, int64_t count, int64_t c0, int64_t c1, int64_t k0,
                                                  int64_t k1, const real *V, const real *U, real *M, real *weight) {
    for (int f = 0; f < VALUES; f++)
        for (int64_t c = c0; c < c1; c += CHANNELS) {
            const real *const from = V + f * r->V_step + c, *const by = U + f * r->U_step;
            real *const to = M + (f * CHANNEL_BLOCK + c - c0) * TILE_N;
            if (k1 - k0 > LANES) sums_of(TILE_V, count, from, r->pixel, by, to);
            else sums_of(1, count, from, r->pixel, by, to);
        }
    for (int64_t c = c0; c < min64(c1, g->C); c++)
        for (int64_t k = k0; k < k1; k += LANES)
            gather_taps(first, M + (c - c0) * TILE_N + k - k0, weight + c * g->K + k, g->C * g->K, (int)min64(LANES, k1 - k));
}

static void run(const void *problem, const void *packed, const tensors *io, tile at, void *workspace) {
    (void)packed;
    const grad_weight_problem *p = problem;
    const window *g = &p->conv.g;
    const grad_weight_tensors *t = (const grad_weight_tensors *)io;
    const room r = room_for(&p->conv);
    real *zeros = workspace, *V = zeros + r.channels, *U = V + VALUES * r.V_step, *M = U + VALUES * r.U_step;
    memset(zeros, 0, (size_t)r.channels * sizeof *zeros);
    const int64_t k0 = at.col0 * TILE_N, k1 = min64(g->K, at.col1 * TILE_N);
    if (t->bias) memset((real *)t->bias + k0, 0, (size_t)(k1 - k0) * sizeof(real));
    tiles_left left = {.g = g, .row = at.row0, .end = at.row1};
    const int64_t tiles = count_tiles(left), blocks = ceil_div(tiles, r.block);
    for (int64_t i = 0; i < blocks; i++) {
        const int64_t count = tiles * (i + 1) / blocks - tiles * i / blocks;
        fill(p, &r, t, &left, count, at.col0, at.col1, zeros, V, U);
        for (int64_t k = k0; k < k1; k += TILE_N)
            for (int64_t c = 0; c < g->C; c += CHANNEL_BLOCK)
                add_weights(g, &r, i == 0, count, c, min64(r.channels, c + CHANNEL_BLOCK), k, min64(k1, k + TILE_N), V,
                            U + (k - k0) * r.block, M, io->y);
    }
}

const kernel SYMBOL(conv2d_grad_weight_winograd) = {accepts, cost, grain_of, nothing_packed, pack_nothing, run};
#endif
