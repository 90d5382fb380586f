/* Handlers for XLA, which JAX calls by jax.ffi: convolution, pools and their gradients, without a state between calls.
 *
 * Arguments and results are dense arrays of one floating dtype. All may have the same number of axes before those of the op, as
 * vmap leaves them, of size 1 where an argument is not mapped: where that is so of the weights, images are one batch. What shapes
 * do not tell comes as the attribute `problem`, int64 numbers in the order of conv_attributes and pool_attributes. */
#include "xla_abi.h"

#include <stdio.h>
#include <string.h>

#include "cnnfast.h"
#include "size.h"

typedef struct {
    int64_t layout, stride[2], dilation[2], pad[4], groups, activation, precision;
} conv_attributes;

typedef struct {
    int64_t layout, kind, window[2], stride[2], dilation[2], pad[4], ceil_mode, count_include_pad;
} pool_attributes;

enum { MOST_ARRAYS = 4, MOST_AXES = 32 };

/* A call's arrays: arguments, then results. */
typedef struct {
    const xla_call *call;
    const xla_buffer *arrays[MOST_ARRAYS];
    int count, arguments, rank[MOST_ARRAYS]; /* rank: of the op's own axes */
    int64_t leading, maps;                   /* axes before those, and how many calls they are */
    cnnfast_dtype dtype;
    const char *wrong; /* NULL: nothing yet */
} site;

static xla_error *refuse(const xla_call *call, int code, const char *op, const char *message) {
    char text[200];
    snprintf(text, sizeof text, "cnnfast %s: %s", op, message);
    return call->api->error_create(&(xla_error_args){.struct_size = XLA_SIZE(xla_error_args, code), .message = text, .code = code});
}

/* Answers all but an execution. True: *answer is the handler's. */
static int answered(const xla_call *call, const char *op, xla_error **answer) {
    *answer = NULL;
    if (call->struct_size < XLA_SIZE(xla_call, attributes) || call->api->struct_size < XLA_SIZE(xla_api, error_create)) return 1;
    const xla_version theirs = call->api->api_version;
    const xla_extension *extension = call->extension_start;
    if (extension && extension->type == XLA_EXTENSION_METADATA) {
        xla_metadata *to = ((const xla_metadata_extension *)extension)->metadata;
        to->api_version.struct_size = XLA_SIZE(xla_version, minor_version);
        to->api_version.extension_start = NULL;
        to->api_version.major_version = XLA_API_MAJOR;
        to->api_version.minor_version = theirs.minor_version < XLA_API_MINOR ? theirs.minor_version : XLA_API_MINOR;
        to->traits = 0;
        return 1;
    }
    if (call->stage != XLA_STAGE_EXECUTE) return 1;
    if (theirs.major_version == XLA_API_MAJOR) return 0;
    *answer = refuse(call, XLA_UNIMPLEMENTED, op, "this version of XLA's FFI is not known; update cnnfast");
    return 1;
}

static void take_array(site *s, const xla_values *from, int64_t i, int rank, int dtype) {
    if (s->wrong) return;
    const xla_buffer *array = from->values[i];
    if (from->types[i] != XLA_BUFFER || array->struct_size < XLA_SIZE(xla_buffer, dims)) s->wrong = "an argument is no array";
    else if (array->dtype != dtype) s->wrong = "arrays must have one dtype, float32 or float64";
    else if (array->rank - rank != s->leading) s->wrong = "an array has the wrong number of axes";
    s->rank[s->count] = rank;
    s->arrays[s->count++] = array;
}

/* The leading axes are those of the results; arguments have them too, or 1. */
static void check_leading(site *s) {
    const xla_buffer *result = s->arrays[s->count - 1];
    s->maps = 1;
    for (int64_t i = 0; i < s->leading; i++) {
        s->maps *= result->dims[i];
        for (int a = 0; a < s->count; a++) {
            const int64_t n = s->arrays[a]->dims[i];
            if (n != result->dims[i] && (n != 1 || a >= s->arguments)) s->wrong = "mapped axes differ";
        }
    }
}

/* The call's arrays; `ranks` are those of its arguments and then its results. pairs: the last one is int32 pairs, int64 indices. */
static site site_of(const xla_call *call, int arguments, int results, const int *ranks, int pairs) {
    site s = {.call = call, .arguments = arguments};
    if (call->arguments.size != arguments || call->results.size != results) {
        s.wrong = "the number of arguments or results is wrong";
        return s;
    }
    const xla_buffer *first = call->arguments.values[0];
    s.leading = first->rank - ranks[0];
    if (first->dtype != XLA_F32 && first->dtype != XLA_F64) s.wrong = "arrays must be float32 or float64";
    else if (s.leading < 0 || s.leading > MOST_AXES) s.wrong = "an array has the wrong number of axes";
    s.dtype = first->dtype == XLA_F32 ? CNNFAST_FLOAT32 : CNNFAST_FLOAT64;
    for (int i = 0; i < arguments + results; i++) {
        const int index = pairs == i + 1;
        if (i < arguments) take_array(&s, &call->arguments, i, ranks[i], index ? XLA_S32 : first->dtype);
        else take_array(&s, &call->results, i - arguments, ranks[i], index ? XLA_S32 : first->dtype);
    }
    if (!s.wrong) check_leading(&s);
    return s;
}

/* The numbers of `problem`. */
static void read_attributes(site *s, void *to, size_t size) {
    const xla_attributes *all = &s->call->attributes;
    for (int64_t i = 0; i < all->size && !s->wrong; i++) {
        const xla_array *array = all->values[i];
        if (all->names[i]->length != 7 || memcmp(all->names[i]->text, "problem", 7) || all->types[i] != XLA_ATTR_ARRAY) continue;
        if (array->dtype != XLA_S64 || array->size * sizeof(int64_t) != size) break;
        memcpy(to, array->data, size);
        return;
    }
    if (!s->wrong) s->wrong = "the attribute `problem` is not there, or another version's";
}

static const int64_t *dims(const site *s, int a) { return s->arrays[a]->dims + s->leading; }

/* Makes the calls one where a batch of *N images can hold them: arguments in the set `images` are mapped, the others are not. */
static void fold(site *s, unsigned images, int64_t *N) {
    const xla_buffer *result = s->arrays[s->count - 1];
    for (int a = 0; a < s->arguments; a++)
        for (int64_t i = 0; i < s->leading; i++)
            if (s->arrays[a]->dims[i] != (images >> a & 1 ? result->dims[i] : 1)) return;
    if (s->maps > 1 && *N > INT64_MAX / s->maps) return;
    *N *= s->maps;
    s->maps = s->maps ? 1 : 0;
}

/* Array a's part in call `map` of s->maps. */
static void *part(const site *s, int a, int64_t map) {
    const xla_buffer *array = s->arrays[a], *result = s->arrays[s->count - 1];
    size_t bytes = array->dtype == XLA_F64 ? 8 : 4;
    for (int i = 0; i < s->rank[a]; i++) bytes *= (size_t)dims(s, a)[i];
    int64_t at = 0, step = 1;
    for (int64_t i = s->leading - 1; i >= 0; i--) {
        const int64_t n = array->dims[i], index = map % result->dims[i];
        if (n != 1) at += index * step;
        step *= n;
        map /= result->dims[i];
    }
    return (char *)array->data + (size_t)at * bytes;
}

static void split(cnnfast_layout layout, const int64_t *shape, int64_t *N, int64_t *H, int64_t *W, int64_t *C) {
    const int nchw = layout == CNNFAST_NCHW;
    *N = shape[0], *H = shape[nchw ? 2 : 1], *W = shape[nchw ? 3 : 2], *C = shape[nchw ? 1 : 3];
}

static int same(const int64_t *a, const int64_t *b, int n) { return !memcmp(a, b, (size_t)n * sizeof *a); }

/* The convolution that arrays x, weight and y tell of, by their places in the call; y's shape must be what x and weight give. */
static cnnfast_conv2d conv_of(site *s, int x, int weight, int y) {
    conv_attributes a;
    cnnfast_conv2d d = {.dtype = s->dtype};
    read_attributes(s, &a, sizeof a);
    if (s->wrong) return d;
    if (a.layout != CNNFAST_NHWC && a.layout != CNNFAST_NCHW) s->wrong = "layout must be 0 or 1";
    const int nchw = a.layout == CNNFAST_NCHW;
    const int64_t *w = dims(s, weight), inner = w[nchw ? 1 : 2];
    d.layout = (cnnfast_layout)a.layout;
    split(d.layout, dims(s, x), &d.N, &d.H, &d.W, &d.C);
    d.R = w[nchw ? 2 : 0], d.S = w[nchw ? 3 : 1], d.K = w[nchw ? 0 : 3], d.groups = a.groups;
    for (int i = 0; i < 2; i++) d.stride[i] = a.stride[i], d.dilation[i] = a.dilation[i];
    for (int i = 0; i < 4; i++) d.pad[i] = a.pad[i];
    d.activation = (cnnfast_activation)a.activation;
    d.precision = (cnnfast_precision)a.precision;
    d.once = 1;
    int64_t shape[4];
    const cnnfast_status status = cnnfast_conv2d_output_shape(&d, shape);
    if (status) s->wrong = cnnfast_status_string(status);
    else if (inner * d.groups != d.C) s->wrong = "weight must have C/groups channels";
    else if (!same(shape, dims(s, y), 4)) s->wrong = "the output's shape is not what the input's and the weight's give";
    return d;
}

/* `x` and `y` are the places of the pool's input and output. */
static cnnfast_pool2d pool_of(site *s, int x, int y) {
    pool_attributes a;
    cnnfast_pool2d d = {.dtype = s->dtype};
    read_attributes(s, &a, sizeof a);
    if (s->wrong) return d;
    d.layout = (cnnfast_layout)a.layout, d.kind = (cnnfast_pool_kind)a.kind;
    split(d.layout, dims(s, x), &d.N, &d.H, &d.W, &d.C);
    d.R = a.window[0], d.S = a.window[1];
    for (int i = 0; i < 2; i++) d.stride[i] = a.stride[i], d.dilation[i] = a.dilation[i];
    for (int i = 0; i < 4; i++) d.pad[i] = a.pad[i];
    d.ceil_mode = a.ceil_mode != 0, d.count_include_pad = a.count_include_pad != 0;
    int64_t shape[4];
    const cnnfast_status status = cnnfast_pool2d_output_shape(&d, shape);
    if (status) s->wrong = cnnfast_status_string(status);
    else if (!same(shape, dims(s, y), 4)) s->wrong = "the output's shape is not what the input's gives";
    return d;
}

static xla_error *end(const site *s, const char *op, cnnfast_status status) {
    if (s->wrong) return refuse(s->call, XLA_INVALID_ARGUMENT, op, s->wrong);
    if (!status) return NULL;
    const int memory = status == CNNFAST_OUT_OF_MEMORY || status == CNNFAST_SMALL_WORKSPACE;
    const int code = status == CNNFAST_INTERRUPTED ? XLA_CANCELLED : memory ? XLA_RESOURCE_EXHAUSTED : XLA_INVALID_ARGUMENT;
    return refuse(s->call, code, op, cnnfast_status_string(status));
}

#define HANDLER(name) CNNFAST_API xla_error *cnnfast_xla_##name(const xla_call *call); \
    xla_error *cnnfast_xla_##name(const xla_call *call)

/* (x, weight) or (x, weight, bias) -> y. */
HANDLER(conv2d) {
    static const int ranks[] = {4, 4, 1, 4}, no_bias[] = {4, 4, 4};
    xla_error *answer;
    if (answered(call, "conv2d", &answer)) return answer;
    const int bias = call->arguments.size == 3, y = 2 + bias;
    site s = site_of(call, y, 1, bias ? ranks : no_bias, 0);
    cnnfast_conv2d d = {0};
    if (!s.wrong) d = conv_of(&s, 0, 1, y);
    if (!s.wrong && bias && dims(&s, 2)[0] != d.K) s.wrong = "bias must have shape (K,)";
    cnnfast_status status = CNNFAST_OK;
    if (!s.wrong) fold(&s, 1, &d.N);
    for (int64_t i = 0; !s.wrong && !status && i < s.maps; i++)
        status = cnnfast_conv2d_run(&d, part(&s, 0, i), part(&s, 1, i), bias ? part(&s, 2, i) : NULL, NULL, part(&s, y, i));
    return end(&s, "conv2d", status);
}

/* (grad_output, weight) -> grad_input. */
HANDLER(conv2d_grad_input) {
    static const int ranks[] = {4, 4, 4};
    xla_error *answer;
    if (answered(call, "conv2d_grad_input", &answer)) return answer;
    site s = site_of(call, 2, 1, ranks, 0);
    cnnfast_conv2d d = {0};
    if (!s.wrong) d = conv_of(&s, 2, 1, 0);
    cnnfast_status status = CNNFAST_OK;
    if (!s.wrong) fold(&s, 1, &d.N);
    for (int64_t i = 0; !s.wrong && !status && i < s.maps; i++)
        status = cnnfast_conv2d_grad_input_run(&d, part(&s, 0, i), part(&s, 1, i), part(&s, 2, i));
    return end(&s, "conv2d_grad_input", status);
}

/* (x, grad_output) -> grad_weight; NHWC. */
HANDLER(conv2d_grad_weight) {
    static const int ranks[] = {4, 4, 4};
    xla_error *answer;
    if (answered(call, "conv2d_grad_weight", &answer)) return answer;
    site s = site_of(call, 2, 1, ranks, 0);
    cnnfast_conv2d d = {0};
    if (!s.wrong) d = conv_of(&s, 0, 2, 1);
    cnnfast_status status = CNNFAST_OK;
    for (int64_t i = 0; !s.wrong && !status && i < s.maps; i++)
        status = cnnfast_conv2d_grad_weight_run(&d, part(&s, 0, i), part(&s, 1, i), part(&s, 2, i), NULL);
    return end(&s, "conv2d_grad_weight", status);
}

/* x -> y, or x -> (y, indices), each index two int32 numbers: without x64, JAX has no int64 arrays. */
HANDLER(pool2d) {
    static const int ranks[] = {4, 4, 5};
    xla_error *answer;
    if (answered(call, "pool2d", &answer)) return answer;
    const int indices = call->results.size == 2;
    site s = site_of(call, 1, 1 + indices, ranks, indices ? 3 : 0);
    cnnfast_pool2d d = {0};
    if (!s.wrong) d = pool_of(&s, 0, 1);
    if (!s.wrong && indices && (!same(dims(&s, 1), dims(&s, 2), 4) || dims(&s, 2)[4] != 2)) s.wrong = "indices must have y's shape";
    cnnfast_status status = CNNFAST_OK;
    if (!s.wrong) fold(&s, 1, &d.N);
    for (int64_t i = 0; !s.wrong && !status && i < s.maps; i++)
        status = cnnfast_pool2d_run(&d, part(&s, 0, i), part(&s, 1, i), indices ? part(&s, 2, i) : NULL);
    return end(&s, "pool2d", status);
}

/* grad_output -> grad_input, or (grad_output, indices) -> grad_input. */
HANDLER(pool2d_grad) {
    static const int ranks[] = {4, 5, 4}, no_indices[] = {4, 4};
    xla_error *answer;
    if (answered(call, "pool2d_grad", &answer)) return answer;
    const int indices = call->arguments.size == 2, x = 1 + indices;
    site s = site_of(call, 1 + indices, 1, indices ? ranks : no_indices, indices ? 2 : 0);
    cnnfast_pool2d d = {0};
    if (!s.wrong) d = pool_of(&s, x, 0);
    if (!s.wrong && indices != (d.kind == CNNFAST_MAX)) s.wrong = "a maximum's way back reads its indices";
    if (!s.wrong && indices && (!same(dims(&s, 0), dims(&s, 1), 4) || dims(&s, 1)[4] != 2)) s.wrong = "indices must have y's shape";
    cnnfast_status status = CNNFAST_OK;
    if (!s.wrong && indices) { /* a maximum's way back is told y's size */
        int64_t N, C;
        split(d.layout, dims(&s, 0), &N, &d.output_size[0], &d.output_size[1], &C);
    }
    if (!s.wrong) fold(&s, indices ? 3 : 1, &d.N);
    for (int64_t i = 0; !s.wrong && !status && i < s.maps; i++)
        status = cnnfast_pool2d_grad_run(&d, part(&s, 0, i), indices ? part(&s, 1, i) : NULL, part(&s, x, i));
    return end(&s, "pool2d_grad", status);
}
