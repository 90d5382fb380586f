/* A tensor of another framework, seen from C without a Python object between: DLPack's exchange API, which its class offers as
 * __dlpack_c_exchange_api__ (github.com/dmlc/dlpack, version 1.2 on; torch has it from 2.10 on). */
#ifndef CNNFAST_DLPACK_H
#define CNNFAST_DLPACK_H

#include <Python.h>
#include <stdint.h>
#include <string.h>

/* DLPack's DLTensor, and its table of functions as far as it is used. */
typedef struct {
    void *data;
    int32_t device_type, device_id, ndim;
    uint8_t type_code, type_bits;
    uint16_t lanes;
    int64_t *shape, *strides;
    uint64_t byte_offset;
} dlpack_tensor;

typedef struct {
    uint32_t major, minor;
    const void *older;
    void *allocate, *export_owned, *import_owned;
    int (*export_borrowed)(void *object, dlpack_tensor *out); /* not 0: Python's error is set */
    void *current_stream;
} dlpack_exchange;

enum { MARK_DIMS = 6 };

/* What tells a tensor's memory from another's: equal bytes, equal tensors. */
typedef struct {
    uintptr_t data;
    struct {
        int32_t device_type, device_id, ndim;
        uint8_t type_code, type_bits;
        uint16_t lanes;
        int64_t shape[MARK_DIMS], strides[MARK_DIMS];
    } kind;
} tensor_mark;

/* The exchange of a class of tensors; NULL: it has none that is known here, and maybe an error is set. */
static const dlpack_exchange *exchange_of(PyObject *tensor_class) {
    PyObject *capsule = PyObject_GetAttrString(tensor_class, "__dlpack_c_exchange_api__");
    if (!capsule) {
        if (PyErr_ExceptionMatches(PyExc_AttributeError)) PyErr_Clear();
        return NULL;
    }
    const dlpack_exchange *found = (const dlpack_exchange *)PyCapsule_GetPointer(capsule, "dlpack_exchange_api");
    Py_DECREF(capsule); /* what it points to lives as long as the process */
    return found && found->major == 1 ? found : NULL;
}

/* -1: it cannot be seen so, and an error is set. A tensor of too many dimensions is like none, not even itself. */
static int mark_of(const dlpack_exchange *exchange, PyObject *tensor, tensor_mark *out) {
    dlpack_tensor seen;
    if (exchange->export_borrowed(tensor, &seen)) return -1;
    memset(out, 0, sizeof *out);
    out->data = (uintptr_t)seen.data + (uintptr_t)seen.byte_offset;
    out->kind.ndim = seen.ndim > MARK_DIMS || (seen.ndim && !seen.strides) ? -1 : seen.ndim;
    out->kind.device_type = seen.device_type, out->kind.device_id = seen.device_id;
    out->kind.type_code = seen.type_code, out->kind.type_bits = seen.type_bits, out->kind.lanes = seen.lanes;
    for (int i = 0; i < out->kind.ndim; i++) out->kind.shape[i] = seen.shape[i], out->kind.strides[i] = seen.strides[i];
    return 0;
}

static int same_kind(const tensor_mark *a, const tensor_mark *b) { return a->kind.ndim >= 0 && !memcmp(&a->kind, &b->kind, sizeof a->kind); }

static int same_memory(const tensor_mark *a, const tensor_mark *b) { return a->data == b->data && same_kind(a, b); }

#endif
