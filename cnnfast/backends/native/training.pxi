def grad_activation(values, grad_input, grad_output, activation, double alpha=0):
    """All of one shape."""
    cdef flat_buffers buffers
    cdef cnnfast_elementwise d
    cdef cnnfast_status status
    d.kind, d.period = CNNFAST_MAP, 0
    d.activation, d.alpha, d.beta = ACTIVATIONS[activation], alpha, 0
    if not flat_take_pair_and(&buffers, values, grad_input, grad_output):
        return False
    d.dtype = buffers.dtype
    d.count = flat_elements(&buffers, 0)
    with nogil:
        status = cnnfast_activation_grad_run(&d, buffers.data[2], buffers.data[0], buffers.data[1])
    flat_release(&buffers)
    check(status)
    return True


def update_weight(kind, weight, grad, first, second, third, double rate, double decay, double momentum, double rho=0,
                  double epsilon=0, bint nesterov=False):
    """weight and the arrays of state (or None), which change, and grad are of one shape and apart."""
    cdef flat_buffers buffers
    cdef cnnfast_update d
    cdef cnnfast_status status
    cdef void *state[3]
    d.kind, d.rate, d.decay, d.momentum, d.rho = OPTIMIZERS[kind], rate, decay, momentum, rho
    d.epsilon, d.nesterov = epsilon, nesterov
    if not flat_take_update(&buffers, weight, grad, first, second, third):
        return False
    d.dtype = buffers.dtype
    d.count = flat_elements(&buffers, 0)
    state[0], state[1], state[2] = buffers.data[2], buffers.data[3], buffers.data[4]
    with nogil:
        status = cnnfast_update_run(&d, buffers.data[0], buffers.data[1], state)
    flat_release(&buffers)
    check(status)
    return True
