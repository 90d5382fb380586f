/* F(2x2, 3x3) for 1 to 4 channels, stride 1: the first layers of networks, in one pass over registers.
 *
 * A strip of input, four rows of it, is transformed once (V, in L1, shared by all output channels). Then, for a vector of
 * output channels, a tile's 16 products and its way back are one run of FMAs and additions whose only memory is V, the
 * weights and y. On cores that add beside their FMA units the additions are free, so that 16 * C FMAs stand for 36 * C.
 * Each tile is computed alone: neither threads nor strips nor the batch change a bit. */
#include "activation.h"
#include "common/band.h"
#include "common/cost.h"
#include "common/epilogue.h"
#include "conv2d/problem.h"
#include "winograd_transform.h"

#if CNNFAST_REAL

#define F23 ((axis){2, 3, 1, WHOLE})
#define MOST_CHANNELS 4
/* Elements of a strip's row, and from one plane of V to the next: 16 planes fill half of L1 and start in different sets. */
enum { STRIP = 1024 / sizeof(real), LINE = CACHE_LINE / sizeof(real), PLANE = STRIP + 2 * LINE };
/* Tiles at once, which share the loads of weights: what the registers hold. */
#if VEC_BYTES == 64 || defined(CNNFAST_ISA_neon)
#define AT_ONCE 3
#else
#define AT_ONCE 2
#endif
/* Tiles for which the weights of one vector of channels stay in L1 before the next one's come. */
#define GROUP (4 * AT_ONCE)

static bool accepts(const void *problem) {
    const conv2d_problem *p = problem;
    const window *g = &p->g;
    return p->precision != CNNFAST_STRICT && p->groups == 1 && g->C <= MOST_CHANNELS && g->R == 3 && g->S == 3 &&
           g->stride[0] == 1 && g->stride[1] == 1 && g->dilation[0] == 1 && g->dilation[1] == 1;
}

static int64_t tile_rows(const conv2d_problem *p) { return ceil_div(p->g.P, 2); }

/* Measured: FMAs at the peak, a quarter more for stores and loads, and the transform of x. */
static double cost(const void *problem, int64_t N) {
    const conv2d_problem *p = problem;
    const window *g = &p->g;
    const double tiles = (double)N * (double)tile_rows(p) * (double)ceil_div(g->Q, 2), lanes = 2 * NOMINAL_LANES;
    const double vectors = (double)(ceil_div(g->K, NOMINAL_LANES) + (g->K % NOMINAL_LANES > 0)); /* a part of one takes twice as long */
    const double products = 16 * tiles * ((double)g->C + 0.5) * vectors * lanes;
    const double transform = 16 * tiles * (double)g->C * 6;
    const double bytes = 4.0 * ((double)N * g->H * g->W * g->C + (double)N * g->P * g->Q * g->K);
    return cost_max((products + transform) / NOMINAL_FLOPS, bytes / NOMINAL_DRAM);
}

/* The workspace: four rows of the image, the same after the first axis of B^T, V. */
static grain grain_of(const void *problem) {
    const conv2d_problem *p = problem;
    const double row = 4.0 * (double)p->g.Q * (double)p->g.K;
    return (grain){.rows_per_image = tile_rows(p), .strip_rows = 2, .columns = 1, .block_rows = max64(1, (int64_t)(1e7 / row)),
                   .streams = epilogue_streams(&p->epilogue, p->g.K), .workspace = (4 + 4 + 16) * PLANE * sizeof(real)};
}

/* For each vector of channels its biases, then [j][c][i] weights: i and j count products down and across. */
static int64_t column_size(const conv2d_problem *p) { return (1 + 16 * p->g.C) * LANES; }

static size_t packed_size(const void *problem) {
    const conv2d_problem *p = problem;
    return size_mul(size_mul((size_t)ceil_div(p->g.K, LANES), (size_t)column_size(p)), sizeof(real));
}

/* Weights are transformed in double: G w G^T, rounded once. */
static void pack(const void *problem, const void *weight, const void *bias, void *packed) {
    const conv2d_problem *p = problem;
    filter G;
    filter_matrix(F23, G);
    memset(packed, 0, packed_size(p));
    for (int64_t k = 0; k < p->g.K; k++) {
        real *to = (real *)packed + k / LANES * column_size(p) + k % LANES;
        *to = bias ? ((const real *)bias)[k] : 0;
        for (int j = 0; j < 4; j++)
            for (int64_t c = 0; c < p->g.C; c++)
                for (int i = 0; i < 4; i++) {
                    const real *w = (const real *)weight + c * p->step_c + k * p->step_k;
                    double sum = 0;
                    for (int r = 0; r < 3; r++)
                        for (int s = 0; s < 3; s++) sum += G[i][r] * G[j][s] * (double)w[r * p->step_r + s * p->step_s];
                    *(to += LANES) = (real)sum;
                }
    }
}

/* B^T over four vectors. */
INLINE void write_transformed(const real *d, int64_t d_step, int64_t elements, real *to, int64_t step) {
    for (int64_t e = 0; e < elements; e += LANES) {
        vec in[4], out[4];
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) in[i] = v_load(d + i * d_step + e);
        input_transform(F23, in, out);
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) v_store(to + i * step + e, out[i]);
    }
}

/* Where a group's outputs go, and how. */
typedef struct {
    int64_t down, across; /* elements from an output to the one below, and beside */
    int64_t rows, cols;   /* outputs that exist */
    int lanes;
    bool stream;
    cnnfast_activation activation;
    const real *residual;
    real *y;
} outputs;

INLINE vec activated(const outputs *to, vec v) {
    if (to->activation == CNNFAST_RELU || to->activation == CNNFAST_RELU6) v = v_at_least(v, v_splat(0));
    return to->activation == CNNFAST_RELU6 ? v_at_most(v, v_splat(6)) : v;
}

/* M = U V summed over the channels, and A^T M A, column by column of products; C and T are constants. The bias rides on the
 * product that all four outputs take once. */
INLINE void tile_sums(int C, int T, const real *column, const real *V, vec y[][2][2]) {
    const real *U = column + LANES;
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
        vec sum[AT_ONCE], difference[AT_ONCE];
#pragma GCC unroll 4
        for (int i = 1; i < 3; i++)
#pragma GCC unroll 4
            for (int c = 0; c < C; c++) {
                __asm__ volatile("" : "+r"(V)); /* or loads move up, and what they loaded is spilled */
                const vec u = v_keep(v_load(U + ((j * C + c) * 4 + i) * LANES)); /* in a register for all tiles */
#pragma GCC unroll 4
                for (int t = 0; t < T; t++) {
                    const vec v = v_splat(V[(i * 4 + j) * PLANE + 2 * t * C + c]);
                    vec *m = i == 1 ? &sum[t] : &difference[t];
                    if (c) *m = v_fma(v, u, *m);
                    else if (i == 1 && j == 1) *m = v_fma(v, u, v_load(column));
                    else *m = v * u;
                }
            }
#pragma GCC unroll 4
        for (int t = 0; t < T; t++) {
            const vec one = v_keep(sum[t]), other = v_keep(difference[t]); /* products of their own: or they become FMAs */
            sum[t] = one + other, difference[t] = one - other;
        }
#pragma GCC unroll 4
        for (int i = 0; i < 4; i += 3)
#pragma GCC unroll 4
            for (int c = 0; c < C; c++) {
                __asm__ volatile("" : "+r"(V)); /* or loads move up, and what they loaded is spilled */
                const vec u = v_keep(v_load(U + ((j * C + c) * 4 + i) * LANES)); /* in a register for all tiles */
#pragma GCC unroll 4
                for (int t = 0; t < T; t++) {
                    vec *m = i ? &difference[t] : &sum[t];
                    *m = v_fma(v_splat(V[(i * 4 + j) * PLANE + 2 * t * C + c]), u, *m);
                }
            }
#pragma GCC unroll 4
        for (int t = 0; t < T; t++)
#pragma GCC unroll 2
            for (int a = 0; a < 2; a++) {
                const vec m = a ? difference[t] : sum[t];
                if (j == 0) y[t][a][0] = m;
                else if (j == 1) y[t][a][0] += m, y[t][a][1] = m;
                else if (j == 2) y[t][a][0] += m, y[t][a][1] -= m;
                else y[t][a][1] += m;
            }
    }
}

#define STORE_ALL(store)                                                   \
    {                                                                      \
        _Pragma("GCC unroll 2") for (int a = 0; a < 2; a++)                \
            _Pragma("GCC unroll 8") for (int q = 0; q < 2 * T; q++)        \
                store(at + a * to->down + q * to->across, y[q / 2][a][q % 2]); \
    }

/* T tiles all of whose outputs exist. */
INLINE void whole_tiles(int C, int T, const real *column, const real *V, const outputs *to, real *at) {
    vec y[AT_ONCE][2][2];
    tile_sums(C, T, column, V, y);
#pragma GCC unroll 2
    for (int a = 0; a < 2; a++)
#pragma GCC unroll 4
        for (int t = 0; t < T; t++)
#pragma GCC unroll 2
            for (int b = 0; b < 2; b++) y[t][a][b] = activated(to, y[t][a][b]);
    if (to->stream) STORE_ALL(v_stream)
    else STORE_ALL(v_store)
}

/* One tile, whatever of it exists. */
INLINE void part_tile(int C, const real *column, const real *V, const outputs *to, int64_t first) {
    vec y[1][2][2];
    tile_sums(C, 1, column, V, y);
#pragma GCC unroll 2
    for (int a = 0; a < 2; a++)
#pragma GCC unroll 2
        for (int b = 0; b < 2; b++) {
            if (a >= to->rows || first + b >= to->cols) continue;
            const int64_t at = a * to->down + (first + b) * to->across;
            vec v = y[0][a][b];
            if (to->residual) v += v_load_n(to->residual + at, to->lanes);
            v_store_n(to->y + at, activated(to, v), to->lanes);
        }
}

/* One vector of channels over a group of tiles. */
INLINE void group_of(int C, const real *column, const real *V, const outputs *to,
                     void (*part)(const real *, const real *, const outputs *, int64_t)) {
    int64_t q = 0;
    if (to->rows == 2 && to->lanes == LANES && !to->residual)
        for (; q + 2 * AT_ONCE <= to->cols; q += 2 * AT_ONCE)
            whole_tiles(C, AT_ONCE, column, V + q * C, to, to->y + q * to->across);
    for (; q < to->cols; q += 2) part(column, V + q * C, to, q);
}

/* Functions of their own: GCC keeps one's loads for another, in memory. */
#define CHANNELS(C)                                                                                                              \
    static __attribute__((noinline)) void part_##C(const real *column, const real *V, const outputs *to, int64_t first) {        \
        part_tile(C, column, V, to, first);                                                                                      \
    }                                                                                                                            \
    static __attribute__((noinline)) void group_##C(const real *column, const real *V, const outputs *to) {                      \
        group_of(C, column, V, to, part_##C);                                                                                    \
    }
CHANNELS(1)
CHANNELS(2)
CHANNELS(3)
CHANNELS(4)

static void run_strip(const conv2d_problem *p, const real *packed, const real *V, const outputs *all) {
    for (int64_t q = 0; q < all->cols; q += 2 * GROUP) {
        outputs to = *all;
        to.cols = min64(2 * GROUP, all->cols - q);
        for (int64_t k = 0; k < p->g.K; k += LANES) {
            const real *column = packed + k / LANES * column_size(p), *v = V + q * p->g.C;
            to.y = all->y + q * all->across + k;
            to.residual = all->residual ? all->residual + q * all->across + k : NULL;
            to.lanes = (int)min64(LANES, p->g.K - k);
            switch (p->g.C) {
            case 1: group_1(column, v, &to); break;
            case 2: group_2(column, v, &to); break;
            case 3: group_3(column, v, &to); break;
            case 4: group_4(column, v, &to); break;
            }
        }
        if (p->epilogue.activation <= CNNFAST_RELU6) continue;
        const int64_t runs = all->across == p->g.K ? 1 : to.cols; /* without gaps they are one */
        for (int a = 0; a < to.rows; a++)
            for (int64_t i = 0; i < runs; i++)
                SYMBOL(epilogue_run)(&p->epilogue, all->y + a * all->down + (q + i) * all->across, to.cols / runs * p->g.K);
    }
}

static void run(const void *problem, const void *packed, const tensors *t, tile at, void *workspace) {
    const conv2d_problem *p = problem;
    const window *g = &p->g;
    const int64_t C = g->C, strip = (STRIP / C - 2) / 2 * 2; /* columns of outputs */
    real *rows = workspace, *half = rows + 4 * PLANE, *V = half + 4 * PLANE;
    memset(workspace, 0, 8 * PLANE * sizeof(real));
    outputs to = {.down = g->Q * t->y_step, .across = t->y_step, .activation = p->epilogue.activation};
    to.stream = t->stream && p->epilogue.activation <= CNNFAST_RELU6 && t->y_step % LANES == 0 && (uintptr_t)t->y % VEC_BYTES == 0;
    for (int64_t row = at.row0; row < at.row1; row++) {
        const int64_t n = row / tile_rows(p), first = row % tile_rows(p) * 2;
        to.rows = min64(2, g->P - first);
        for (int64_t q = 0; q < g->Q; q += strip) {
            to.cols = min64(strip, g->Q - q);
            const int64_t elements = (to.cols + 2) * C;
            band b = {.h0 = first - g->pad[0], .w0 = q - g->pad[2], .channels = C};
            b.w1 = b.w0 + to.cols + 2;
            for (int64_t r = 0; r < to.rows + 2; r++) {
                b.h0 = first - g->pad[0] + r, b.h1 = b.h0 + 1;
                band_copy(g, p->padding_mode, (const real *)t->x + n * g->H * g->W * C, b, rows + r * PLANE, C);
            }
            write_transformed(rows, PLANE, elements, half, PLANE);
            for (int i = 0; i < 4; i++) write_transformed(half + i * PLANE, C, elements, V + i * 4 * PLANE, PLANE);
            const int64_t put = ((n * g->P + first) * g->Q + q) * t->y_step;
            to.y = (real *)t->y + put;
            to.residual = t->residual ? (const real *)t->residual + put : NULL;
            run_strip(p, packed, V, &to);
        }
    }
    if (to.stream) v_stream_end();
}

const kernel SYMBOL(conv2d_winograd_stem) = {accepts, cost, grain_of, packed_size, pack, run};
#endif
