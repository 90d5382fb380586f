def run_elementwise(kind, x, other, y, activation=None, double alpha=0, double beta=0):
    """`other` has x's shape, or is a vector for x's last axis."""
    cdef flat_buffers buffers
    cdef cnnfast_elementwise d
    cdef cnnfast_status status
    d.kind = ELEMENTWISE[kind]
    d.activation = ACTIVATIONS[activation]
    d.alpha, d.beta = alpha, beta
    if not flat_take_elementwise(&buffers, x, y, other, &d.period):
        return False
    d.dtype = buffers.dtype
    d.count = flat_elements(&buffers, 0)
    with nogil:
        status = cnnfast_elementwise_run(&d, buffers.data[0], buffers.data[2], buffers.data[1])
    flat_release(&buffers)
    check(status)
    return True


def plan_elementwise(kind, int64_t count, other, *, dtype, activation=None, alpha=0.0, beta=0.0):
    """Of `count` elements. `other` repeats along them; None: each run has it as its residual, or the kind has none."""
    cdef Plan plan = Plan()
    cdef cnnfast_elementwise d
    d.dtype, d.kind, d.activation = DTYPES[dtype], ELEMENTWISE[kind], ACTIVATIONS[activation]
    d.count, d.period = count, 0 if other is None else other.size
    d.alpha, d.beta = alpha, beta
    return plan.made(cnnfast_elementwise_plan(&plan.plan, &d, address(other, dtype)))
