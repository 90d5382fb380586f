/* linear: from the caller's description to a plan of images of one pixel. */
#include "plan.h"

cnnfast_status cnnfast_linear_plan(cnnfast_plan **to, const cnnfast_linear *d, const void *weight, const void *bias) {
    *to = NULL;
    if ((d->dtype != CNNFAST_FLOAT32 && d->dtype != CNNFAST_FLOAT64) || (unsigned)d->activation > CNNFAST_SOFTPLUS || !weight)
        return CNNFAST_INVALID_PARAM;
    const window g = {.H = 1, .W = 1, .C = d->C, .P = 1, .Q = 1, .K = d->K, .R = 1, .S = 1, .stride = {1, 1}, .dilation = {1, 1}};
    cnnfast_status status = check_window(&g);
    if (status) return status;
    status = check_tensors(&g, d->N, d->dtype, d->dtype, size_mul(size_mul((size_t)d->C, (size_t)d->K), dtype_size(d->dtype)));
    if (status) return status;
    cnnfast_plan *plan = plan_new(&linear_table, d->dtype, d->dtype, CNNFAST_NHWC, 0, d->N, 0);
    if (!plan) return CNNFAST_OUT_OF_MEMORY;
    plan->g = g;
    plan->rows_per_image = 1;
    plan->problem.linear = (linear_problem){.C = d->C, .K = d->K, .epilogue = {d->activation, d->alpha}};
    plan->weight_elements = (double)d->C * (double)d->K;
    plan->flops = 2 * (double)d->N * plan->weight_elements;
    status = plan_choose(plan, NULL);
    return plan_finish(to, plan, status ? status : plan_pack(plan, weight, bias));
}
