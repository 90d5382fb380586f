/* Few filters over many channels: vectors lie along the channels of x, so that no lane waits for filters that are not there.
 *
 * A tile is some outputs of a row times the filters. Each sum has PARTS parts, whatever the ISA: part i takes channels i,
 * i + PARTS, ... of every tap in order, and the parts are added up by halves. So it is no chain, but shorter chains. A table
 * of pixels says where each column of the padded image lies. */
#include "common/cost.h"
#include "common/epilogue.h"
#include "pixels.h"

#if CNNFAST_REAL

enum {
    PARTS = 16,
    VECTORS = PARTS / LANES, /* that hold them */
    SUMS = (VEC_BYTES == 64 ? 24 : VEC_BYTES == 32 ? 12 : 8) / VECTORS, /* in registers */
    MOST_SUMS = (SUMS + LANES - 1) / LANES * LANES, /* in whole vectors of totals */
    MOST_FILTERS = 6,
    TOGETHER = SUMS < MOST_FILTERS ? SUMS : MOST_FILTERS, /* filters in a tile */
    MOST_OUTPUTS = 8,                                     /* of a row in a tile */
    TABLE_BYTES = 128 * 1024,
};

static int64_t whole(int64_t C) { return ceil_div(C, PARTS) * PARTS; }

static bool accepts(const void *problem) {
    const conv2d_problem *p = problem;
    const window *g = &p->g;
    return p->groups == 1 && g->K <= MOST_FILTERS && g->C >= PARTS / 2 && g->R * g->S > 1 && p->precision != CNNFAST_STRICT;
}

static double cost(const void *problem, int64_t N) {
    const conv2d_problem *p = problem;
    const window *g = &p->g;
    const int64_t tile = min64(MOST_OUTPUTS, 24 / g->K), outputs = N * g->P * ceil_div(g->Q, tile) * tile * g->K;
    const double products = (double)(g->R * g->S * whole(g->C));
    const double together = 25 * NOMINAL_LANES; /* where a sum's parts are added up */
    const double bytes = 4 * (double)(N * (g->H * g->W * g->C + g->P * g->Q * g->K));
    return cost_max((double)outputs * (2.4 * products + together) / NOMINAL_FLOPS, bytes / NOMINAL_DRAM);
}

/* Outputs of a tile of so many filters. */
INLINE int outputs_for(int filters) { return SUMS / filters < MOST_OUTPUTS ? SUMS / filters : MOST_OUTPUTS; }

static size_t zeros_bytes(const conv2d_problem *p) { return size_align(size_mul((size_t)p->g.C, sizeof(real))); }

static grain grain_of(const void *problem) {
    const conv2d_problem *p = problem;
    const int64_t by_time = (int64_t)(1e8 * (double)p->g.P / conv2d_macs(p, 1));
    const int64_t by_size = (TABLE_BYTES / (pixels_width(p) * (int64_t)sizeof(pixel)) - pixels_rows(p, 1)) / p->g.stride[0] + 1;
    const int64_t rows = max64(1, min64(64, min64(by_time, by_size)));
    return (grain){.columns = 1, .block_rows = rows, .tile_pixels = outputs_for((int)min64(p->g.K, TOGETHER)), .tile_channels = min64(p->g.K, TOGETHER),
                   .workspace = size_add(zeros_bytes(p), pixels_bytes(p, rows))};
}

/* Each bias and zeros for its parts, then weights as [R][S][C in whole parts][K][PARTS]. */
static size_t packed_size(const void *problem) {
    const conv2d_problem *p = problem;
    const size_t taps = size_mul((size_t)(p->g.R * p->g.S), (size_t)whole(p->g.C));
    return size_mul(size_mul(size_add(taps, PARTS), (size_t)p->g.K), sizeof(real));
}

static void pack(const void *problem, const void *weight, const void *bias, void *packed) {
    const conv2d_problem *p = problem;
    const window *g = &p->g;
    real *to = packed;
    memset(packed, 0, packed_size(problem));
    for (int64_t k = 0; bias && k < g->K; k++) to[k * PARTS] = ((const real *)bias)[k];
    to += g->K * PARTS;
    for (int64_t r = 0; r < g->R; r++)
        for (int64_t s = 0; s < g->S; s++, to += whole(g->C) * g->K)
            for (int64_t c = 0; c < g->C; c++)
                for (int64_t k = 0; k < g->K; k++)
                    to[(c / PARTS * g->K + k) * PARTS + c % PARTS] =
                        ((const real *)weight)[r * p->step_r + s * p->step_s + c * p->step_c + k * p->step_k];
}

typedef struct {
    const pixel *table; /* where the first output's window begins */
    int64_t row, unit, stride; /* pixels of it from a row of taps, a tap, and an output to the next */
    int64_t R, S, C;
    const real *bias, *weight; /* of the tile's first filter */
    int64_t next;              /* from weights to those of the next channels */
    const epilogue *epilogue;
    const real *residual;
    real *y;
    int64_t step; /* from an output's pixel to the next */
} work;

#if defined(__clang__)
#define ONE_COPY __attribute__((noinline))
#else
#define ONE_COPY __attribute__((noinline, noclone)) /* else one for each number of filters */
#endif

/* Lanes without `bit` hold a's lane and the one with it, added up; lanes with it b's. */
INLINE vec join(int bit, vec a, vec b) {
    mask own, other;
    for (int i = 0; i < LANES; i++) own[i] = i & bit ? LANES + i : i, other[i] = own[i] ^ bit;
    return __builtin_shuffle(a, b, own) + __builtin_shuffle(a, b, other);
}

/* Lane i: the sum of all lanes of v[i]. */
INLINE vec sums_of(vec v[LANES]) {
#pragma GCC unroll 4
    for (int n = LANES / 2; n; n /= 2)
#pragma GCC unroll 8
        for (int i = 0; i < n; i++) v[i] = join(n, v[i], v[i + n]);
    return v[0];
}

/* The sum of a sum's vectors of parts, by halves. */
INLINE vec parts_of(const real *parts) {
    vec sum[VECTORS];
#pragma GCC unroll 8
    for (int i = 0; i < VECTORS; i++) sum[i] = v_load(parts + i * LANES);
#pragma GCC unroll 4
    for (int n = VECTORS / 2; n; n /= 2)
#pragma GCC unroll 4
        for (int i = 0; i < n; i++) sum[i] += sum[i + n];
    return sum[0];
}

static void put(const work *k, const real *total, int count, real *y, const real *residual) {
    for (int i = 0; i < count; i += LANES) {
        const int n = count - i < LANES ? count - i : LANES;
        vec v = v_load_n(total + i, n);
        if (residual) v += v_load_n(residual + i, n);
        v_store_n(y + i, v, n);
    }
    SYMBOL(epilogue_run)(k->epilogue, y, count);
}

/* A tile's outputs, of which the first `stored` are there, from the parts of their sums. Apart from the tiles: it is most of their code. */
static ONE_COPY void put_tile(const work *k, const real *parts, int filters, int stored) {
    const int count = stored * filters;
    real total[MOST_SUMS];
    for (int j = 0; j < count; j += LANES) { /* what lies past the last sum is added up too, and not used */
        vec v[LANES];
#pragma GCC unroll 16
        for (int i = 0; i < LANES; i++) v[i] = parts_of(parts + (j + i) * PARTS);
        v_store(total + j, sums_of(v));
    }
    if (k->step == filters) put(k, total, count, k->y, k->residual);
    else
        for (int i = 0; i < stored; i++) put(k, total + i * filters, filters, k->y + i * k->step, k->residual ? k->residual + i * k->step : NULL);
}

/* Adds products of one tap's PARTS channels; of the last ones there are `rest`. */
INLINE void add_products(int filters, int rest, const real *const *x, const real *w, vec sum[][MOST_FILTERS][VECTORS]) {
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; v++) {
        const int n = rest - v * LANES;
        vec weight[MOST_FILTERS];
#pragma GCC unroll 6
        for (int f = 0; f < filters; f++) weight[f] = v_load(w + f * PARTS + v * LANES);
#pragma GCC unroll 8
        for (int i = 0; i < outputs_for(filters); i++) {
            const vec pixel = v_keep(rest == PARTS ? v_load(x[i] + v * LANES) : n <= 0 ? (vec){0} : v_load_n(x[i] + v * LANES, n < LANES ? n : LANES));
#pragma GCC unroll 6
            for (int f = 0; f < filters; f++) sum[i][f][v] = v_fma(pixel, weight[f], sum[i][f][v]);
        }
    }
}

/* The first `stored` of a tile's outputs are there. */
INLINE void run_tile(int filters, int stored, const work *k) {
    const int outputs = outputs_for(filters);
    vec sum[MOST_OUTPUTS][MOST_FILTERS][VECTORS];
#pragma GCC unroll 8
    for (int i = 0; i < outputs; i++)
#pragma GCC unroll 6
        for (int f = 0; f < filters; f++)
#pragma GCC unroll 8
            for (int v = 0; v < VECTORS; v++) sum[i][f][v] = v_load(k->bias + f * PARTS + v * LANES);
    int64_t at[MOST_OUTPUTS]; /* of the table; a part of a tile sums its first output once more */
#pragma GCC unroll 8
    for (int i = 0; i < outputs; i++) at[i] = i < stored ? i * k->stride : 0;
    const real *w = k->weight;
    const int64_t all = k->C / PARTS;
    for (int64_t r = 0; r < k->R; r++)
        for (int64_t s = 0; s < k->S; s++) {
            const pixel *const table = k->table + r * k->row + s * k->unit;
            const real *x[MOST_OUTPUTS];
#pragma GCC unroll 8
            for (int i = 0; i < outputs; i++) x[i] = table[at[i]];
            for (int64_t c = 0; c < all; c++, w += k->next) {
                add_products(filters, PARTS, x, w, sum);
#pragma GCC unroll 8
                for (int i = 0; i < outputs; i++) x[i] += PARTS;
            }
            if (k->C % PARTS) add_products(filters, (int)(k->C % PARTS), x, w, sum), w += k->next;
        }
    real parts[MOST_SUMS * PARTS];
#pragma GCC unroll 8
    for (int i = 0; i < outputs; i++)
#pragma GCC unroll 6
        for (int f = 0; f < filters; f++)
#pragma GCC unroll 8
            for (int v = 0; v < VECTORS; v++) v_store(parts + (i * filters + f) * PARTS + v * LANES, sum[i][f][v]);
    put_tile(k, parts, filters, stored);
}

#define FILTERS(n) static __attribute__((noinline)) void tile_##n(int stored, const work *k) { run_tile(n <= TOGETHER ? n : 1, stored, k); }
FILTERS(1) FILTERS(2) FILTERS(3) FILTERS(4) FILTERS(5) FILTERS(6)
static void (*const tiles[])(int, const work *) = {NULL, tile_1, tile_2, tile_3, tile_4, tile_5, tile_6};

/* Rows [p0, p1) of image n. */
static void run_image(const conv2d_problem *p, const real *packed, const tensors *t, int64_t n, int64_t p0, int64_t p1, void *workspace) {
    const window *g = &p->g;
    const real *image = (const real *)t->x + n * g->H * g->W * g->C, *zeros = workspace;
    pixel *table = (pixel *)((char *)workspace + zeros_bytes(p));
    const int64_t width = pixels_width(p), h0 = p0 * g->stride[0] - g->pad[0];
    for (int64_t i = 0; i < pixels_rows(p, p1 - p0); i++) {
        const int64_t h = pad_index(h0 + i, g->H, p->padding_mode);
        pixels_fill_row(p, h < 0 ? NULL : image + h * g->W * g->C, g->C, zeros, 1, table + i * width);
    }
    work k = {.row = g->dilation[0] * width, .unit = g->dilation[1], .stride = g->stride[1], .R = g->R, .S = g->S, .C = g->C,
              .next = g->K * PARTS, .epilogue = &p->epilogue, .step = t->y_step};
    for (int64_t row = p0; row < p1; row++)
        for (int64_t f = 0; f < g->K; f += TOGETHER) {
            const int filters = (int)min64(TOGETHER, g->K - f), outputs = outputs_for(filters);
            k.bias = packed + f * PARTS, k.weight = k.bias + k.next;
            for (int64_t q = 0; q < g->Q; q += outputs) {
                const int64_t to = ((n * g->P + row) * g->Q + q) * t->y_step + f;
                k.table = table + (row - p0) * g->stride[0] * width + q * g->stride[1];
                k.y = (real *)t->y + to;
                k.residual = t->residual ? (const real *)t->residual + to : NULL;
                tiles[filters]((int)min64(outputs, g->Q - q), &k);
            }
        }
}

static void run(const void *problem, const void *packed, const tensors *t, tile at, void *workspace) {
    const conv2d_problem *p = problem;
    memset(workspace, 0, zeros_bytes(p));
    for (int64_t row = at.row0, end; row < at.row1; row = end) {
        const int64_t n = row / p->g.P, p0 = row % p->g.P;
        end = min64(at.row1, (n + 1) * p->g.P);
        run_image(p, packed, t, n, p0, p0 + end - row, workspace);
    }
}

const kernel SYMBOL(conv2d_narrow) = {accepts, cost, grain_of, packed_size, pack, run};
#endif
