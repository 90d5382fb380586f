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
