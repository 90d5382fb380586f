# All between a user's call of a pool and its kernel, which may take no longer than that.
def pool_again(Kept kept not None, make, state, str op, str kind, x, out, tuple given not None):
    """y of a pool that is `kept` by (make, state, (op, kind, x.shape, x.dtype), given). None, and nothing written: there is none, or
    it has no `new_y`, or x or `out` is no array of NumPy's, or none that fits its `plan`."""
    if type(x) is not ndarray or not (out is None or type(out) is ndarray):
        return None
    key = key_of(make, state, (op, kind, x.shape, x.dtype), given)
    made = None if key is None else kept.made.get(key)
    if made is None or made.new_y is None:
        return None
    y = made.new_y() if out is None else out
    return y if made.plan.run(x, None, y) else None


# Convolutions whose weights come with each call, as a training's do: all but the arrays is described once.
@cython.final
cdef class Conv2dCall:
    """A convolution of real numbers and its gradients, all of which it describes; any number of threads may run it. Arguments are
    `plan_conv2d`'s, but for shapes in place of arrays. Each run answers whether it ran: if every array is C-contiguous, aligned, of
    the dtype and as large as it is to be, and what is written writable and apart from the others. False wrote nothing."""
    cdef cnnfast_conv2d d
    cdef int64_t x, weight, y  # elements

    def __cinit__(self, x_shape, weight_shape, *, dtype, layout="NHWC", stride=(1, 1), padding=(0, 0, 0, 0), dilation=(1, 1),
                  groups=1, padding_mode="zeros", activation=None, alpha=0.01, precision="default"):
        cdef int64_t shape[4]
        self.d = describe(x_shape, weight_shape, dtype, (layout, None, None, None), stride, padding, dilation, groups,
                          padding_mode, activation, alpha)
        self.d.precision = PRECISIONS[precision]
        check(cnnfast_conv2d_output_shape(&self.d, shape))
        self.x, self.weight = self.d.N * self.d.H * self.d.W * self.d.C, self.d.R * self.d.S * (self.d.C // self.d.groups) * self.d.K
        self.y = shape[0] * shape[1] * shape[2] * shape[3]

    def run(self, x, weight, bias, residual, y):
        cdef flat_buffers b
        cdef cnnfast_status status
        if not (flat_begin(&b, y, self.y, self.d.dtype) and flat_take_of(&b, x, False, self.x) and flat_take_of(&b, weight, False, self.weight)
                and flat_take_of(&b, bias, False, self.d.K) and flat_take_of(&b, residual, False, self.y) and flat_apart(&b, 1)):
            return False
        with nogil:
            status = cnnfast_conv2d_run(&self.d, b.data[1], b.data[2], b.data[3], b.data[4], b.data[0])
        flat_release(&b)
        check(status)
        return True

    def run_input(self, grad_output, weight, grad_input):
        """The gradient with respect to x; of one without activation, and padding of zeros."""
        cdef flat_buffers b
        cdef cnnfast_status status
        if not (flat_begin(&b, grad_input, self.x, self.d.dtype) and flat_take_of(&b, grad_output, False, self.y)
                and flat_take_of(&b, weight, False, self.weight) and flat_apart(&b, 1)):
            return False
        with nogil:
            status = cnnfast_conv2d_grad_input_run(&self.d, b.data[1], b.data[2], b.data[0])
        flat_release(&b)
        check(status)
        return True

    def run_weight(self, grad_output, x, grad_weight, grad_bias):
        """The gradient with respect to the weight, and to the bias unless that is None; of such a one in NHWC."""
        cdef flat_buffers b
        cdef cnnfast_status status
        if not (flat_begin(&b, grad_weight, self.weight, self.d.dtype) and flat_take_of(&b, grad_bias, True, self.d.K)
                and flat_take_of(&b, x, False, self.x) and flat_take_of(&b, grad_output, False, self.y) and flat_apart(&b, 2)):
            return False
        with nogil:
            status = cnnfast_conv2d_grad_weight_run(&self.d, b.data[2], b.data[3], b.data[0], b.data[1])
        flat_release(&b)
        check(status)
        return True
