/* The gradient of a conv2d with respect to its input: a convolution of the output's gradient, for which every row of conv2d or
 * of conv_transpose2d serves. At stride 1 it is a conv2d whose weights are read backwards, taps from the last to the first and
 * channels for filters; at others a transposed convolution. */
#include "plan.h"

#include <stdlib.h>

/* The forward problem, and its weights as they are to be read. */
typedef struct {
    conv2d_problem forward;
    const void *weight;
    size_t size; /* of a weight */
} gradient;

static unsigned exchanged(unsigned other) {
    return (other & CNNFAST_WEIGHT) | (other & CNNFAST_INPUT ? CNNFAST_OUTPUT : 0) | (other & CNNFAST_OUTPUT ? CNNFAST_INPUT : 0);
}

/* The window from the output back to the input; its stride is the forward one's. */
static window backward(const window *f) {
    window g = *f;
    g.H = f->P, g.W = f->Q, g.C = f->K, g.P = f->H, g.Q = f->W, g.K = f->C;
    return g;
}

/* Padding of the convolution that goes backwards at stride 1; negative where the forward one has outputs of padding alone. */
static bool backward_padding(const window *f, int64_t pad[4]) {
    bool any = true;
    for (int i = 0; i < 4; i++) {
        pad[i] = ((i < 2 ? f->R : f->S) - 1) * f->dilation[i / 2] - f->pad[i];
        any &= pad[i] >= 0;
    }
    return any;
}

/* A group's filters are not as far apart as groups are, but where a group is one channel: so there weights need be in order. */
static bool is_depthwise(const conv2d_problem *f) { return f->groups == f->g.C && f->groups == f->g.K; }

static void copy_weight(const gradient *of, int64_t from, void *to, int64_t at) {
    if (of->size == sizeof(float)) ((float *)to)[at] = ((const float *)of->weight)[from];
    else ((double *)to)[at] = ((const double *)of->weight)[from];
}

/* Weights of groups as (R, S, K/groups, C), and p's steps over them. */
static void *in_order(const gradient *of, conv2d_problem *p) {
    const conv2d_problem *f = &of->forward;
    const int64_t Cg = f->g.C / f->groups, Kg = f->g.K / f->groups;
    void *weight = malloc(size_mul(conv_weight_count(f), of->size));
    if (!weight) return NULL;
    int64_t to = 0;
    for (int64_t r = 0; r < f->g.R; r++)
        for (int64_t s = 0; s < f->g.S; s++)
            for (int64_t k = 0; k < Kg; k++)
                for (int64_t c = 0; c < f->g.C; c++)
                    copy_weight(of, r * f->step_r + s * f->step_s + (c / Cg * Kg + k) * f->step_k + c % Cg * f->step_c, weight, to++);
    p->step_k = 1, p->step_c = f->g.C, p->step_s = Kg * f->g.C, p->step_r = f->g.S * p->step_s;
    return weight;
}

/* Describes the problem as a conv2d; *copy: weights to free when they are packed. */
static cnnfast_status describe_stride1(const gradient *of, conv2d_problem *p, const void **weight, void **copy) {
    const conv2d_problem *f = &of->forward;
    p->g = backward(&f->g);
    backward_padding(&f->g, p->g.pad);
    p->step_r = f->step_r, p->step_s = f->step_s, p->step_c = f->step_k, p->step_k = f->step_c;
    *weight = of->weight;
    if (is_depthwise(f)) p->step_k = f->step_k;
    else if (f->groups > 1 && !(*weight = *copy = in_order(of, p))) return CNNFAST_OUT_OF_MEMORY;
    const int64_t last = (f->g.R - 1) * p->step_r + (f->g.S - 1) * p->step_s;
    *weight = (const char *)*weight + last * (int64_t)of->size;
    p->step_r = -p->step_r, p->step_s = -p->step_s;
    return CNNFAST_OK;
}

static void describe_strided(const gradient *of, conv_transpose2d_problem *t) {
    const conv2d_problem *f = &of->forward;
    t->conv.g = backward(&f->g);
    t->conv.step_c = f->step_k, t->conv.step_k = f->step_c;
    t->finite = all_finite(of->weight, conv_weight_count(f), of->size == sizeof(float) ? CNNFAST_FLOAT32 : CNNFAST_FLOAT64);
}

cnnfast_status cnnfast_conv2d_grad_input_plan(cnnfast_plan **to, const cnnfast_conv2d *d, const void *weight) {
    *to = NULL;
    gradient of = {.weight = weight, .size = dtype_size(d->dtype)};
    const conv2d_problem *f = &of.forward;
    cnnfast_status status = describe_conv2d(d, &of.forward);
    if (status) return status;
    if (dtype_is_integer(d->dtype)) return CNNFAST_UNSUPPORTED;
    if (f->padding_mode != CNNFAST_ZEROS || f->epilogue.activation) return CNNFAST_INVALID_PARAM;
    int64_t pad[4];
    const bool stride1 = f->g.stride[0] == 1 && f->g.stride[1] == 1 && backward_padding(&f->g, pad);
    cnnfast_plan *plan = plan_new(stride1 ? &conv2d_table : &conv_transpose2d_table, d->dtype, d->dtype, d->layout,
                                  exchanged(d->other_layout), d->N, d->max_workspace);
    if (!plan) return CNNFAST_OUT_OF_MEMORY;
    void *copy = NULL;
    if (stride1) {
        plan->problem.conv = *f;
        status = describe_stride1(&of, &plan->problem.conv, &weight, &copy);
        plan->g = plan->problem.conv.g;
    } else {
        plan->problem.transpose.conv = *f;
        describe_strided(&of, &plan->problem.transpose);
        plan->g = plan->problem.transpose.conv.g;
    }
    plan->rows_per_image = plan->g.P;
    plan->flops = 2 * conv2d_macs(f, d->N);
    plan->weight_elements = (double)conv_weight_count(f);
    if (!status) status = check_tensors(&plan->g, d->N, d->dtype, d->dtype, 0);
    if (!status) status = plan_choose(plan, d->algorithm);
    if (!status) status = plan_pack(plan, weight, NULL);
    free(copy);
    return plan_finish(to, plan, status);
}
