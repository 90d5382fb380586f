/* Between the caller's tensors and the kernels': another dtype, another order, or both, in one pass over blocks that
 * stay in L1. */
#include <string.h>

#include "plan.h"

enum { BLOCK = 16 };

/* A block of rows of `from`, `columns` each, written as columns of `to`. */
#define DEFINE_TRANSPOSE(name, source, target)                                                             \
    static void name(const void *from, int64_t from_step, void *to, int64_t to_step, int64_t rows, int64_t columns) { \
        const source *f = from;                                                                            \
        target *t = to;                                                                                    \
        if (rows == BLOCK && columns == BLOCK) { /* constant bounds, which vectorise */                    \
            for (int64_t j = 0; j < BLOCK; j++)                                                            \
                for (int64_t i = 0; i < BLOCK; i++) t[j * to_step + i] = (target)f[i * from_step + j];     \
            return;                                                                                        \
        }                                                                                                  \
        for (int64_t j = 0; j < columns; j++)                                                              \
            for (int64_t i = 0; i < rows; i++) t[j * to_step + i] = (target)f[i * from_step + j];          \
    }                                                                                                      \
    static void name##_flat(const void *from, void *to, int64_t count) {                                   \
        for (int64_t i = 0; i < count; i++) ((target *)to)[i] = (target)((const source *)from)[i];         \
    }

DEFINE_TRANSPOSE(same4, uint32_t, uint32_t)
DEFINE_TRANSPOSE(same8, uint64_t, uint64_t)
DEFINE_TRANSPOSE(i8_i32, int8_t, int32_t)
DEFINE_TRANSPOSE(u8_i32, uint8_t, int32_t)
DEFINE_TRANSPOSE(i16_i64, int16_t, int64_t)
DEFINE_TRANSPOSE(u16_i64, uint16_t, int64_t)
DEFINE_TRANSPOSE(i32_i64, int32_t, int64_t)
DEFINE_TRANSPOSE(u32_i64, uint32_t, int64_t)
DEFINE_TRANSPOSE(i32_i8, int32_t, int8_t)
DEFINE_TRANSPOSE(i64_i16, int64_t, int16_t)
DEFINE_TRANSPOSE(i64_i32, int64_t, int32_t)

typedef void (*transpose)(const void *, int64_t, void *, int64_t, int64_t, int64_t);
typedef void (*flat)(const void *, void *, int64_t);
typedef struct {
    transpose transpose;
    flat flat;
} pass;

/* The one way from the caller's dtype to the kernels' type, and back: narrowing keeps the low bits, so signedness of
 * the narrow side does not matter. */
static pass import_pass(const conversion *c) {
    if (dtype_size(c->dtype) == type_size(c->type)) return type_size(c->type) == 4 ? (pass){same4, same4_flat} : (pass){same8, same8_flat};
    switch (c->dtype) {
    case CNNFAST_INT8: return (pass){i8_i32, i8_i32_flat};
    case CNNFAST_UINT8: return (pass){u8_i32, u8_i32_flat};
    case CNNFAST_INT16: return (pass){i16_i64, i16_i64_flat};
    case CNNFAST_UINT16: return (pass){u16_i64, u16_i64_flat};
    case CNNFAST_INT32: return (pass){i32_i64, i32_i64_flat};
    default: return (pass){u32_i64, u32_i64_flat};
    }
}

static pass export_pass(const conversion *c) {
    if (dtype_size(c->dtype) == type_size(c->type)) return type_size(c->type) == 4 ? (pass){same4, same4_flat} : (pass){same8, same8_flat};
    switch (dtype_size(c->dtype)) {
    case 1: return (pass){i32_i8, i32_i8_flat};
    case 2: return (pass){i64_i16, i64_i16_flat};
    default: return (pass){i64_i32, i64_i32_flat};
    }
}

typedef struct {
    const conversion *c;
    pass pass;
    size_t from_size, to_size;
    int64_t rows, columns; /* of an image of `from`, when transposed */
    int threads;
} job;

/* Strips of BLOCK columns of `from`, that is of BLOCK whole rows of `to`, of every image. */
static void transpose_share(void *context, int thread, parallel_watch *watch) {
    (void)watch;
    const job *j = context;
    const int64_t strips = ceil_div(j->columns, BLOCK), all = strips * j->c->N;
    const int64_t begin = all * thread / j->threads, end = all * (thread + 1) / j->threads;
    for (int64_t i = begin; i < end; i++) {
        const int64_t image = i / strips * j->rows * j->columns, col = i % strips * BLOCK;
        const char *from = (const char *)j->c->from + (size_t)(image + col) * j->from_size;
        char *to = (char *)j->c->to + (size_t)(image + col * j->rows) * j->to_size;
        for (int64_t row = 0; row < j->rows; row += BLOCK)
            j->pass.transpose(from + (size_t)(row * j->columns) * j->from_size, j->columns, to + (size_t)row * j->to_size, j->rows,
                              min64(BLOCK, j->rows - row), min64(BLOCK, j->columns - col));
    }
}

static void flat_share(void *context, int thread, parallel_watch *watch) {
    (void)watch;
    const job *j = context;
    const int64_t all = j->c->N * j->c->C * j->c->pixels, begin = all * thread / j->threads, end = all * (thread + 1) / j->threads;
    j->pass.flat((const char *)j->c->from + (size_t)begin * j->from_size, (char *)j->c->to + (size_t)begin * j->to_size, end - begin);
}

void convert_import(const conversion *c, int threads, parallel_watch *watch) {
    job j = {c, import_pass(c), dtype_size(c->dtype), type_size(c->type), c->C, c->pixels, threads};
    parallel_run(threads, c->transpose ? transpose_share : flat_share, &j, watch);
}

void convert_export(const conversion *c, int threads, parallel_watch *watch) {
    job j = {c, export_pass(c), type_size(c->type), dtype_size(c->dtype), c->pixels, c->C, threads};
    parallel_run(threads, c->transpose ? transpose_share : flat_share, &j, watch);
}
