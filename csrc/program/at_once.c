/* Convolutions and pools whose weights come with each call. What planning finds depends on the description alone, so the plan of
 * a small problem waits for the next call of it; the weights are packed anew each time, for they carry no version. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "plan.h"

/* A description as numbers, with all else that a plan depends on. */
enum { NUMBERS = 29 };
typedef struct {
    int64_t of[NUMBERS];
} key;

typedef struct {
    key key;
    cnnfast_plan *plan;
    void *workspace;
    size_t room; /* bytes of it */
    int threads; /* that it was measured for; 0: not yet */
    size_t counted; /* of it in `kept` */
} ready;

/* A plan in use is not here, so that its packed weights and its workspace are one thread's; threads at the same problem come to
 * have one each. No lock: a child made by fork finds nothing held. */
enum { SLOTS = 64, PROBES = 4 }; /* 64: six bits of a hash */
static _Atomic(ready *) slots[SLOTS];
/* Bytes of packed weights and workspace, of one and of all; where there are more, planning costs little. */
static const size_t MOST_KEPT = 1 << 20, MOST_TOGETHER = 16 << 20;
static _Atomic size_t kept;

static int64_t bits(double value) {
    int64_t as;
    memcpy(&as, &value, sizeof as);
    return as;
}

enum { CONV, CONV_GRAD_INPUT, POOL };

static key conv_key(const cnnfast_conv2d *d, int op) {
    return (key){{op, d->dtype, d->layout, d->other_layout, isa_current(), (int64_t)workspace_limit(d->max_workspace), d->N, d->H, d->W,
                  d->C, d->K, d->R, d->S, d->groups, d->stride[0], d->stride[1], d->dilation[0], d->dilation[1], d->pad[0], d->pad[1],
                  d->pad[2], d->pad[3], d->padding_mode, d->activation, bits(d->alpha), d->precision}};
}

static key pool_key(const cnnfast_pool2d *d) {
    return (key){{POOL, d->dtype, d->layout, d->other_layout, isa_current(), (int64_t)workspace_limit(d->max_workspace), d->N, d->H, d->W,
                  d->C, d->kind, d->R, d->S, d->stride[0], d->stride[1], d->dilation[0], d->dilation[1], d->pad[0], d->pad[1],
                  d->pad[2], d->pad[3], d->ceil_mode != 0, d->count_include_pad != 0, bits(d->norm), d->output_size[0],
                  d->output_size[1], d->with_indices}};
}

static unsigned place(const key *k) {
    uint64_t hash = 0, factor = UINT64_C(0x9E3779B97F4A7C15); /* sums of products: a chain of them would take as long as the kernel */
    for (int i = 0; i < NUMBERS; i++) hash += (uint64_t)k->of[i] * factor, factor = factor * 5 + 2;
    return (unsigned)(hash >> 58);
}

static void discard(ready *r) {
    if (!r) return;
    kept -= r->counted;
    cnnfast_plan_free(&r->plan);
    free(r->workspace);
    free(r);
}

/* Leaves it where nothing is, or in place of another. */
static void put(ready *r, unsigned at) {
    for (unsigned i = 0; i < PROBES; i++) {
        ready *none = NULL;
        if (atomic_compare_exchange_strong(&slots[(at + i) % SLOTS], &none, r)) return;
    }
    discard(atomic_exchange(&slots[at], r));
}

static ready *take(const key *k, unsigned at) {
    for (unsigned i = 0; i < PROBES; i++) {
        ready *r = atomic_exchange(&slots[(at + i) % SLOTS], NULL);
        if (r && !memcmp(&r->key, k, sizeof *k)) return r;
        if (r) put(r, place(&r->key));
    }
    return NULL;
}

/* One for `plan`, which it then owns; NULL frees that: out of memory. */
static ready *own(cnnfast_plan *plan, const key *k) {
    ready *r = malloc(sizeof *r);
    if (r) *r = (ready){.key = *k, .plan = plan};
    else cnnfast_plan_free(&plan);
    return r;
}

static cnnfast_status run(ready *r, const cnnfast_args *args) {
    const int threads = parallel_threads();
    if (threads != r->threads) {
        const size_t size = cnnfast_plan_workspace_size(r->plan, args->N);
        free(r->workspace);
        r->workspace = size && size < PTRDIFF_MAX ? aligned_alloc(CACHE_LINE, size) : NULL;
        r->room = r->workspace ? size : 0;
        r->threads = r->room == size ? threads : 0;
        if (!r->threads) return CNNFAST_OUT_OF_MEMORY;
    }
    return cnnfast_plan_run(r->plan, args, r->workspace, r->room);
}

static size_t bytes_of(const ready *r) {
    const size_t packed = r->plan->packing ? r->plan->packing->room : 0;
    const size_t spans = r->plan->spans ? (size_t)(r->plan->g.P + r->plan->g.Q) * sizeof(span) : 0;
    return size_add(size_add(packed, spans), r->room);
}

/* Others go, one after another around the slots, until all that stay are few enough. */
static void make_room(void) {
    static _Atomic unsigned hand;
    for (int i = 0; i < SLOTS && kept > MOST_TOGETHER; i++) discard(atomic_exchange(&slots[hand++ % SLOTS], NULL));
}

static void leave(ready *r, unsigned at) {
    const size_t bytes = bytes_of(r);
    if (bytes > MOST_KEPT) {
        discard(r);
        return;
    }
    if (bytes != r->counted) {
        kept += bytes - r->counted;
        r->counted = bytes;
        make_room();
    }
    put(r, at);
}

/* A small workspace lies on the stack: to allocate one takes longer than a small problem's kernel. */
enum { ON_STACK = 4096 };

cnnfast_status cnnfast_plan_run_allocating(const cnnfast_plan *plan, const cnnfast_args *args) {
    _Alignas(CACHE_LINE) char small[ON_STACK];
    const size_t size = cnnfast_plan_workspace_size(plan, args->N);
    if (size <= ON_STACK) return cnnfast_plan_run(plan, args, small, ON_STACK);
    void *workspace = size < PTRDIFF_MAX ? aligned_alloc(CACHE_LINE, size) : NULL;
    if (!workspace) return CNNFAST_OUT_OF_MEMORY;
    const cnnfast_status status = cnnfast_plan_run(plan, args, workspace, size);
    free(workspace);
    return status;
}

/* A plan for this run alone. */
static cnnfast_status run_and_free(cnnfast_plan *plan, cnnfast_status status, const cnnfast_args *args) {
    if (!status) status = cnnfast_plan_run_allocating(plan, args);
    cnnfast_plan_free(&plan);
    return status;
}

cnnfast_status cnnfast_conv2d_run(const cnnfast_conv2d *description, const void *x, const void *weight, const void *bias,
                                  const void *residual, void *y) {
    cnnfast_conv2d d = *description;
    d.once = 1;
    if (!weight) return CNNFAST_INVALID_PARAM;
    const cnnfast_args args = {.N = d.N, .x = x, .residual = residual, .y = y};
    cnnfast_plan *plan = NULL;
    if (d.algorithm || dtype_is_integer(d.dtype)) {
        const cnnfast_status status = cnnfast_conv2d_plan(&plan, &d, weight, bias);
        return run_and_free(plan, status, &args);
    }
    const key k = conv_key(&d, CONV);
    const unsigned at = place(&k);
    ready *r = take(&k, at);
    cnnfast_status status = CNNFAST_OK;
    if (r) plan_repack(r->plan, weight, bias);
    else if (!(status = cnnfast_conv2d_plan(&plan, &d, weight, bias)) && !(r = own(plan, &k))) status = CNNFAST_OUT_OF_MEMORY;
    if (status) return status;
    status = run(r, &args);
    leave(r, at);
    return status;
}

cnnfast_status cnnfast_pool2d_run(const cnnfast_pool2d *description, const void *x, void *y, int64_t *indices) {
    cnnfast_pool2d d = *description;
    d.with_indices = indices != NULL;
    const cnnfast_args args = {.N = d.N, .x = x, .y = y, .indices = indices};
    cnnfast_plan *plan = NULL;
    if (d.algorithm) {
        const cnnfast_status status = cnnfast_pool2d_plan(&plan, &d);
        return run_and_free(plan, status, &args);
    }
    const key k = pool_key(&d);
    const unsigned at = place(&k);
    ready *r = take(&k, at);
    cnnfast_status status = CNNFAST_OK;
    if (!r && !(status = cnnfast_pool2d_plan(&plan, &d)) && !(r = own(plan, &k))) status = CNNFAST_OUT_OF_MEMORY;
    if (status) return status;
    status = run(r, &args);
    leave(r, at);
    return status;
}

cnnfast_status cnnfast_conv2d_grad_input_run(const cnnfast_conv2d *description, const void *grad_output, const void *weight,
                                             void *grad_input) {
    cnnfast_conv2d d = *description;
    d.once = 1;
    if (!weight) return CNNFAST_INVALID_PARAM;
    const cnnfast_args args = {.N = d.N, .x = grad_output, .y = grad_input};
    cnnfast_plan *plan = NULL;
    if (d.algorithm) {
        const cnnfast_status status = cnnfast_conv2d_grad_input_plan(&plan, &d, weight);
        return run_and_free(plan, status, &args);
    }
    bool finite;
    cnnfast_status status = grad_input_finite(&d, weight, &finite);
    if (status) return status;
    key k = conv_key(&d, CONV_GRAD_INPUT);
    k.of[NUMBERS - 1] = finite;
    const unsigned at = place(&k);
    ready *r = take(&k, at);
    if (r) status = grad_input_repack(r->plan, &d, weight);
    else if (!(status = cnnfast_conv2d_grad_input_plan(&plan, &d, weight)) && !(r = own(plan, &k))) status = CNNFAST_OUT_OF_MEMORY;
    if (status) {
        discard(r);
        return status;
    }
    status = run(r, &args);
    leave(r, at);
    return status;
}

cnnfast_status cnnfast_pool2d_grad_run(const cnnfast_pool2d *d, const void *grad_output, const int64_t *indices, void *grad_input) {
    cnnfast_plan *plan = NULL;
    const cnnfast_status status = cnnfast_pool2d_grad_plan(&plan, d);
    /* a way back reads them */
    return run_and_free(plan, status, &(cnnfast_args){.N = d->N, .x = grad_output, .y = grad_input, .indices = (int64_t *)indices});
}

static void output_shape_of(cnnfast_layout layout, int64_t N, const window *g, int64_t shape[4]) {
    const bool nhwc = layout == CNNFAST_NHWC;
    shape[0] = N, shape[1] = nhwc ? g->P : g->K, shape[2] = nhwc ? g->Q : g->P, shape[3] = nhwc ? g->K : g->Q;
}

cnnfast_status cnnfast_conv2d_output_shape(const cnnfast_conv2d *d, int64_t shape[4]) {
    conv2d_problem p;
    const cnnfast_status status = describe_conv2d(d, &p);
    if (!status) output_shape_of(layout_of(d->layout, d->other_layout, CNNFAST_OUTPUT), d->N, &p.g, shape);
    return status;
}

cnnfast_status cnnfast_pool2d_output_shape(const cnnfast_pool2d *d, int64_t shape[4]) {
    window g;
    span *spans = NULL;
    const cnnfast_status status = pool_windows(d, &g, &spans);
    free(spans);
    if (!status) output_shape_of(layout_of(d->layout, d->other_layout, CNNFAST_OUTPUT), d->N, &g, shape);
    return status;
}
