/* Depthwise: vectors run over channels, and a tile of 2 x 7 or 2 x 4 outputs shares each input vector it loads.
 *
 * A table of pixels makes borders, padding modes and dilation one case. Away from the borders the 3x3 tiles step from
 * pixel to pixel without it. Where pixels' channels cannot be read as they lie, some channels at a time are
 * copied: each repeated where there is a channel multiplier, or closer together where their addresses would collide.
 */
#include "depthwise.h"

#include "common/cost.h"
#include "common/epilogue.h"
#include "pixels.h"

#if CNNFAST_REAL

static const int64_t ROW_BYTES = 256 * 1024;
/* Outputs that share their inputs: 14 with 9 weights and an input fit 32 registers, 8 fit 16 beside one weight each.
 * The maps of most networks are a multiple of 7 wide. At stride 2 fewer, for more columns lie under each. */
enum { TILE_P = 2, TILE_Q = TILE_M == 14 || TILE_V == 4 ? 7 : 4, STRIDED_Q = 4 };
/* Channels at a time, so that the pixels two neighbouring tiles share are still in L1 for the second. */
enum { CHANNELS = 512 / (int)sizeof(real) };

static int64_t padded_K(const conv2d_problem *p) { return ceil_div(p->g.K, LANES) * LANES; }
static int64_t multiplier(const conv2d_problem *p) { return p->g.K / p->g.C; }
/* Pixels that lie a multiple of 1 KB apart share so few sets of L1 that those under a tile evict each other. */
static bool is_copied(const conv2d_problem *p) {
    return multiplier(p) > 1 || p->g.C * (int64_t)sizeof(real) % 1024 == 0;
}

/* Packed: [K] biases, then [R*S][K] weights, each K filled up to whole vectors. */
size_t SYMBOL(depthwise_packed_size)(const conv2d_problem *p) {
    return size_mul(size_mul((size_t)(1 + p->g.R * p->g.S), (size_t)padded_K(p)), sizeof(real));
}

void SYMBOL(depthwise_pack)(const conv2d_problem *p, const real *weight, const real *bias, real *packed) {
    const int64_t K = p->g.K, step = padded_K(p);
    memset(packed, 0, SYMBOL(depthwise_packed_size)(p));
    if (bias) memcpy(packed, bias, (size_t)K * sizeof *packed);
    for (int64_t r = 0; r < p->g.R; r++)
        for (int64_t s = 0; s < p->g.S; s++) {
            packed += step;
            for (int64_t k = 0; k < K; k++) packed[k] = weight[r * p->step_r + s * p->step_s + k * p->step_k];
        }
}

static size_t zeros_bytes(const conv2d_problem *p) { return size_align(size_mul((size_t)padded_K(p), sizeof(real))); }

size_t SYMBOL(depthwise_workspace)(const conv2d_problem *p, int64_t rows) {
    size_t copy = 0;
    if (is_copied(p)) copy = size_mul(size_mul((size_t)pixels_rows(p, rows), (size_t)p->g.W), CHANNELS * sizeof(real));
    return size_add(size_add(zeros_bytes(p), pixels_bytes(p, rows)), copy);
}

/* What the tiles of one call share. */
typedef struct {
    const real *bias, *weight;
    int64_t w_step, pixel_step, table_step; /* from tap to tap; from pixel to pixel of x; pointers a table row */
    int64_t R, S, stride[2], dilation[2], k0, k1;
    int head; /* channels of the first vector */
    int64_t y_row, y_step;
    const epilogue *epilogue;
} shared;

/* One vector of channels of a tile of tp x tq outputs, all but `n` constant; `by_table` false: x lies in place. */
INLINE void fixed_vector(int R, int S, int stride, int tp, int tq, bool by_table, const shared *d, const pixel *at,
                         const real *residual, real *y, int64_t k, int n) {
    const bool whole = n == LANES;
    vec acc[TILE_P][TILE_Q], w[9];
    const pixel *row = at;
#pragma GCC unroll 9
    for (int t = 0; t < R * S; t++) w[t] = v_load(d->weight + t * d->w_step + k);
    vec bias = v_load(d->bias + k);
#pragma GCC unroll 2
    for (int a = 0; a < tp; a++)
#pragma GCC unroll 7
        for (int b = 0; b < tq; b++) acc[a][b] = bias;
#pragma GCC unroll 9
    for (int i = 0; i < (tp - 1) * stride + R; i++, row += d->table_step)
#pragma GCC unroll 15
        for (int j = 0; j < (tq - 1) * stride + S; j++) {
            const real *x = (by_table ? row[j] : row[0] + j * d->pixel_step) + k;
            vec v = v_keep(whole ? v_load(x) : v_load_n(x, n));
#pragma GCC unroll 2
            for (int a = 0; a < tp; a++)
#pragma GCC unroll 7
                for (int b = 0; b < tq; b++) {
                    int r = i - a * stride, s = j - b * stride;
                    if (r >= 0 && r < R && s >= 0 && s < S) acc[a][b] = v_fma(v, w[r * S + s], acc[a][b]);
                }
        }
#pragma GCC unroll 2
    for (int a = 0; a < tp; a++)
#pragma GCC unroll 7
        for (int b = 0; b < tq; b++) {
            int64_t to = a * d->y_row + b * d->y_step + k;
            if (residual) acc[a][b] += v_load_n(residual + to, n);
            if (d->epilogue->activation == CNNFAST_RELU || d->epilogue->activation == CNNFAST_RELU6)
                acc[a][b] = v_at_least(acc[a][b], v_splat(0));
            if (d->epilogue->activation == CNNFAST_RELU6) acc[a][b] = v_at_most(acc[a][b], v_splat(6));
            if (whole) v_store(y + to, acc[a][b]);
            else v_store_n(y + to, acc[a][b], n);
        }
}

INLINE void fixed(int R, int S, int stride, int tp, int tq, bool by_table, const shared *d, const pixel *at,
                  const real *residual, real *y) {
    int n = d->head;
    for (int64_t k = d->k0; k < d->k1; k += n, n = (int)min64(LANES, d->k1 - k))
        if (n == LANES) fixed_vector(R, S, stride, tp, tq, by_table, d, at, residual, y, k, LANES);
        else fixed_vector(R, S, stride, tp, tq, by_table, d, at, residual, y, k, n);
}

/* Any window: one row of tq outputs. */
INLINE void any(int tq, const shared *d, const pixel *at, const real *residual, real *y) {
    for (int64_t k = d->k0; k < d->k1; k += LANES) {
        int n = (int)min64(LANES, d->k1 - k);
        const real *w = d->weight + k;
        vec acc[TILE_Q];
#pragma GCC unroll 7
        for (int b = 0; b < tq; b++) acc[b] = v_load(d->bias + k);
        for (int64_t r = 0; r < d->R; r++) {
            const pixel *row = at + r * d->dilation[0] * d->table_step;
            for (int64_t s = 0; s < d->S; s++, w += d->w_step, row += d->dilation[1]) {
                vec weight = v_load(w);
#pragma GCC unroll 7
                for (int b = 0; b < tq; b++) {
                    const real *x = row[b * d->stride[1]] + k;
                    acc[b] = v_fma(n == LANES ? v_load(x) : v_load_n(x, n), weight, acc[b]);
                }
            }
        }
#pragma GCC unroll 7
        for (int b = 0; b < tq; b++) {
            real *to = y + b * d->y_step + k;
            if (residual) acc[b] += v_load_n(residual + b * d->y_step + k, n);
            v_store_n(to, acc[b], n);
        }
    }
}

/* 3x3 of stride 1 or 2 with no dilation. Constant arguments make each its own code. */
#define FIXED(stride, tp, tq) \
    if (in_place) fixed(3, 3, stride, tp, tq, false, d, at, residual, y); \
    else fixed(3, 3, stride, tp, tq, true, d, at, residual, y)

static void fixed3x3(int64_t tp, int64_t tq, bool in_place, const shared *d, const pixel *at, const real *residual, real *y) {
    const bool wide = tq > 1;
    if (d->stride[1] == 1) {
        if (tp == TILE_P && wide) { FIXED(1, TILE_P, TILE_Q); }
        else if (tp == TILE_P) { FIXED(1, TILE_P, 1); }
        else if (wide) { FIXED(1, 1, TILE_Q); }
        else { FIXED(1, 1, 1); }
    } else {
        if (tp == TILE_P && wide) { FIXED(2, TILE_P, STRIDED_Q); }
        else if (tp == TILE_P) { FIXED(2, TILE_P, 1); }
        else if (wide) { FIXED(2, 1, STRIDED_Q); }
        else { FIXED(2, 1, 1); }
    }
}

static bool is_fixed3x3(const window *g) {
    return g->R == 3 && g->S == 3 && g->dilation[0] == 1 && g->dilation[1] == 1 && g->stride[0] == g->stride[1] &&
           g->stride[0] <= 2;
}

/* Channels [k0, k1) of rows of x from padded row h0, closely packed; rows outside the image are left alone. */
static void copy_rows(const conv2d_problem *p, const real *image, int64_t h0, int64_t rows, int64_t k0, int64_t k1, real *to) {
    const window *g = &p->g;
    const int64_t m = multiplier(p), width = k1 - k0;
    for (int64_t i = 0; i < rows; i++, to += g->W * width) {
        const int64_t h = pad_index(h0 + i, g->H, p->padding_mode);
        for (int64_t w = 0; h >= 0 && w < g->W; w++) {
            const real *from = image + (h * g->W + w) * g->C;
            if (m == 1 && width % LANES == 0) /* short runs: memcpy's call would cost as much */
                for (int64_t k = 0; k < width; k += LANES) v_store(to + w * width + k, v_load(from + k0 + k));
            else
                for (int64_t k = k0; k < k1; k++) to[w * width + k - k0] = from[k / m];
        }
    }
}

/* table[i][j]: where pixel (h0 + i, j - pad_left) of the padded image lies; `copy` holds the image's channels [k0, k1), or
 * is NULL. */
static void fill_table(const conv2d_problem *p, const depthwise_rows *at, int64_t k0, int64_t k1, const real *zeros, pixel *table,
                       real *copy) {
    const window *g = &p->g;
    const int64_t h0 = at->p0 * g->stride[0] - g->pad[0], rows = pixels_rows(p, at->p1 - at->p0), width = pixels_width(p);
    const int64_t step = copy ? k1 - k0 : g->C;
    if (copy) copy_rows(p, at->image, h0, rows, k0, k1, copy);
    for (int64_t i = 0; i < rows; i++, table += width) {
        int64_t h = pad_index(h0 + i, g->H, p->padding_mode);
        const real *row = copy ? copy + i * g->W * step - k0 : at->image + h * g->W * step;
        pixels_fill_row(p, h < 0 ? NULL : row, step, zeros, table);
    }
}

/* tp rows of outputs from `row`, channels [d->k0, d->k1). */
static void run_row(const conv2d_problem *p, const depthwise_rows *at, const shared *d, const pixel *table, int64_t row,
                    int64_t tp) {
    const window *g = &p->g;
    const bool is3x3 = is_fixed3x3(g);
    const int64_t h0 = row * g->stride[0] - g->pad[0], h1 = h0 + pixels_rows(p, tp);
    const int64_t wide = is3x3 && g->stride[1] == 2 ? STRIDED_Q : TILE_Q;
    for (int64_t q = 0, tq; q < g->Q; q += tq) {
        tq = q + wide <= g->Q ? wide : 1;
        /* A last tile that steps back computes some outputs twice; where y is its own residual it must not. */
        if (tq == 1 && g->Q - q >= wide / 2 && g->Q >= wide && at->residual != at->y) q = g->Q - wide, tq = wide;
        const int64_t w0 = q * g->stride[1] - g->pad[2], w1 = w0 + (tq - 1) * g->stride[1] + g->S;
        const int64_t to = (row - at->p0) * d->y_row + q * at->y_step;
        const pixel *from = table + (row - at->p0) * g->stride[0] * d->table_step + q * g->stride[1];
        const real *residual = at->residual ? at->residual + to : NULL;
        const bool in_place = h0 >= 0 && h1 <= g->H && w0 >= 0 && w1 <= g->W;
        if (is3x3) fixed3x3(tp, tq, in_place, d, from, residual, at->y + to);
        else if (tq == wide) any(TILE_Q, d, from, residual, at->y + to);
        else any(1, d, from, residual, at->y + to);
        if (p->epilogue.activation > (is3x3 ? CNNFAST_RELU6 : CNNFAST_NONE))
            for (int64_t i = 0; i < tp * tq; i++)
                epilogue_run(&p->epilogue, at->y + to + i / tq * d->y_row + i % tq * at->y_step + d->k0, d->k1 - d->k0);
    }
}

/* Lanes of a pixel's first vector: up to where x's vectors stop lying across two cache lines, which doubles their loads. */
static int lanes_to_line(const conv2d_problem *p, const real *x, int64_t channels) {
    const int past = (int)((uintptr_t)x % VEC_BYTES / sizeof(real));
    return p->g.K % LANES == 0 && channels >= 4 * LANES ? LANES - past : (int)min64(LANES, channels);
}

void SYMBOL(depthwise_run)(const conv2d_problem *p, const real *packed, const depthwise_rows *at, void *workspace) {
    const window *g = &p->g;
    real *zeros = workspace;
    pixel *table = (pixel *)((char *)workspace + zeros_bytes(p));
    real *copy = is_copied(p) ? (real *)((char *)table + pixels_bytes(p, at->p1 - at->p0)) : NULL;
    shared d = {.bias = packed, .weight = packed + padded_K(p), .w_step = padded_K(p), .table_step = pixels_width(p), .R = g->R, .S = g->S,
                .stride = {g->stride[0], g->stride[1]}, .dilation = {g->dilation[0], g->dilation[1]},
                .y_row = g->Q * at->y_step, .y_step = at->y_step, .epilogue = &p->epilogue};
    memset(zeros, 0, (size_t)padded_K(p) * sizeof *zeros);
    for (int64_t k0 = at->k0, k1; k0 < at->k1; k0 = k1) {
        k1 = copy ? min64(at->k1, k0 + CHANNELS) : at->k1;
        fill_table(p, at, k0, k1, zeros, table, copy);
        d.pixel_step = copy ? k1 - k0 : g->C;
        const int head = copy ? (int)min64(LANES, k1 - k0) : lanes_to_line(p, at->image + k0, k1 - k0);
        for (int64_t row = at->p0, tp; row < at->p1; row += tp) {
            tp = is_fixed3x3(g) && row + TILE_P <= at->p1 ? TILE_P : 1;
            for (d.k0 = k0; d.k0 < k1; d.k0 = d.k1) {
                d.head = d.k0 == k0 ? head : (int)min64(LANES, k1 - d.k0);
                d.k1 = min64(k1, d.k0 + d.head + CHANNELS - LANES);
                run_row(p, at, &d, table, row, tp);
            }
        }
    }
}

static bool accepts(const void *problem) {
    const conv2d_problem *p = problem;
    return p->groups == p->g.C;
}

static double cost(const void *problem, int64_t N) {
    const conv2d_problem *p = problem;
    const window *g = &p->g;
    double bytes = 4.0 * ((double)N * g->H * g->W * g->C + (double)N * g->P * g->Q * g->K + (double)g->R * g->S * g->K);
    const double rate = multiplier(p) > 1 ? 0.1 : is_fixed3x3(g) ? 0.6 : 0.3;
    return cost_max(2 * conv2d_macs(p, N) / (NOMINAL_FLOPS * rate * lane_efficiency(g->K)), bytes / NOMINAL_DRAM);
}

static grain grain_of(const void *problem) {
    const conv2d_problem *p = problem;
    /* Below 100 ms, and with a table and a copy of the rows below them that stay in L2. */
    const int64_t by_time = (int64_t)(1e8 * (double)p->g.P / conv2d_macs(p, 1));
    const int64_t row_bytes = pixels_width(p) * (int64_t)sizeof(pixel) + (is_copied(p) ? p->g.W * CHANNELS * (int64_t)sizeof(real) : 0);
    const int64_t by_size = (ROW_BYTES / row_bytes - pixels_rows(p, 1)) / p->g.stride[0] + 1;
    const int64_t rows = max64(1, min64(64, min64(by_time, by_size)));
    bool is3x3 = is_fixed3x3(&p->g);
    return (grain){.columns = ceil_div(p->g.K, LANES), .block_rows = rows, .tile_pixels = is3x3 ? TILE_P * TILE_Q : TILE_Q,
                   .tile_channels = LANES, .workspace = SYMBOL(depthwise_workspace)(p, rows)};
}

static size_t packed_size(const void *problem) { return SYMBOL(depthwise_packed_size)(problem); }

static void pack(const void *problem, const void *weight, const void *bias, void *packed) {
    SYMBOL(depthwise_pack)(problem, weight, bias, packed);
}

static void run(const void *problem, const void *packed, const tensors *t, tile at, void *workspace) {
    const conv2d_problem *p = problem;
    const window *g = &p->g;
    for (int64_t row = at.row0; row < at.row1;) {
        int64_t n = row / g->P, to = row * g->Q * g->K;
        depthwise_rows rows = {.p0 = row % g->P, .k0 = at.col0 * LANES, .k1 = min64(g->K, at.col1 * LANES), .y_step = g->K,
                               .image = (const real *)t->x + n * g->H * g->W * g->C,
                               .residual = t->residual ? (const real *)t->residual + to : NULL,
                               .y = (real *)t->y + to};
        rows.p1 = min64(g->P, rows.p0 + (at.row1 - row));
        SYMBOL(depthwise_run)(p, packed, &rows, workspace);
        row += rows.p1 - rows.p0;
    }
}

const kernel SYMBOL(conv2d_depthwise) = {accepts, cost, grain_of, packed_size, pack, run};
#endif
