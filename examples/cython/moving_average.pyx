# cython: language_level=3
"""A smoothed copy of a line of numbers: cnnfast's C API from Cython, without Python in between."""
from cnnfast.libcnnfast cimport (
    CNNFAST_AVERAGE, CNNFAST_FLOAT64, CNNFAST_NHWC, CNNFAST_OK, cnnfast_pool2d, cnnfast_pool2d_run, cnnfast_status,
    cnnfast_status_string,
)


def moving_average(const double[::1] line, int window, double[::1] out):
    """out[i] = mean of line[i : i + window]; out has len(line) - window + 1 numbers."""
    cdef cnnfast_pool2d pool
    cdef cnnfast_status status
    if window < 1 or out.shape[0] != line.shape[0] - window + 1 or out.shape[0] < 1:
        raise ValueError(f"out must have len(line) - window + 1 = {line.shape[0] - window + 1} numbers, got {out.shape[0]}")
    pool.dtype, pool.layout, pool.algorithm, pool.kind = CNNFAST_FLOAT64, CNNFAST_NHWC, NULL, CNNFAST_AVERAGE
    pool.N, pool.H, pool.W, pool.C, pool.R, pool.S = 1, 1, line.shape[0], 1, 1, window
    pool.stride[:] = [1, 1]
    pool.dilation[:] = [1, 1]
    pool.pad[:] = [0, 0, 0, 0]
    pool.output_size[:] = [0, 0]
    pool.ceil_mode = pool.count_include_pad = pool.with_indices = 0
    pool.norm, pool.max_workspace, pool.other_layout = 0, 0, 0
    with nogil:
        status = cnnfast_pool2d_run(&pool, &line[0], &out[0], NULL)
    if status != CNNFAST_OK:
        raise ValueError((<bytes>cnnfast_status_string(status)).decode())
