/* What the C tests share: checks that count, numbers of any dtype, and buffers that end where memory ends. */
#ifndef CHECK_H
#define CHECK_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cnnfast.h"

static int failures;

/* Says what failed, the first times, and goes on. */
#define CHECK(condition, ...)                                           \
    do {                                                                \
        if (!(condition) && failures++ < 20) {                          \
            printf("%s:%d: %s: ", __FILE__, __LINE__, #condition);      \
            printf(__VA_ARGS__);                                        \
            printf("\n");                                               \
        }                                                               \
    } while (0)

static size_t size_of(cnnfast_dtype dtype) {
    static const size_t sizes[] = {4, 8, 1, 1, 2, 2, 4, 4, 8};
    return sizes[dtype];
}
static bool is_integer(cnnfast_dtype dtype) { return dtype >= CNNFAST_INT8; }
static cnnfast_dtype sum_dtype(cnnfast_dtype dtype) {
    return !is_integer(dtype) ? dtype : dtype <= CNNFAST_UINT8 ? CNNFAST_INT32 : CNNFAST_INT64;
}

static void put(void *to, cnnfast_dtype dtype, int64_t i, int64_t v) {
    switch (dtype) {
    case CNNFAST_FLOAT32: ((float *)to)[i] = (float)v; break;
    case CNNFAST_FLOAT64: ((double *)to)[i] = (double)v; break;
    case CNNFAST_INT8:
    case CNNFAST_UINT8: ((uint8_t *)to)[i] = (uint8_t)v; break;
    case CNNFAST_INT16:
    case CNNFAST_UINT16: ((uint16_t *)to)[i] = (uint16_t)v; break;
    case CNNFAST_INT32:
    case CNNFAST_UINT32: ((uint32_t *)to)[i] = (uint32_t)v; break;
    case CNNFAST_INT64: ((int64_t *)to)[i] = v; break;
    }
}

static double get(const void *from, cnnfast_dtype dtype, int64_t i) {
    switch (dtype) {
    case CNNFAST_FLOAT32: return ((const float *)from)[i];
    case CNNFAST_FLOAT64: return ((const double *)from)[i];
    case CNNFAST_INT8: return ((const int8_t *)from)[i];
    case CNNFAST_UINT8: return ((const uint8_t *)from)[i];
    case CNNFAST_INT16: return ((const int16_t *)from)[i];
    case CNNFAST_UINT16: return ((const uint16_t *)from)[i];
    case CNNFAST_INT32: return ((const int32_t *)from)[i];
    case CNNFAST_UINT32: return ((const uint32_t *)from)[i];
    case CNNFAST_INT64: return (double)((const int64_t *)from)[i];
    }
    return 0;
}

/* A buffer between two pages that no one may touch, against one of them; the rest of its own pages is a red zone. */
typedef enum { AT_START, AT_END } side;
typedef struct {
    unsigned char *map, *data;
    size_t mapped, size;
} guarded;

enum { RED = 0xA5, POISON = 0xFF }; /* POISON: a NaN as a float, -1 as an index */

static guarded guarded_new(size_t size, side at) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), inside = (size / page + 1) * page;
    guarded g = {.mapped = inside + 2 * page, .size = size};
    g.map = mmap(NULL, g.mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (g.map == MAP_FAILED || mprotect(g.map + page, inside, PROT_READ | PROT_WRITE)) abort();
    memset(g.map + page, RED, inside);
    g.data = at == AT_START ? g.map + page : g.map + page + inside - size;
    memset(g.data, POISON, size);
    return g;
}

/* `count` numbers of a dtype from a fixed sequence of small integers; unsigned dtypes get theirs without sign. */
static guarded guarded_numbers(cnnfast_dtype dtype, int64_t count, side at) {
    guarded g = guarded_new((size_t)count * size_of(dtype), at);
    bool is_unsigned = dtype == CNNFAST_UINT8 || dtype == CNNFAST_UINT16 || dtype == CNNFAST_UINT32;
    for (int64_t i = 0; i < count; i++) put(g.data, dtype, i, (i * 7 + i / 5 + count) % 9 - (is_unsigned ? 0 : 4));
    return g;
}

static bool guarded_intact(const guarded *g) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (unsigned char *p = g->map + page; p < g->map + g->mapped - page; p++)
        if ((p < g->data || p >= g->data + g->size) && *p != RED) return false;
    return true;
}

static void guarded_free(guarded *g) {
    CHECK(guarded_intact(g), "wrote outside a buffer of %zu bytes", g->size);
    munmap(g->map, g->mapped);
    *g = (guarded){0};
}

/* Runs with a workspace of exactly the size the plan asks for. */
static cnnfast_status run_exactly(const cnnfast_plan *plan, cnnfast_args args) {
    const size_t size = cnnfast_plan_workspace_size(plan, args.N);
    void *workspace = size ? aligned_alloc(64, size) : NULL;
    if (workspace) memset(workspace, POISON, size);
    cnnfast_status status = cnnfast_plan_run(plan, &args, workspace, size);
    free(workspace);
    return status;
}

#endif
