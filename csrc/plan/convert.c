/* Between the caller's tensors and the kernels': another dtype, another order, or both, in one pass over blocks that
 * stay in L1. */
#include <string.h>

#include "plan.h"

enum { BLOCK = 16 };

/* A block of rows of `from`, `columns` each, written as columns of `to`. */
#define DEFINE_BLOCK(name, source, target, WHOLE)                                                          \
    static void name(const void *from, int64_t from_step, void *to, int64_t to_step, int64_t rows, int64_t columns) { \
        const source *f = from;                                                                            \
        target *t = to;                                                                                    \
        if (rows == BLOCK && columns == BLOCK) { /* constant bounds, which vectorise */                    \
            WHOLE;                                                                                         \
            return;                                                                                        \
        }                                                                                                  \
        for (int64_t j = 0; j < columns; j++)                                                              \
            for (int64_t i = 0; i < rows; i++) t[j * to_step + i] = (target)f[i * from_step + j];          \
    }                                                                                                      \
    static void name##_flat(const void *from, void *to, int64_t count) {                                   \
        for (int64_t i = 0; i < count; i++) ((target *)to)[i] = (target)((const source *)from)[i];         \
    }
#define BY_ELEMENTS                                                                                        \
    for (int64_t j = 0; j < BLOCK; j++)                                                                    \
        for (int64_t i = 0; i < BLOCK; i++) t[j * to_step + i] = f[i * from_step + j]
#define DEFINE_TRANSPOSE(name, source, target) DEFINE_BLOCK(name, source, target, BY_ELEMENTS)

/* What floats take, of 4 x 4 in registers: twice as fast. */
typedef uint32_t four __attribute__((vector_size(16)));

static void transpose4x4(const uint32_t *from, int64_t from_step, uint32_t *to, int64_t to_step) {
    four row[4], pair[4];
    for (int i = 0; i < 4; i++) memcpy(&row[i], from + i * from_step, sizeof *row);
    pair[0] = __builtin_shuffle(row[0], row[1], (four){0, 4, 1, 5}), pair[1] = __builtin_shuffle(row[2], row[3], (four){0, 4, 1, 5});
    pair[2] = __builtin_shuffle(row[0], row[1], (four){2, 6, 3, 7}), pair[3] = __builtin_shuffle(row[2], row[3], (four){2, 6, 3, 7});
    row[0] = __builtin_shuffle(pair[0], pair[1], (four){0, 1, 4, 5}), row[1] = __builtin_shuffle(pair[0], pair[1], (four){2, 3, 6, 7});
    row[2] = __builtin_shuffle(pair[2], pair[3], (four){0, 1, 4, 5}), row[3] = __builtin_shuffle(pair[2], pair[3], (four){2, 3, 6, 7});
    for (int i = 0; i < 4; i++) memcpy(to + i * to_step, &row[i], sizeof *row);
}

#define BY_REGISTERS                                                                                       \
    for (int64_t j = 0; j < BLOCK; j += 4)                                                                 \
        for (int64_t i = 0; i < BLOCK; i += 4) transpose4x4(f + i * from_step + j, from_step, t + j * to_step + i, to_step)
DEFINE_BLOCK(same4, uint32_t, uint32_t, BY_REGISTERS)
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

/* Pixels of so few channels of 4 bytes that no block is whole: 2 to 4 planes, and pixels [begin, end) of them. */
#define DEFINE_FEW(C)                                                                                      \
    static void few_in_##C(const uint32_t *from, uint32_t *to, int64_t pixels, int64_t begin, int64_t end) { \
        for (int64_t i = begin; i < end; i++)                                                              \
            for (int c = 0; c < C; c++) to[i * C + c] = from[c * pixels + i];                              \
    }                                                                                                      \
    static void few_out_##C(const uint32_t *from, uint32_t *to, int64_t pixels, int64_t begin, int64_t end) { \
        for (int64_t i = begin; i < end; i++)                                                              \
            for (int c = 0; c < C; c++) to[c * pixels + i] = from[i * C + c];                              \
    }
DEFINE_FEW(2)
DEFINE_FEW(3)
DEFINE_FEW(4)
enum { MOST_FEW = 4 };

static void few_share(void *context, int thread, parallel_watch *watch) {
    (void)watch;
    const job *j = context;
    const int64_t C = j->c->C, pixels = j->c->pixels, begin = pixels * thread / j->threads, end = pixels * (thread + 1) / j->threads;
    const uint32_t *from = j->c->from;
    uint32_t *to = j->c->to;
    const bool in = j->rows == C;
    for (int64_t n = 0; n < j->c->N; n++, from += C * pixels, to += C * pixels)
        switch (C) {
        case 2: (in ? few_in_2 : few_out_2)(from, to, pixels, begin, end); break;
        case 3: (in ? few_in_3 : few_out_3)(from, to, pixels, begin, end); break;
        case 4: (in ? few_in_4 : few_out_4)(from, to, pixels, begin, end); break;
        }
}

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

static parallel_body body_of(const job *j) {
    const bool few = j->from_size == 4 && j->to_size == 4 && j->c->C >= 2 && j->c->C <= MOST_FEW && j->c->pixels > MOST_FEW;
    return !j->c->transpose ? flat_share : few ? few_share : transpose_share;
}

void convert_import(const conversion *c, int threads, parallel_watch *watch) {
    job j = {c, import_pass(c), dtype_size(c->dtype), type_size(c->type), c->C, c->pixels, threads};
    parallel_run(threads, body_of(&j), &j, watch);
}

void convert_export(const conversion *c, int threads, parallel_watch *watch) {
    job j = {c, export_pass(c), type_size(c->type), dtype_size(c->dtype), c->pixels, c->C, threads};
    parallel_run(threads, body_of(&j), &j, watch);
}

/* A conversion's job, and elements from one pixel of `to` to the next. */
typedef struct {
    const conversion *c;
    int64_t to_step;
    int threads;
} spread;

static void spread_share(void *context, int thread, parallel_watch *watch) {
    (void)watch;
    const spread *j = context;
    const size_t size = dtype_size(j->c->dtype), pixel = (size_t)j->c->C * size, step = (size_t)j->to_step * size;
    const int64_t all = j->c->N * j->c->pixels, end = all * (thread + 1) / j->threads;
    for (int64_t i = all * thread / j->threads; i < end; i++)
        memcpy((char *)j->c->to + (size_t)i * step, (const char *)j->c->from + (size_t)i * pixel, pixel);
}

void convert_spread(const conversion *c, int64_t to_step, int threads, parallel_watch *watch) {
    parallel_run(threads, spread_share, &(spread){c, to_step, threads}, watch);
}
