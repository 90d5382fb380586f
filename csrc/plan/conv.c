/* conv2d, conv_transpose2d and separable_conv2d: from the caller's description to a plan. */
#include <math.h>

#include "plan.h"

/* Elements between weights that lie as (outer..., R, S) in NCHW or (R, S, outer...) in NHWC. `c` and `k` tell how many
 * there are along the two channel axes, k the faster one in NHWC and the slower one in NCHW. */
static void set_steps(conv2d_problem *p, cnnfast_layout layout, int64_t c, int64_t k) {
    const int64_t R = p->g.R, S = p->g.S;
    if (layout == CNNFAST_NHWC) p->step_k = 1, p->step_c = k, p->step_s = c * k, p->step_r = S * c * k;
    else p->step_s = 1, p->step_r = S, p->step_c = R * S, p->step_k = c * R * S;
}

size_t conv_weight_count(const conv2d_problem *p) {
    return size_mul(size_mul((size_t)p->g.R, (size_t)p->g.S), size_mul((size_t)(p->g.C / p->groups), (size_t)p->g.K));
}

cnnfast_status describe_conv2d(const cnnfast_conv2d *d, conv2d_problem *p) {
    cnnfast_status status = check_conv2d(d, p);
    if (status) return status;
    window *g = &p->g;
    for (int i = 0; i < 2; i++) /* one tap has none */
        if ((i ? g->S : g->R) == 1) g->dilation[i] = 1;
    g->P = output_size(g->H + g->pad[0] + g->pad[1], g->R, g->dilation[0], g->stride[0]);
    g->Q = output_size(g->W + g->pad[2] + g->pad[3], g->S, g->dilation[1], g->stride[1]);
    status = check_tensors(g, d->N, d->dtype, conv_output_dtype(d->dtype), size_mul(conv_weight_count(p), sizeof(int64_t)));
    if (status) return status;
    set_steps(p, layout_of(d->layout, d->other_layout, CNNFAST_WEIGHT), g->C / p->groups, g->K);
    return CNNFAST_OK;
}

cnnfast_status cnnfast_conv2d_plan(cnnfast_plan **to, const cnnfast_conv2d *d, const void *weight, const void *bias) {
    *to = NULL;
    conv2d_problem p;
    cnnfast_status status = describe_conv2d(d, &p);
    if (status) return status;
    if (dtype_is_integer(d->dtype)) status = check_overflow(d, &p, p.g.K / p.groups * p.step_k, weight, bias);
    if (status) return status;
    cnnfast_plan *plan = plan_new(&conv2d_table, d->dtype, conv_output_dtype(d->dtype), d->layout, d->other_layout,
                                  d->N, d->max_workspace);
    if (!plan) return CNNFAST_OUT_OF_MEMORY;
    plan->g = p.g;
    plan->rows_per_image = p.g.P;
    plan->problem.conv = p;
    plan->flops = 2 * conv2d_macs(&p, d->N);
    plan->weight_elements = (double)conv_weight_count(&p);
    status = plan_choose(plan, d->algorithm);
    return plan_finish(to, plan, status ? status : plan_pack(plan, weight, bias));
}

/* P from H: the inverse of output_size, plus output_padding, which must be smaller than the stride or the dilation. */
static cnnfast_status transposed_size(const window *g, int i, int64_t n, int64_t taps, int64_t output_padding, int64_t *to) {
    if (output_padding < 0 || output_padding >= max64(g->stride[i], g->dilation[i])) return CNNFAST_INVALID_PARAM;
    __int128 size = (__int128)(n - 1) * g->stride[i] - g->pad[2 * i] - g->pad[2 * i + 1] +
                    (__int128)g->dilation[i] * (taps - 1) + output_padding + 1;
    if (size < 1) return CNNFAST_INVALID_SHAPE;
    if (size > INT64_C(1) << 40) return CNNFAST_OUT_OF_MEMORY;
    *to = (int64_t)size;
    return CNNFAST_OK;
}

bool all_finite(const void *weight, size_t count, cnnfast_dtype dtype) {
    bool finite = true;
    for (size_t i = 0; i < count; i++)
        finite &= isfinite(dtype == CNNFAST_FLOAT32 ? ((const float *)weight)[i] : ((const double *)weight)[i]) != 0;
    return finite;
}

cnnfast_status cnnfast_conv_transpose2d_plan(cnnfast_plan **to, const cnnfast_conv_transpose2d *d, const void *weight,
                                             const void *bias) {
    *to = NULL;
    const cnnfast_conv2d *c = &d->conv;
    conv2d_problem p;
    cnnfast_status status = check_conv2d(c, &p);
    if (status) return status;
    if (p.padding_mode != CNNFAST_ZEROS) return CNNFAST_INVALID_PARAM;
    status = transposed_size(&p.g, 0, p.g.H, p.g.R, d->output_padding[0], &p.g.P);
    if (!status) status = transposed_size(&p.g, 1, p.g.W, p.g.S, d->output_padding[1], &p.g.Q);
    if (!status)
        status = check_tensors(&p.g, c->N, c->dtype, conv_output_dtype(c->dtype), size_mul(conv_weight_count(&p), sizeof(int64_t)));
    if (status) return status;
    /* (R, S, K/groups, C) and (C, K/groups, R, S): conv2d's, with the channel axes' parts exchanged. */
    const int64_t Kg = p.g.K / p.groups;
    set_steps(&p, layout_of(c->layout, c->other_layout, CNNFAST_WEIGHT), Kg, p.g.C);
    int64_t step = p.step_c;
    p.step_c = p.step_k, p.step_k = step;
    if (dtype_is_integer(c->dtype)) status = check_overflow(c, &p, p.g.C / p.groups * p.step_c, weight, bias);
    if (status) return status;
    cnnfast_plan *plan = plan_new(&conv_transpose2d_table, c->dtype, conv_output_dtype(c->dtype), c->layout,
                                  c->other_layout, c->N, c->max_workspace);
    if (!plan) return CNNFAST_OUT_OF_MEMORY;
    conv_transpose2d_problem *t = &plan->problem.transpose;
    *t = (conv_transpose2d_problem){p, dtype_is_integer(c->dtype) || all_finite(weight, conv_weight_count(&p), c->dtype)};
    plan->g = p.g;
    plan->rows_per_image = p.g.P;
    plan->flops = 2 * conv_transpose2d_macs(t, c->N);
    plan->weight_elements = (double)conv_weight_count(&p);
    status = plan_choose(plan, c->algorithm);
    return plan_finish(to, plan, status ? status : plan_pack(plan, weight, bias));
}

cnnfast_status cnnfast_separable_conv2d_plan(cnnfast_plan **to, const cnnfast_separable_conv2d *d,
                                             const void *depthwise_weight, const void *depthwise_bias,
                                             const void *pointwise_weight, const void *bias) {
    *to = NULL;
    const cnnfast_conv2d *c = &d->depthwise;
    separable_problem p;
    cnnfast_status status = describe_conv2d(c, &p.depthwise);
    if (status) return status;
    if (c->groups != c->C) return CNNFAST_INVALID_PARAM;
    if (dtype_is_integer(c->dtype)) return CNNFAST_UNSUPPORTED;
    const window *g = &p.depthwise.g;
    cnnfast_conv2d pointwise = {.dtype = c->dtype, .layout = c->layout, .other_layout = c->other_layout, .N = c->N, .H = g->P, .W = g->Q, .C = g->K,
                                .K = d->K, .R = 1, .S = 1, .groups = 1, .stride = {1, 1}, .dilation = {1, 1},
                                .activation = d->activation, .alpha = d->alpha};
    status = describe_conv2d(&pointwise, &p.pointwise);
    if (status) return status;
    cnnfast_plan *plan = plan_new(&separable_conv2d_table, c->dtype, c->dtype, c->layout, c->other_layout, c->N,
                                  c->max_workspace);
    if (!plan) return CNNFAST_OUT_OF_MEMORY;
    plan->problem.separable = p;
    plan->g = *g;
    plan->g.K = d->K;
    plan->rows_per_image = g->P;
    plan->flops = 2 * (conv2d_macs(&p.depthwise, c->N) + conv2d_macs(&p.pointwise, c->N));
    plan->weight_elements = (double)conv_weight_count(&p.depthwise) + (double)conv_weight_count(&p.pointwise);
    const separable_weights weights = {depthwise_weight, depthwise_bias, pointwise_weight, bias};
    status = plan_choose(plan, c->algorithm);
    return plan_finish(to, plan, status ? status : plan_pack(plan, &weights, NULL));
}
