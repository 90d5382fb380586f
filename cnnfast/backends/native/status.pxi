# What a status of the C API raises.
ERRORS = {CNNFAST_OUT_OF_MEMORY: MemoryError}

_interruption = None


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
