/* pool2d and max_unpool2d: from the caller's description to a plan. */
#include <math.h>
#include <stdlib.h>

#include "plan.h"

/* Windows of one axis, one an output. */
typedef struct {
    int64_t n, taps, dilation, stride, before, after; /* input size; the window; padding */
    bool ceil, count_include_pad;
} axis;

/* ceil_mode rounds up, but the last window starts inside the image or its leading padding. */
static int64_t outputs(const axis *a) {
    int64_t padded = a->n + a->before + a->after, reach = (a->taps - 1) * a->dilation + 1;
    if (padded < reach) return 0;
    if (!a->ceil) return (padded - reach) / a->stride + 1;
    int64_t count = ceil_div(padded - reach, a->stride) + 1;
    return (count - 1) * a->stride >= a->n + a->before ? count - 1 : count;
}

static span window_span(const axis *a, int64_t i) {
    int64_t start = i * a->stride - a->before, skipped = start < 0 ? ceil_div(-start, a->dilation) : 0;
    span s = {.first = start + skipped * a->dilation};
    int64_t past = s.first >= a->n ? 0 : (a->n - 1 - s.first) / a->dilation + 1; /* taps that lie in the image */
    s.taps = min64(a->taps - skipped, past);
    /* With its padding, but not beyond it: where ceil_mode reaches further, those taps never count. */
    int64_t padded = ceil_div(a->n + a->after - start, a->dilation);
    s.extent = a->count_include_pad ? min64(a->taps, padded) : s.taps;
    return s;
}

/* [floor(i*n/count), ceil((i+1)*n/count)), as torch and Keras have it. */
static span adaptive_span(int64_t n, int64_t count, int64_t i) {
    int64_t first = (int64_t)((__int128)i * n / count), past = (int64_t)(((__int128)(i + 1) * n + count - 1) / count);
    return (span){first, past - first, past - first};
}

static cnnfast_status fill_windows(const axis *a, int64_t count, span *to) {
    for (int64_t i = 0; i < count; i++) {
        to[i] = window_span(a, i);
        if (to[i].taps < 1) return CNNFAST_INVALID_PARAM; /* a window wholly in the padding has no value */
    }
    return CNNFAST_OK;
}

static cnnfast_status check_pool(const cnnfast_pool2d *d) {
    if (!dtype_valid(d->dtype) || !layouts_valid(d->layout, d->other_layout) || (unsigned)d->kind > CNNFAST_LP)
        return CNNFAST_INVALID_PARAM;
    if (d->kind == CNNFAST_LP && !(d->norm > 0 && isfinite(d->norm))) return CNNFAST_INVALID_PARAM;
    if (dtype_is_integer(d->dtype) && (d->kind == CNNFAST_AVERAGE || d->kind == CNNFAST_LP)) return CNNFAST_UNSUPPORTED;
    if (d->with_indices && d->kind != CNNFAST_MAX) return CNNFAST_UNSUPPORTED;
    return CNNFAST_OK;
}

/* The plan's spans, and g's R, S, P and Q where the description leaves them to the output size. */
static cnnfast_status make_spans(const cnnfast_pool2d *d, window *g, span **to) {
    const bool adaptive = d->output_size[0] > 0 || d->output_size[1] > 0;
    axis a[2];
    for (int i = 0; i < 2; i++)
        a[i] = (axis){i ? g->W : g->H, i ? g->S : g->R, g->dilation[i], g->stride[i], g->pad[2 * i], g->pad[2 * i + 1],
                      d->ceil_mode != 0, d->count_include_pad != 0};
    g->P = adaptive ? d->output_size[0] : outputs(&a[0]);
    g->Q = adaptive ? d->output_size[1] : outputs(&a[1]);
    cnnfast_status status = check_tensors(g, d->N, d->dtype, d->dtype, 0);
    if (status) return status;
    span *rows = malloc(size_mul((size_t)(g->P + g->Q), sizeof *rows)), *cols = rows + g->P;
    if (!rows) return CNNFAST_OUT_OF_MEMORY;
    *to = rows;
    if (!adaptive) {
        status = fill_windows(&a[0], g->P, rows);
        return status ? status : fill_windows(&a[1], g->Q, cols);
    }
    for (int64_t i = 0; i < g->P; i++) rows[i] = adaptive_span(g->H, g->P, i), g->R = max64(g->R, rows[i].taps);
    for (int64_t i = 0; i < g->Q; i++) cols[i] = adaptive_span(g->W, g->Q, i), g->S = max64(g->S, cols[i].taps);
    return CNNFAST_OK;
}

/* The columns between those that padding or ceil_mode cut. */
static void find_whole(pool2d_problem *p) {
    const int64_t S = p->g.S;
    while (p->whole_begin < p->g.Q && (p->cols[p->whole_begin].taps != S || p->cols[p->whole_begin].extent != S)) p->whole_begin++;
    p->whole_end = p->whole_begin;
    while (p->whole_end < p->g.Q && p->cols[p->whole_end].taps == S && p->cols[p->whole_end].extent == S) p->whole_end++;
}

cnnfast_status pool_windows(const cnnfast_pool2d *d, window *to, span **spans) {
    cnnfast_status status = check_pool(d);
    if (status) return status;
    window g = {.H = d->H, .W = d->W, .C = d->C, .K = d->C, .R = 1, .S = 1, .stride = {1, 1}, .dilation = {1, 1}};
    if (d->output_size[0] <= 0 && d->output_size[1] <= 0) {
        g.R = d->R, g.S = d->S;
        for (int i = 0; i < 2; i++) g.stride[i] = d->stride[i], g.dilation[i] = d->dilation[i];
        for (int i = 0; i < 4; i++) g.pad[i] = d->pad[i];
    }
    status = check_window(&g);
    if (!status) status = make_spans(d, &g, spans);
    *to = g;
    return status;
}

cnnfast_status cnnfast_pool2d_plan(cnnfast_plan **to, const cnnfast_pool2d *d) {
    *to = NULL;
    window g;
    span *spans = NULL;
    const cnnfast_status status = pool_windows(d, &g, &spans);
    cnnfast_plan *plan =
        status ? NULL : plan_new(&pool2d_table, d->dtype, d->dtype, d->layout, d->other_layout, d->N, d->max_workspace);
    if (!plan) {
        free(spans);
        return status ? status : CNNFAST_OUT_OF_MEMORY;
    }
    plan->spans = spans;
    plan->g = g;
    plan->rows_per_image = g.P;
    plan->problem.pool = (pool2d_problem){.g = g, .kind = d->kind, .norm = d->norm, .with_indices = d->with_indices != 0,
                                          .rows = plan->spans, .cols = plan->spans + g.P};
    if (d->output_size[0] <= 0 && d->output_size[1] <= 0) find_whole(&plan->problem.pool);
    return plan_finish(to, plan, plan_choose(plan, d->algorithm));
}

cnnfast_status cnnfast_max_unpool2d_plan(cnnfast_plan **to, const cnnfast_max_unpool2d *d) {
    *to = NULL;
    if (!dtype_valid(d->dtype) || (unsigned)d->layout > CNNFAST_NCHW) return CNNFAST_INVALID_PARAM;
    const window g = {.H = d->H, .W = d->W, .C = d->C, .K = d->C, .P = d->P, .Q = d->Q, .R = 1, .S = 1,
                      .stride = {1, 1}, .dilation = {1, 1}};
    cnnfast_status status = check_window(&g);
    if (!status) status = check_tensors(&g, d->N, d->dtype, d->dtype, 0);
    if (status) return status;
    cnnfast_plan *plan = plan_new(&max_unpool2d_table, d->dtype, d->dtype, d->layout, 0, d->N, d->max_workspace);
    if (!plan) return CNNFAST_OUT_OF_MEMORY;
    plan->g = g;
    plan->rows_per_image = 1;
    plan->checks_indices = true;
    plan->problem.unpool = (max_unpool2d_problem){g};
    return plan_finish(to, plan, plan_choose(plan, NULL));
}
