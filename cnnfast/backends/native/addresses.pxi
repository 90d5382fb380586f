# For callers whose tensors are not Python buffers, and who have checked them: where numbers lie, instead of arrays.
cdef extern from "sample.h" nogil:
    uint64_t memory_sample(const void *at, size_t size)


cpdef execute_at(Plan plan, int64_t n, size_t x, size_t residual, size_t y, size_t indices=0):
    """Run on n >= 1 images (a dense layer's rows) at these addresses; 0 is no residual, no indices. Each must be contiguous in the
    plan's layout, aligned, of its dtype and sizes, what is written apart from the rest."""
    cdef cnnfast_args args
    cdef cnnfast_status status
    args.N, args.y_step = n, 0
    args.x, args.residual = <const void *>x, <const void *>residual
    args.y, args.indices = <void *>y, <int64_t *>indices
    with nogil:
        status = cnnfast_plan_run_allocating(plan.plan, &args)
    check(status)


def sample_at(size_t address, size_t size):
    """A number that changes where some of `size` bytes do: all of a few, a sample of many."""
    return memory_sample(<const void *>address, size)
