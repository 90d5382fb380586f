# The C API of include/cnnfast.h for Cython: `from cnnfast.libcnnfast cimport cnnfast_conv2d_plan`.
# Compile with `cnnfast.get_include()` and link `cnnfast.get_library()`.
from libc.stdint cimport int64_t, uint64_t

cdef extern from "cnnfast.h" nogil:
    ctypedef enum cnnfast_status:
        CNNFAST_OK
        CNNFAST_INVALID_SHAPE
        CNNFAST_INVALID_PARAM
        CNNFAST_UNSUPPORTED
        CNNFAST_SMALL_WORKSPACE
        CNNFAST_OUT_OF_MEMORY
        CNNFAST_OVERFLOW
        CNNFAST_INTERRUPTED

    ctypedef enum cnnfast_dtype:
        CNNFAST_FLOAT32
        CNNFAST_FLOAT64
        CNNFAST_INT8
        CNNFAST_UINT8
        CNNFAST_INT16
        CNNFAST_UINT16
        CNNFAST_INT32
        CNNFAST_UINT32
        CNNFAST_INT64

    ctypedef enum cnnfast_layout:
        CNNFAST_NHWC
        CNNFAST_NCHW

    ctypedef enum cnnfast_tensor:
        CNNFAST_INPUT
        CNNFAST_OUTPUT
        CNNFAST_WEIGHT

    ctypedef enum cnnfast_padding_mode:
        CNNFAST_ZEROS
        CNNFAST_REFLECT
        CNNFAST_REPLICATE
        CNNFAST_CIRCULAR

    ctypedef enum cnnfast_precision:
        CNNFAST_DEFAULT
        CNNFAST_STRICT
        CNNFAST_FAST

    ctypedef enum cnnfast_activation:
        CNNFAST_NONE
        CNNFAST_RELU
        CNNFAST_RELU6
        CNNFAST_LEAKY_RELU
        CNNFAST_SIGMOID
        CNNFAST_TANH
        CNNFAST_GELU
        CNNFAST_SILU
        CNNFAST_HARDSWISH
        CNNFAST_ELU
        CNNFAST_SELU
        CNNFAST_HARDSIGMOID
        CNNFAST_GELU_TANH
        CNNFAST_MISH
        CNNFAST_SOFTPLUS

    ctypedef enum cnnfast_pool_kind:
        CNNFAST_MAX
        CNNFAST_MIN
        CNNFAST_AVERAGE
        CNNFAST_LP

    ctypedef struct cnnfast_conv2d:
        cnnfast_dtype dtype
        cnnfast_layout layout
        const char *algorithm
        int64_t N, H, W, C, K, R, S, groups
        int64_t stride[2]
        int64_t dilation[2]
        int64_t pad[4]
        cnnfast_padding_mode padding_mode
        cnnfast_activation activation
        double alpha
        uint64_t max_abs_input
        size_t max_workspace
        cnnfast_precision precision
        int once
        unsigned other_layout

    ctypedef struct cnnfast_conv_transpose2d:
        cnnfast_conv2d conv
        int64_t output_padding[2]

    ctypedef struct cnnfast_separable_conv2d:
        cnnfast_conv2d depthwise
        int64_t K
        cnnfast_activation activation
        double alpha

    ctypedef struct cnnfast_pool2d:
        cnnfast_dtype dtype
        cnnfast_layout layout
        const char *algorithm
        cnnfast_pool_kind kind
        int64_t N, H, W, C, R, S
        int64_t stride[2]
        int64_t dilation[2]
        int64_t pad[4]
        int ceil_mode, count_include_pad
        double norm
        int64_t output_size[2]
        int with_indices
        size_t max_workspace
        unsigned other_layout

    ctypedef struct cnnfast_max_unpool2d:
        cnnfast_dtype dtype
        cnnfast_layout layout
        int64_t N, H, W, C, P, Q
        size_t max_workspace

    ctypedef struct cnnfast_linear:
        cnnfast_dtype dtype
        int64_t N, C, K
        cnnfast_activation activation
        double alpha

    ctypedef enum cnnfast_elementwise_kind:
        CNNFAST_MAP
        CNNFAST_ADD
        CNNFAST_MULTIPLY
        CNNFAST_PRELU

    ctypedef struct cnnfast_elementwise:
        cnnfast_dtype dtype
        cnnfast_elementwise_kind kind
        int64_t count, period
        cnnfast_activation activation
        double alpha, beta

    ctypedef struct cnnfast_batch_norm:
        cnnfast_dtype dtype
        int64_t outer, C, inner
        double eps
        cnnfast_activation activation
        double alpha

    ctypedef struct cnnfast_local_response_norm:
        cnnfast_dtype dtype
        int64_t outer, C, inner, size
        double alpha, beta, k

    ctypedef struct cnnfast_softmax:
        cnnfast_dtype dtype
        int64_t outer, n, inner
        int log

    ctypedef struct cnnfast_upsample2d:
        cnnfast_dtype dtype
        int64_t N, H, W, C
        int64_t scale[2]
        int bilinear, align_corners

    ctypedef struct cnnfast_batch_norm_grads:
        const void *grad_output
        const void *x
        const void *mean
        const void *var
        const void *weight
        const void *bias
        void *grad_input
        void *grad_weight
        void *grad_bias

    ctypedef enum cnnfast_optimizer:
        CNNFAST_SGD
        CNNFAST_RMSPROP
        CNNFAST_ADAM

    ctypedef struct cnnfast_update:
        cnnfast_dtype dtype
        cnnfast_optimizer kind
        int64_t count
        double rate, decay, momentum, rho, epsilon
        int nesterov

    ctypedef struct cnnfast_plan:
        pass

    ctypedef struct cnnfast_fused:
        const cnnfast_plan *const *stages
        int count
        const char *algorithm
        int64_t N
        size_t max_workspace

    ctypedef struct cnnfast_args:
        int64_t N
        const void *x
        const void *residual
        void *y
        int64_t *indices
        int64_t y_step

    ctypedef struct cnnfast_step:
        const cnnfast_plan *plan
        cnnfast_args args

    ctypedef struct cnnfast_info:
        const char *op
        const char *algorithm
        const char *isa
        int64_t tile_pixels, tile_channels
        size_t workspace, packed
        double flops, bytes

    ctypedef struct cnnfast_candidate:
        const char *algorithm
        int accepts
        double cost
        size_t workspace, needed
        double flops

    ctypedef struct cnnfast_refusal:
        size_t needed, allowed

    cnnfast_status cnnfast_conv2d_plan(cnnfast_plan **, const cnnfast_conv2d *, const void *weight, const void *bias)
    cnnfast_status cnnfast_conv_transpose2d_plan(cnnfast_plan **, const cnnfast_conv_transpose2d *, const void *weight,
                                                 const void *bias)
    cnnfast_status cnnfast_conv2d_grad_input_plan(cnnfast_plan **, const cnnfast_conv2d *, const void *weight)
    cnnfast_status cnnfast_separable_conv2d_plan(cnnfast_plan **, const cnnfast_separable_conv2d *,
                                                 const void *depthwise_weight, const void *depthwise_bias,
                                                 const void *pointwise_weight, const void *bias)
    cnnfast_status cnnfast_pool2d_plan(cnnfast_plan **, const cnnfast_pool2d *)
    cnnfast_status cnnfast_max_unpool2d_plan(cnnfast_plan **, const cnnfast_max_unpool2d *)
    cnnfast_status cnnfast_pool2d_grad_plan(cnnfast_plan **, const cnnfast_pool2d *)
    cnnfast_status cnnfast_upsample2d_grad_plan(cnnfast_plan **, const cnnfast_upsample2d *, cnnfast_layout)
    cnnfast_status cnnfast_fused_plan(cnnfast_plan **, const cnnfast_fused *)
    cnnfast_status cnnfast_linear_plan(cnnfast_plan **, const cnnfast_linear *, const void *weight, const void *bias)
    cnnfast_status cnnfast_conv2d_grad_weight_run(const cnnfast_conv2d *, const void *x, const void *grad_output,
                                                  void *grad_weight, void *grad_bias)
    cnnfast_status cnnfast_elementwise_run(const cnnfast_elementwise *, const void *x, const void *other, void *y)
    cnnfast_status cnnfast_batch_norm_run(const cnnfast_batch_norm *, const void *x, const void *mean, const void *var,
                                          const void *weight, const void *bias, void *y)
    cnnfast_status cnnfast_local_response_norm_run(const cnnfast_local_response_norm *, const void *x, void *y)
    cnnfast_status cnnfast_softmax_plan(cnnfast_plan **, const cnnfast_softmax *)
    cnnfast_status cnnfast_softmax_run(const cnnfast_softmax *, const void *x, void *y)
    cnnfast_status cnnfast_upsample2d_run(const cnnfast_upsample2d *, const void *x, void *y)
    cnnfast_status cnnfast_batch_norm_train_run(const cnnfast_batch_norm *, const void *x, const void *weight,
                                                const void *bias, void *mean, void *var, void *y)
    cnnfast_status cnnfast_batch_norm_grad_run(const cnnfast_batch_norm *, int training, const cnnfast_batch_norm_grads *)
    cnnfast_status cnnfast_activation_grad_run(const cnnfast_elementwise *, const void *grad_output, const void *values,
                                               void *grad_input)
    cnnfast_status cnnfast_update_run(const cnnfast_update *, void *weight, const void *grad, void **state)
    cnnfast_status cnnfast_elementwise_plan(cnnfast_plan **, const cnnfast_elementwise *, const void *other)
    cnnfast_status cnnfast_batch_norm_plan(cnnfast_plan **, const cnnfast_batch_norm *, const void *mean, const void *var,
                                           const void *weight, const void *bias)
    cnnfast_status cnnfast_local_response_norm_plan(cnnfast_plan **, const cnnfast_local_response_norm *)
    cnnfast_status cnnfast_upsample2d_plan(cnnfast_plan **, const cnnfast_upsample2d *)
    void cnnfast_set_max_workspace(size_t bytes)
    size_t cnnfast_get_max_workspace()
    cnnfast_refusal cnnfast_last_refusal()
    cnnfast_status cnnfast_conv2d_output_shape(const cnnfast_conv2d *, int64_t *shape)
    cnnfast_status cnnfast_pool2d_output_shape(const cnnfast_pool2d *, int64_t *shape)
    cnnfast_status cnnfast_conv2d_run(const cnnfast_conv2d *, const void *x, const void *weight, const void *bias,
                                      const void *residual, void *y)
    cnnfast_status cnnfast_conv2d_grad_input_run(const cnnfast_conv2d *, const void *grad_output, const void *weight,
                                                 void *grad_input)
    cnnfast_status cnnfast_pool2d_run(const cnnfast_pool2d *, const void *x, void *y, int64_t *indices)
    cnnfast_status cnnfast_pool2d_grad_run(const cnnfast_pool2d *, const void *grad_output, const int64_t *indices,
                                           void *grad_input)
    size_t cnnfast_plan_workspace_size(const cnnfast_plan *, int64_t N)
    cnnfast_status cnnfast_plan_run(const cnnfast_plan *, const cnnfast_args *, void *workspace, size_t workspace_size)
    cnnfast_status cnnfast_plan_run_allocating(const cnnfast_plan *, const cnnfast_args *)
    size_t cnnfast_steps_workspace_size(const cnnfast_step *, int count)
    cnnfast_status cnnfast_steps_run(const cnnfast_step *, int count, void *workspace, size_t workspace_size)
    void cnnfast_plan_free(cnnfast_plan **)
    int cnnfast_plan_share(cnnfast_plan *, const cnnfast_plan *)
    cnnfast_status cnnfast_plan_turned(cnnfast_plan **, const cnnfast_plan *, unsigned tensors)
    void cnnfast_plan_input_shape(const cnnfast_plan *, int64_t N, int64_t *shape)
    void cnnfast_plan_output_shape(const cnnfast_plan *, int64_t N, int64_t *shape)
    cnnfast_dtype cnnfast_plan_input_dtype(const cnnfast_plan *)
    cnnfast_dtype cnnfast_plan_output_dtype(const cnnfast_plan *)
    cnnfast_info cnnfast_plan_info(const cnnfast_plan *)
    int cnnfast_plan_candidate(const cnnfast_plan *, int row, cnnfast_candidate *)
    const char *cnnfast_algorithm(const char *op, int row)
    const char *cnnfast_status_string(cnnfast_status)
    const char *cnnfast_version()
    cnnfast_status cnnfast_set_isa(const char *name)
    const char *cnnfast_isa()
    const char *cnnfast_isa_name(int index)
    int cnnfast_isa_available(const char *name)
    cnnfast_status cnnfast_set_num_threads(int n)
    int cnnfast_get_num_threads()
    void cnnfast_set_interrupt(int (*should_stop)() noexcept nogil)
    double cnnfast_probe(const char *kind, size_t bytes, double seconds, int threads)
