/* Depthwise at a stride: an output gathers the taps that have an input, R*S / (stride^2) of them, for a vector of channels.
 * Outputs of a column phase lie `stride` apart and read neighbours with the same weights: TILE of them share each. 3x3 at
 * stride 2, which networks have, goes by squares of outputs instead, so that y is written as it lies. */
#include "common/ahead.h"
#include "common/cost.h"
#include "conv2d_grad_input/problem.h"
#include "simd.h"

#if CNNFAST_REAL

enum { MOST_TAPS = 16, TILE = 4, LEAST_ROWS = 16 }; /* of a call where rows go in pairs, so that few are left alone */
/* Well under the time that a call may take. */
static const int64_t BLOCK_BYTES = 1 << 20;

static bool accepts(const void *problem) {
    const conv2d_problem *p = &((const conv2d_grad_input_problem *)problem)->conv;
    const window *g = &p->g;
    return p->groups == g->C && g->C == g->K && g->stride[0] * g->stride[1] > 1 && g->R <= MOST_TAPS && g->S <= MOST_TAPS;
}

static bool in_squares(const window *g) {
    return g->R == 3 && g->S == 3 && g->stride[0] == 2 && g->stride[1] == 2 && g->dilation[0] == 1 && g->dilation[1] == 1;
}

static double cost(const void *problem, int64_t N) {
    const window *g = &((const conv2d_grad_input_problem *)problem)->conv.g;
    const double work = 2 * conv_transpose2d_macs(problem, N) / (NOMINAL_FLOPS / 4);
    return cost_max(work, 4 * (double)N * (double)(g->H * g->W + g->P * g->Q) * (double)g->K / NOMINAL_DRAM);
}

static grain grain_of(const void *problem) {
    const window *g = &((const conv2d_grad_input_problem *)problem)->conv.g;
    const int64_t rows = BLOCK_BYTES / (g->Q * g->K * (int64_t)sizeof(real));
    return (grain){.columns = 1, .block_rows = max64(in_squares(g) ? LEAST_ROWS : 1, min64(g->P, rows)), .tile_pixels = TILE, .tile_channels = LANES,
                   .streams = g->K % LANES == 0};
}

/* [R][S][K], K filled up to whole vectors. */
static int64_t padded_channels(const window *g) { return ceil_div(g->K, LANES) * LANES; }

static size_t packed_size(const void *problem) {
    const window *g = &((const conv2d_grad_input_problem *)problem)->conv.g;
    return size_mul(size_mul((size_t)(g->R * g->S), (size_t)padded_channels(g)), sizeof(real));
}

static void pack(const void *problem, const void *weight, const void *bias, void *packed) {
    (void)bias;
    const conv2d_problem *p = &((const conv2d_grad_input_problem *)problem)->conv;
    const int64_t K = padded_channels(&p->g);
    memset(packed, 0, packed_size(problem));
    for (int64_t r = 0; r < p->g.R; r++)
        for (int64_t s = 0; s < p->g.S; s++) {
            const real *from = (const real *)weight + r * p->step_r + s * p->step_s;
            for (int64_t k = 0; k < p->g.K; k++) ((real *)packed)[(r * p->g.S + s) * K + k] = from[k * p->step_c];
        }
}

/* Taps of an axis that outputs of a phase take, ascending, and the input that each meets at the phase's first output. */
typedef struct {
    int count;
    int64_t tap[MOST_TAPS], at[MOST_TAPS];
} hits;

static void find_hits(const window *g, int axis, int64_t out, hits *to) {
    to->count = 0;
    for (int64_t i = 0; i < (axis ? g->S : g->R); i++) {
        const int64_t reached = out + g->pad[2 * axis] - i * g->dilation[axis];
        if (reached % g->stride[axis]) continue;
        to->tap[to->count] = i;
        to->at[to->count++] = reached / g->stride[axis];
    }
}

/* What the outputs of a row share. */
typedef struct {
    const window *g;
    const real *weights, *image, *residual;
    real *y;
    int64_t y_step, channels;
    const hits *rows;
    bool far, stream;
} row_work;

INLINE void put(const row_work *k, int64_t to, vec v, int lanes) {
    if (k->residual) v += v_load_n(k->residual + to, lanes);
    if (lanes < LANES) v_store_n(k->y + to, v, lanes);
    else if (k->stream) v_stream(k->y + to, v);
    else v_store(k->y + to, v);
}

/* Outputs i, i + 1, ... of a phase whose first is q0, `n` of them, all of whose taps of `columns` have inputs; channels [c, c + lanes). */
INLINE void outputs(int n, const row_work *k, const hits *columns, int64_t q0, int64_t i, int64_t c, int lanes) {
    const window *g = k->g;
    vec sum[TILE];
    for (int m = 0; m < n; m++) sum[m] = (vec){0};
    for (int a = 0; a < k->rows->count; a++)
        for (int b = 0; b < columns->count; b++) {
            const vec w = v_load(k->weights + (k->rows->tap[a] * g->S + columns->tap[b]) * k->channels + c);
            const real *x = k->image + (k->rows->at[a] * g->W + columns->at[b] + i) * g->C + c;
#pragma GCC unroll 4
            for (int m = 0; m < n; m++) {
                const real *from = x + m * g->C;
                sum[m] = v_fma(lanes == LANES ? v_load(from) : v_load_n(from, lanes), w, sum[m]);
            }
        }
    for (int m = 0; m < n; m++) put(k, (q0 + (i + m) * g->stride[1]) * k->y_step + c, sum[m], lanes);
}

/* One output at the edge, channels from c on: with those taps of the phase that have inputs. */
static void edge_output(const row_work *k, const hits *columns, int64_t q0, int64_t i, int64_t c) {
    hits inside = {0};
    for (int b = 0; b < columns->count; b++) {
        const int64_t at = columns->at[b] + i;
        if (at < 0 || at >= k->g->W) continue;
        inside.tap[inside.count] = columns->tap[b];
        inside.at[inside.count++] = columns->at[b];
    }
    for (; c + LANES <= k->g->K; c += LANES) outputs(1, k, &inside, q0, i, c, LANES);
    if (c < k->g->K) outputs(1, k, &inside, q0, i, c, (int)(k->g->K - c));
}

static void tile_outputs(const row_work *k, const hits *columns, int64_t q0, int64_t i) {
    int64_t c = 0;
    for (; c + LANES <= k->g->K; c += LANES) outputs(TILE, k, columns, q0, i, c, LANES);
    if (c < k->g->K) outputs(TILE, k, columns, q0, i, c, (int)(k->g->K - c));
}

/* The outputs of a phase from i to `end`. */
static void run_phase(const row_work *k, const hits *columns, int64_t q0, int64_t i, int64_t end) {
    int64_t lowest = 0, highest = 0;
    for (int b = 0; b < columns->count; b++) {
        lowest = min64(lowest, columns->at[b]);
        highest = max64(highest, columns->at[b]);
    }
    const int64_t inside = min64(end, k->g->W - highest);
    for (; i < end && i < -lowest; i++) edge_output(k, columns, q0, i, 0);
    for (; i + TILE <= inside; i += TILE) tile_outputs(k, columns, q0, i);
    for (; i < end; i++) edge_output(k, columns, q0, i, 0);
}

/* Outputs of a phase at a time, so that the phases find the inputs they share, and fill the same lines, in L1. */
enum { SOME = 4 * TILE };

static void run_row(const row_work *k) {
    const window *g = k->g;
    const int64_t phases = min64(g->stride[1], g->Q), most = ceil_div(g->Q, g->stride[1]);
    for (int64_t i = 0; i < most; i += SOME)
        for (int64_t q0 = 0; q0 < phases; q0++) {
            hits columns;
            find_hits(g, 1, q0, &columns);
            run_phase(k, &columns, q0, i, min64(i + SOME, ceil_div(g->Q - q0, g->stride[1])));
        }
}

/* Squares j, j + 1, ... of 2 x 2 outputs, `n` of them, whose first reads the inputs (0, 0) .. (1, 1) at x: outputs (0, 0) from all
 * four, (0, 1) and (1, 0) from the two of their column and row, (1, 1) from the last. In the order in which `outputs` adds. */
INLINE void squares(int n, const row_work *k, const real *x, const real *weights, real *y) {
    enum { HOLDS = TILE_M == 14 || TILE_V == 4 }; /* the weights, in registers */
    const window *g = k->g;
    const ptrdiff_t down = g->Q * k->y_step, along = k->y_step;
#define INPUT(r, q) v_load(x + ((r) * g->W + (q)) * g->C)
#define WEIGHT(t) (HOLDS ? held[t] : v_load(weights + (t) * k->channels))
#define PUT(to, v) (k->stream ? v_stream(to, v) : v_store(to, v))
    vec held[9], left[2] = {INPUT(0, 0), INPUT(1, 0)};
#pragma GCC unroll 9
    for (int t = 0; HOLDS && t < 9; t++) held[t] = v_load(weights + t * k->channels);
#pragma GCC unroll 4
    for (int m = 0; m < n; m++, y += 2 * along) {
        const vec right[2] = {INPUT(0, m + 1), INPUT(1, m + 1)}, none = {0};
        PUT(y, v_fma(left[0], WEIGHT(8), v_fma(right[0], WEIGHT(6), v_fma(left[1], WEIGHT(2), v_fma(right[1], WEIGHT(0), none)))));
        PUT(y + along, v_fma(right[0], WEIGHT(7), v_fma(right[1], WEIGHT(1), none)));
        PUT(y + down, v_fma(left[1], WEIGHT(5), v_fma(right[1], WEIGHT(3), none)));
        PUT(y + down + along, v_fma(right[1], WEIGHT(4), none));
        left[0] = right[0], left[1] = right[1];
    }
#undef INPUT
#undef WEIGHT
#undef PUT
}

/* A vector of what the squares below read that these do not, and of what they write. */
static __attribute__((noinline)) void ask_below(int n, const row_work *k, const real *x, const real *y) {
    const window *g = k->g;
    for (int m = 0; m < n; m++) ask(x + (2 * g->W + 1 + m) * g->C);
    for (int row = 2; row < 4 && !k->stream; row++)
        for (int m = 0; m < 2 * n; m++) ask(y + (row * g->Q + m) * k->y_step);
}

/* Whole vectors of channels of squares from column q of the output on, j of the inputs. */
INLINE void square_tile(int n, const row_work *k, const real *above, int64_t q, int64_t j) {
    const real *x = above + (j - 1) * k->g->C;
    real *y = k->y + q * k->y_step;
    for (int64_t c = 0; c + LANES <= k->g->K; c += LANES, x += LANES, y += LANES) {
        if (k->far) ask_below(n, k, x, y);
        squares(n, k, x, k->weights + c, y);
    }
}

/* What no square has: of columns [q, end) of the row, channels from c on. */
static void edge_outputs(const row_work *k, int64_t q, int64_t end, int64_t c) {
    for (; q < end; q++) {
        hits columns;
        find_hits(k->g, 1, q % 2, &columns);
        edge_output(k, &columns, q % 2, q / 2, c);
    }
}

/* Two rows of outputs: the first reads rows i - 1 and i of the input, the second row i. */
static void run_pair(const row_work *k, const hits rows[2], int64_t i) {
    const window *g = k->g;
    const int64_t pad = g->pad[2], first = max64(1, ceil_div(pad, 2)), past = max64(first, min64(g->W, (g->Q + pad) / 2));
    const real *const above = k->image + (i - 1) * g->W * g->C;
    for (int64_t j = first, n; j < past; j += n) {
        n = j + TILE <= past ? TILE : 1;
        if (n == TILE) square_tile(TILE, k, above, 2 * j - pad, j);
        else square_tile(1, k, above, 2 * j - pad, j);
    }
    row_work edge = *k;
    for (int a = 0; a < 2; a++) {
        edge.rows = &rows[a];
        edge_outputs(&edge, 0, min64(g->Q, 2 * first - pad), 0);
        if (g->K % LANES) edge_outputs(&edge, 2 * first - pad, 2 * past - pad, g->K / LANES * LANES);
        edge_outputs(&edge, 2 * past - pad, g->Q, 0);
        edge.y += g->Q * k->y_step;
    }
}

/* Taps of row p of the output that have inputs. */
static hits rows_of(const window *g, int64_t p) {
    hits all, inside = {0};
    find_hits(g, 0, p, &all);
    for (int a = 0; a < all.count; a++) {
        if (all.at[a] < 0 || all.at[a] >= g->H) continue;
        inside.tap[inside.count] = all.tap[a];
        inside.at[inside.count++] = all.at[a];
    }
    return inside;
}

static void run(const void *problem, const void *packed, const tensors *t, tile at, void *workspace) {
    (void)workspace;
    const window *g = &((const conv2d_grad_input_problem *)problem)->conv.g;
    const bool stream = t->stream && (uintptr_t)t->y % VEC_BYTES == 0 && g->K % LANES == 0 && t->y_step % LANES == 0;
    for (int64_t row = at.row0, n; row < at.row1; row += n) {
        const int64_t to = row * g->Q * t->y_step, p = row % g->P, i = (p + g->pad[0]) / 2;
        const bool pair = in_squares(g) && !t->residual && (p + g->pad[0]) % 2 == 0 && row + 1 < at.row1 && p + 1 < g->P && i > 0 && i < g->H;
        const hits rows[2] = {rows_of(g, p), pair ? rows_of(g, p + 1) : (hits){0}};
        n = pair ? 2 : 1;
        const row_work k = {.g = g, .weights = packed, .image = (const real *)t->x + row / g->P * g->H * g->W * g->C,
                            .residual = t->residual ? (const real *)t->residual + to : NULL, .y = (real *)t->y + to,
                            .y_step = t->y_step, .channels = padded_channels(g), .rows = rows, .far = t->far, .stream = stream};
        if (pair) run_pair(&k, rows, i);
        else run_row(&k);
    }
    if (stream) v_stream_end();
}

const kernel SYMBOL(conv2d_grad_input_depthwise) = {accepts, cost, grain_of, packed_size, pack, run};
#endif
