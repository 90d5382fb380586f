/* Sums along contiguous elements. The tree is fixed, whatever the ISA: 16 chains, element i in chain i % 16, restarted
 * every 1024 elements; their 16 ends are added in pairs, and the blocks' sums one after the other, in double. So the sum
 * is within (64 + 4)u + n/1024 * 2^-53 of exact, all terms being positive. */
#include "softmax/problem.h"

#include <math.h>

#include "common/cost.h"
#include "common/flat.h"
#include "softmax/exponential.h"

#if CNNFAST_REAL

#define CHAINS 16
#define BLOCK 1024
#define VECTORS (CHAINS / LANES)

/* A row's exponentials wait here, in L1 or L2, when y is not to be cached. */
static const int64_t BUFFERED_BYTES = 256 * 1024;

static bool buffered(const softmax_problem *p) { return p->stream && p->n * (int64_t)sizeof(real) <= BUFFERED_BYTES; }

static bool accepts(const void *problem) { return ((const softmax_problem *)problem)->inner == 1; }

static double cost(const void *problem, int64_t N) {
    const softmax_problem *p = problem;
    return (double)N * (double)p->n * 6e-4 + (double)N * 5e-3;
}

static grain grain_of(const void *problem) {
    const softmax_problem *p = problem;
    return (grain){.columns = 1, .block_rows = max64(1, (1 << 20) / p->n),
                   .workspace = buffered(p) ? (size_t)p->n * sizeof(real) + CHAINS * sizeof(real) : 0};
}

static size_t packed_size(const void *problem) {
    (void)problem;
    return 0;
}

static void pack(const void *problem, const void *weight, const void *bias, void *packed) {
    (void)problem, (void)weight, (void)bias, (void)packed;
}

static real largest(const real *x, int64_t n) {
    vec best[4];
    for (int j = 0; j < 4; j++) best[j] = v_splat(-(real)INFINITY);
    int64_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES)
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++) best[j] = v_greater(v_load(x + i + j * LANES), best[j]);
    for (; i + LANES <= n; i += LANES) best[0] = v_greater(v_load(x + i), best[0]);
    real lane[LANES];
    v_store(lane, v_greater(v_greater(best[0], best[1]), v_greater(best[2], best[3])));
    real most = lane[0];
    for (int j = 1; j < LANES; j++) most = lane[j] > most ? lane[j] : most;
    for (; i < n; i++) most = x[i] > most ? x[i] : most;
    return most;
}

static real tree(const vec *sum) {
    real lane[CHAINS];
#pragma GCC unroll 8
    for (int j = 0; j < VECTORS; j++) v_store(lane + j * LANES, sum[j]);
    for (int width = CHAINS / 2; width; width /= 2)
        for (int j = 0; j < width; j++) lane[j] += lane[j + width];
    return lane[0];
}

/* Writes e^(x - max) to e, unless it is NULL, and returns the sum. Asks for the row after, which no other loop waits for. */
INLINE double exponentials(const real *x, int64_t n, real max, real *e) {
    const vec most = v_splat(max);
    double total = 0;
    for (int64_t begin = 0; begin < n; begin += BLOCK) {
        const int64_t end = min64(n, begin + BLOCK);
        vec sum[VECTORS];
        for (int j = 0; j < VECTORS; j++) sum[j] = v_splat(0);
        int64_t i = begin;
        for (; i + CHAINS <= end; i += CHAINS)
#pragma GCC unroll 8
            for (int j = 0; j < VECTORS; j++) {
                __builtin_prefetch(x + n + i + j * LANES, 0, 2);
                const vec v = softmax_exp(v_load(x + i + j * LANES), most);
                if (e) v_store(e + i + j * LANES, v);
                sum[j] += v;
            }
        for (int j = 0; i < end; j++, i += LANES) {
            const int lanes = (int)min64(LANES, end - i);
            real part[LANES] = {0};
            v_store_n(part, softmax_exp(v_load_n(x + i, lanes), most), lanes);
            const vec v = v_load(part);
            if (e) v_store_n(e + i, v, lanes);
            sum[j] += v;
        }
        total += (double)tree(sum);
    }
    return total;
}

#define F(load) load(from) * factor
static void scale(const real *from, real *y, int64_t n, real by, bool stream) {
    const vec factor = v_splat(by);
    FLAT_EACH(n, y, stream, F);
}
#undef F

#define F(load) load(x) - most - log_of_sum
static void shift(const real *x, real *y, int64_t n, real max, real log_sum, bool stream) {
    const vec most = v_splat(max), log_of_sum = v_splat(log_sum);
    FLAT_EACH(n, y, stream, F);
}
#undef F

static void run(const void *problem, const void *packed, const tensors *t, tile at, void *workspace) {
    (void)packed;
    const softmax_problem *p = problem;
    const int64_t n = p->n;
    for (int64_t row = at.row0; row < at.row1; row++) {
        const real *x = (const real *)t->x + row * n;
        real *y = (real *)t->y + row * n;
        const real max = largest(x, n);
        if (p->log) {
            shift(x, y, n, max, (real)log(exponentials(x, n, max, NULL)), p->stream);
            continue;
        }
        real *e = buffered(p) ? workspace : y;
        const double sum = exponentials(x, n, max, e);
        scale(e, y, n, (real)(1 / sum), buffered(p));
    }
}

const kernel SYMBOL(softmax_rows) = {accepts, cost, grain_of, packed_size, pack, run};
#endif
