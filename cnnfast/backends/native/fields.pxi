# Python values as the fields of the structs.
INT64 = numpy.dtype("int64")
WEIGHT_DTYPES = {name: numpy.dtype(name) for name in ("float32", "float64")}  # dtype.name itself takes NumPy some microseconds

cdef const void *address(array, dtype) except? NULL:
    """Where a C-contiguous array's elements lie; NULL for None. The caller keeps the array. Weights of a float x have its
    dtype, of an integer x int64."""
    cdef const unsigned char[::1] view
    if array is None:
        return NULL
    if array.dtype != WEIGHT_DTYPES.get(dtype, INT64):
        raise TypeError(f"weights for an x of {dtype} cannot be {array.dtype}")
    view = array.reshape(-1).view("u1")
    return &view[0]


cdef pair(values, int64_t *to):
    to[0], to[1] = values


cdef quad(values, int64_t *to):
    to[0], to[1], to[2], to[3] = values


cdef unsigned others(layouts) except *:
    """(layout, input's, output's, weight's) as the API tells them; None is as `layout`."""
    cdef unsigned sum = 0
    layout, *rest = layouts
    for of, part in zip(rest, (CNNFAST_INPUT, CNNFAST_OUTPUT, CNNFAST_WEIGHT)):
        if LAYOUTS[of or layout] != LAYOUTS[layout]:
            sum |= part
    return sum


cdef tuple nhwc(shape, layout):
    """A shape of either layout as (N, H, W, C)."""
    if layout == "NHWC":
        return tuple(shape)
    n, c, h, w = shape
    return (n, h, w, c)


cdef const char *name_of(Plan plan, algorithm) except? NULL:
    plan.algorithm = None if algorithm is None else algorithm.encode()
    return NULL if algorithm is None else <const char *>(<bytes>plan.algorithm)
