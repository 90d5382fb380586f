/* One channel of x, few filters: vectors lie along the pixels of a row, so that no lane waits for filters that are not there.
 *
 * Some rows of grad_output are cut into planes, one a filter, and x's rows for them get their padding. Then for each row of the
 * kernel and a few filters the sums of its taps, lane by lane, wait in registers while those rows go by. At the end each weight's
 * lanes are added up. */
#include "common/cost.h"
#include "conv2d_grad_weight/problem.h"
#include "simd.h"

#if CNNFAST_REAL

enum {
    MOST_TAPS = 5,                                      /* of a row of the kernel */
    SUMS = VEC_BYTES == 64 ? 30 : VEC_BYTES == 32 ? 12 : 10, /* registers */
    PLANES = 32 * 1024,                                 /* bytes of a block's rows: half of L1, and it may be more where a row is */
};

typedef struct {
    int64_t length, width; /* of a row of a plane, in whole vectors; of a row of x with its padding */
    int64_t rows;          /* of grad_output in a block */
} room;

static room room_for(const window *g) {
    room to = {.length = ceil_div(g->Q, LANES) * LANES};
    to.width = to.length + (g->S - 1) * g->dilation[1];
    to.rows = max64(1, min64(g->P, PLANES / (int64_t)sizeof(real) / (g->K * to.length)));
    return to;
}

static int64_t image_rows(const window *g, const room *r) { return r->rows + (g->R - 1) * g->dilation[0]; }

static bool accepts(const void *problem) {
    const grad_weight_problem *p = problem;
    const window *g = &p->conv.g;
    return p->conv.precision != CNNFAST_STRICT && g->C == 1 && p->parts == 1 && (g->S == 3 || g->S == 5) && g->stride[0] == 1 &&
           g->stride[1] == 1 && (g->R - 1) * g->dilation[0] < CHUNK_PIXELS && g->dilation[1] < CHUNK_PIXELS && g->K < CHUNK_PIXELS;
}

static double cost(const void *problem, int64_t N) {
    const grad_weight_problem *p = problem;
    const window *g = &p->conv.g;
    const double rows = (double)N * (double)g->P, K = (double)g->K, length = (double)ceil_div(g->Q, NOMINAL_LANES) * NOMINAL_LANES;
    return rows * length * K * (2.2 * (double)(g->R * g->S) + 54) / NOMINAL_FLOPS; /* 54: a number is put into its plane by itself */
}

static grain grain_of(const void *problem) {
    const window *g = &((const grad_weight_problem *)problem)->conv.g;
    const room r = room_for(g);
    const size_t sums = size_mul((size_t)(g->K * (g->R * g->S + 1)), LANES), planes = size_mul((size_t)(r.rows * g->K), (size_t)r.length);
    const size_t image = size_mul((size_t)image_rows(g, &r), (size_t)r.width);
    return (grain){.columns = 1, .block_rows = INT64_MAX, .workspace = size_mul(size_add(sums, size_add(planes, image)), sizeof(real))};
}

typedef real four __attribute__((vector_size(4 * sizeof(real))));
typedef lane_int places __attribute__((vector_size(4 * sizeof(real))));

/* Four pixels of four filters, into four planes. */
INLINE void put_fours(const real *from, int64_t from_step, real *to, int64_t to_step) {
    four row[4], pair[4];
    for (int i = 0; i < 4; i++) memcpy(&row[i], from + i * from_step, sizeof *row);
    pair[0] = __builtin_shuffle(row[0], row[1], (places){0, 4, 1, 5}), pair[1] = __builtin_shuffle(row[2], row[3], (places){0, 4, 1, 5});
    pair[2] = __builtin_shuffle(row[0], row[1], (places){2, 6, 3, 7}), pair[3] = __builtin_shuffle(row[2], row[3], (places){2, 6, 3, 7});
    row[0] = __builtin_shuffle(pair[0], pair[1], (places){0, 1, 4, 5}), row[1] = __builtin_shuffle(pair[0], pair[1], (places){2, 3, 6, 7});
    row[2] = __builtin_shuffle(pair[2], pair[3], (places){0, 1, 4, 5}), row[3] = __builtin_shuffle(pair[2], pair[3], (places){2, 3, 6, 7});
    for (int i = 0; i < 4; i++) memcpy(to + i * to_step, &row[i], sizeof *row);
}

/* Rows [p, p + rows) of an image of grad_output: planes[row][k][q]. */
static void fill_planes(const window *g, const room *r, const real *gradient, int64_t rows, real *planes) {
    const int64_t fours = g->K < 4 ? 0 : g->Q / 4 * 4;
    for (int64_t i = 0; i < rows; i++, gradient += g->Q * g->K, planes += g->K * r->length) {
        for (int64_t q = 0; q < fours; q += 4)
            for (int64_t k = 0; k < g->K; k += 4) {
                const int64_t first = min64(k, g->K - 4); /* the last four overlap those before them */
                put_fours(gradient + q * g->K + first, g->K, planes + first * r->length + q, r->length);
            }
        real *plane = planes;
        for (int64_t k = 0; k < g->K; k++, plane += r->length) {
            const real *rest = gradient + fours * g->K + k;
            for (int64_t q = 0; q < g->Q - fours; q++) plane[fours + q] = rest[q * g->K];
            for (int64_t q = g->Q; q < r->length; q++) plane[q] = 0;
        }
    }
}

/* The rows of x under them, with their padding. */
static void fill_image(const window *g, const room *r, const real *x, int64_t p, int64_t rows, real *image) {
    const int64_t begin = min64(r->width, g->pad[2]), end = max64(begin, min64(r->width, g->pad[2] + g->W));
    for (int64_t h = p - g->pad[0]; h < p - g->pad[0] + rows; h++, image += r->width) {
        memset(image, 0, (size_t)r->width * sizeof *image);
        if (h >= 0 && h < g->H) memcpy(image + begin, x + h * g->W + begin - g->pad[2], (size_t)(end - begin) * sizeof *image);
    }
}

/* The sums of a row of `taps` taps for `filters` filters; `step` and `width`: from a row of planes and of x to the next. */
INLINE void sum_rows(int taps, int filters, const room *r, int64_t gap, int64_t rows, const real *plane, int64_t step, const real *image, real *sums,
                     int64_t next) {
    vec acc[SUMS / 3][MOST_TAPS];
#pragma GCC unroll 10
    for (int k = 0; k < filters; k++)
#pragma GCC unroll 5
        for (int s = 0; s < taps; s++) acc[k][s] = v_load(sums + k * next + s * LANES);
    for (int64_t i = 0; i < rows; i++, plane += step, image += r->width)
        for (int64_t q = 0; q < r->length; q += LANES) {
#pragma GCC unroll 5
            for (int s = 0; s < taps; s++) {
                const vec pixels = v_load(image + q + s * gap);
#pragma GCC unroll 10
                for (int k = 0; k < filters; k++) acc[k][s] = v_fma(pixels, v_load(plane + k * r->length + q), acc[k][s]);
            }
        }
#pragma GCC unroll 10
    for (int k = 0; k < filters; k++)
#pragma GCC unroll 5
        for (int s = 0; s < taps; s++) v_store(sums + k * next + s * LANES, acc[k][s]);
}

/* All filters, as many at a time as the registers hold. */
INLINE void sum_filters(int taps, const window *g, const room *r, int64_t rows, const real *planes, const real *image, real *sums) {
    const int most = SUMS / taps;
    const int64_t next = g->R * taps * LANES, step = g->K * r->length;
    for (int64_t k = 0; k < g->K;) {
        const int64_t at_once = g->K - k >= most ? most : g->K - k >= 2 ? 2 : 1;
        for (int64_t h = 0; h < g->R; h++) {
            const real *const plane = planes + k * r->length, *const pixels = image + h * g->dilation[0] * r->width;
            real *const to = sums + k * next + h * taps * LANES;
            if (at_once == most) sum_rows(taps, most, r, g->dilation[1], rows, plane, step, pixels, to, next);
            else if (at_once == 2) sum_rows(taps, 2, r, g->dilation[1], rows, plane, step, pixels, to, next);
            else sum_rows(taps, 1, r, g->dilation[1], rows, plane, step, pixels, to, next);
        }
        k += at_once;
    }
}

static void sum_bias(const window *g, const room *r, int64_t rows, const real *planes, real *sums) {
    for (int64_t i = 0; i < rows; i++)
        for (int64_t k = 0; k < g->K; k++, planes += r->length) {
            vec total = v_load(sums + k * LANES);
            for (int64_t q = 0; q < r->length; q += LANES) total += v_load(planes + q);
            v_store(sums + k * LANES, total);
        }
}

static real lanes_sum(const real *lane) {
    real to[LANES];
    memcpy(to, lane, sizeof to);
    for (int n = LANES / 2; n; n /= 2)
        for (int i = 0; i < n; i++) to[i] += to[i + n];
    return to[0];
}

static void run(const void *problem, const void *packed, const tensors *io, tile at, void *workspace) {
    (void)packed;
    const grad_weight_problem *p = problem;
    const window *g = &p->conv.g;
    const grad_weight_tensors *t = (const grad_weight_tensors *)io;
    const room r = room_for(g);
    const int64_t taps = g->R * g->S;
    real *sums = workspace, *bias = sums + g->K * taps * LANES, *planes = bias + g->K * LANES, *image = planes + r.rows * g->K * r.length;
    memset(sums, 0, (size_t)(g->K * (taps + 1) * LANES) * sizeof *sums);
    for (int64_t row = at.row0; row < at.row1;) {
        const int64_t n = row / g->P, first = row % g->P, rows = min64(r.rows, min64(at.row1 - row, g->P - first));
        fill_planes(g, &r, (const real *)io->residual + row * g->Q * g->K, rows, planes);
        fill_image(g, &r, (const real *)io->x + n * g->H * g->W, first, rows + (g->R - 1) * g->dilation[0], image);
        if (g->S == 3) sum_filters(3, g, &r, rows, planes, image, sums);
        else sum_filters(5, g, &r, rows, planes, image, sums);
        if (t->bias) sum_bias(g, &r, rows, planes, bias);
        row += rows;
    }
    for (int64_t k = 0; k < g->K; k++) {
        for (int64_t i = 0; i < taps; i++) ((real *)io->y)[i * g->K + k] = lanes_sum(sums + (k * taps + i) * LANES);
        if (t->bias) ((real *)t->bias)[k] = lanes_sum(bias + k * LANES);
    }
}

const kernel SYMBOL(conv2d_grad_weight_single) = {accepts, cost, grain_of, nothing_packed, pack_nothing, run};
#endif
