/* The ops that are run at once, without a plan between calls: described, checked, chosen, packed and run. */
#include <math.h>

#include "cache.h"
#include "plan.h"

#include <stdlib.h>

static const int64_t LARGEST = INT64_C(1) << 58; /* elements, so that no count of bytes overflows */

static bool real_dtype(cnnfast_dtype dtype) { return dtype == CNNFAST_FLOAT32 || dtype == CNNFAST_FLOAT64; }

static bool activation_ok(cnnfast_activation activation) { return (unsigned)activation <= CNNFAST_SOFTPLUS; }

/* outer*n*inner, or -1 where a size is negative or the product overflows. */
static int64_t product(int64_t outer, int64_t n, int64_t inner) {
    if (outer < 0 || n < 0 || inner < 0) return -1;
    size_t all = size_mul(size_mul((size_t)outer, (size_t)n), (size_t)inner);
    return all > (size_t)LARGEST ? -1 : (int64_t)all;
}

static bool past_cache(int64_t count, cnnfast_dtype dtype) { return (size_t)count * dtype_size(dtype) > cache_last_level(); }

/* Each op is described on a plan of the stack: its rows, 0 where it is empty. */
static cnnfast_status describe_elementwise(cnnfast_plan *plan, const cnnfast_elementwise *d, int64_t *rows) {
    if (!real_dtype(d->dtype) || (unsigned)d->kind > CNNFAST_PRELU || !activation_ok(d->activation)) return CNNFAST_INVALID_PARAM;
    if (d->count < 0 || d->count > LARGEST || d->period < 0 || d->period > LARGEST) return CNNFAST_INVALID_SHAPE;
    plan_begin(plan, &elementwise_table, d->dtype);
    plan->problem.elementwise = (elementwise_problem){
        .kind = d->kind, .epilogue = {d->activation, d->alpha}, .beta = d->beta, .count = d->count,
        .period = d->kind == CNNFAST_MAP ? 0 : d->period, .stream = past_cache(d->count, d->dtype)};
    *rows = ceil_div(d->count, ELEMENTWISE_ROW);
    return CNNFAST_OK;
}

static cnnfast_status describe_batch_norm(cnnfast_plan *plan, const cnnfast_batch_norm *d, int64_t *rows) {
    if (!real_dtype(d->dtype) || !activation_ok(d->activation)) return CNNFAST_INVALID_PARAM;
    const int64_t count = product(d->outer, d->C, d->inner);
    if (count < 0) return CNNFAST_INVALID_SHAPE;
    plan_begin(plan, &batch_norm_table, d->dtype);
    plan->problem.batch_norm = (batch_norm_problem){.outer = d->outer, .C = d->C, .inner = d->inner, .eps = d->eps,
                                                    .epilogue = {d->activation, d->alpha}, .stream = past_cache(count, d->dtype)};
    *rows = ceil_div(count, BATCH_NORM_ROW);
    return CNNFAST_OK;
}

static cnnfast_status describe_lrn(cnnfast_plan *plan, const cnnfast_local_response_norm *d, int64_t *rows) {
    if (!real_dtype(d->dtype) || d->size < 1) return CNNFAST_INVALID_PARAM;
    const int64_t count = product(d->outer, d->C, d->inner);
    if (count < 0) return CNNFAST_INVALID_SHAPE;
    plan_begin(plan, &local_response_norm_table, d->dtype);
    plan->problem.lrn = (local_response_norm_problem){
        .outer = d->outer, .C = d->C, .inner = d->inner, .before = min64(d->size / 2, d->C), .after = min64((d->size - 1) / 2, d->C),
        .scale = d->alpha / (double)d->size, .beta = d->beta, .k = d->k};
    *rows = count ? d->outer : 0;
    return CNNFAST_OK;
}

static cnnfast_status describe_upsample(cnnfast_plan *plan, const cnnfast_upsample2d *d, int64_t *rows) {
    if (!real_dtype(d->dtype) || d->scale[0] < 1 || d->scale[1] < 1 || d->scale[0] > INT32_MAX || d->scale[1] > INT32_MAX)
        return CNNFAST_INVALID_PARAM;
    const int64_t all = product(d->N, d->H, d->scale[0]), row = product(d->W, d->C, d->scale[1]);
    if (all < 0 || row < 0 || product(all, row, 1) < 0) return CNNFAST_INVALID_SHAPE;
    plan_begin(plan, &upsample2d_table, d->dtype);
    plan->problem.upsample = (upsample2d_problem){.N = d->N, .H = d->H, .W = d->W, .C = d->C, .scale = {d->scale[0], d->scale[1]},
                                                  .bilinear = d->bilinear != 0, .align_corners = d->align_corners != 0};
    *rows = row ? all : 0;
    return CNNFAST_OK;
}

/* The plan on the stack as one that stays: its batch is one image of `in` and `out` elements. */
static cnnfast_status keep(cnnfast_plan **to, const cnnfast_plan *described, int64_t in, int64_t out, int64_t rows, const void *weight) {
    if (rows == 0) return CNNFAST_INVALID_SHAPE;
    const window g = {.H = 1, .W = 1, .C = in, .P = 1, .Q = 1, .K = out, .R = 1, .S = 1, .stride = {1, 1}, .dilation = {1, 1}};
    cnnfast_status status = check_window(&g);
    if (!status) status = check_tensors(&g, 1, described->in, described->out, 0);
    cnnfast_plan *plan = status ? NULL : malloc(sizeof *plan);
    if (!plan) return status ? status : CNNFAST_OUT_OF_MEMORY;
    *plan = *described;
    plan->g = g;
    plan->whole = plan->rows_per_image = plan->N = rows;
    status = plan_choose(plan, NULL);
    plan->N = 1;
    if (!status && plan->kernel->packed_size(&plan->problem)) status = plan_pack(plan, weight, NULL);
    return plan_finish(to, plan, status);
}

cnnfast_status cnnfast_elementwise_run(const cnnfast_elementwise *d, const void *x, const void *other, void *y) {
    cnnfast_plan plan;
    int64_t rows;
    const cnnfast_status status = describe_elementwise(&plan, d, &rows);
    if (status || rows == 0) return status;
    if (!x || !y || (d->kind != CNNFAST_MAP && !other)) return CNNFAST_INVALID_PARAM;
    return plan_run_once(&plan, other, &(tensors){.x = x, .residual = other, .y = y}, rows);
}

cnnfast_status cnnfast_elementwise_plan(cnnfast_plan **to, const cnnfast_elementwise *d, const void *other) {
    *to = NULL;
    cnnfast_plan plan;
    int64_t rows;
    const cnnfast_status status = describe_elementwise(&plan, d, &rows);
    if (status) return status;
    if ((plan.problem.elementwise.period != 0) != (other != NULL)) return CNNFAST_INVALID_PARAM;
    return keep(to, &plan, d->count, d->count, rows, other);
}

cnnfast_status cnnfast_batch_norm_run(const cnnfast_batch_norm *d, const void *x, const void *mean, const void *var,
                                      const void *weight, const void *bias, void *y) {
    cnnfast_plan plan;
    int64_t rows;
    const cnnfast_status status = describe_batch_norm(&plan, d, &rows);
    if (status || rows == 0) return status;
    if (!x || !y || !mean || !var) return CNNFAST_INVALID_PARAM;
    const batch_norm_weights weights = {mean, var, weight, bias};
    return plan_run_once(&plan, &weights, &(tensors){.x = x, .y = y}, rows);
}

cnnfast_status cnnfast_batch_norm_plan(cnnfast_plan **to, const cnnfast_batch_norm *d, const void *mean, const void *var,
                                       const void *weight, const void *bias) {
    *to = NULL;
    cnnfast_plan plan;
    int64_t rows;
    const cnnfast_status status = describe_batch_norm(&plan, d, &rows);
    if (status) return status;
    if (!mean || !var) return CNNFAST_INVALID_PARAM;
    const batch_norm_weights weights = {mean, var, weight, bias};
    const int64_t count = d->outer * d->C * d->inner;
    return keep(to, &plan, count, count, rows, &weights);
}

cnnfast_status cnnfast_local_response_norm_run(const cnnfast_local_response_norm *d, const void *x, void *y) {
    cnnfast_plan plan;
    int64_t rows;
    const cnnfast_status status = describe_lrn(&plan, d, &rows);
    if (status || rows == 0) return status;
    return x && y ? plan_run_once(&plan, NULL, &(tensors){.x = x, .y = y}, rows) : CNNFAST_INVALID_PARAM;
}

cnnfast_status cnnfast_local_response_norm_plan(cnnfast_plan **to, const cnnfast_local_response_norm *d) {
    *to = NULL;
    cnnfast_plan plan;
    int64_t rows;
    const cnnfast_status status = describe_lrn(&plan, d, &rows);
    if (status) return status;
    const int64_t count = d->outer * d->C * d->inner;
    return keep(to, &plan, count, count, rows, NULL);
}

cnnfast_status cnnfast_softmax_run(const cnnfast_softmax *d, const void *x, void *y) {
    if (!real_dtype(d->dtype)) return CNNFAST_INVALID_PARAM;
    const int64_t count = product(d->outer, d->n, d->inner);
    if (count < 0) return CNNFAST_INVALID_SHAPE;
    if (count == 0) return CNNFAST_OK;
    if (!x || !y) return CNNFAST_INVALID_PARAM;
    cnnfast_plan plan;
    plan_begin(&plan, &softmax_table, d->dtype);
    plan.problem.softmax = (softmax_problem){.outer = d->outer, .n = d->n, .inner = d->inner, .log = d->log != 0,
                                             .stream = past_cache(count, d->dtype)};
    return plan_run_once(&plan, NULL, &(tensors){.x = x, .y = y}, d->outer);
}

cnnfast_status cnnfast_softmax_plan(cnnfast_plan **to, const cnnfast_softmax *d) {
    *to = NULL;
    if (!real_dtype(d->dtype) || d->inner != 1) return CNNFAST_INVALID_PARAM;
    const window g = {.H = 1, .W = 1, .C = d->n, .P = 1, .Q = 1, .K = d->n, .R = 1, .S = 1, .stride = {1, 1}, .dilation = {1, 1}};
    cnnfast_status status = check_window(&g);
    if (!status) status = check_tensors(&g, d->outer, d->dtype, d->dtype, 0);
    if (status) return status;
    cnnfast_plan *plan = plan_new(&softmax_table, d->dtype, d->dtype, CNNFAST_NHWC, 0, d->outer, 0);
    if (!plan) return CNNFAST_OUT_OF_MEMORY;
    plan->g = g;
    plan->rows_per_image = 1;
    plan->problem.softmax = (softmax_problem){.outer = d->outer, .n = d->n, .inner = 1, .log = d->log != 0,
                                              .stream = past_cache(d->outer * d->n, d->dtype)};
    return plan_finish(to, plan, plan_choose(plan, NULL));
}

cnnfast_status cnnfast_upsample2d_run(const cnnfast_upsample2d *d, const void *x, void *y) {
    cnnfast_plan plan;
    int64_t rows;
    const cnnfast_status status = describe_upsample(&plan, d, &rows);
    if (status || rows == 0) return status;
    return x && y ? plan_run_once(&plan, NULL, &(tensors){.x = x, .y = y}, rows) : CNNFAST_INVALID_PARAM;
}

cnnfast_status cnnfast_upsample2d_plan(cnnfast_plan **to, const cnnfast_upsample2d *d) {
    *to = NULL;
    cnnfast_plan plan;
    int64_t rows;
    const cnnfast_status status = describe_upsample(&plan, d, &rows);
    if (status) return status;
    const int64_t count = d->N * d->H * d->W * d->C;
    return keep(to, &plan, count, count * d->scale[0] * d->scale[1], rows, NULL);
}
