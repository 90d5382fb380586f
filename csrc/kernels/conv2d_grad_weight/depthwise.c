/* A channel a lane: the sums of a vector of channels, all nine of a 3x3 kernel or those of a row of a larger one, wait in registers
 * while a row of grad_output goes by. Columns whose window leaves the row, and rows whose window leaves the image, are summed over
 * the taps that are inside. */
#include "common/ahead.h"
#include "common/cost.h"
#include "conv2d_grad_weight/problem.h"
#include "simd.h"

#if CNNFAST_REAL

enum {
    PIXELS = 32,                 /* at least, whose vectors of channels follow each other */
    MOST_TAPS = 7                /* of a row of the kernel, in registers */
};

enum { SUMS = 3 * 3 + 1 }; /* of a channel, with the bias's */

/* Where share3x3 does: of each window at least two rows are inside. */
static bool can_share(const window *g) {
    const bool near = g->pad[0] <= 1 && g->pad[1] <= 1 && g->pad[2] <= 1 && g->pad[3] <= 1 && g->H > 1;
    return g->R == 3 && g->S == 3 && g->dilation[0] == 1 && g->dilation[1] == 1 && g->stride[1] <= 2 && near;
}

static bool accepts(const void *problem) {
    const conv2d_problem *p = &((const grad_weight_problem *)problem)->conv;
    return p->groups == p->g.C && p->g.K == p->g.C && p->g.C > 1;
}

static double cost(const void *problem, int64_t N) {
    const grad_weight_problem *p = problem;
    const window *g = &p->conv.g;
    const double pixels = (double)N * ((double)g->P * (double)g->Q + (double)g->H * (double)g->W);
    const double compute = 2 * 2 * conv2d_macs(&p->conv, N) / lane_efficiency(g->C) / NOMINAL_FLOPS;
    return cost_max(compute, sizeof(real) * pixels * (double)g->C / NOMINAL_DRAM);
}

static grain grain_of(const void *problem) {
    const window *g = &((const grad_weight_problem *)problem)->conv.g;
    return (grain){.columns = ceil_div(g->C, LANES), .block_rows = INT64_MAX,
                   .workspace = can_share(g) ? size_mul((size_t)(g->C / LANES), SUMS * VEC_BYTES) : 0};
}

/* One vector of channels of a row of grad_output, from its column 0, and of x: tap (0, 0) of that column, which may lie before x.
 * Elements from a column of grad_output to the next, and of x; from a tap to the next along the row and down. */
typedef struct {
    const real *gradient, *x;
    ptrdiff_t C, step, along, down, row; /* row: from a row of the weight to the next */
} line;

INLINE vec load(const real *from, int lanes) { return lanes == LANES ? v_load(from) : v_load_n(from, lanes); }

/* sums[r][s] += x * gradient over columns [q0, q1). With R and S constant the sums are registers. */
INLINE void taps_of(int R, int S, int lanes, const line *l, int64_t q0, int64_t q1, const real *x, real *sums) {
    vec acc[3][MOST_TAPS];
    const ptrdiff_t C = l->C, step = l->step, along = l->along, down = l->down, row = l->row;
#pragma GCC unroll 3
    for (int r = 0; r < R; r++)
#pragma GCC unroll 7
        for (int s = 0; s < S; s++) acc[r][s] = load(sums + r * row + s * C, lanes);
    const real *gradient = l->gradient + q0 * C, *at[3];
    x += q0 * step;
#pragma GCC unroll 3
    for (int r = 0; r < R; r++) at[r] = x + r * down;
    for (int64_t q = q0; q < q1; q++, gradient += C) {
        const vec by = load(gradient, lanes);
#pragma GCC unroll 3
        for (int r = 0; r < R; r++) {
#pragma GCC unroll 7
            for (int s = 0; s < S; s++) acc[r][s] = v_fma(load(at[r] + s * along, lanes), by, acc[r][s]);
            at[r] += step;
        }
    }
#pragma GCC unroll 3
    for (int r = 0; r < R; r++)
#pragma GCC unroll 7
        for (int s = 0; s < S; s++) {
            if (lanes == LANES) v_store(sums + r * row + s * C, acc[r][s]);
            else v_store_n(sums + r * row + s * C, acc[r][s], lanes);
        }
}

typedef void taps_run(int lanes, const line *, int64_t q0, int64_t q1, const real *x, real *sums);
#define TAPS(R, S) \
    static void taps_##R##x##S(int lanes, const line *l, int64_t q0, int64_t q1, const real *x, real *sums) { \
        if (lanes == LANES) taps_of(R, S, LANES, l, q0, q1, x, sums); \
        else taps_of(R, S, lanes, l, q0, q1, x, sums); \
    }
TAPS(1, 1) TAPS(1, 2) TAPS(1, 3) TAPS(1, 4) TAPS(1, 5) TAPS(1, 6) TAPS(1, 7)
TAPS(2, 1) TAPS(2, 2) TAPS(2, 3)
TAPS(3, 1) TAPS(3, 2) TAPS(3, 3)
static taps_run *const RUNS[3][MOST_TAPS] = {{taps_1x1, taps_1x2, taps_1x3, taps_1x4, taps_1x5, taps_1x6, taps_1x7},
                                             {taps_2x1, taps_2x2, taps_2x3},
                                             {taps_3x1, taps_3x2, taps_3x3}};

/* Columns whose taps [s0, s1) are inside, of rows [r0, r1) of the kernel. */
static void run_taps(const window *g, const line *l, int lanes, const int64_t rows[2], const int64_t taps[2], int64_t q0, int64_t q1, real *sums) {
    const int64_t most = g->S <= 3 ? 3 : 1;
    for (int64_t r = rows[0], R; r < rows[1]; r += R) {
        R = min64(most, rows[1] - r);
        for (int64_t s = taps[0], S; s < taps[1]; s += S) {
            S = min64(MOST_TAPS, taps[1] - s);
            RUNS[R - 1][S - 1](lanes, l, q0, q1, l->x + r * l->down + s * l->along, sums + r * l->row + s * g->C);
        }
    }
}

/* Of `taps` taps of an axis, `dilation` apart from pixel `from` on, those inside an axis of n pixels. */
static void inside(int64_t from, int64_t taps, int64_t dilation, int64_t n, int64_t to[2]) {
    to[0] = from >= 0 ? 0 : min64(taps, ceil_div(-from, dilation));
    to[1] = from >= n ? 0 : min64(taps, ceil_div(n - from, dilation));
    if (to[1] < to[0]) to[1] = to[0];
}

/* Pixels [begin, end) of one row, one vector of channels from c on. */
static void run_line(const grad_weight_problem *p, const grad_weight_tensors *t, int64_t begin, int64_t end, int64_t c) {
    const window *g = &p->conv.g;
    const place_of i = place_at(g, begin);
    const int64_t h = i.p * g->stride[0] - g->pad[0], q1 = i.q + end - begin, reach = (g->S - 1) * g->dilation[1];
    const int lanes = (int)min64(LANES, g->C - c);
    const line l = {.gradient = (const real *)t->of.residual + (begin - i.q) * g->C + c,
                    .x = (const real *)t->of.x + ((i.n * g->H + h) * g->W - g->pad[2]) * g->C + c,
                    .C = g->C, .step = g->stride[1] * g->C, .along = g->dilation[1] * g->C, .down = g->dilation[0] * g->W * g->C,
                    .row = g->S * g->C};
    int64_t rows[2], taps[2];
    inside(h, g->R, g->dilation[0], g->H, rows);
    for (int64_t q = i.q, past; q < q1; q = past) {
        const int64_t w = q * g->stride[1] - g->pad[2];
        inside(w, g->S, g->dilation[1], g->W, taps);
        past = q + 1;
        if (w >= 0 && w + reach < g->W) past = min64(q1, q + (g->W - 1 - reach - w) / g->stride[1] + 1);
        run_taps(g, &l, lanes, rows, taps, q, past, (real *)t->of.y + c);
    }
    if (!t->bias) return;
    real *const sum = (real *)t->bias + c;
    vec total = load(sum, lanes);
    for (int64_t q = i.q; q < q1; q++) total += load(l.gradient + q * g->C, lanes);
    v_store_n(sum, total, lanes);
}

/* 3x3 without dilation along a row, at stride 1 or 2: up to SHARING columns of grad_output share columns of x, for one vector of
 * channels after another. So memory is read as it lies: pixels of many channels lie so far apart that a row of one vector's
 * would drive each other out of the first cache. The sums lie apart from y, a vector's beside each other: in y they would be a
 * power of two away from each other, and from what is read. */
enum { SHARING = 4 };

/* What a row of grad_output meets; taps that are `left` or `right` of the image are left out. */
typedef struct {
    const real *gradient, *x;
    real *sums; /* SUMS vectors for each of channels */
    ptrdiff_t down, total; /* total: from sums to the bias's */
    int64_t C, first, past; /* whole vectors of channels [first, past) */
    bool left, right, bias;
} shared_row;

INLINE void share3x3(int R, int stride, int columns, const shared_row *at) {
    enum { MOST = 2 * (SHARING - 1) + 3 };
    const ptrdiff_t C = at->C, down = at->down;
    const int last = stride * (columns - 1) + 2;
    const bool left = at->left, right = at->right, bias = at->bias;
    real *sums = at->sums;
    for (ptrdiff_t c = at->first; c < at->past; c += LANES, sums += SUMS * LANES) {
        const real *const gradient = at->gradient + c, *const x = at->x + c;
        vec acc[3][3], by[SHARING];
#pragma GCC unroll 9
        for (int i = 0; i < 3 * R; i++) acc[i / 3][i % 3] = v_load(sums + i * LANES);
#pragma GCC unroll 4
        for (int i = 0; i < columns; i++) by[i] = v_load(gradient + i * C);
        if (bias) {
            real *const total_at = sums + at->total;
            vec total = v_load(total_at);
#pragma GCC unroll 4
            for (int i = 0; i < columns; i++) total += by[i];
            v_store(total_at, total);
        }
#pragma GCC unroll 3
        for (int r = 0; r < R; r++)
#pragma GCC unroll 9
            for (int j = 0; j < MOST; j++) {
                if (j > last) break;
                if ((j == 0 && left) || (j == last && right)) continue;
                const vec column = v_load(x + r * down + j * C);
#pragma GCC unroll 3
                for (int s = 0; s < 3; s++)
                    if (j >= s && (j - s) % stride == 0 && (j - s) / stride < columns)
                        acc[r][s] = v_fma(column, by[(j - s) / stride], acc[r][s]);
            }
#pragma GCC unroll 9
        for (int i = 0; i < 3 * R; i++) v_store(sums + i * LANES, acc[i / 3][i % 3]);
    }
}

typedef void share_run(const shared_row *);
#define SHARE(R, stride, columns) \
    static void share_##R##_##stride##_##columns(const shared_row *at) { share3x3(R, stride, columns, at); }
SHARE(2, 1, 4) SHARE(2, 1, 2) SHARE(2, 1, 1) SHARE(3, 1, 4) SHARE(3, 1, 2) SHARE(3, 1, 1)
SHARE(2, 2, 4) SHARE(2, 2, 2) SHARE(2, 2, 1) SHARE(3, 2, 4) SHARE(3, 2, 2) SHARE(3, 2, 1)
static share_run *const SHARES[2][2][SHARING + 1] = { /* of stride, rows, columns */
    {{NULL, share_2_1_1, share_2_1_2, NULL, share_2_1_4}, {NULL, share_3_1_1, share_3_1_2, NULL, share_3_1_4}},
    {{NULL, share_2_2_1, share_2_2_2, NULL, share_2_2_4}, {NULL, share_3_2_1, share_3_2_2, NULL, share_3_2_4}}};

/* Pixels [begin, end) of one row, whole vectors of channels [c0, c1). Where far, asks meanwhile for what the next row reads first. */
static void share_line(const grad_weight_problem *p, const grad_weight_tensors *t, int64_t begin, int64_t end, int64_t c0, int64_t c1, real *sums) {
    const window *g = &p->conv.g;
    const place_of i = place_at(g, begin);
    const int64_t h = i.p * g->stride[0] - g->pad[0], below = t->of.far ? min64(g->H, h + 3 + g->stride[0]) : 0;
    int64_t rows[2];
    inside(h, 3, 1, g->H, rows);
    shared_row at = {.C = g->C, .first = c0, .past = c1, .bias = t->bias, .down = g->W * g->C, .sums = sums + rows[0] * 3 * LANES,
                     .total = (9 - rows[0] * 3) * LANES};
    const real *const x = (const real *)t->of.x + (i.n * g->H + h + rows[0]) * g->W * g->C;
    for (int64_t q = i.q, q1 = i.q + end - begin, columns; q < q1; q += columns) {
        const int64_t w = q * g->stride[1] - g->pad[2];
        columns = q1 - q >= SHARING ? SHARING : min64(2, q1 - q);
        at.gradient = (const real *)t->of.residual + (begin + q - i.q) * g->C;
        at.x = x + w * g->C;
        at.left = w < 0, at.right = w + g->stride[1] * (columns - 1) + 2 >= g->W;
        for (int64_t next = h + 3; next < below; next++)
            ask_pixels((const real *)t->of.x + ((i.n * g->H + next) * g->W + max64(0, w)) * g->C + c0, columns * g->stride[1], g->C, c1 - c0);
        if (t->of.far) ask_pixels(at.gradient + g->Q * g->C + c0, columns, g->C, c1 - c0);
        SHARES[g->stride[1] - 1][rows[1] - rows[0] - 2][columns](&at);
    }
}

/* Whole vectors of channels [c0, c1) of units [row0, row1). */
static void share(const grad_weight_problem *p, const grad_weight_tensors *t, int64_t row0, int64_t row1, int64_t c0, int64_t c1, real *sums) {
    memset(sums, 0, (size_t)((c1 - c0) * SUMS) * sizeof(real));
    for (int64_t u = row0; u < row1; u++) share_line(p, t, unit_pixel(p, u), unit_pixel(p, u + 1), c0, c1, sums);
    for (int64_t c = c0; c < c1; c += LANES, sums += SUMS * LANES) {
        for (int i = 0; i < 9; i++) v_store((real *)t->of.y + i * p->conv.g.C + c, v_load(sums + i * LANES));
        if (t->bias) v_store((real *)t->bias + c, v_load(sums + 9 * LANES));
    }
}

/* What unit u will read that the units before have not. */
static void ask_for(const grad_weight_problem *p, const tensors *t, int64_t u, int64_t c0, int64_t c1) {
    const window *g = &p->conv.g;
    const int64_t begin = unit_pixel(p, u), end = unit_pixel(p, u + 1);
    const place_of i = place_at(g, begin);
    ask_pixels((const real *)t->residual + begin * g->C + c0, end - begin, g->C, c1 - c0);
    const int64_t last = i.p * g->stride[0] - g->pad[0] + (g->R - 1) * g->dilation[0], rows = min64(g->stride[0], g->R);
    const int64_t w0 = max64(0, i.q * g->stride[1] - g->pad[2]), w1 = min64(g->W, (i.q + end - begin) * g->stride[1]);
    for (int64_t h = max64(0, last - rows + 1); h <= min64(last, g->H - 1); h++)
        ask_pixels((const real *)t->x + ((i.n * g->H + h) * g->W + w0) * g->C + c0, w1 - w0, g->C, c1 - c0);
}

static void run(const void *problem, const void *packed, const tensors *t, tile at, void *workspace) {
    (void)packed;
    const grad_weight_problem *p = problem;
    const grad_weight_tensors *all = (const grad_weight_tensors *)t;
    const int64_t C = p->conv.g.C, c0 = at.col0 * LANES, c1 = min64(C, at.col1 * LANES), taps = p->conv.g.R * p->conv.g.S;
    for (int64_t i = 0; i < taps; i++) memset((real *)t->y + i * C + c0, 0, (size_t)(c1 - c0) * sizeof(real));
    if (all->bias) memset((real *)all->bias + c0, 0, (size_t)(c1 - c0) * sizeof(real));
    const int64_t rows = ceil_div(PIXELS, p->conv.g.Q), whole = can_share(&p->conv.g) ? c0 + (c1 - c0) / LANES * LANES : c0;
    if (c0 < whole) share(p, all, at.row0, at.row1, c0, whole, workspace);
    for (int64_t unit = at.row0; unit < at.row1 && whole < c1; unit += rows) {
        const int64_t past = min64(at.row1, unit + rows);
        for (int64_t u = past; u < min64(at.row1, past + rows); u++) ask_for(p, t, u, whole, c1);
        for (int64_t c = whole; c < c1; c += LANES)
            for (int64_t u = unit; u < past; u++) run_line(p, all, unit_pixel(p, u), unit_pixel(p, u + 1), c);
    }
}

const kernel SYMBOL(conv2d_grad_weight_depthwise) = {accepts, cost, grain_of, nothing_packed, pack_nothing, run};
#endif
