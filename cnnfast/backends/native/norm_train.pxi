def train_batch_norm(x, y, mean, var, weight, bias, int64_t outer, int64_t C, int64_t inner, double eps, activation=None):
    """x is (outer, C, inner) in memory, the vectors (C,); mean and var are written, as y is."""
    cdef flat_buffers buffers
    cdef cnnfast_batch_norm d
    cdef cnnfast_status status
    d.outer, d.C, d.inner, d.eps = outer, C, inner, eps
    d.activation, d.alpha = ACTIVATIONS[activation], 0
    if not (flat_take_pair(&buffers, x, y) and flat_take(&buffers, mean, True) and flat_take(&buffers, var, True)
            and flat_take(&buffers, weight, False) and flat_take(&buffers, bias, False)):
        return False
    d.dtype = buffers.dtype
    with nogil:
        status = cnnfast_batch_norm_train_run(&d, buffers.data[0], buffers.data[4], buffers.data[5], buffers.data[2],
                                              buffers.data[3], buffers.data[1])
    flat_release(&buffers)
    check(status)
    return True


def grad_batch_norm(x, grad_input, grad_output, mean, var, weight, bias, grad_weight, grad_bias, int64_t outer, int64_t C,
                    int64_t inner, double eps, bint training, activation=None):
    """grad_output has x's shape, which is (outer, C, inner) in memory; the vectors are (C,). Those named grad_ but
    grad_output are written."""
    cdef flat_buffers buffers
    cdef cnnfast_batch_norm d
    cdef cnnfast_batch_norm_grads t
    cdef cnnfast_status status
    d.outer, d.C, d.inner, d.eps = outer, C, inner, eps
    d.activation, d.alpha = ACTIVATIONS[activation], 0
    if not (flat_take_pair_and(&buffers, x, grad_input, grad_output) and flat_take(&buffers, mean, False)
            and flat_take(&buffers, var, False) and flat_take(&buffers, weight, False) and flat_take(&buffers, bias, False)
            and flat_take(&buffers, grad_weight, True) and flat_take(&buffers, grad_bias, True)):
        return False
    d.dtype = buffers.dtype
    t.x, t.grad_input, t.grad_output = buffers.data[0], buffers.data[1], buffers.data[2]
    t.mean, t.var, t.weight, t.bias = buffers.data[3], buffers.data[4], buffers.data[5], buffers.data[6]
    t.grad_weight, t.grad_bias = buffers.data[7], buffers.data[8]
    with nogil:
        status = cnnfast_batch_norm_grad_run(&d, training, &t)
    flat_release(&buffers)
    check(status)
    return True
