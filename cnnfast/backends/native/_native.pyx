# cython: language_level=3, freethreading_compatible=True, auto_pickle=False, autotestdict=False
"""Thin Cython over the C API: fill the struct, run without the GIL, raise on the status.

Arguments come normalised from `cnnfast.ops`, which has already raised the errors a user reads.
"""
import numpy

cimport cython
from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport int64_t

from cnnfast.libcnnfast cimport *

cdef extern from "buffers.h" nogil:
    ctypedef struct run_buffers:
        pass
    int run_buffers_take(run_buffers *, object x, object residual, object y, object indices, const cnnfast_plan *,
                         const int64_t *x_shape, const int64_t *y_shape, const int64_t *index_shape, bint reads_indices,
                         cnnfast_args *) with gil
    void run_buffers_release(run_buffers *) with gil
    ctypedef struct flat_buffers:
        void *data[6]
        cnnfast_dtype dtype
    bint flat_take_pair(flat_buffers *, object x, object y) with gil
    bint flat_take_pair_scaled(flat_buffers *, object x, object y, int64_t down, int64_t across) with gil
    bint flat_take(flat_buffers *, object, bint writable) with gil
    bint flat_take_elementwise(flat_buffers *, object x, object y, object other, int64_t *period) with gil
    bint flat_take_rows(flat_buffers *, object x, object y, const cnnfast_plan *, int64_t C, int64_t K) with gil
    int64_t flat_elements(const flat_buffers *, int)
    void flat_release(flat_buffers *) with gil
    ctypedef struct chain:
        cnnfast_step *steps
        int count
    bint chain_init(chain *, Py_ssize_t count) with gil
    void chain_free(chain *)
    bint chain_bind(chain *, int step, bint writes, object array) with gil
    int chain_run(chain *, tuple ends, tuple shapes, type array) with gil
    int64_t tuple_types(tuple)
    Py_ssize_t buffer_to_line(object, size_t line) except -1
    cnnfast_status plan_run_allocating(const cnnfast_plan *, const cnnfast_args *)

DTYPES = {
    "float32": CNNFAST_FLOAT32, "float64": CNNFAST_FLOAT64,
    "int8": CNNFAST_INT8, "uint8": CNNFAST_UINT8, "int16": CNNFAST_INT16, "uint16": CNNFAST_UINT16,
    "int32": CNNFAST_INT32, "uint32": CNNFAST_UINT32, "int64": CNNFAST_INT64,
}
DTYPE_NAMES = {code: name for name, code in DTYPES.items()}
LAYOUTS = {"NHWC": CNNFAST_NHWC, "NCHW": CNNFAST_NCHW}
PADDING_MODES = {"zeros": CNNFAST_ZEROS, "reflect": CNNFAST_REFLECT, "replicate": CNNFAST_REPLICATE,
                 "circular": CNNFAST_CIRCULAR}
PRECISIONS = {"default": CNNFAST_DEFAULT, "strict": CNNFAST_STRICT, "fast": CNNFAST_FAST}
ACTIVATIONS = {None: CNNFAST_NONE, "relu": CNNFAST_RELU, "relu6": CNNFAST_RELU6, "leaky_relu": CNNFAST_LEAKY_RELU,
               "sigmoid": CNNFAST_SIGMOID, "tanh": CNNFAST_TANH, "gelu": CNNFAST_GELU, "silu": CNNFAST_SILU,
               "hardswish": CNNFAST_HARDSWISH, "elu": CNNFAST_ELU, "selu": CNNFAST_SELU,
               "hardsigmoid": CNNFAST_HARDSIGMOID, "gelu_tanh": CNNFAST_GELU_TANH, "mish": CNNFAST_MISH,
               "softplus": CNNFAST_SOFTPLUS}
ELEMENTWISE = {"map": CNNFAST_MAP, "add": CNNFAST_ADD, "multiply": CNNFAST_MULTIPLY, "prelu": CNNFAST_PRELU}
POOLS = {"max": CNNFAST_MAX, "min": CNNFAST_MIN, "avg": CNNFAST_AVERAGE, "lp": CNNFAST_LP}

ERRORS = {CNNFAST_OUT_OF_MEMORY: MemoryError}

_interruption = None
cdef type ndarray = numpy.ndarray


cdef int should_stop() noexcept with gil:
    global _interruption
    try:
        PyErr_CheckSignals()
    except BaseException as error:
        _interruption = error
        return 1
    return 0


cdef int ask_python() noexcept nogil:
    return should_stop()


cnnfast_set_interrupt(ask_python)


cdef refused():
    cdef cnnfast_refusal last = cnnfast_last_refusal()
    allowed = last.allowed if last.allowed > 1 else 0  # a user's 0 is told as 1: 0 stands for no limit
    return (f"max_workspace must be >= {last.needed} bytes for this problem, its packed weights and a run on one thread, "
            f"got {allowed} (of the plan, set_max_workspace or CNNFAST_MAX_WORKSPACE)")


cdef int check(cnnfast_status status) except -1:
    global _interruption
    if status == CNNFAST_OK:
        return 0
    if status == CNNFAST_INTERRUPTED and _interruption is not None:
        error, _interruption = _interruption, None
        raise error
    if status == CNNFAST_SMALL_WORKSPACE:
        raise ValueError(refused())
    raise ERRORS.get(status, ValueError)((<bytes>cnnfast_status_string(status)).decode())


cdef const void *address(array, dtype) except? NULL:
    """Where a C-contiguous array's elements lie; NULL for None. The caller keeps the array. Weights of a float x have its
    dtype, of an integer x int64."""
    cdef const unsigned char[::1] view
    if array is None:
        return NULL
    if array.dtype.name != (dtype if dtype.startswith("float") else "int64"):
        raise TypeError(f"weights for an x of {dtype} cannot be {array.dtype}")
    view = array.reshape(-1).view("u1")
    return &view[0]


cdef pair(values, int64_t *to):
    to[0], to[1] = values


cdef quad(values, int64_t *to):
    to[0], to[1], to[2], to[3] = values


@cython.final
cdef class Plan:
    """An immutable plan. Threads may run it at once."""
    cdef cnnfast_plan *plan
    cdef int64_t x_shape[4]
    cdef int64_t y_shape[4]
    cdef const int64_t *index_shape
    cdef bint reads_indices
    cdef object algorithm  # keeps the name the C API is given alive while it reads it

    def __cinit__(self):
        self.plan = NULL

    def __dealloc__(self):
        cnnfast_plan_free(&self.plan)

    cdef Plan made(self, cnnfast_status status):
        check(status)
        cnnfast_plan_input_shape(self.plan, 1, self.x_shape)
        cnnfast_plan_output_shape(self.plan, 1, self.y_shape)
        return self

    def run(self, x, residual, y, indices=None):
        """Run if every array is an exact fit: C-contiguous, aligned, of the plan's dtype and shape for any one batch,
        y writable and apart from the others. Returns whether it ran; False wrote nothing."""
        cdef run_buffers buffers
        cdef cnnfast_args args
        cdef cnnfast_status status
        if not run_buffers_take(&buffers, x, residual, y, indices, self.plan, self.x_shape, self.y_shape,
                                self.index_shape, self.reads_indices, &args):
            return False
        with nogil:
            status = plan_run_allocating(self.plan, &args)
        run_buffers_release(&buffers)
        check(status)
        return True

    def run_rows(self, x, y):
        """`run` of a dense layer's plan, whose x is (..., C) and y (..., K)."""
        cdef flat_buffers buffers
        cdef cnnfast_args args
        cdef cnnfast_status status
        if not flat_take_rows(&buffers, x, y, self.plan, self.x_shape[3], self.y_shape[3]):
            return False
        args.N = flat_elements(&buffers, 0) // self.x_shape[3]
        args.x, args.y, args.residual, args.indices = buffers.data[0], buffers.data[1], NULL, NULL
        with nogil:
            status = plan_run_allocating(self.plan, &args)
        flat_release(&buffers)
        check(status)
        return True

    def input_shape(self, int64_t n):
        cdef int64_t shape[4]
        cnnfast_plan_input_shape(self.plan, n, shape)
        return (shape[0], shape[1], shape[2], shape[3])

    def output_shape(self, int64_t n):
        cdef int64_t shape[4]
        cnnfast_plan_output_shape(self.plan, n, shape)
        return (shape[0], shape[1], shape[2], shape[3])

    @property
    def input_dtype(self):
        return DTYPE_NAMES[cnnfast_plan_input_dtype(self.plan)]

    @property
    def output_dtype(self):
        return DTYPE_NAMES[cnnfast_plan_output_dtype(self.plan)]

    def workspace_size(self, int64_t n):
        """Bytes a run of n images takes now."""
        return cnnfast_plan_workspace_size(self.plan, n)

    def info(self):
        """What was chosen and what it costs, with every row of the op's table under "candidates"."""
        cdef cnnfast_info info = cnnfast_plan_info(self.plan)
        cdef cnnfast_candidate row
        candidates = []
        while cnnfast_plan_candidate(self.plan, len(candidates), &row):
            candidates.append({"algorithm": row.algorithm.decode(), "accepts": bool(row.accepts), "cost": row.cost,
                               "workspace": row.workspace, "needed": row.needed})
        return {"op": info.op.decode(), "algorithm": info.algorithm.decode(), "isa": info.isa.decode(),
                "tile": (info.tile_pixels, info.tile_channels), "workspace": info.workspace, "packed": info.packed,
                "flops": info.flops, "bytes": info.bytes, "candidates": candidates}


@cython.final
cdef class Chain:
    """Plans that run one after another in one call. Who runs one owns it alone.

    steps : (plan, N, x, y) of each; x and y are float32 arrays that every run uses, or which of its own arrays it is
    shapes : of the arrays that come with a run
    """
    cdef chain chain
    cdef tuple kept
    cdef tuple shapes

    def __cinit__(self, tuple steps, tuple shapes not None):
        cdef Plan plan
        if not chain_init(&self.chain, len(steps)):
            raise MemoryError("no memory for a network's steps")
        self.kept, self.shapes = steps, shapes
        for plan, n, x, y in steps:
            self.chain.steps[self.chain.count].plan = plan.plan
            self.chain.steps[self.chain.count].args.N = n
            for writes, array in enumerate((x, y)):
                if not chain_bind(&self.chain, self.chain.count, writes, array):
                    raise ValueError(f"step {self.chain.count} does not take an array of {array.shape}")
            self.chain.count += 1

    def __dealloc__(self):
        chain_free(&self.chain)

    def run(self, tuple ends not None):
        """Run if every array that comes with this run is an exact fit: C-contiguous, aligned, float32, of its shape, what is
        written writable and apart from the others. Returns whether it ran; False wrote nothing."""
        cdef int status = chain_run(&self.chain, ends, self.shapes, ndarray)
        if status < 0:
            return False
        check(<cnnfast_status>status)
        return True


cdef const char *name_of(Plan plan, algorithm) except? NULL:
    plan.algorithm = None if algorithm is None else algorithm.encode()
    return NULL if algorithm is None else <const char *>(<bytes>plan.algorithm)


cdef cnnfast_conv2d describe(Plan plan, x_shape, weight, dtype, layout, stride, padding, dilation, groups, padding_mode,
                             activation, alpha, algorithm, max_abs_input, max_workspace, transposed) except *:
    """All but K, which a transposed convolution and a normal one read from different places."""
    cdef cnnfast_conv2d d
    d.dtype = DTYPES[dtype]
    d.layout = LAYOUTS[layout]
    d.algorithm = name_of(plan, algorithm)
    if layout == "NHWC":
        d.N, d.H, d.W, d.C = x_shape
        d.R, d.S, inner, outer = weight.shape
    else:
        d.N, d.C, d.H, d.W = x_shape
        outer, inner, d.R, d.S = weight.shape
    d.groups = groups
    d.K = inner * groups if transposed else outer
    pair(stride, d.stride)
    pair(dilation, d.dilation)
    quad(padding, d.pad)
    d.padding_mode = PADDING_MODES[padding_mode]
    d.activation = ACTIVATIONS[activation]
    d.alpha = alpha
    d.max_abs_input = max_abs_input
    d.max_workspace = max_workspace
    d.precision = CNNFAST_DEFAULT
    d.once = False
    return d


def plan_conv2d(x_shape, weight, bias, *, dtype, layout="NHWC", stride=(1, 1), padding=(0, 0, 0, 0), dilation=(1, 1),
                groups=1, padding_mode="zeros", activation=None, alpha=0.01, algorithm=None, max_abs_input=0,
                max_workspace=0, precision="default", once=False):
    cdef Plan plan = Plan()
    cdef cnnfast_conv2d d = describe(plan, x_shape, weight, dtype, layout, stride, padding, dilation, groups,
                                     padding_mode, activation, alpha, algorithm, max_abs_input, max_workspace, False)
    d.precision = PRECISIONS[precision]
    d.once = once
    cdef const void *w = address(weight, dtype)
    cdef const void *b = address(bias, dtype)
    cdef cnnfast_status status
    with nogil:
        status = cnnfast_conv2d_plan(&plan.plan, &d, w, b)
    return plan.made(status)


def plan_conv_transpose2d(x_shape, weight, bias, *, dtype, layout="NHWC", stride=(1, 1), padding=(0, 0, 0, 0),
                          output_padding=(0, 0), dilation=(1, 1), groups=1, activation=None, alpha=0.01, algorithm=None,
                          max_abs_input=0, max_workspace=0):
    cdef Plan plan = Plan()
    cdef cnnfast_conv_transpose2d d
    d.conv = describe(plan, x_shape, weight, dtype, layout, stride, padding, dilation, groups, "zeros", activation,
                      alpha, algorithm, max_abs_input, max_workspace, True)
    pair(output_padding, d.output_padding)
    cdef const void *w = address(weight, dtype)
    cdef const void *b = address(bias, dtype)
    cdef cnnfast_status status
    with nogil:
        status = cnnfast_conv_transpose2d_plan(&plan.plan, &d, w, b)
    return plan.made(status)


def plan_separable_conv2d(x_shape, depthwise_weight, depthwise_bias, pointwise_weight, bias, *, dtype, layout="NHWC",
                          stride=(1, 1), padding=(0, 0, 0, 0), dilation=(1, 1), padding_mode="zeros",
                          depthwise_activation=None, depthwise_alpha=0.01, activation=None, alpha=0.01, algorithm=None,
                          max_workspace=0):
    cdef Plan plan = Plan()
    cdef cnnfast_separable_conv2d d
    nhwc = layout == "NHWC"
    d.depthwise = describe(plan, x_shape, depthwise_weight, dtype, layout, stride, padding, dilation,
                           x_shape[3 if nhwc else 1], padding_mode, depthwise_activation, depthwise_alpha, algorithm, 0,
                           max_workspace, False)
    d.depthwise.K = pointwise_weight.shape[2 if nhwc else 1]
    d.K = pointwise_weight.shape[3 if nhwc else 0]
    d.activation = ACTIVATIONS[activation]
    d.alpha = alpha
    cdef const void *dw = address(depthwise_weight, dtype)
    cdef const void *db = address(depthwise_bias, dtype)
    cdef const void *pw = address(pointwise_weight, dtype)
    cdef const void *b = address(bias, dtype)
    cdef cnnfast_status status
    with nogil:
        status = cnnfast_separable_conv2d_plan(&plan.plan, &d, dw, db, pw, b)
    return plan.made(status)


def plan_pool2d(x_shape, *, dtype, layout="NHWC", kind="max", kernel_size=(1, 1), stride=(1, 1), padding=(0, 0, 0, 0),
                dilation=(1, 1), ceil_mode=False, count_include_pad=True, norm_type=2.0, output_size=None,
                return_indices=False, algorithm=None, max_workspace=0):
    cdef Plan plan = Plan()
    cdef cnnfast_pool2d d
    d.dtype = DTYPES[dtype]
    d.layout = LAYOUTS[layout]
    d.algorithm = name_of(plan, algorithm)
    d.kind = POOLS[kind]
    if layout == "NHWC":
        d.N, d.H, d.W, d.C = x_shape
    else:
        d.N, d.C, d.H, d.W = x_shape
    d.R, d.S = kernel_size
    pair(stride, d.stride)
    pair(dilation, d.dilation)
    quad(padding, d.pad)
    d.ceil_mode = ceil_mode
    d.count_include_pad = count_include_pad
    d.norm = norm_type
    pair(output_size or (0, 0), d.output_size)
    d.with_indices = return_indices
    d.max_workspace = max_workspace
    cdef cnnfast_status status
    with nogil:
        status = cnnfast_pool2d_plan(&plan.plan, &d)
    plan.made(status)
    if return_indices:
        plan.index_shape = plan.y_shape
    return plan


def plan_max_unpool2d(x_shape, output_size, *, dtype, layout="NHWC", max_workspace=0):
    cdef Plan plan = Plan()
    cdef cnnfast_max_unpool2d d
    d.dtype = DTYPES[dtype]
    d.layout = LAYOUTS[layout]
    if layout == "NHWC":
        d.N, d.H, d.W, d.C = x_shape
    else:
        d.N, d.C, d.H, d.W = x_shape
    d.P, d.Q = output_size
    d.max_workspace = max_workspace
    cdef cnnfast_status status
    with nogil:
        status = cnnfast_max_unpool2d_plan(&plan.plan, &d)
    plan.made(status)
    plan.index_shape = plan.x_shape
    plan.reads_indices = True
    return plan


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


def plan_softmax(int64_t rows, int64_t n, log, *, dtype):
    """Of rows of n numbers."""
    cdef Plan plan = Plan()
    cdef cnnfast_softmax d
    d.dtype = DTYPES[dtype]
    d.outer, d.n, d.inner, d.log = rows, n, 1, log
    return plan.made(cnnfast_softmax_plan(&plan.plan, &d))


# The ops that are run at once. Each runs if x and y (and `other`) are an exact fit: C-contiguous, aligned, float32 or
# float64, y writable and apart from the others; it returns whether it ran, and False wrote nothing. That the sizes given
# are x's, `ops` has seen to.

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


def run_softmax(x, y, int64_t outer, int64_t n, int64_t inner, bint log):
    """x is (outer, n, inner) in memory; sums go over n."""
    cdef flat_buffers buffers
    cdef cnnfast_softmax d
    cdef cnnfast_status status
    d.outer, d.n, d.inner, d.log = outer, n, inner, log
    if not flat_take_pair(&buffers, x, y):
        return False
    d.dtype = buffers.dtype
    with nogil:
        status = cnnfast_softmax_run(&d, buffers.data[0], buffers.data[1])
    flat_release(&buffers)
    check(status)
    return True


def run_upsample2d(x, y, images, scale, bint bilinear, bint align_corners):
    """images is (N, H, W, C), as x lies; y has scale[0]*scale[1] times its elements."""
    cdef flat_buffers buffers
    cdef cnnfast_upsample2d d
    cdef cnnfast_status status
    d.N, d.H, d.W, d.C = images
    pair(scale, d.scale)
    d.bilinear, d.align_corners = bilinear, align_corners
    if not flat_take_pair_scaled(&buffers, x, y, d.scale[0], d.scale[1]):
        return False
    d.dtype = buffers.dtype
    with nogil:
        status = cnnfast_upsample2d_run(&d, buffers.data[0], buffers.data[1])
    flat_release(&buffers)
    check(status)
    return True


def algorithms(op):
    """Names of the op's table, in its order; empty for an op that has none."""
    names = []
    cdef const char *name = cnnfast_algorithm(op.encode(), 0)
    while name:
        names.append(name.decode())
        name = cnnfast_algorithm(op.encode(), len(names))
    return tuple(names)


def isas():
    """ISAs of this library that this machine has, weakest first."""
    names = []
    cdef int index = 0
    cdef const char *name = cnnfast_isa_name(0)
    while name:
        if cnnfast_isa_available(name):
            names.append(name.decode())
        index += 1
        name = cnnfast_isa_name(index)
    return tuple(names)


def isa():
    return cnnfast_isa().decode()


def set_isa(name):
    """The ISA of plans made from now on; None: the best there is."""
    if name is None:
        check(cnnfast_set_isa(NULL))
    elif cnnfast_set_isa(name.encode()) != CNNFAST_OK:
        raise ValueError(f"CNNFAST_ISA must be one of {', '.join(isas())} on this machine, got {name!r}")


def get_num_threads():
    return cnnfast_get_num_threads()


def set_num_threads(int n):
    check(cnnfast_set_num_threads(n))


def settings():
    """What a plan made now depends on beside its problem: (isa(), get_max_workspace(), get_num_threads())."""
    return cnnfast_isa().decode(), cnnfast_get_max_workspace(), cnnfast_get_num_threads()


def types_of(tuple values not None):
    """A number that tells apart tuples which are equal but of other types, as (1,), (1.0,) and (True,) are; -1 where a value
    is neither a number, a string, None nor a tuple of integers."""
    return tuple_types(values)


def bytes_to_line(raw, size_t line):
    """From where raw's memory starts to its next multiple of `line` bytes."""
    return buffer_to_line(raw, line)


def get_max_workspace():
    """Bytes; 0 is no limit."""
    return cnnfast_get_max_workspace()


def set_max_workspace(size_t bytes_):
    cnnfast_set_max_workspace(bytes_)


def version():
    return cnnfast_version().decode()


def probe(kind, size_t bytes_per_thread, double seconds, int threads):
    """The machine's limit with the ISA in force: "fma" in GFLOP/s, "read" and "copy" in GB/s."""
    cdef double rate
    cdef bytes name = kind.encode()
    cdef const char *c_kind = name
    with nogil:
        rate = cnnfast_probe(c_kind, bytes_per_thread, seconds, threads)
    if rate < 0:
        raise ValueError(f"kind must be 'fma', 'read' or 'copy', with memory for it, got {kind!r} of {bytes_per_thread} bytes")
    return rate
