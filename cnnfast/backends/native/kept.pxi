# What calls of equal arguments share, found again in little time: a small op's kernel takes no longer than a look for it would.
@cython.final
cdef class Kept:
    """What functions made of arguments as users gave them, for calls with equal ones of equal types. Where there are `most`, all go
    for a new one.

    What is made may depend on the isa(), get_max_workspace(), get_num_threads() and CNNFAST_PRECISION in force, and on `state`."""
    cdef dict made
    cdef Py_ssize_t most
    missing = object()

    def __cinit__(self, Py_ssize_t most):
        self.made, self.most = {}, most

    def __len__(self):
        return len(self.made)

    def clear(self):
        self.made.clear()

    def find(self, make, state, tuple problem not None, tuple given not None):
        """What is kept under `key` of these, or `missing`."""
        return self.made.get(key_of(make, state, problem, given), self.missing)

    def key(self, make, state, tuple problem not None, tuple given not None):
        """TypeError where one of `given` is neither a number, a string, None nor a tuple of integers (and such tuples): (1, True) would
        be found for (1, 1)."""
        return key_of(make, state, problem, given)

    def keep(self, tuple key not None, made):
        if len(self.made) >= self.most:
            self.made.clear()
        self.made[key] = made


cdef tuple key_of(make, state, tuple problem, tuple given):
    cdef int64_t types = tuple_types(given)
    cdef const char *precision = getenv("CNNFAST_PRECISION")
    if types < 0:
        raise TypeError(f"arguments that no cache takes: {given!r}")
    return (make, state, problem, given, types, <size_t>cnnfast_isa(), cnnfast_get_max_workspace(), cnnfast_get_num_threads(),
            None if precision is NULL else <bytes>precision)
