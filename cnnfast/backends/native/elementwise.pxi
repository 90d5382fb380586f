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
