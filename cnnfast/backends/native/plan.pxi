@cython.final
cdef class Plan:
    """An immutable plan. Threads may run it at once."""
    cdef cnnfast_plan *plan
    cdef int64_t x_shape[4]
    cdef int64_t y_shape[4]
    cdef const int64_t *index_shape
    cdef readonly bint reads_indices
    cdef object algorithm  # keeps the name the C API is given alive while it reads it
    cdef tuple stages      # of a fused plan, which reads them

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
        y writable and apart from the others; y may also be some channels of wider NHWC pixels, where the plan can write
        those. Returns whether it ran; False wrote nothing."""
        cdef run_buffers buffers
        cdef cnnfast_args args
        cdef cnnfast_status status
        if not run_buffers_take(&buffers, x, residual, y, indices, self.plan, self.x_shape, self.y_shape,
                                self.index_shape, self.reads_indices, &args):
            return False
        with nogil:
            status = cnnfast_plan_run_allocating(self.plan, &args)
        run_buffers_release(&buffers)
        if status == CNNFAST_UNSUPPORTED and args.y_step:
            return False
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
        args.y_step = 0
        with nogil:
            status = cnnfast_plan_run_allocating(self.plan, &args)
        flat_release(&buffers)
        check(status)
        return True

    def share(self, Plan other not None):
        """Use other's packed weights where they are the same byte for byte, and free this plan's own; whether they do. To be
        called before anybody runs this plan."""
        cdef int shares
        with nogil:
            shares = cnnfast_plan_share(self.plan, other.plan)
        return bool(shares)

    def turned(self, bint x, bint y):
        """This plan for an x, or a y, whose channels lie last in memory where the plan says NCHW: they come as NHWC. A residual
        comes as y, indices as what they belong to. The weights are shared. None where such an array is not NCHW."""
        cdef Plan plan = Plan()
        cdef cnnfast_status status = cnnfast_plan_turned(&plan.plan, self.plan, (CNNFAST_INPUT if x else 0) | (CNNFAST_OUTPUT if y else 0))
        if status == CNNFAST_UNSUPPORTED:
            return None
        plan.algorithm, plan.stages, plan.reads_indices = self.algorithm, self.stages, self.reads_indices
        plan.made(status)
        if self.index_shape and self.reads_indices:
            plan.index_shape = plan.x_shape
        elif self.index_shape:
            plan.index_shape = plan.y_shape
        return plan

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

    @property
    def address(self):
        """Of the C API's plan, for compiled code that calls it while this object lives."""
        return <size_t>self.plan

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
                               "workspace": row.workspace, "needed": row.needed, "flops": row.flops})
        return {"op": info.op.decode(), "algorithm": info.algorithm.decode(), "isa": info.isa.decode(),
                "tile": (info.tile_pixels, info.tile_channels), "workspace": info.workspace, "packed": info.packed,
                "flops": info.flops, "bytes": info.bytes, "candidates": candidates}


@cython.final
cdef class Chain:
    """Plans that run one after another in one call. Who runs one owns it alone.

    steps : (plan, N, x, residual, y) of each: float32 arrays that every run uses, or which of its own arrays it is.
        residual may be None, or y itself; y overlaps nothing else of its step, which the caller sees to, and may be some
        channels of wider NHWC pixels
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
        for plan, n, x, residual, y in steps:
            self.chain.steps[self.chain.count].plan = plan.plan
            self.chain.steps[self.chain.count].args.N = n
            both = residual is y or (isinstance(residual, int) and isinstance(y, int) and residual == y)
            roles = ((CHAIN_X, x), (CHAIN_RESIDUAL_AND_Y, y)) if both else ((CHAIN_X, x), (CHAIN_RESIDUAL, residual), (CHAIN_Y, y))
            for role, array in roles:
                if not chain_bind(&self.chain, self.chain.count, role, array):
                    raise ValueError(f"step {self.chain.count} does not take {getattr(array, 'shape', array)}")
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
