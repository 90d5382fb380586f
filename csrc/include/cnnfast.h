/* cnnfast: convolution and pooling on the CPU.
 *
 * Describe a problem, make a plan of it once, run the plan many times:
 *
 *     cnnfast_conv2d conv = {.dtype = CNNFAST_FLOAT32, .N = 1, .H = 56, .W = 56, .C = 64, .K = 64, .R = 3, .S = 3,
 *                            .groups = 1, .stride = {1, 1}, .dilation = {1, 1}, .pad = {1, 1, 1, 1}};
 *     cnnfast_plan *plan;
 *     cnnfast_status status = cnnfast_conv2d_plan(&plan, &conv, weight, bias);
 *     size_t size = cnnfast_plan_workspace_size(plan, 1);
 *     void *workspace = aligned_alloc(64, size);
 *     status = cnnfast_plan_run(plan, &(cnnfast_args){.N = 1, .x = x, .y = y}, workspace, size);
 *     cnnfast_plan_free(&plan);
 *
 * Letters: N images; H W C the input's height, width, channels; P Q K the output's; R S the kernel's height and
 * width. Weights lie as (R, S, C/groups, K) in NHWC and as (K, C/groups, R, S) in NCHW.
 *
 * A plan is immutable: threads may run it at once, each with a workspace of its own. The plan owns its packed copy of
 * the weights; the caller owns every tensor and the workspace. Nothing is written unless the status is CNNFAST_OK,
 * CNNFAST_INTERRUPTED excepted.
 */
#ifndef CNNFAST_H
#define CNNFAST_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define CNNFAST_API __attribute__((visibility("default")))
#else
#error "cnnfast needs GCC or Clang (vector types); MSVC is not supported"
#endif

typedef enum {
    CNNFAST_OK,
    CNNFAST_INVALID_SHAPE,   /* a size that is not positive, or sizes that do not fit each other */
    CNNFAST_INVALID_PARAM,   /* a stride, dilation, padding, group count, index or name out of its range */
    CNNFAST_UNSUPPORTED,     /* valid, but not for this dtype or this algorithm */
    CNNFAST_SMALL_WORKSPACE, /* the workspace given, or max_workspace, is too small: cnnfast_last_refusal */
    CNNFAST_OUT_OF_MEMORY,   /* an allocation failed, or a size overflows */
    CNNFAST_OVERFLOW,        /* an integer sum could exceed its accumulator */
    CNNFAST_INTERRUPTED      /* the interrupt hook asked to stop; the output is undefined */
} cnnfast_status;

typedef enum {
    CNNFAST_FLOAT32,
    CNNFAST_FLOAT64,
    CNNFAST_INT8,
    CNNFAST_UINT8,
    CNNFAST_INT16,
    CNNFAST_UINT16,
    CNNFAST_INT32,
    CNNFAST_UINT32,
    CNNFAST_INT64
} cnnfast_dtype;

typedef enum { CNNFAST_NHWC, CNNFAST_NCHW } cnnfast_layout;

/* `other_layout` of a description is a sum of these: what lies in the layout that `layout` is not. The residual and a pool's
 * indices lie as the output does. 0: everything lies as `layout` says. */
typedef enum { CNNFAST_INPUT = 1, CNNFAST_OUTPUT = 2, CNNFAST_WEIGHT = 4 } cnnfast_tensor;

typedef enum { CNNFAST_ZEROS, CNNFAST_REFLECT, CNNFAST_REPLICATE, CNNFAST_CIRCULAR } cnnfast_padding_mode;

typedef enum {
    CNNFAST_NONE,
    CNNFAST_RELU,
    CNNFAST_RELU6,
    CNNFAST_LEAKY_RELU,
    CNNFAST_SIGMOID,
    CNNFAST_TANH,
    CNNFAST_GELU,
    CNNFAST_SILU,
    CNNFAST_HARDSWISH,
    CNNFAST_ELU,
    CNNFAST_SELU,
    CNNFAST_HARDSIGMOID,
    CNNFAST_GELU_TANH, /* gelu by tanh's approximation */
    CNNFAST_MISH,
    CNNFAST_SOFTPLUS   /* x where x > 20 */
} cnnfast_activation;

/* STRICT: each output is one chain of FMAs in order, the same bits everywhere. DEFAULT: also algorithms whose error is a
 * small multiple of that chain's. FAST: also those that err several times as much. */
typedef enum { CNNFAST_DEFAULT, CNNFAST_STRICT, CNNFAST_FAST } cnnfast_precision;

typedef enum { CNNFAST_MAX, CNNFAST_MIN, CNNFAST_AVERAGE, CNNFAST_LP } cnnfast_pool_kind;

/* y = activation(conv(x, weight) + bias + residual). Depthwise is groups == C, output channel c*multiplier + m.
 * Integer x gives int32 (8-bit x) or int64 (wider x) y; its weight and bias are given as int64. */
typedef struct {
    cnnfast_dtype dtype;
    cnnfast_layout layout;
    const char *algorithm; /* a row of the op's table; NULL lets the cost model choose */
    int64_t N, H, W, C, K, R, S, groups;
    int64_t stride[2], dilation[2];
    int64_t pad[4]; /* top, bottom, left, right */
    cnnfast_padding_mode padding_mode;
    cnnfast_activation activation;
    double alpha;           /* slope of leaky_relu, alpha of elu */
    uint64_t max_abs_input; /* integers: the largest |x| that will come; 0 means the dtype's largest */
    size_t max_workspace;   /* see cnnfast_set_max_workspace; 0 means no limit of its own */
    cnnfast_precision precision;
    int once; /* the plan will run once: the choice counts the packing of the weights */
    unsigned other_layout;
} cnnfast_conv2d;

/* The gradient of a convolution with the same geometry, as a layer: conv.C is x's channels, conv.K is y's.
 * Weights lie as (R, S, K/groups, C) in NHWC and as (C, K/groups, R, S) in NCHW. Padding is zeros. */
typedef struct {
    cnnfast_conv2d conv;
    int64_t output_padding[2];
} cnnfast_conv_transpose2d;

/* Depthwise, then pointwise. depthwise.K is C*multiplier; the pointwise weight is (1, 1, C*multiplier, K) in NHWC
 * and (K, C*multiplier, 1, 1) in NCHW. */
typedef struct {
    cnnfast_conv2d depthwise;
    int64_t K;
    cnnfast_activation activation;
    double alpha;
} cnnfast_separable_conv2d;

typedef struct {
    cnnfast_dtype dtype;
    cnnfast_layout layout;
    const char *algorithm;
    cnnfast_pool_kind kind;
    int64_t N, H, W, C, R, S;
    int64_t stride[2], dilation[2];
    int64_t pad[4];
    int ceil_mode, count_include_pad;
    double norm;             /* CNNFAST_LP: p of (sum |x|^p)^(1/p) */
    int64_t output_size[2];  /* above 0: adaptive, and R, S, stride, dilation, pad are not read */
    int with_indices;        /* CNNFAST_MAX: also give h*W + w of each maximum */
    size_t max_workspace;
    unsigned other_layout;
} cnnfast_pool2d;

typedef struct {
    cnnfast_dtype dtype;
    cnnfast_layout layout;
    int64_t N, H, W, C, P, Q;
    size_t max_workspace;
} cnnfast_max_unpool2d;

/* y = activation(x weight^T + bias): x is (N, C), weight (K, C), y (N, K). As a plan its images are one pixel. */
typedef struct {
    cnnfast_dtype dtype; /* CNNFAST_FLOAT32 or CNNFAST_FLOAT64, as for all that follow */
    int64_t N, C, K;
    cnnfast_activation activation;
    double alpha;
} cnnfast_linear;

typedef enum {
    CNNFAST_MAP,      /* activation(x) */
    CNNFAST_ADD,      /* activation(x + other) */
    CNNFAST_MULTIPLY, /* activation(x * other) */
    CNNFAST_PRELU     /* x, or x * other where x is below 0 */
} cnnfast_elementwise_kind;

typedef struct {
    cnnfast_dtype dtype;
    cnnfast_elementwise_kind kind;
    int64_t count;  /* elements of x and y */
    int64_t period; /* elements of `other`, which repeat; 0: as many as x has */
    cnnfast_activation activation;
    double alpha, beta; /* as cnnfast_conv2d's; CNNFAST_MAP of CNNFAST_SOFTPLUS: its beta, its threshold */
} cnnfast_elementwise;

/* y = activation((x - mean) / sqrt(var + eps) * weight + bias). x is (outer, C, inner): inner is 1 for NHWC. */
typedef struct {
    cnnfast_dtype dtype;
    int64_t outer, C, inner;
    double eps;
    cnnfast_activation activation;
    double alpha;
} cnnfast_batch_norm;

/* y = x / (k + alpha * mean of x^2 over `size` neighbouring channels)^beta. x is (outer, C, inner). */
typedef struct {
    cnnfast_dtype dtype;
    int64_t outer, C, inner, size;
    double alpha, beta, k;
} cnnfast_local_response_norm;

/* The arrays of a batch normalisation's gradient: mean, var, weight and bias are those y was computed from, the last two
 * may be NULL; grad_weight and grad_bias have C elements. */
typedef struct {
    const void *grad_output, *x, *mean, *var, *weight, *bias;
    void *grad_input, *grad_weight, *grad_bias;
} cnnfast_batch_norm_grads;

/* An optimizer's step over `count` elements, as Keras 3 has it. First weight -= weight * decay. Then, g being the gradient,
 *   SGD      without state[0], weight -= rate*g. With it, a velocity: v = momentum*v - rate*g, then weight += v, or where
 *            nesterov momentum*v - rate*g
 *   RMSPROP  v = rho*v + (1 - rho)*g^2 in state[0]; a step rate*g / sqrt(v + epsilon); with state[2], a mean of gradients
 *            m = rho*m + (1 - rho)*g, v - m^2 instead of v; with state[1], b = momentum*b + step, the step; weight -= step
 *   ADAM     m += (g - m)*(1 - momentum) in state[0], v += (g^2 - v)*(1 - rho) in state[1]; with state[2] the largest v so far
 *            instead of v; weight -= rate*m / (sqrt(v) + epsilon) */
typedef enum { CNNFAST_SGD, CNNFAST_RMSPROP, CNNFAST_ADAM } cnnfast_optimizer;

typedef struct {
    cnnfast_dtype dtype;
    cnnfast_optimizer kind;
    int64_t count;
    double rate, decay, momentum, rho, epsilon;
    int nesterov;
} cnnfast_update;

/* Over the middle one of (outer, n, inner). */
typedef struct {
    cnnfast_dtype dtype;
    int64_t outer, n, inner;
    int log;
} cnnfast_softmax;

/* NHWC; NCHW is N*C images of one channel. */
typedef struct {
    cnnfast_dtype dtype;
    int64_t N, H, W, C, scale[2];
    int bilinear, align_corners;
} cnnfast_upsample2d;

typedef struct cnnfast_plan cnnfast_plan;

/* Plans that run one after another, as one: what a stage gives goes to the next in bands of rows that stay in L2, where
 * that pays. The bits are those of the stages run alone. Stages are plans of conv2d, separable_conv2d and pool2d (without
 * indices) of one floating dtype, one layout and one ISA; they must live as long as the plan made of them. */
typedef struct {
    const cnnfast_plan *const *stages;
    int count;             /* 2 to 8 */
    const char *algorithm; /* "bands" or "in_turn"; NULL lets the cost model choose */
    int64_t N;
    size_t max_workspace;
} cnnfast_fused;

/* What a run reads and writes, in the plan's layout, contiguous; but y may be some channels of wider NHWC pixels, which
 * keep their other channels: where cnnfast_plan_takes_slices. */
typedef struct {
    int64_t N; /* any batch; the plan's own N only guides the choice of algorithm */
    const void *x;
    const void *residual; /* y's shape and dtype, or y itself, or NULL */
    void *y;
    int64_t *indices; /* written by max pooling with indices, read by max_unpool2d and by max pooling's way back, else NULL */
    int64_t y_step; /* elements from a pixel of y to the next, if more than K; a residual that is y has it too. 0: K */
} cnnfast_args;

CNNFAST_API cnnfast_status cnnfast_conv2d_plan(cnnfast_plan **, const cnnfast_conv2d *, const void *weight,
                                               const void *bias);
CNNFAST_API cnnfast_status cnnfast_conv_transpose2d_plan(cnnfast_plan **, const cnnfast_conv_transpose2d *,
                                                         const void *weight, const void *bias);
/* The gradient of a conv2d with respect to its input: from y's gradient, as the plan's x, to one of x's shape. The description
 * and the weight are those of the conv2d itself, with padding of zeros and without activation; real dtypes. `algorithm` is a row
 * of conv2d's table at stride 1, else of conv_transpose2d's, or one of conv2d_grad_input's. */
CNNFAST_API cnnfast_status cnnfast_conv2d_grad_input_plan(cnnfast_plan **, const cnnfast_conv2d *, const void *weight);
CNNFAST_API cnnfast_status cnnfast_separable_conv2d_plan(cnnfast_plan **, const cnnfast_separable_conv2d *,
                                                         const void *depthwise_weight, const void *depthwise_bias,
                                                         const void *pointwise_weight, const void *bias);
CNNFAST_API cnnfast_status cnnfast_pool2d_plan(cnnfast_plan **, const cnnfast_pool2d *);
CNNFAST_API cnnfast_status cnnfast_max_unpool2d_plan(cnnfast_plan **, const cnnfast_max_unpool2d *);

/* Gradients of an op, which the description tells: x is that of its output, y that of its input. A maximum's way back reads the
 * indices, and of its description the shapes alone, output_size among them; a p-norm's is that of the plain sum over the window. */
CNNFAST_API cnnfast_status cnnfast_pool2d_grad_plan(cnnfast_plan **, const cnnfast_pool2d *);
CNNFAST_API cnnfast_status cnnfast_upsample2d_grad_plan(cnnfast_plan **, const cnnfast_upsample2d *, cnnfast_layout);

CNNFAST_API cnnfast_status cnnfast_fused_plan(cnnfast_plan **, const cnnfast_fused *);

CNNFAST_API cnnfast_status cnnfast_linear_plan(cnnfast_plan **, const cnnfast_linear *, const void *weight, const void *bias);

/* The gradient of a convolution with respect to its weight, and to its bias unless that is NULL: float32 or float64, NHWC, padding
 * of zeros. x and grad_output as the convolution's x and y; N may be 0. Sums have the same bits for any number of threads.
 * max_workspace holds for the kernels' memory; sums of chunks, each as large as the weight, come on top. */
CNNFAST_API cnnfast_status cnnfast_conv2d_grad_weight_run(const cnnfast_conv2d *, const void *x, const void *grad_output,
                                                          void *grad_weight, void *grad_bias);

/* Ops without weights to pack: run at once. Tensors are contiguous; y overlaps none. `weight` and `bias` may be NULL. */
CNNFAST_API cnnfast_status cnnfast_elementwise_run(const cnnfast_elementwise *, const void *x, const void *other, void *y);
CNNFAST_API cnnfast_status cnnfast_batch_norm_run(const cnnfast_batch_norm *, const void *x, const void *mean, const void *var,
                                                  const void *weight, const void *bias, void *y);
CNNFAST_API cnnfast_status cnnfast_local_response_norm_run(const cnnfast_local_response_norm *, const void *x, void *y);
/* A plan of it for a network: images of one pixel, `outer` of them; inner must be 1. */
CNNFAST_API cnnfast_status cnnfast_softmax_plan(cnnfast_plan **, const cnnfast_softmax *);
CNNFAST_API cnnfast_status cnnfast_softmax_run(const cnnfast_softmax *, const void *x, void *y);
CNNFAST_API cnnfast_status cnnfast_upsample2d_run(const cnnfast_upsample2d *, const void *x, void *y);

/* batch_norm by x's own statistics, mean and biased variance, which are written too. The sums are taken in chunks and a tree that
 * the sizes alone decide. `activation` is none, relu or relu6. */
CNNFAST_API cnnfast_status cnnfast_batch_norm_train_run(const cnnfast_batch_norm *, const void *x, const void *weight, const void *bias,
                                                        void *mean, void *var, void *y);
/* Its gradients (training: mean and var are x's own), or batch_norm's. */
CNNFAST_API cnnfast_status cnnfast_batch_norm_grad_run(const cnnfast_batch_norm *, int training, const cnnfast_batch_norm_grads *);

/* grad_input = grad_output times an activation's derivative, by its output (relu, relu6, leaky_relu, sigmoid, tanh, elu, selu,
 * hardsigmoid) or its input (the others); `kind` is CNNFAST_MAP. */
CNNFAST_API cnnfast_status cnnfast_activation_grad_run(const cnnfast_elementwise *, const void *grad_output, const void *values,
                                                       void *grad_input);

/* weight and what there is of state change in place; nothing may overlap. */
CNNFAST_API cnnfast_status cnnfast_update_run(const cnnfast_update *, void *weight, const void *grad, void *const state[3]);

/* Plans of these for a network, of one batch as a whole: args.N is 1. An elementwise plan of two operands has its `other` from
 * the description's maker, `period` elements, or where period is 0 as each run's residual. */
CNNFAST_API cnnfast_status cnnfast_elementwise_plan(cnnfast_plan **, const cnnfast_elementwise *, const void *other);
CNNFAST_API cnnfast_status cnnfast_batch_norm_plan(cnnfast_plan **, const cnnfast_batch_norm *, const void *mean, const void *var,
                                                   const void *weight, const void *bias);
CNNFAST_API cnnfast_status cnnfast_local_response_norm_plan(cnnfast_plan **, const cnnfast_local_response_norm *);
CNNFAST_API cnnfast_status cnnfast_upsample2d_plan(cnnfast_plan **, const cnnfast_upsample2d *);

/* A description's y, which is checked as a plan of it is: (N, P, Q, K) or (N, K, P, Q). */
CNNFAST_API cnnfast_status cnnfast_conv2d_output_shape(const cnnfast_conv2d *, int64_t shape[4]);
CNNFAST_API cnnfast_status cnnfast_pool2d_output_shape(const cnnfast_pool2d *, int64_t shape[4]);

/* Ops whose weights come with each call: planned, packed and run at once, by threads as many as like. Small problems' plans are
 * kept for the next call of the same description, never what weights hold. residual and bias may be NULL; indices tell whether a
 * maximum's are wanted (`with_indices` is not read). Descriptions and arrays of gradients: see the plans of the same name. */
CNNFAST_API cnnfast_status cnnfast_conv2d_run(const cnnfast_conv2d *, const void *x, const void *weight, const void *bias,
                                              const void *residual, void *y);
CNNFAST_API cnnfast_status cnnfast_conv2d_grad_input_run(const cnnfast_conv2d *, const void *grad_output, const void *weight,
                                                         void *grad_input);
CNNFAST_API cnnfast_status cnnfast_pool2d_run(const cnnfast_pool2d *, const void *x, void *y, int64_t *indices);
CNNFAST_API cnnfast_status cnnfast_pool2d_grad_run(const cnnfast_pool2d *, const void *grad_output, const int64_t *indices,
                                                   void *grad_input);

/* Bytes a run of N images wants now, for all threads; a run takes fewer threads where it is given less. */
CNNFAST_API size_t cnnfast_plan_workspace_size(const cnnfast_plan *, int64_t N);
CNNFAST_API cnnfast_status cnnfast_plan_run(const cnnfast_plan *, const cnnfast_args *, void *workspace,
                                            size_t workspace_size);
/* The same with a workspace of its own. */
CNNFAST_API cnnfast_status cnnfast_plan_run_allocating(const cnnfast_plan *, const cnnfast_args *);
CNNFAST_API void cnnfast_plan_free(cnnfast_plan **);

/* Whether a run of the plan may give a y_step. */
CNNFAST_API int cnnfast_plan_takes_slices(const cnnfast_plan *);

/* Lets `plan` use the packed weights of `other` in place of its own, which are freed, if both are the same byte for byte: plans
 * of one network for images of several sizes. Nobody may be using `plan`, nor a fused plan that has it as a stage; the two may be freed in any order. Returns whether
 * they share now. */
CNNFAST_API int cnnfast_plan_share(cnnfast_plan *plan, const cnnfast_plan *other);

/* `plan` for runs whose input (CNNFAST_INPUT), output (CNNFAST_OUTPUT) or both lie as NHWC where the plan says NCHW: the same
 * algorithm and bits, one conversion less each, and plan's own packed weights, shared. A residual lies as the output, indices as
 * what they belong to. CNNFAST_UNSUPPORTED where such a tensor is not NCHW. The two may be freed in any order; a fused plan's
 * stages must outlive both. */
CNNFAST_API cnnfast_status cnnfast_plan_turned(cnnfast_plan **, const cnnfast_plan *plan, unsigned tensors);

/* Plans that run one after another, as a network's do: each as cnnfast_plan_run, all in the one workspace. The first that
 * fails ends the run. */
typedef struct {
    const cnnfast_plan *plan;
    cnnfast_args args;
} cnnfast_step;
CNNFAST_API size_t cnnfast_steps_workspace_size(const cnnfast_step *, int count);
CNNFAST_API cnnfast_status cnnfast_steps_run(const cnnfast_step *, int count, void *workspace, size_t workspace_size);

/* x is (N, H, W, C) or (N, C, H, W) as its layout says; so is y. */
CNNFAST_API void cnnfast_plan_input_shape(const cnnfast_plan *, int64_t N, int64_t shape[4]);
CNNFAST_API void cnnfast_plan_output_shape(const cnnfast_plan *, int64_t N, int64_t shape[4]);
CNNFAST_API cnnfast_dtype cnnfast_plan_input_dtype(const cnnfast_plan *);
CNNFAST_API cnnfast_dtype cnnfast_plan_output_dtype(const cnnfast_plan *);

/* What was chosen, and what it costs. */
typedef struct {
    const char *op, *algorithm, *isa;
    int64_t tile_pixels, tile_channels; /* what the micro-kernel holds in registers; 0 where it has none */
    size_t workspace, packed;           /* bytes: a run of the plan's N now; the weights as packed */
    double flops, bytes;                /* of the plan's N images; bytes: x, y and the weights, once each; no residual */
} cnnfast_info;
CNNFAST_API cnnfast_info cnnfast_plan_info(const cnnfast_plan *);

/* The rows of the op's table in order, for this plan's problem. Returns 0 past the last row. */
typedef struct {
    const char *algorithm;
    int accepts;
    double cost;      /* microseconds on a nominal core: the same on every machine, so only ratios mean anything */
    size_t workspace; /* bytes, one thread */
    size_t needed;    /* the least max_workspace that allows it */
    double flops;     /* of its products for the plan's N images: Winograd and fft have fewer than cnnfast_info's */
} cnnfast_candidate;
CNNFAST_API int cnnfast_plan_candidate(const cnnfast_plan *, int row, cnnfast_candidate *);

/* Name of row `row` of an op's table ("conv2d", "pool2d", ...); NULL past the last. */
CNNFAST_API const char *cnnfast_algorithm(const char *op, int row);

CNNFAST_API const char *cnnfast_status_string(cnnfast_status);
CNNFAST_API const char *cnnfast_version(void);

/* The ISA of plans made from now on: NULL names the best this machine has. */
CNNFAST_API cnnfast_status cnnfast_set_isa(const char *name);
CNNFAST_API const char *cnnfast_isa(void);
CNNFAST_API const char *cnnfast_isa_name(int index); /* all the library has; NULL past the last */
CNNFAST_API int cnnfast_isa_available(const char *name);

/* Threads of a run: cnnfast_set_num_threads, else OMP_NUM_THREADS, else min(affinity, cgroup quota). n < 1 is
 * CNNFAST_INVALID_PARAM. A child made by fork runs on one thread. */
CNNFAST_API cnnfast_status cnnfast_set_num_threads(int n);
CNNFAST_API int cnnfast_get_num_threads(void);

/* max_workspace: bytes that a plan's packed weights and a run's workspace may take together, what NCHW and integers need on their
 * way to the kernels included. It leaves out rows that could not run within it on one thread, image by image; a run then takes as
 * many threads as fit. Of a plan's own and the process's the lesser holds, for plans made from now on; 0 means no limit. */
CNNFAST_API void cnnfast_set_max_workspace(size_t bytes);
CNNFAST_API size_t cnnfast_get_max_workspace(void);

/* Where this thread was last told CNNFAST_SMALL_WORKSPACE by a plan: the least any of its rows needs, and what was allowed. */
typedef struct {
    size_t needed, allowed;
} cnnfast_refusal;
CNNFAST_API cnnfast_refusal cnnfast_last_refusal(void);

/* Asked about every 50 ms during long runs, on the calling thread; a nonzero answer ends the run. */
CNNFAST_API void cnnfast_set_interrupt(int (*should_stop)(void));

/* The machine's limits, measured with this ISA: kind is "fma" (GFLOP/s, float32), "read" or "copy" (GB/s, bytes read
 * plus bytes written; `bytes` is a thread's working set). A negative answer: unknown kind or out of memory. */
CNNFAST_API double cnnfast_probe(const char *kind, size_t bytes, double seconds, int threads);

#ifdef __cplusplus
}
#endif
#endif
