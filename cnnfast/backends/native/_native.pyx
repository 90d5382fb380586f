# cython: language_level=3, freethreading_compatible=True, auto_pickle=False, autotestdict=False
"""Thin Cython over the C API: fill the struct, run without the GIL, raise on the status.

Arguments come normalised from `cnnfast.ops`, which has already raised the errors a user reads.
"""
import weakref

import numpy

cimport cython
from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport int64_t, uint64_t, uintptr_t
from libc.stdlib cimport getenv
from libc.string cimport memset

from cnnfast.libcnnfast cimport *

cdef extern from "buffers.h" nogil:
    ctypedef struct run_buffers:
        pass
    int run_buffers_take(run_buffers *, object x, object residual, object y, object indices, const cnnfast_plan *,
                         const int64_t *x_shape, const int64_t *y_shape, const int64_t *index_shape, bint reads_indices,
                         cnnfast_args *) with gil
    void run_buffers_release(run_buffers *) with gil
    ctypedef struct flat_buffers:
        int count
        void *data[9]
        cnnfast_dtype dtype
    bint flat_take_pair(flat_buffers *, object x, object y) with gil
    bint flat_take_pair_scaled(flat_buffers *, object x, object y, int64_t down, int64_t across) with gil
    bint flat_take(flat_buffers *, object, bint writable) with gil
    bint flat_take_pair_and(flat_buffers *, object x, object y, object also) with gil
    bint flat_take_update(flat_buffers *, object weight, object grad, object first, object second, object third) with gil
    bint flat_take_elementwise(flat_buffers *, object x, object y, object other, int64_t *period) with gil
    bint flat_take_rows(flat_buffers *, object x, object y, const cnnfast_plan *, int64_t C, int64_t K) with gil
    int64_t flat_elements(const flat_buffers *, int)
    bint flat_begin(flat_buffers *, object written, int64_t elements, cnnfast_dtype) with gil
    bint flat_take_of(flat_buffers *, object, bint writable, int64_t elements) with gil
    bint flat_apart(flat_buffers *, int written) with gil
    bint flat_overlaps(const flat_buffers *, int)
    void flat_release(flat_buffers *) with gil
    ctypedef enum chain_role:
        CHAIN_X
        CHAIN_RESIDUAL
        CHAIN_Y
        CHAIN_RESIDUAL_AND_Y
    ctypedef struct chain:
        cnnfast_step *steps
        int count
    bint chain_init(chain *, Py_ssize_t count) with gil
    void chain_free(chain *)
    bint chain_bind(chain *, int step, chain_role, object array) with gil
    int chain_run(chain *, tuple ends, tuple shapes, type array) with gil
    int64_t tuple_types(tuple)
    int MOST_NESTED
    Py_ssize_t buffer_to_line(object, size_t line) except -1

cdef type ndarray = numpy.ndarray

include "names.pxi"
include "status.pxi"
include "plan.pxi"
include "fields.pxi"

include "conv.pxi"
include "conv_grad_input.pxi"
include "pool.pxi"
include "pool_grad.pxi"
include "fused.pxi"
include "linear.pxi"

# Every `run_` in these runs if x and y (and `other`) are an exact fit: C-contiguous, aligned, float32 or float64, y writable
# and apart from the others; it returns whether it ran, and False wrote nothing. That the sizes given are x's, `ops` has
# seen to.
include "elementwise.pxi"
include "norm.pxi"
include "norm_train.pxi"
include "training.pxi"
include "softmax.pxi"
include "resize.pxi"
include "grad_weight.pxi"
include "kept.pxi"
include "at_once.pxi"

include "addresses.pxi"
include "tensor_calls.pxi"
include "runtime.pxi"
