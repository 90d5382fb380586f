/* Sums down columns that lie side by side, several vectors of them at a time. Each is a chain in ascending order,
 * restarted every 64 terms: within (64 + n/64)u of exact. */
#include "softmax/problem.h"

#include <math.h>

#include "common/cost.h"
#include "softmax/exponential.h"
#include "kernel.h"

#if CNNFAST_REAL

/* A block of columns, as wide as L2 has room for, is read and written once: between lies its copy, [n][width]. */
enum { WIDEST = 16 }; /* vectors */
static const int64_t BLOCK_BYTES = 256 * 1024;
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

static void read_block(const softmax_problem *p, const real *x, int64_t width, int64_t vectors, vec *max, real *copy) {
    for (int64_t j = 0; j < vectors; j++) max[j] = v_splat(-(real)INFINITY);
    for (int64_t i = 0; i < p->n; i++, x += p->inner)
        for (int64_t j = 0; j < vectors; j++, copy += LANES) {
            const vec v = load(x + j * LANES, width - j * LANES);
            v_store(copy, v);
            max[j] = v_greater(v, max[j]);
        }
}

/* The sums; the copy becomes the exponentials unless it is the logarithm that is wanted. */
static void sum_block(const softmax_problem *p, int64_t vectors, const vec *max, real *copy, vec *total) {
    for (int64_t j = 0; j < vectors; j++) total[j] = v_splat(0);
    for (int64_t begin = 0; begin < p->n; begin += TERMS) {
        vec sum[WIDEST];
        for (int64_t j = 0; j < vectors; j++) sum[j] = v_splat(0);
        for (int64_t i = begin; i < min64(p->n, begin + TERMS); i++)
            for (int64_t j = 0; j < vectors; j++, copy += LANES) {
                const vec e = softmax_exp(v_load(copy), max[j]);
                if (!p->log) v_store(copy, e);
                sum[j] += e;
            }
        for (int64_t j = 0; j < vectors; j++) total[j] += sum[j];
    }
}

static void write_block(const softmax_problem *p, real *y, int64_t width, int64_t vectors, const vec *max, const vec *total,
                        const real *copy) {
    vec last[WIDEST];
    for (int64_t j = 0; j < vectors; j++) {
        last[j] = total[j];
        if (p->log)
            for (int k = 0; k < LANES; k++) last[j][k] = (real)log((double)last[j][k]);
        else last[j] = 1 / last[j];
    }
    for (int64_t i = 0; i < p->n; i++, y += p->inner) {
        const bool stream = p->stream && (uintptr_t)y % VEC_BYTES == 0;
        for (int64_t j = 0; j < vectors; j++, copy += LANES) {
            const vec v = p->log ? v_load(copy) - max[j] - last[j] : v_load(copy) * last[j];
            store(y + j * LANES, v, width - j * LANES, stream);
        }
    }
}

static void run(const void *problem, const void *packed, const tensors *t, tile at, void *workspace) {
    (void)packed;
    const softmax_problem *p = problem;
    const int64_t wide = vectors_wide(p) * LANES, end = min64(at.col1 * wide, p->inner);
    vec max[WIDEST], total[WIDEST];
    for (int64_t row = at.row0; row < at.row1; row++)
        for (int64_t c = at.col0 * wide; c < end; c += wide) {
            const int64_t from = row * p->n * p->inner + c, width = min64(wide, end - c), vectors = ceil_div(width, LANES);
            read_block(p, (const real *)t->x + from, width, vectors, max, workspace);
            sum_block(p, vectors, max, workspace, total);
            write_block(p, (real *)t->y + from, width, vectors, max, total, workspace);
        }
    if (p->stream) v_stream_end();
}

const kernel SYMBOL(softmax_columns) = {accepts, cost, grain_of, packed_size, pack, run};
#endif
