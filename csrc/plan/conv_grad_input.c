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

/* Whether the way back is a convolution; else it is a transposed one. */
static bool is_conv(const window *f) {
    int64_t pad[4];
    return f->stride[0] == 1 && f->stride[1] == 1 && backward_padding(f, pad);
}

/* A group's filters are not as far apart as groups are, but where a group is one channel: so there weights need be in order. */
static bool needs_order(const conv2d_problem *f) { return f->groups > 1 && !(f->groups == f->g.C && f->groups == f->g.K); }

static void copy_weight(const gradient *of, int64_t from, void *to, int64_t at) {
    if (of->size == sizeof(float)) ((float *)to)[at] = ((const float *)of->weight)[from];
    else ((double *)to)[at] = ((const double *)of->weight)[from];
}

/* Weights of groups as (R, S, K/groups, C). */
static void *in_order(const gradient *of) {
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
    return weight;
}

/* The problem as a conv2d: steps are those from a tap to the one before it. */
static void describe_conv(const conv2d_problem *f, conv2d_problem *p) {
    *p = *f;
    p->g = backward(&f->g);
    backward_padding(&f->g, p->g.pad);
    if (needs_order(f)) {
        p->step_k = 1, p->step_c = f->g.C, p->step_s = f->g.K / f->groups * f->g.C, p->step_r = f->g.S * p->step_s;
    } else {
        p->step_c = f->step_k, p->step_k = f->groups > 1 ? f->step_k : f->step_c;
    }
    p->step_r = -p->step_r, p->step_s = -p->step_s;
}

static bool weights_finite(const gradient *of) {
    return all_finite(of->weight, conv_weight_count(&of->forward), of->size == sizeof(float) ? CNNFAST_FLOAT32 : CNNFAST_FLOAT64);
}

static void describe_transposed(const gradient *of, const table *table, conv2d_grad_input_problem *t) {
    const conv2d_problem *f = &of->forward;
    t->conv = *f;
    t->conv.g = backward(&f->g);
    t->conv.step_c = f->step_k, t->conv.step_k = f->step_c;
    t->finite = table == &conv_transpose2d_table && weights_finite(of); /* others do not ask */
}

/* Keeps the cheaper of *best and a plan over this table, where a row of it takes the problem. */
static cnnfast_status consider(cnnfast_plan **best, const table *table, const cnnfast_conv2d *d, const gradient *of) {
    cnnfast_plan *plan = plan_new(table, d->dtype, d->dtype, d->layout, exchanged(d->other_layout), d->N, d->max_workspace);
    if (!plan) return CNNFAST_OUT_OF_MEMORY;
    if (table == &conv2d_table) describe_conv(&of->forward, &plan->problem.conv);
    else describe_transposed(of, table, &plan->problem.transpose);
    plan->g = table == &conv2d_table ? plan->problem.conv.g : plan->problem.transpose.conv.g;
    plan->rows_per_image = plan->g.P;
    plan->flops = 2 * conv2d_macs(&of->forward, d->N);
    plan->weight_elements = (double)conv_weight_count(&of->forward);
    const int64_t N = max64(1, d->N);
    const cnnfast_status status = plan_choose(plan, d->algorithm);
    if (!status && (!*best || plan->kernel->cost(&plan->problem, N) < (*best)->kernel->cost(&(*best)->problem, N))) {
        cnnfast_plan *other = *best;
        *best = plan, plan = other;
    }
    cnnfast_plan_free(&plan);
    return status;
}

/* Into the memory of a plan that was packed before, else into its own new one. */
static cnnfast_status pack(cnnfast_plan *plan, const void *weight) {
    if (!plan->packed) return plan_pack(plan, weight, NULL);
    plan_repack(plan, weight, NULL);
    return CNNFAST_OK;
}

static cnnfast_status pack_gradient(cnnfast_plan *plan, const gradient *of) {
    if (plan->table != &conv2d_table) return pack(plan, of->weight);
    const conv2d_problem *p = &plan->problem.conv;
    void *copy = needs_order(&of->forward) ? in_order(of) : NULL;
    if (needs_order(&of->forward) && !copy) return CNNFAST_OUT_OF_MEMORY;
    const int64_t last = (p->g.R - 1) * p->step_r + (p->g.S - 1) * p->step_s;
    const cnnfast_status status = pack(plan, (const char *)(copy ? copy : of->weight) - last * (int64_t)of->size);
    free(copy);
    return status;
}

cnnfast_status cnnfast_conv2d_grad_input_plan(cnnfast_plan **to, const cnnfast_conv2d *d, const void *weight) {
    *to = NULL;
    gradient of = {.weight = weight, .size = dtype_size(d->dtype)};
    cnnfast_status status = describe_conv2d(d, &of.forward);
    if (status) return status;
    if (dtype_is_integer(d->dtype)) return CNNFAST_UNSUPPORTED;
    if (of.forward.padding_mode != CNNFAST_ZEROS || of.forward.epilogue.activation) return CNNFAST_INVALID_PARAM;
    cnnfast_plan *plan = NULL;
    status = consider(&plan, is_conv(&of.forward.g) ? &conv2d_table : &conv_transpose2d_table, d, &of);
    if (status != CNNFAST_OUT_OF_MEMORY) {
        const cnnfast_status more = consider(&plan, &conv2d_grad_input_table, d, &of);
        if (plan) status = CNNFAST_OK;
        if (more == CNNFAST_OUT_OF_MEMORY) status = more;
    }
    return plan_finish(to, plan, status ? status : pack_gradient(plan, &of));
}

cnnfast_status grad_input_repack(cnnfast_plan *plan, const cnnfast_conv2d *d, const void *weight) {
    gradient of = {.weight = weight, .size = dtype_size(d->dtype)};
    const cnnfast_status status = describe_conv2d(d, &of.forward);
    return status ? status : pack_gradient(plan, &of);
}

cnnfast_status grad_input_finite(const cnnfast_conv2d *d, const void *weight, bool *finite) {
    gradient of = {.weight = weight, .size = dtype_size(d->dtype)};
    *finite = true;
    const cnnfast_status status = describe_conv2d(d, &of.forward);
    if (!status && !dtype_is_integer(d->dtype) && !is_conv(&of.forward.g)) *finite = weights_finite(&of);
    return status;
}
