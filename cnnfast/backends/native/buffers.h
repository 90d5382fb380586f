/* What the Cython module asks of Python buffers, in C so that the module has no loops and no arithmetic. */
#ifndef CNNFAST_BUFFERS_H
#define CNNFAST_BUFFERS_H

#include <Python.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cnnfast.h"

/* struct-module characters of each cnnfast_dtype, native byte order and size. */
static const char *const buffer_formats[] = {"f", "d", "b", "B", "h", "H", "i", "I", "lq"};

/* Elements from one pixel to the next, along all axes but the last, which is a pixel's: more than it has where they are some
 * channels of wider pixels, which lie C-contiguous; 0 where they lie otherwise. */
static int64_t buffer_step(const Py_buffer *view) {
    const int last = view->ndim - 1;
    if (last < 0 || !view->len) return 0;
    const Py_ssize_t own = view->shape[last] * view->itemsize;
    if (view->shape[last] > 1 && view->strides[last] != view->itemsize) return 0;
    int64_t pixels = 1, step = 0;
    for (int i = last - 1; i >= 0; i--) {
        if (view->shape[i] == 1) continue;
        if (pixels == 1) step = view->strides[i];
        if (view->strides[i] != step * pixels) return 0;
        pixels *= view->shape[i];
    }
    if (pixels == 1) step = own;
    return step < own || step % view->itemsize ? 0 : step / view->itemsize;
}

/* Bytes from a buffer's first to past its last. */
static int64_t buffer_reach(const Py_buffer *view) {
    int64_t reach = view->itemsize;
    for (int i = 0; i < view->ndim; i++) reach += (view->shape[i] - 1) * view->strides[i];
    return view->len ? reach : 0;
}

/* An output's buffer. */
static const int BUFFER_WRITTEN = PyBUF_STRIDES | PyBUF_FORMAT | PyBUF_WRITABLE, BUFFER_READ = PyBUF_C_CONTIGUOUS | PyBUF_FORMAT;

/* Takes o's buffer if it is C-contiguous, aligned, of this dtype and of shape (any, shape[1], shape[2], shape[3]); 0 and
 * nothing taken otherwise. With `step` it is for writing, and may be some channels of wider pixels, so far apart. */
static int buffer_take(PyObject *o, Py_buffer *view, cnnfast_dtype dtype, const int64_t shape[4], int64_t *step) {
    if (PyObject_GetBuffer(o, view, step ? BUFFER_WRITTEN : BUFFER_READ)) {
        PyErr_Clear();
        return 0;
    }
    const char *format = view->format ? view->format : "B";
    if (step) *step = view->ndim == 4 && view->len ? buffer_step(view) : shape[3];
    if (view->ndim == 4 && (!step || *step) && view->shape[1] == shape[1] && view->shape[2] == shape[2] && view->shape[3] == shape[3] &&
        format[0] && !format[1] && strchr(buffer_formats[dtype], format[0]) && (uintptr_t)view->buf % (size_t)view->itemsize == 0)
        return 1;
    PyBuffer_Release(view);
    return 0;
}

static int buffers_overlap(const Py_buffer *a, const Py_buffer *b) {
    const char *x = a->buf, *y = b->buf;
    return x < y + buffer_reach(b) && y < x + buffer_reach(a);
}

/* Bytes from where o's memory starts to its next multiple of `line`, a power of 2; -1 and a Python error where it has none. */
static Py_ssize_t buffer_to_line(PyObject *o, size_t line) {
    Py_buffer view;
    if (PyObject_GetBuffer(o, &view, PyBUF_SIMPLE)) return -1;
    const uintptr_t past = (uintptr_t)view.buf % line;
    PyBuffer_Release(&view);
    return past ? (Py_ssize_t)(line - past) : 0;
}

/* Tuples within tuples. Deeper ones mean nothing to any op, and some would not fit the stack. */
enum { MOST_NESTED = 3 };

/* Whether o is a tuple of integers, None, and such tuples: equal ones then mean the same. */
static int tuple_is_plain(PyObject *o, int depth) {
    if (!depth || !PyTuple_CheckExact(o)) return 0;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(o); i++) {
        PyObject *item = PyTuple_GET_ITEM(o, i);
        if (!PyLong_CheckExact(item) && item != Py_None && !tuple_is_plain(item, depth - 1)) return 0;
    }
    return 1;
}

/* A number that tells apart tuples which are equal but of other types, as (1,), (1.0,) and (True,) are; -1 where an item is
 * neither a number, a string, None nor a tuple of integers. */
static int64_t tuple_types(PyObject *values) {
    int64_t types = 0;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(values); i++) {
        PyObject *item = PyTuple_GET_ITEM(values, i);
        if (PyBool_Check(item)) types = 3 * types + 1;
        else if (PyFloat_CheckExact(item)) types = 3 * types + 2;
        else if (PyLong_CheckExact(item) || PyUnicode_CheckExact(item) || item == Py_None || tuple_is_plain(item, MOST_NESTED)) types *= 3;
        else return -1;
    }
    return types;
}

/* What one run takes from Python, taken together and given back together. */
typedef struct {
    Py_buffer x, residual, y, indices;
    int taken; /* a bit each */
} run_buffers;

static void run_buffers_release(run_buffers *b) {
    if (b->taken & 1) PyBuffer_Release(&b->x);
    if (b->taken & 2) PyBuffer_Release(&b->residual);
    if (b->taken & 4) PyBuffer_Release(&b->y);
    if (b->taken & 8) PyBuffer_Release(&b->indices);
    b->taken = 0;
}

/* 1 if every array is an exact fit for the plan, all of one batch, and y overlaps none; 0 and nothing taken otherwise.
 * `index_shape` NULL: the plan has no indices. `reads_indices`: they are input. */
static int run_buffers_take(run_buffers *b, PyObject *x, PyObject *residual, PyObject *y, PyObject *indices,
                            const cnnfast_plan *plan, const int64_t *x_shape, const int64_t *y_shape,
                            const int64_t *index_shape, int reads_indices, cnnfast_args *args) {
    b->taken = 0;
    int64_t step = 0, index_step;
    if (!buffer_take(x, &b->x, cnnfast_plan_input_dtype(plan), x_shape, NULL)) return 0;
    b->taken |= 1;
    const Py_ssize_t N = b->x.shape[0];
    int fits = 1;
    if (residual != Py_None && (fits = buffer_take(residual, &b->residual, cnnfast_plan_output_dtype(plan), y_shape, NULL)))
        b->taken |= 2, fits = b->residual.shape[0] == N;
    if (fits && (fits = buffer_take(y, &b->y, cnnfast_plan_output_dtype(plan), y_shape, &step)))
        b->taken |= 4, fits = b->y.shape[0] == N && !buffers_overlap(&b->y, &b->x) &&
                              (!(b->taken & 2) || !buffers_overlap(&b->y, &b->residual));
    if (fits && (indices != Py_None) != (index_shape != NULL)) fits = 0;
    if (fits && index_shape && (fits = buffer_take(indices, &b->indices, CNNFAST_INT64, index_shape, reads_indices ? NULL : &index_step)))
        b->taken |= 8, fits = b->indices.shape[0] == N && (reads_indices || index_step == index_shape[3]) && !buffers_overlap(&b->indices, &b->y) && !buffers_overlap(&b->indices, &b->x);
    if (!fits) {
        run_buffers_release(b);
        return 0;
    }
    *args = (cnnfast_args){.N = N, .x = b->x.buf, .residual = b->taken & 2 ? b->residual.buf : NULL, .y = b->y.buf,
                           .indices = index_shape ? b->indices.buf : NULL, .y_step = PyBuffer_IsContiguous(&b->y, 'C') ? 0 : step};
    return 1;
}

/* The arrays of an op that is run at once, in order; `data` is NULL for None. */
enum { FLAT_MOST = 9 };
typedef struct {
    Py_buffer view[FLAT_MOST];
    void *data[FLAT_MOST];
    int count;
    cnnfast_dtype dtype;
} flat_buffers;

static void flat_release(flat_buffers *b) {
    for (int i = 0; i < b->count; i++)
        if (b->data[i]) PyBuffer_Release(&b->view[i]);
    b->count = 0;
}

/* Takes o's buffer too if it is C-contiguous, aligned, float32 or float64 like those before it, and not empty; else
 * releases all and answers 0. None stands for an argument that is left out. */
static int flat_take(flat_buffers *b, PyObject *o, int writable) {
    const int i = b->count;
    if (o == Py_None) {
        b->data[b->count++] = NULL;
        return 1;
    }
    if (PyObject_GetBuffer(o, &b->view[i], PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | (writable ? PyBUF_WRITABLE : 0))) {
        PyErr_Clear();
        flat_release(b);
        return 0;
    }
    const char *format = b->view[i].format;
    const int real = format && (format[0] == 'f' || format[0] == 'd') && !format[1];
    const cnnfast_dtype dtype = real && format[0] == 'd' ? CNNFAST_FLOAT64 : CNNFAST_FLOAT32;
    b->data[b->count++] = b->view[i].buf;
    if (real && b->view[i].len && (uintptr_t)b->view[i].buf % (size_t)b->view[i].itemsize == 0 && (i == 0 || dtype == b->dtype)) {
        b->dtype = dtype;
        return 1;
    }
    flat_release(b);
    return 0;
}

/* Whether buffers i and j have the same sizes, but for the last `but_last`. */
static int flat_same_shape(const flat_buffers *b, int i, int j, int but_last) {
    const Py_buffer *x = &b->view[i], *y = &b->view[j];
    return x->ndim == y->ndim && x->ndim >= but_last &&
           !memcmp(x->shape, y->shape, (size_t)(x->ndim - but_last) * sizeof *x->shape);
}

/* Whether buffer i, the output, shares a byte with another. */
static int flat_overlaps(const flat_buffers *b, int i) {
    for (int j = 0; j < b->count; j++)
        if (j != i && b->data[j] && buffers_overlap(&b->view[i], &b->view[j])) return 1;
    return 0;
}

static int64_t flat_elements(const flat_buffers *b, int i) { return b->view[i].len / b->view[i].itemsize; }
static int64_t flat_last(const flat_buffers *b, int i) { return b->view[i].ndim ? b->view[i].shape[b->view[i].ndim - 1] : 1; }

/* Takes one more: `elements`, or None. */
static int flat_take_of(flat_buffers *b, PyObject *o, int writable, int64_t elements) {
    if (!flat_take(b, o, writable)) return 0;
    if (!b->data[b->count - 1] || flat_elements(b, b->count - 1) == elements) return 1;
    flat_release(b);
    return 0;
}

/* Takes the first of some, which is written and of this dtype. */
static int flat_begin(flat_buffers *b, PyObject *written, int64_t elements, cnnfast_dtype dtype) {
    b->count = 0;
    if (!flat_take_of(b, written, 1, elements)) return 0;
    if (b->data[0] && b->dtype == dtype) return 1;
    flat_release(b);
    return 0;
}

/* Whether the first so many, which are written, share no byte with any other; else releases all. */
static int flat_apart(flat_buffers *b, int written) {
    for (int i = 0; i < written; i++)
        if (b->data[i] && flat_overlaps(b, i)) {
            flat_release(b);
            return 0;
        }
    return 1;
}

/* x and y are the first two of an op that keeps the shape; what else there is was checked before. */
static int flat_take_pair(flat_buffers *b, PyObject *x, PyObject *y) {
    b->count = 0;
    if (!flat_take(b, x, 0) || !flat_take(b, y, 1)) return 0;
    if (flat_same_shape(b, 0, 1, 0) && !flat_overlaps(b, 1)) return 1;
    flat_release(b);
    return 0;
}

/* And a third that is of x's shape too. */
static int flat_take_pair_and(flat_buffers *b, PyObject *x, PyObject *y, PyObject *also) {
    if (!flat_take_pair(b, x, y) || !flat_take(b, also, 0)) return 0;
    if (b->data[2] && flat_same_shape(b, 0, 2, 0) && !flat_overlaps(b, 1)) return 1;
    flat_release(b);
    return 0;
}

/* What an optimizer's step changes and reads: all of the weight's shape, none of it shared. */
static int flat_take_update(flat_buffers *b, PyObject *weight, PyObject *grad, PyObject *first, PyObject *second, PyObject *third) {
    b->count = 0;
    if (!flat_take(b, weight, 1) || !flat_take(b, grad, 0) || !flat_take(b, first, 1) || !flat_take(b, second, 1) || !flat_take(b, third, 1))
        return 0;
    int fits = 1;
    for (int i = 0; i < b->count && fits; i++)
        if (b->data[i]) fits = flat_same_shape(b, 0, i, 0) && (i == 1 || !flat_overlaps(b, i));
    if (fits) return 1;
    flat_release(b);
    return 0;
}

/* Of an op whose y has down*across times x's elements. */
static int flat_take_pair_scaled(flat_buffers *b, PyObject *x, PyObject *y, int64_t down, int64_t across) {
    b->count = 0;
    if (!flat_take(b, x, 0) || !flat_take(b, y, 1)) return 0;
    if ((double)b->view[1].len == (double)b->view[0].len * (double)down * (double)across && !flat_overlaps(b, 1)) return 1;
    flat_release(b);
    return 0;
}

/* An elementwise op's: `other` has x's shape, or is a vector as long as x's last axis (its length is then the period). */
static int flat_take_elementwise(flat_buffers *b, PyObject *x, PyObject *y, PyObject *other, int64_t *period) {
    if (!flat_take_pair(b, x, y) || !flat_take(b, other, 0)) return 0;
    *period = 0;
    if (!b->data[2]) return 1;
    int fits = flat_same_shape(b, 0, 2, 0);
    if (!fits && b->view[2].ndim == 1 && b->view[2].shape[0] == flat_last(b, 0)) fits = 1, *period = b->view[2].shape[0];
    if (fits && !flat_overlaps(b, 1)) return 1;
    flat_release(b);
    return 0;
}

/* A dense layer's: x is (..., C) and y (..., K) of the plan's dtype. */
static int flat_take_rows(flat_buffers *b, PyObject *x, PyObject *y, const cnnfast_plan *plan, int64_t C, int64_t K) {
    b->count = 0;
    if (!flat_take(b, x, 0) || !flat_take(b, y, 1)) return 0;
    if (b->dtype == cnnfast_plan_input_dtype(plan) && b->view[0].ndim && flat_same_shape(b, 0, 1, 1) && flat_last(b, 0) == C &&
        flat_last(b, 1) == K && !flat_overlaps(b, 1))
        return 1;
    flat_release(b);
    return 0;
}

/* What an array is to a step. */
typedef enum { CHAIN_X, CHAIN_RESIDUAL, CHAIN_Y, CHAIN_RESIDUAL_AND_Y } chain_role;

/* A network's steps, and which of their arrays, its ends, come with each run. */
typedef struct {
    cnnfast_step *steps;
    struct chain_hole {
        int end, step; /* which of the run's arrays is whose */
        chain_role role;
        Py_buffer view;
    } *holes;
    int count, holes_count;
    void *workspace;
    size_t workspace_size;
    int threads; /* that the workspace was measured for */
} chain;

static int chain_init(chain *c, Py_ssize_t count) {
    memset(c, 0, sizeof *c);
    c->steps = calloc((size_t)count + 1, sizeof *c->steps);
    c->holes = calloc(3 * (size_t)count + 1, sizeof *c->holes);
    return c->steps && c->holes;
}

static void chain_free(chain *c) {
    free(c->steps);
    free(c->holes);
    free(c->workspace);
}

/* Takes o's buffer if it is what step i reads or writes: C-contiguous, aligned, float32 and of that many bytes; what is
 * written may be channels of wider pixels. */
static int chain_take(chain *c, int i, chain_role role, PyObject *o, Py_buffer *view) {
    cnnfast_args *args = &c->steps[i].args;
    const int writes = role >= CHAIN_Y;
    if (PyObject_GetBuffer(o, view, writes ? BUFFER_WRITTEN : BUFFER_READ)) {
        PyErr_Clear();
        return 0;
    }
    int64_t shape[4], step = writes ? buffer_step(view) : 0;
    (role == CHAIN_X ? cnnfast_plan_input_shape : cnnfast_plan_output_shape)(c->steps[i].plan, args->N, shape);
    const int real = view->format && view->format[0] == 'f' && !view->format[1];
    const int64_t bytes = shape[0] * shape[1] * shape[2] * shape[3] * (int64_t)sizeof(float);
    const int wide = writes && !PyBuffer_IsContiguous(view, 'C');
    const int lies = !wide || (step && view->shape[view->ndim - 1] == shape[3] && cnnfast_plan_takes_slices(c->steps[i].plan));
    if (real && lies && view->len == bytes && (uintptr_t)view->buf % sizeof(float) == 0) {
        if (role == CHAIN_X) args->x = view->buf;
        else if (role == CHAIN_RESIDUAL) args->residual = view->buf;
        else args->y = view->buf, args->y_step = wide ? step : 0;
        if (role == CHAIN_RESIDUAL_AND_Y) args->residual = view->buf;
        return 1;
    }
    PyBuffer_Release(view);
    return 0;
}

/* An end, an array that every run uses, which the caller keeps, or None for no residual. */
static int chain_bind(chain *c, int i, chain_role role, PyObject *array) {
    if (array == Py_None) return role == CHAIN_RESIDUAL;
    if (PyLong_Check(array)) {
        c->holes[c->holes_count++] = (struct chain_hole){.end = (int)PyLong_AsLong(array), .step = i, .role = role};
        return 1;
    }
    Py_buffer view;
    if (!chain_take(c, i, role, array, &view)) return 0;
    PyBuffer_Release(&view);
    return 1;
}

static int chain_has_shape(const Py_buffer *view, PyObject *shape) {
    if (PyTuple_GET_SIZE(shape) != view->ndim) return 0;
    for (int i = 0; i < view->ndim; i++)
        if (PyLong_AsSsize_t(PyTuple_GET_ITEM(shape, i)) != view->shape[i]) return 0;
    return 1;
}

/* Whether hole i's array, which is taken, shares a byte with one taken before, and either is written. */
static int chain_overlaps(const chain *c, int i) {
    const struct chain_hole *h = &c->holes[i];
    for (const struct chain_hole *g = c->holes; g < h; g++)
        if (g->end != h->end && (g->role >= CHAIN_Y || h->role >= CHAIN_Y) && buffers_overlap(&g->view, &h->view)) return 1;
    return 0;
}

/* The steps over these ends, tuples of instances of `array` and of their shapes; -1 where one does not fit, and nothing was
 * written. */
static int chain_run(chain *c, PyObject *ends, PyObject *shapes, PyTypeObject *array) {
    int taken = 0, fits = PyTuple_GET_SIZE(ends) == PyTuple_GET_SIZE(shapes), status = -1;
    while (fits && taken < c->holes_count) {
        struct chain_hole *h = &c->holes[taken];
        PyObject *o = PyTuple_GET_ITEM(ends, h->end);
        fits = Py_IS_TYPE(o, array) && chain_take(c, h->step, h->role, o, &h->view);
        if (fits) fits = chain_has_shape(&h->view, PyTuple_GET_ITEM(shapes, h->end)) && !chain_overlaps(c, taken++);
    }
    if (fits) {
        if (c->threads != cnnfast_get_num_threads()) {
            free(c->workspace);
            c->threads = cnnfast_get_num_threads();
            c->workspace_size = cnnfast_steps_workspace_size(c->steps, c->count);
            c->workspace = c->workspace_size ? aligned_alloc(64, c->workspace_size) : NULL;
        }
        if (c->workspace_size && !c->workspace) status = CNNFAST_OUT_OF_MEMORY, c->threads = 0;
        else {
            Py_BEGIN_ALLOW_THREADS
            status = cnnfast_steps_run(c->steps, c->count, c->workspace, c->workspace_size);
            Py_END_ALLOW_THREADS
        }
    }
    while (taken) PyBuffer_Release(&c->holes[--taken].view);
    return status;
}

#endif
