/* Validation: once, when a plan is made. Kernels rely on all of it. */
#include "plan.h"

static const int64_t LARGEST_PARAM = INT32_MAX; /* of strides, dilations, kernels, padding, groups */
static const int64_t LARGEST_DIM = INT64_C(1) << 40;

static bool param_ok(int64_t v, int64_t least) { return v >= least && v <= LARGEST_PARAM; }
static bool dim_ok(int64_t v) { return v >= 1 && v <= LARGEST_DIM; }

int64_t output_size(int64_t padded, int64_t taps, int64_t dilation, int64_t stride) {
    int64_t reach = (taps - 1) * dilation + 1;
    return padded < reach ? 0 : (padded - reach) / stride + 1;
}

cnnfast_status check_window(const window *g) {
    if (!dim_ok(g->H) || !dim_ok(g->W) || !dim_ok(g->C) || !dim_ok(g->K)) return CNNFAST_INVALID_SHAPE;
    if (!param_ok(g->R, 1) || !param_ok(g->S, 1)) return CNNFAST_INVALID_SHAPE;
    for (int i = 0; i < 2; i++)
        if (!param_ok(g->stride[i], 1) || !param_ok(g->dilation[i], 1)) return CNNFAST_INVALID_PARAM;
    for (int i = 0; i < 4; i++)
        if (!param_ok(g->pad[i], 0)) return CNNFAST_INVALID_PARAM;
    return CNNFAST_OK;
}

/* Every tensor's bytes fit ptrdiff_t, so that no kernel's index overflows. */
cnnfast_status check_tensors(const window *g, int64_t N, cnnfast_dtype in, cnnfast_dtype out, size_t weights) {
    if (N < 0 || N > LARGEST_DIM) return CNNFAST_INVALID_SHAPE;
    if (!dim_ok(g->P) || !dim_ok(g->Q)) return CNNFAST_INVALID_SHAPE;
    size_t images = N > 0 ? (size_t)N : 1, widest = sizeof(int64_t); /* indices, or an integer widened */
    size_t x = size_mul(size_mul(images, (size_t)g->H), size_mul((size_t)g->W, (size_t)g->C));
    size_t y = size_mul(size_mul(images, (size_t)g->P), size_mul((size_t)g->Q, (size_t)g->K));
    if (dtype_is_integer(in)) x = size_mul(x, widest);
    else x = size_mul(x, dtype_size(in));
    y = size_mul(y, out == CNNFAST_FLOAT32 || out == CNNFAST_FLOAT64 ? dtype_size(out) : widest);
    /* A padded row of pointers or pixels is the widest thing a kernel's workspace counts. */
    size_t padded = size_mul(size_add((size_t)g->W, (size_t)(g->pad[2] + g->pad[3])), size_mul((size_t)max64(g->C, g->K), widest));
    if (x > PTRDIFF_MAX || y > PTRDIFF_MAX || weights > PTRDIFF_MAX || padded > PTRDIFF_MAX) return CNNFAST_OUT_OF_MEMORY;
    return CNNFAST_OK;
}

cnnfast_status check_conv2d(const cnnfast_conv2d *d, conv2d_problem *p) {
    if (!dtype_valid(d->dtype) || !layouts_valid(d->layout, d->other_layout) || (unsigned)d->padding_mode > CNNFAST_CIRCULAR ||
        (unsigned)d->activation > CNNFAST_SOFTPLUS || (unsigned)d->precision > CNNFAST_FAST)
        return CNNFAST_INVALID_PARAM;
    window g = {.H = d->H, .W = d->W, .C = d->C, .K = d->K, .R = d->R, .S = d->S};
    for (int i = 0; i < 2; i++) g.stride[i] = d->stride[i], g.dilation[i] = d->dilation[i];
    for (int i = 0; i < 4; i++) g.pad[i] = d->pad[i];
    cnnfast_status status = check_window(&g);
    if (status) return status;
    if (!param_ok(d->groups, 1) || d->C % d->groups || d->K % d->groups) return CNNFAST_INVALID_PARAM;
    for (int i = 0; i < 4; i++) {
        int64_t n = i < 2 ? d->H : d->W;
        if (d->padding_mode == CNNFAST_REFLECT && d->pad[i] >= n) return CNNFAST_INVALID_PARAM;
        if (d->padding_mode == CNNFAST_CIRCULAR && d->pad[i] > n) return CNNFAST_INVALID_PARAM;
    }
    if (dtype_is_integer(d->dtype) && d->activation > CNNFAST_RELU6) return CNNFAST_UNSUPPORTED;
    *p = (conv2d_problem){.g = g, .groups = d->groups, .padding_mode = d->padding_mode,
                          .epilogue = {d->activation, d->alpha}, .precision = d->precision, .once = d->once != 0};
    return CNNFAST_OK;
}

static uint64_t largest_input(const cnnfast_conv2d *d) {
    if (d->max_abs_input) return d->max_abs_input;
    switch (d->dtype) {
    case CNNFAST_INT8: return UINT64_C(1) << 7;
    case CNNFAST_UINT8: return UINT8_MAX;
    case CNNFAST_INT16: return UINT64_C(1) << 15;
    case CNNFAST_UINT16: return UINT16_MAX;
    case CNNFAST_INT32: return UINT64_C(1) << 31;
    case CNNFAST_UINT32: return UINT32_MAX;
    default: return UINT64_C(1) << 63;
    }
}

static uint64_t magnitude(int64_t v) { return v < 0 ? -(uint64_t)v : (uint64_t)v; }

cnnfast_status check_overflow(const cnnfast_conv2d *d, const conv2d_problem *p, int64_t group_step, const int64_t *weight,
                              const int64_t *bias) {
    const uint64_t limit = dtype_type(d->dtype) == TYPE_i32 ? INT32_MAX : INT64_MAX, x = largest_input(d);
    const int64_t Cg = p->g.C / p->groups, Kg = p->g.K / p->groups;
    for (int64_t k = 0; k < p->g.K; k++) {
        const int64_t *from = weight + k / Kg * group_step + k % Kg * p->step_k;
        unsigned __int128 sum = bias ? magnitude(bias[k]) : 0;
        for (int64_t r = 0; r < p->g.R; r++)
            for (int64_t s = 0; s < p->g.S; s++)
                for (int64_t c = 0; c < Cg; c++) {
                    sum += (unsigned __int128)magnitude(from[r * p->step_r + s * p->step_s + c * p->step_c]) * x;
                    if (sum > limit) return CNNFAST_OVERFLOW;
                }
        if (sum > limit) return CNNFAST_OVERFLOW;
    }
    return CNNFAST_OK;
}
