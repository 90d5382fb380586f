/* Sums down columns that lie side by side, several vectors of them at a time. Each is a chain in ascending order,
 * restarted every 64 terms: within (64 + n/64)u of exact. */
#include "softmax/problem.h"

#include <math.h>

#include "common/cost.h"
#include "softmax/exponential.h"
#include "kernel.h"

#if CNNFAST_REAL

/* A block of columns, as wide as L1 has room for, is read and written once: between lies its copy, [n][width]. */
enum { WIDEST = 16 }; /* vectors */
static const int64_t BLOCK_BYTES = 32 * 1024;
static const int64_t TERMS = 64;

static int64_t vectors_wide(const softmax_problem *p) {
    const int64_t fit = BLOCK_BYTES / (p->n * VEC_BYTES);
    return max64(1, min64(min64(fit, WIDEST), ceil_div(p->inner, LANES)));
}

static bool accepts(const void *problem) {
    (void)problem;
    return true;
}

static double cost(const void *problem, int64_t N) {
    const softmax_problem *p = problem;
    const double blocks = (double)N * (double)ceil_div(p->inner, NOMINAL_LANES) * NOMINAL_LANES;
    return blocks * (double)p->n * 8e-4;
}

/* A row of the tile is an outer index, a column of it a block. */
static grain grain_of(const void *problem) {
    const softmax_problem *p = problem;
    const int64_t wide = vectors_wide(p);
    return (grain){.columns = ceil_div(p->inner, wide * LANES), .block_rows = max64(1, (1 << 20) / (p->n * p->inner)),
                   .workspace = size_mul(size_mul((size_t)p->n, (size_t)wide), VEC_BYTES)};
}

static size_t packed_size(const void *problem) {
    (void)problem;
    return 0;
}

static void pack(const void *problem, const void *weight, const void *bias, void *packed) {
    (void)problem, (void)weight, (void)bias, (void)packed;
}

INLINE vec load(const real *p, int64_t lanes) { return lanes >= LANES ? v_load(p) : v_load_n(p, (int)lanes); }
INLINE void store(real *p, vec v, int64_t lanes, bool stream) {
    if (lanes < LANES) v_store_n(p, v, (int)lanes);
    else if (stream) v_stream(p, v);
    else v_store(p, v);
}

/* STRIP vectors of the block side by side, or one: what a loop down the rows keeps in registers. */
enum { STRIP = 4 };

INLINE void read_strip(const softmax_problem *p, int v, const real *x, int64_t width, vec *most, real *copy, int64_t step) {
    vec max[STRIP];
#pragma GCC unroll 4
    for (int j = 0; j < v; j++) max[j] = v_splat(-(real)INFINITY);
    for (int64_t i = 0; i < p->n; i++, x += p->inner, copy += step)
#pragma GCC unroll 4
        for (int j = 0; j < v; j++) {
            const vec value = v_keep(v > 1 ? v_load(x + j * LANES) : load(x, width));
            v_store(copy + j * LANES, value);
            max[j] = v_greater(value, max[j]);
        }
#pragma GCC unroll 4
    for (int j = 0; j < v; j++) most[j] = max[j];
}

/* The sums; the copy becomes the exponentials unless it is the logarithm that is wanted. `next`, which is read after
 * this block, is asked for: between them no other loop waits for memory. */
INLINE void sum_strip(const softmax_problem *p, int v, bool log, const vec *most, real *copy, int64_t step, vec *total,
                      const real *next) {
    vec max[STRIP], all[STRIP];
#pragma GCC unroll 4
    for (int j = 0; j < v; j++) max[j] = most[j], all[j] = v_splat(0);
    for (int64_t begin = 0; begin < p->n; begin += TERMS) {
        vec sum[STRIP];
#pragma GCC unroll 4
        for (int j = 0; j < v; j++) sum[j] = v_splat(0);
        for (int64_t i = begin; i < min64(p->n, begin + TERMS); i++, copy += step, next += p->inner)
#pragma GCC unroll 4
            for (int j = 0; j < v; j++) {
                __builtin_prefetch(next + j * LANES, 0, 2);
                const vec e = softmax_exp(v_load(copy + j * LANES), max[j]);
                if (!log) v_store(copy + j * LANES, e);
                sum[j] += e;
            }
#pragma GCC unroll 4
        for (int j = 0; j < v; j++) all[j] += sum[j];
    }
#pragma GCC unroll 4
    for (int j = 0; j < v; j++) total[j] = all[j];
}

INLINE void write_strip(const softmax_problem *p, int v, real *y, int64_t width, const vec *max, const vec *total,
                        const real *copy, int64_t step) {
    vec last[STRIP], most[STRIP];
#pragma GCC unroll 4
    for (int j = 0; j < v; j++) {
        most[j] = max[j];
        if (p->log) {
            real sum[LANES];
            v_store(sum, total[j]);
            for (int k = 0; k < LANES; k++) sum[k] = (real)log((double)sum[k]);
            last[j] = v_load(sum);
        } else last[j] = 1 / total[j];
    }
    for (int64_t i = 0; i < p->n; i++, y += p->inner, copy += step) {
        const bool stream = p->stream && (uintptr_t)y % VEC_BYTES == 0;
#pragma GCC unroll 4
        for (int j = 0; j < v; j++) {
            const vec e = v_load(copy + j * LANES), value = p->log ? e - most[j] - last[j] : e * last[j];
            store(y + j * LANES, value, v > 1 ? LANES : width, stream);
        }
    }
}

/* EACH_STRIP(f): f(v, j) for the block's strips of v vectors from j on; only the last vector may be short. */
#define EACH_STRIP(f)                                                          \
    do {                                                                       \
        int64_t j = 0;                                                         \
        for (; (j + STRIP) * LANES <= width; j += STRIP) f(STRIP, j);          \
        for (; j * LANES < width; j++) f(1, j);                                \
    } while (0)

/* Columns [0, width) of one outer index; `next`: those that come after. */
static void block(const softmax_problem *p, const real *x, real *y, int64_t width, real *copy, const real *next) {
    vec max[WIDEST], total[WIDEST];
    const int64_t step = ceil_div(width, LANES) * LANES;
#define READ(v, j) read_strip(p, v, x + j * LANES, width - j * LANES, max + j, copy + j * LANES, step)
#define SUM(v, j) sum_strip(p, v, false, max + j, copy + j * LANES, step, total + j, next + j * LANES)
#define SUM_LOG(v, j) sum_strip(p, v, true, max + j, copy + j * LANES, step, total + j, next + j * LANES)
#define WRITE(v, j) write_strip(p, v, y + j * LANES, width - j * LANES, max + j, total + j, copy + j * LANES, step)
    EACH_STRIP(READ);
    if (p->log) EACH_STRIP(SUM_LOG);
    else EACH_STRIP(SUM);
    EACH_STRIP(WRITE);
}

static void run(const void *problem, const void *packed, const tensors *t, tile at, void *workspace) {
    (void)packed;
    const softmax_problem *p = problem;
    const int64_t wide = vectors_wide(p) * LANES, end = min64(at.col1 * wide, p->inner);
    for (int64_t row = at.row0; row < at.row1; row++)
        for (int64_t c = at.col0 * wide; c < end; c += wide) {
            const int64_t from = row * p->n * p->inner + c, next = c + wide < end ? from + wide
                : row + 1 < at.row1 ? (row + 1) * p->n * p->inner + at.col0 * wide : from;
            block(p, (const real *)t->x + from, (real *)t->y + from, min64(wide, end - c), workspace, (const real *)t->x + next);
        }
    if (p->stream) v_stream_end();
}

const kernel SYMBOL(softmax_columns) = {accepts, cost, grain_of, packed_size, pack, run};
#endif
