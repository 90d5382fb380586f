/* y = f(x), f(x + other), f(x * other) or prelu, a vector at a time. */
#include "elementwise/problem.h"

#include "activation.h"
#include "common/cost.h"
#include "common/flat.h"

#if CNNFAST_REAL

static bool accepts(const void *problem) {
    (void)problem;
    return true;
}

/* Nominal microseconds an element beyond memory's: the long activations. */
static double work(cnnfast_activation activation) {
    return activation <= CNNFAST_LEAKY_RELU || activation == CNNFAST_HARDSWISH || activation == CNNFAST_HARDSIGMOID ? 0 : 5e-4;
}

static double cost(const void *problem, int64_t N) {
    (void)N; /* rows; the problem counts its elements itself */
    const elementwise_problem *p = problem;
    const double bytes = (p->kind == CNNFAST_MAP || p->period ? 2 : 3) * (double)p->count * sizeof(real);
    return cost_max(bytes / NOMINAL_DRAM, work(p->epilogue.activation) * (double)p->count);
}

static grain grain_of(const void *problem) {
    (void)problem;
    return (grain){.columns = 1, .block_rows = 256};
}

static size_t packed_size(const void *problem) {
    const elementwise_problem *p = problem;
    return p->period ? size_mul(ring_size(p->period), sizeof(real)) : 0;
}

static void pack(const void *problem, const void *weight, const void *bias, void *packed) {
    (void)bias;
    const elementwise_problem *p = problem;
    if (p->period) ring_fill(packed, weight, p->period);
}

/* The loops differ in the activation alone, which is constant in each. */
#define F(load) v_activation(load(x), activation, alpha)
INLINE void map(int activation, real alpha, const real *x, real *y, int64_t n, bool stream) { FLAT_EACH(n, y, stream, F); }
#undef F

#define F(load) v_softplus(load(x), beta, threshold)
static void map_softplus(real beta, real threshold, const real *x, real *y, int64_t n, bool stream) {
    FLAT_EACH(n, y, stream, F);
}
#undef F

#define MAP(name) case name: map(name, alpha, x, y, n, stream); break;
static void run_map(const elementwise_problem *p, const real *x, real *y, int64_t n) {
    const real alpha = (real)p->epilogue.alpha;
    const bool stream = p->stream;
    switch (p->epilogue.activation) {
        MAP(CNNFAST_NONE) MAP(CNNFAST_RELU) MAP(CNNFAST_RELU6) MAP(CNNFAST_LEAKY_RELU) MAP(CNNFAST_SIGMOID)
        MAP(CNNFAST_TANH) MAP(CNNFAST_GELU) MAP(CNNFAST_SILU) MAP(CNNFAST_HARDSWISH) MAP(CNNFAST_ELU) MAP(CNNFAST_SELU)
        MAP(CNNFAST_HARDSIGMOID) MAP(CNNFAST_GELU_TANH) MAP(CNNFAST_MISH)
    case CNNFAST_SOFTPLUS:
        if (alpha == 1 && p->beta == 20) map(CNNFAST_SOFTPLUS, 0, x, y, n, stream); /* no division */
        else map_softplus(alpha, (real)p->beta, x, y, n, stream);
        break;
    }
}

INLINE vec combined(int kind, vec v, vec w) {
    switch (kind) {
    case CNNFAST_ADD: return v + w;
    case CNNFAST_MULTIPLY: return v * w;
    default: return v_select(v < v_splat(0), v * w, v); /* prelu */
    }
}

#define F(load) v_activation(combined(kind, load(x), load(other)), activation, alpha)
INLINE void pair(int kind, int activation, real alpha, const real *x, const real *other, real *y, int64_t n, bool stream) {
    FLAT_EACH(n, y, stream, F);
}
#undef F

static void run_pair(const elementwise_problem *p, const real *x, const real *other, real *y, int64_t n) {
    const real alpha = (real)p->epilogue.alpha;
    const int activation = p->epilogue.activation;
    if (p->kind == CNNFAST_PRELU) pair(CNNFAST_PRELU, CNNFAST_NONE, 0, x, other, y, n, p->stream);
    else if (p->kind == CNNFAST_ADD && activation == CNNFAST_NONE) pair(CNNFAST_ADD, CNNFAST_NONE, 0, x, other, y, n, p->stream);
    else if (p->kind == CNNFAST_ADD && activation == CNNFAST_RELU) pair(CNNFAST_ADD, CNNFAST_RELU, 0, x, other, y, n, p->stream);
    else if (p->kind == CNNFAST_ADD) pair(CNNFAST_ADD, activation, alpha, x, other, y, n, p->stream);
    else if (activation == CNNFAST_NONE) pair(CNNFAST_MULTIPLY, CNNFAST_NONE, 0, x, other, y, n, p->stream);
    else pair(CNNFAST_MULTIPLY, activation, alpha, x, other, y, n, p->stream);
}

/* The same with an `other` that repeats, from its element `at` on. */
static void run_ring(const elementwise_problem *p, const real *x, const real *ring, int64_t at, real *y, int64_t n) {
    const real alpha = (real)p->epilogue.alpha;
    const int kind = p->kind, activation = p->epilogue.activation;
    const int64_t C = p->period, step = LANES % C, head = flat_head(y, n);
    int64_t i = 0;
    if (head) {
        v_store_n(y, v_activation(combined(kind, v_load_n(x, (int)head), v_load(ring + at)), activation, alpha), (int)head);
        at = (at + head) % C, i = head;
    }
    for (; i + LANES <= n; i += LANES, at = ring_next(at, step, C)) {
        const vec v = v_activation(combined(kind, v_load(x + i), v_load(ring + at)), activation, alpha);
        if (p->stream) v_stream(y + i, v);
        else v_store(y + i, v);
    }
    if (i < n) {
        const int last = (int)(n - i);
        v_store_n(y + i, v_activation(combined(kind, v_load_n(x + i, last), v_load(ring + at)), activation, alpha), last);
    }
    if (p->stream) v_stream_end();
}

static void run(const void *problem, const void *packed, const tensors *t, tile at, void *workspace) {
    (void)workspace;
    const elementwise_problem *p = problem;
    const int64_t begin = at.row0 * ELEMENTWISE_ROW, n = min64(at.row1 * ELEMENTWISE_ROW, p->count) - begin;
    const real *x = (const real *)t->x + begin;
    real *y = (real *)t->y + begin;
    if (p->kind == CNNFAST_MAP) run_map(p, x, y, n);
    else if (p->period) run_ring(p, x, packed, begin % p->period, y, n);
    else run_pair(p, x, (const real *)t->residual + begin, y, n);
}

const kernel SYMBOL(elementwise_vectors) = {accepts, cost, grain_of, packed_size, pack, run};
#endif
