/* The part of XLA's FFI that handlers need, as its stable binary interface lays it out (xla/ffi/api/c_api.h, versions 0.0 to 0.3;
 * jaxlib ships that header, but this library is built without jaxlib). Every struct begins with its size as the caller knows it. */
#ifndef CNNFAST_XLA_ABI_H
#define CNNFAST_XLA_ABI_H

#include <stddef.h>
#include <stdint.h>

enum { XLA_API_MAJOR = 0, XLA_API_MINOR = 3 };
enum { XLA_EXTENSION_METADATA = 1, XLA_STAGE_EXECUTE = 3, XLA_BUFFER = 1, XLA_ATTR_ARRAY = 1 };
enum { XLA_S32 = 4, XLA_S64 = 5, XLA_F32 = 11, XLA_F64 = 12 };
enum { XLA_CANCELLED = 1, XLA_INVALID_ARGUMENT = 3, XLA_RESOURCE_EXHAUSTED = 8, XLA_UNIMPLEMENTED = 12 };

/* Bytes up to the end of a struct's last field that is read. */
#define XLA_SIZE(type, last) (offsetof(type, last) + sizeof(((type *)0)->last))

typedef struct xla_extension {
    size_t struct_size;
    int type;
    struct xla_extension *next;
} xla_extension;

#define XLA_HEAD size_t struct_size; xla_extension *extension_start

typedef struct {
    XLA_HEAD;
    int major_version, minor_version;
} xla_version;

typedef struct {
    size_t struct_size;
    xla_version api_version;
    uint32_t traits;
} xla_metadata;

typedef struct {
    xla_extension base;
    xla_metadata *metadata;
} xla_metadata_extension;

typedef struct {
    XLA_HEAD;
    const char *message;
    int code;
} xla_error_args;

typedef struct xla_error xla_error;

typedef struct {
    XLA_HEAD;
    xla_version api_version;
    const void *internal_api;
    xla_error *(*error_create)(xla_error_args *);
} xla_api;

typedef struct {
    XLA_HEAD;
    int dtype;
    void *data;
    int64_t rank, *dims;
} xla_buffer;

typedef struct {
    XLA_HEAD;
    int64_t size;
    int *types;
    void **values;
} xla_values;

typedef struct {
    const char *text;
    size_t length;
} xla_span;

typedef struct {
    XLA_HEAD;
    int64_t size;
    int *types;
    xla_span **names;
    void **values;
} xla_attributes;

typedef struct {
    int dtype;
    size_t size;
    void *data;
} xla_array;

typedef struct {
    XLA_HEAD;
    const xla_api *api;
    void *context;
    int stage;
    xla_values arguments, results;
    xla_attributes attributes;
} xla_call;

#endif
