def plan_softmax(int64_t rows, int64_t n, log, *, dtype):
    """Of rows of n numbers."""
    cdef Plan plan = Plan()
    cdef cnnfast_softmax d
    d.dtype = DTYPES[dtype]
    d.outer, d.n, d.inner, d.log = rows, n, 1, log
    return plan.made(cnnfast_softmax_plan(&plan.plan, &d))


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
