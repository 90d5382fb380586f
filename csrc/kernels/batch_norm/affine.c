/* y = (x - mean)*scale + bias, scale = weight/sqrt(var + eps) worked out in double when packed. The mean is taken off
 * first: x*scale + (bias - mean*scale) would lose digits where x is near a large mean. */
#include "batch_norm/problem.h"

#include "activation.h"
#include "common/cost.h"
#include "common/flat.h"

#if CNNFAST_REAL

static bool accepts(const void *problem) {
    (void)problem;
    return true;
}

static double cost(const void *problem, int64_t N) {
    (void)N;
    const batch_norm_problem *p = problem;
    return 2 * sizeof(real) * (double)p->outer * (double)p->C * (double)p->inner / NOMINAL_DRAM;
}

static grain grain_of(const void *problem) {
    (void)problem;
    return (grain){.columns = 1, .block_rows = 256};
}

/* Three rings: mean, scale, bias. */
static size_t packed_size(const void *problem) {
    return size_mul(size_mul(3, ring_size(((const batch_norm_problem *)problem)->C)), sizeof(real));
}

static void pack(const void *problem, const void *weights, const void *bias, void *packed) {
    (void)bias;
    const batch_norm_problem *p = problem;
    const batch_norm_weights *w = weights;
    const int64_t size = (int64_t)ring_size(p->C);
    real *mean = packed, *scale = mean + size, *shift = scale + size;
    for (int64_t c = 0; c < p->C; c++) {
        const double over = w->weight ? (double)((const real *)w->weight)[c] : 1;
        mean[c] = ((const real *)w->mean)[c];
        scale[c] = (real)(over / __builtin_sqrt((double)((const real *)w->var)[c] + p->eps));
        shift[c] = w->bias ? ((const real *)w->bias)[c] : 0;
    }
    for (int64_t c = p->C; c < size; c++) mean[c] = mean[c - p->C], scale[c] = scale[c - p->C], shift[c] = shift[c - p->C];
}

INLINE vec normal(int activation, real alpha, vec v, vec mean, vec scale, vec shift) {
    return v_activation(v_fma(v - mean, scale, shift), activation, alpha);
}

/* Channels change from lane to lane: the rings turn under the vectors. */
INLINE void last(const batch_norm_problem *p, int activation, const real *mean, const real *x, int64_t at, real *y, int64_t n) {
    const int64_t C = p->C, step = LANES % C, head = flat_head(y, n), size = (int64_t)ring_size(C);
    const real *scale = mean + size, *shift = scale + size, alpha = (real)p->epilogue.alpha;
    const bool stream = p->stream;
    int64_t i = 0;
#define AT(v) normal(activation, alpha, v, v_load(mean + at), v_load(scale + at), v_load(shift + at))
    if (head) {
        v_store_n(y, AT(v_load_n(x, (int)head)), (int)head);
        at = (at + head) % C, i = head;
    }
    for (; i + LANES <= n; i += LANES, at = ring_next(at, step, C)) {
        if (stream) v_stream(y + i, AT(v_load(x + i)));
        else v_store(y + i, AT(v_load(x + i)));
    }
    if (i < n) v_store_n(y + i, AT(v_load_n(x + i, (int)(n - i))), (int)(n - i));
    if (stream) v_stream_end();
#undef AT
}

static void run_last(const batch_norm_problem *p, const real *rings, const real *x, int64_t at, real *y, int64_t n) {
    const int activation = p->epilogue.activation;
    if (activation == CNNFAST_NONE) last(p, CNNFAST_NONE, rings, x, at, y, n);
    else if (activation == CNNFAST_RELU) last(p, CNNFAST_RELU, rings, x, at, y, n);
    else last(p, activation, rings, x, at, y, n);
}

/* One channel for `n` elements. */
#define F(load) normal(activation, alpha, load(x), mean, scale, shift)
INLINE void one(const batch_norm_problem *p, int activation, const real *of, const real *x, real *y, int64_t n) {
    const int64_t size = (int64_t)ring_size(p->C);
    const vec mean = v_splat(of[0]), scale = v_splat(of[size]), shift = v_splat(of[2 * size]);
    const real alpha = (real)p->epilogue.alpha;
    FLAT_EACH(n, y, p->stream, F);
}
#undef F

static void run_one(const batch_norm_problem *p, const real *of, const real *x, real *y, int64_t n) {
    const int activation = p->epilogue.activation;
    if (activation == CNNFAST_NONE) one(p, CNNFAST_NONE, of, x, y, n);
    else if (activation == CNNFAST_RELU) one(p, CNNFAST_RELU, of, x, y, n);
    else one(p, activation, of, x, y, n);
}

static void run(const void *problem, const void *packed, const tensors *t, tile at, void *workspace) {
    (void)workspace;
    const batch_norm_problem *p = problem;
    const int64_t begin = at.row0 * BATCH_NORM_ROW, end = min64(at.row1 * BATCH_NORM_ROW, p->outer * p->C * p->inner);
    const real *x = t->x;
    real *y = t->y;
    if (p->inner == 1) {
        run_last(p, packed, x + begin, begin % p->C, y + begin, end - begin);
        return;
    }
    for (int64_t i = begin; i < end;) {
        const int64_t next = min64(end, (i / p->inner + 1) * p->inner);
        run_one(p, (const real *)packed + i / p->inner % p->C, x + i, y + i, next - i);
        i = next;
    }
}

const kernel SYMBOL(batch_norm_affine) = {accepts, cost, grain_of, packed_size, pack, run};
#endif
