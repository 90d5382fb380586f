def plan_linear(x_shape, weight, bias, *, dtype, activation=None, alpha=0.01):
    """x_shape is (N, C), weight (K, C)."""
    cdef Plan plan = Plan()
    cdef cnnfast_linear d
    d.dtype = DTYPES[dtype]
    d.N, d.C = x_shape
    d.K = weight.shape[0]
    d.activation = ACTIVATIONS[activation]
    d.alpha = alpha
    cdef const void *w = address(weight, dtype)
    cdef const void *b = address(bias, dtype)
    cdef cnnfast_status status
    with nogil:
        status = cnnfast_linear_plan(&plan.plan, &d, w, b)
    return plan.made(status)
