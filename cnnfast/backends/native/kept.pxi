# What calls of equal arguments share, found again in little time: a small op's kernel takes no longer than a look for it would.
@cython.final
cdef class Kept:
    """What functions made of arguments as users gave them, for calls with equal ones of equal types. Where there are `most`, all go
    for a new one.

    What is made may depend on the isa(), get_max_workspace(), get_num_threads() and CNNFAST_PRECISION in force, and on `state`."""
    cdef object made  # a dict, but not said so: what Cython makes of a dict's `get` borrows what another thread may free
    cdef Py_ssize_t most
    missing = object()

    def __cinit__(self, Py_ssize_t most):
        self.made, self.most = {}, most

    def __len__(self):
        return len(self.made)

    def clear(self):
        self.made.clear()

    def key(self, make, state, tuple problem not None, tuple given not None):
        """None where one of `given` is neither a number, a string, None nor a tuple or list of integers (and such): (1, True) would be
        found for (1, 1)."""
        return key_of(make, state, problem, given)

    def get(self, tuple key not None):
        """What was kept, or `missing`."""
        return self.made.get(key, self.missing)

    def keep(self, tuple key not None, made):
        if len(self.made) >= self.most:
            self.made.clear()
        self.made[key] = made


cdef key_of(make, state, tuple problem, tuple given):
    cdef int64_t types = tuple_types(given)
    cdef const char *precision = getenv("CNNFAST_PRECISION")
    if types < 0:
        given = as_tuples(given, MOST_NESTED + 1)
        types = tuple_types(given)
        if types < 0:
            return None
    return (make, state, problem, given, types, <size_t>cnnfast_isa(), cnnfast_get_max_workspace(), cnnfast_get_num_threads(),
            None if precision is NULL else <bytes>precision)


cdef as_tuples(value, int depth):
    if depth and (type(value) is list or type(value) is tuple):
        return tuple([as_tuples(each, depth - 1) for each in value])
    return value
