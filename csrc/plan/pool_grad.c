/* The ways back of pools and of upsample2d: from the caller's description to a plan, whose x is the gradient of the op's output
 * and whose y that of its input. */
#include <stdlib.h>

#include "plan.h"

/* The window of a plan that goes from an op's output back to its input. */
static window way_back(const window *op) {
    return (window){.H = op->P, .W = op->Q, .C = op->C, .P = op->H, .Q = op->W, .K = op->C, .R = 1, .S = 1, .stride = {1, 1},
                    .dilation = {1, 1}};
}

static int64_t taps_of(const footprint *of, int64_t count) {
    int64_t sum = 0;
    for (int64_t i = 0; i < count; i++) sum += of[i].taps;
    return sum;
}

/* `rows` are the op's P footprints, and then its Q columns'. Frees them. */
static cnnfast_status plan_resample(cnnfast_plan **to, cnnfast_plan *plan, const window *op, footprint *rows) {
    const window g = way_back(op);
    cnnfast_status status = rows ? check_window(&g) : CNNFAST_OUT_OF_MEMORY;
    if (!status) status = check_tensors(&g, plan->N, plan->in, plan->out, 0);
    if (!status) {
        plan->g = g;
        plan->rows_per_image = g.P;
        plan->problem.resample =
            (resample2d_problem){.g = g, .row_parts = taps_of(rows, g.H), .col_parts = taps_of(rows + g.H, g.W)};
        status = plan_choose(plan, NULL);
    }
    if (!status) status = plan_pack(plan, &(resample2d_weights){rows, rows + g.H}, NULL);
    free(rows);
    return plan_finish(to, plan, status);
}

static footprint *footprints(const window *op) {
    return malloc(size_mul(size_add((size_t)op->P, (size_t)op->Q), sizeof(footprint)));
}

static cnnfast_status plan_max(cnnfast_plan **to, const cnnfast_pool2d *d) {
    const window op = {.H = d->H, .W = d->W, .C = d->C, .P = d->output_size[0], .Q = d->output_size[1]}, g = way_back(&op);
    cnnfast_status status = check_window(&g);
    if (!status) status = check_tensors(&g, d->N, d->dtype, d->dtype, 0);
    if (status) return status;
    cnnfast_plan *plan = plan_new(&max_pool2d_grad_table, d->dtype, d->dtype, d->layout, d->other_layout, d->N, d->max_workspace);
    if (!plan) return CNNFAST_OUT_OF_MEMORY;
    plan->g = g;
    plan->rows_per_image = 1;
    plan->checks_indices = true;
    plan->problem.max_pool_grad = (max_pool2d_grad_problem){g};
    return plan_finish(to, plan, plan_choose(plan, NULL));
}

cnnfast_status cnnfast_pool2d_grad_plan(cnnfast_plan **to, const cnnfast_pool2d *d) {
    *to = NULL;
    if (d->dtype != CNNFAST_FLOAT32 && d->dtype != CNNFAST_FLOAT64) return CNNFAST_INVALID_PARAM;
    if (!layouts_valid(d->layout, d->other_layout)) return CNNFAST_INVALID_PARAM;
    if (d->kind == CNNFAST_MAX) return plan_max(to, d);
    if (d->kind == CNNFAST_MIN) return CNNFAST_UNSUPPORTED;
    window op;
    span *spans = NULL;
    cnnfast_status status = pool_windows(d, &op, &spans);
    cnnfast_plan *plan = status ? NULL
        : plan_new(&resample2d_table, d->dtype, d->dtype, d->layout, d->other_layout, d->N, d->max_workspace);
    footprint *rows = plan ? footprints(&op) : NULL;
    for (int64_t i = 0; rows && i < op.P + op.Q; i++) {
        const double share = d->kind == CNNFAST_LP ? 1 : 1 / (double)spans[i].extent;
        rows[i] = (footprint){spans[i].first, spans[i].taps, op.dilation[i >= op.P], share, share};
    }
    free(spans);
    if (!plan) return status ? status : CNNFAST_OUT_OF_MEMORY;
    return plan_resample(to, plan, &op, rows);
}

/* The one or two pixels that output i of n * scale reads. */
static footprint lerp(int64_t n, int64_t scale, bool align_corners, int64_t i) {
    double place;
    if (align_corners) place = (double)i * (double)(n - 1) / (double)max64(n * scale - 1, 1);
    else place = ((double)i + 0.5) / (double)scale - 0.5;
    if (place < 0) place = 0;
    const int64_t low = min64((int64_t)place, n - 1);
    const double part = low + 1 < n ? place - (double)low : 0;
    return (footprint){low, part > 0 ? 2 : 1, 1, 1 - part, part};
}

cnnfast_status cnnfast_upsample2d_grad_plan(cnnfast_plan **to, const cnnfast_upsample2d *d, cnnfast_layout layout) {
    *to = NULL;
    if ((d->dtype != CNNFAST_FLOAT32 && d->dtype != CNNFAST_FLOAT64) || !layouts_valid(layout, 0)) return CNNFAST_INVALID_PARAM;
    for (int i = 0; i < 2; i++)
        if (d->scale[i] < 1 || d->scale[i] > INT32_MAX) return CNNFAST_INVALID_PARAM;
    window op = {.H = d->H, .W = d->W, .C = d->C, .K = d->C, .P = 1, .Q = 1, .R = 1, .S = 1, .stride = {1, 1}, .dilation = {1, 1}};
    cnnfast_status status = check_window(&op);
    if (!status) status = check_tensors(&op, d->N, d->dtype, d->dtype, 0);
    if (status) return status;
    if (size_mul((size_t)op.H, (size_t)d->scale[0]) > INT32_MAX || size_mul((size_t)op.W, (size_t)d->scale[1]) > INT32_MAX)
        return CNNFAST_INVALID_SHAPE;
    op.P = op.H * d->scale[0];
    op.Q = op.W * d->scale[1];
    cnnfast_plan *plan = plan_new(&resample2d_table, d->dtype, d->dtype, layout, 0, d->N, 0);
    if (!plan) return CNNFAST_OUT_OF_MEMORY;
    footprint *rows = footprints(&op);
    for (int64_t i = 0; rows && i < op.P + op.Q; i++) {
        const int axis = i >= op.P;
        const int64_t at = axis ? i - op.P : i;
        rows[i] = d->bilinear ? lerp(axis ? op.W : op.H, d->scale[axis], d->align_corners, at)
                              : (footprint){at / d->scale[axis], 1, 1, 1, 1};
    }
    return plan_resample(to, plan, &op, rows);
}
