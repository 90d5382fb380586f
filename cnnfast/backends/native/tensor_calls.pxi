# Convolutions and dense layers of tensors that are called again and again, where a call in Python would cost as much as a small convolution. Tensors
# are of a class that is handed in, whose words are torch's: no tensor library is known here.

@cython.final
cdef class TensorCall:
    """A call made ready for the next one: where that is like it, and weight and bias have not changed, it runs at once.

    n : images of x, or a dense layer's rows
    how : what else the op was given
    empty_like, like : `empty_like(like)` is a new output
    """
    cdef Plan plan
    cdef int64_t n
    cdef bint small
    cdef size_t weight_at, weight_size, bias_at, bias_size
    cdef uint64_t weight_sample, bias_sample
    cdef size_t itemsize
    cdef object shape, strides, dtype, version, weight_shape, weight_strides, bias, bias_shape, bias_strides, bias_version, empty_like, like
    cdef tuple how

    def __cinit__(self, Plan plan not None, int64_t n, x, weight, bias, tuple how not None, empty_like, like):
        self.plan, self.n, self.how, self.empty_like, self.like = plan, n, how, empty_like, like
        self.shape, self.strides, self.dtype, self.version = x.shape, x.stride(), x.dtype, weight._version
        self.itemsize = x.element_size()
        self.weight_shape, self.weight_strides = weight.shape, weight.stride()
        self.small = cnnfast_plan_info(plan.plan).flops < 1e5  # some microseconds: others may wait for the lock so long
        self.weight_at, self.weight_size = weight.data_ptr(), weight.nbytes
        self.weight_sample = memory_sample(<const void *>self.weight_at, self.weight_size)
        self.bias, self.bias_at, self.bias_size = None, 0, 0
        if bias is not None:
            self.bias, self.bias_version = weakref.ref(bias), bias._version
            self.bias_shape, self.bias_strides = bias.shape, bias.stride()
            self.bias_at, self.bias_size = bias.data_ptr(), bias.nbytes
        self.bias_sample = memory_sample(<const void *>self.bias_at, self.bias_size)

    cdef bint fits(self, x, weight, bias, tuple how) except -1:
        cdef size_t bias_at = 0
        if how != self.how or x.dtype is not self.dtype or x.shape != self.shape or weight._version != self.version:
            return False
        if x.stride() != self.strides or x.is_neg() or <size_t>x.data_ptr() % self.itemsize:
            return False
        if weight.shape != self.weight_shape or weight.stride() != self.weight_strides:
            return False
        if bias is not None:
            if self.bias is None or self.bias() is not bias or bias._version != self.bias_version:
                return False
            if bias.shape != self.bias_shape or bias.stride() != self.bias_strides:
                return False
            bias_at = bias.data_ptr()
        return (<size_t>weight.data_ptr() == self.weight_at and bias_at == self.bias_at and
                memory_sample(<const void *>self.weight_at, self.weight_size) == self.weight_sample and
                memory_sample(<const void *>self.bias_at, self.bias_size) == self.bias_sample)

    cdef run(self, x):
        cdef cnnfast_args args
        y = self.empty_like(self.like)
        if self.small:
            memset(&args, 0, sizeof(args))
            args.N, args.x, args.y = self.n, <const void *><size_t>x.data_ptr(), <void *><size_t>y.data_ptr()
            check(cnnfast_plan_run_allocating(self.plan.plan, &args))
        else:
            execute_at(self.plan, self.n, x.data_ptr(), 0, y.data_ptr())
        return y


@cython.final
cdef class TensorCalls:
    """An op on (x, weight, bias=None, *how): a call that is like the last one with its weight is that one again, any other goes to
    `otherwise`.

    tensor : the class of x
    otherwise : the op itself, of the same arguments; it may `remember` a call
    watched : functions; where one answers true the call goes to `otherwise`
    learns : of a weight: whether the call goes to `otherwise`; None: never
    """
    cdef object tensor
    cdef object otherwise, learns
    cdef tuple watched
    cdef dict last

    def __cinit__(self, tensor, otherwise, tuple watched not None, learns, TensorCalls last=None):
        self.tensor, self.otherwise, self.watched, self.learns = tensor, otherwise, watched, learns
        self.last = {} if last is None else last.last

    def __call__(self, x, weight, bias=None, *how):
        cdef TensorCall call
        if type(x) is self.tensor:
            call = self.last.get(<size_t><void *>weight)
            if call is not None and not self.busy(weight) and call.fits(x, weight, bias, how):
                return call.run(x)
        return self.otherwise(x, weight, bias, *how)

    cdef bint busy(self, weight) except -1:
        for ask in self.watched:
            if ask():
                return True
        return self.learns is not None and self.learns(weight)

    def remember(self, weight, TensorCall call):
        """The last call with a weight, until it is dropped; whether there was none before."""
        key = <size_t><void *>weight
        new = key not in self.last
        self.last[key] = call
        return new

    def drop(self, key=None):
        """Of the weight with this id, or of all."""
        if key is None:
            self.last.clear()
        else:
            self.last.pop(key, None)


