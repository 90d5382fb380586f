# Convolutions and dense layers of tensors that are called again and again, where a call in Python would cost as much as a small convolution. Tensors
# are of a class that is handed in, whose words are torch's: no tensor library is known here.

cdef extern from "dlpack.h":
    ctypedef struct dlpack_exchange:
        pass
    ctypedef struct tensor_mark:
        uintptr_t data
    const dlpack_exchange *exchange_of(object tensor_class) except? NULL
    int mark_of(const dlpack_exchange *exchange, object tensor, tensor_mark *out) except -1
    bint same_kind(const tensor_mark *a, const tensor_mark *b)
    bint same_memory(const tensor_mark *a, const tensor_mark *b)


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
    cdef const dlpack_exchange *exchange
    cdef tensor_mark x, weight, bias
    cdef size_t itemsize, weight_size, bias_size
    cdef uint64_t weight_sample, bias_sample
    cdef object version, biased, bias_version, empty_like, like
    cdef tuple how

    def __cinit__(self, Plan plan not None, int64_t n, x, weight, bias, tuple how not None, empty_like, like):
        self.plan, self.n, self.how, self.empty_like, self.like = plan, n, how, empty_like, like
        self.small = cnnfast_plan_info(plan.plan).flops < 1e5  # some microseconds: others may wait for the lock so long
        self.exchange = exchange_of(type(x))
        if self.exchange is NULL:
            raise TypeError(f"x must be of a class with __dlpack_c_exchange_api__, got {type(x).__name__}")
        mark_of(self.exchange, x, &self.x)
        mark_of(self.exchange, weight, &self.weight)
        self.itemsize, self.version = x.element_size(), weight._version
        self.weight_size, self.biased, self.bias_size = weight.nbytes, None, 0
        if bias is not None:
            mark_of(self.exchange, bias, &self.bias)
            self.biased, self.bias_version, self.bias_size = weakref.ref(bias), bias._version, bias.nbytes
        self.weight_sample = memory_sample(<const void *>self.weight.data, self.weight_size)
        self.bias_sample = memory_sample(<const void *>self.bias.data, self.bias_size)

    cdef bint fits(self, x, tensor_mark *seen, weight, bias, tuple how) except -1:
        """Whether it is this call again; x is `seen`."""
        cdef tensor_mark other
        mark_of(self.exchange, x, seen)
        if not same_kind(seen, &self.x) or seen.data == 0 or seen.data % self.itemsize or how != self.how or x.is_neg():
            return False
        mark_of(self.exchange, weight, &other)
        if not same_memory(&other, &self.weight) or weight._version != self.version or weight.is_neg():
            return False
        if (bias is None) != (self.biased is None):
            return False
        if bias is not None:
            if self.biased() is not bias or bias._version != self.bias_version:
                return False
            mark_of(self.exchange, bias, &other)
            if not same_memory(&other, &self.bias) or bias.is_neg():
                return False
        return (memory_sample(<const void *>self.weight.data, self.weight_size) == self.weight_sample and
                memory_sample(<const void *>self.bias.data, self.bias_size) == self.bias_sample)

    cdef run(self, const tensor_mark *x):
        cdef cnnfast_args args
        cdef tensor_mark y
        made = self.empty_like(self.like)
        mark_of(self.exchange, made, &y)
        if self.small:
            memset(&args, 0, sizeof(args))
            args.N, args.x, args.y = self.n, <const void *>x.data, <void *>y.data
            check(cnnfast_plan_run_allocating(self.plan.plan, &args))
        else:
            execute_at(self.plan, self.n, x.data, 0, y.data)
        return made


cdef bint hashable(tuple how):
    """Integers and tuples of them: 1.0 and True would be found where 1 stands."""
    for each in how:
        if type(each) is tuple:
            for part in <tuple>each:
                if type(part) is not int:
                    return False
        elif type(each) is not int:
            return False
    return True


@cython.final
cdef class TensorCalls:
    """An op on (x, weight, bias=None, *how): a call that is like the last one with its weight is that one again, any other goes to
    `otherwise`.

    tensor : the class of x
    spellings : where a user calls, what stands in `how` as a user writes it -> as the remembered calls have it; a call that is spelled otherwise
        goes to `otherwise`. None: all callers spell alike.
    otherwise : the op itself, of the same arguments; it may `remember` a call
    watched : functions; where one answers true the call goes to `otherwise`
    learns : of a weight: whether the call goes to `otherwise`; None: never
    """
    cdef object tensor
    cdef object otherwise, learns
    cdef tuple watched
    cdef dict spellings
    cdef object last  # a dict, as in Kept

    def __cinit__(self, tensor, otherwise, tuple watched not None, learns, TensorCalls last=None, dict spellings=None):
        self.tensor, self.otherwise, self.watched, self.learns, self.spellings = tensor, otherwise, watched, learns, spellings
        self.last = {} if last is None else last.last

    def __call__(self, x, weight, bias=None, *how):
        cdef TensorCall call
        cdef tensor_mark seen
        cdef bint again
        if type(x) is self.tensor:
            call = self.last.get(<size_t><void *>weight)
            if call is not None and not self.busy(weight):
                spelled = how if self.spellings is None else self.spellings.get(how) if hashable(how) else None
                if spelled is not None:
                    try:
                        again = call.fits(x, &seen, weight, bias, spelled)
                    except Exception:  # a tensor without memory: the op itself says what is wrong with it
                        again = False
                    if again:
                        return call.run(&seen)
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


