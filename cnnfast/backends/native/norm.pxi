def run_batch_norm(x, y, mean, var, weight, bias, int64_t outer, int64_t C, int64_t inner, double eps, activation=None,
                   double alpha=0):
    """x is (outer, C, inner) in memory, the vectors (C,)."""
    cdef flat_buffers buffers
    cdef cnnfast_batch_norm d
    cdef cnnfast_status status
    d.outer, d.C, d.inner, d.eps = outer, C, inner, eps
    d.activation = ACTIVATIONS[activation]
    d.alpha = alpha
    if not (flat_take_pair(&buffers, x, y) and flat_take(&buffers, mean, False) and flat_take(&buffers, var, False)
            and flat_take(&buffers, weight, False) and flat_take(&buffers, bias, False)):
        return False
    d.dtype = buffers.dtype
    with nogil:
        status = cnnfast_batch_norm_run(&d, buffers.data[0], buffers.data[2], buffers.data[3], buffers.data[4],
                                        buffers.data[5], buffers.data[1])
    flat_release(&buffers)
    check(status)
    return True


def run_local_response_norm(x, y, int64_t outer, int64_t C, int64_t inner, int64_t size, double alpha, double beta,
                            double k):
    """x is (outer, C, inner) in memory."""
    cdef flat_buffers buffers
    cdef cnnfast_local_response_norm d
    cdef cnnfast_status status
    d.outer, d.C, d.inner, d.size = outer, C, inner, size
    d.alpha, d.beta, d.k = alpha, beta, k
    if not flat_take_pair(&buffers, x, y):
        return False
    d.dtype = buffers.dtype
    with nogil:
        status = cnnfast_local_response_norm_run(&d, buffers.data[0], buffers.data[1])
    flat_release(&buffers)
    check(status)
    return True


def plan_batch_norm(int64_t outer, int64_t C, int64_t inner, mean, var, weight, bias, double eps, *, dtype, activation=None,
                    double alpha=0):
    """x is (outer, C, inner) in memory, the vectors (C,)."""
    cdef Plan plan = Plan()
    cdef cnnfast_batch_norm d
    d.dtype, d.activation = DTYPES[dtype], ACTIVATIONS[activation]
    d.outer, d.C, d.inner, d.eps, d.alpha = outer, C, inner, eps, alpha
    return plan.made(cnnfast_batch_norm_plan(&plan.plan, &d, address(mean, dtype), address(var, dtype), address(weight, dtype),
                                             address(bias, dtype)))


def plan_local_response_norm(int64_t outer, int64_t C, int64_t inner, int64_t size, double alpha, double beta, double k, *,
                             dtype):
    """x is (outer, C, inner) in memory."""
    cdef Plan plan = Plan()
    cdef cnnfast_local_response_norm d
    d.dtype = DTYPES[dtype]
    d.outer, d.C, d.inner, d.size, d.alpha, d.beta, d.k = outer, C, inner, size, alpha, beta, k
    return plan.made(cnnfast_local_response_norm_plan(&plan.plan, &d))
