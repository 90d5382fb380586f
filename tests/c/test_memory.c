/* Memory that cannot be had: every n-th allocation fails, for n = 1, 2, ... until none of a call's is left to fail. The
 * plan is then CNNFAST_OUT_OF_MEMORY and NULL, nothing leaks (AddressSanitizer says), and the next plan is right.
 *
 * malloc and its relatives are this program's own; they pass on to the C library's, or to the sanitizer's.
 */
#include <dlfcn.h>
#include <errno.h>

#include "check.h"

static long countdown; /* the allocation that fails when it reaches 0; negative: none */
static long allocations;

static bool fails(void) {
    allocations++;
    return countdown > 0 && --countdown == 0;
}

/* dlsym may allocate before it has told where malloc is. */
static _Alignas(16) char early[4096];
static size_t early_used;
static bool looking;

static void *next(const char *name) {
    looking = true;
    void *found = dlsym(RTLD_NEXT, name);
    looking = false;
    return found;
}

static void *from_early(size_t size) {
    void *p = early + early_used;
    early_used += (size + 15) / 16 * 16;
    return early_used <= sizeof early ? p : NULL;
}

void *malloc(size_t size) {
    static void *(*real)(size_t);
    if (looking) return from_early(size);
    if (!real) *(void **)&real = next("malloc");
    if (fails()) return errno = ENOMEM, NULL;
    return real(size);
}

void *calloc(size_t count, size_t size) {
    static void *(*real)(size_t, size_t);
    if (looking) return from_early(count * size);
    if (!real) *(void **)&real = next("calloc");
    if (fails()) return errno = ENOMEM, NULL;
    return real(count, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    static void *(*real)(size_t, size_t);
    if (!real) *(void **)&real = next("aligned_alloc");
    if (fails()) return errno = ENOMEM, NULL;
    return real(alignment, size);
}

static int64_t weights[9 * 4 * 4]; /* of any dtype */

static cnnfast_status conv2d(cnnfast_plan **plan, cnnfast_dtype dtype) {
    const cnnfast_conv2d d = {.dtype = dtype, .N = 1, .H = 5, .W = 6, .C = 4, .K = 4, .R = 3, .S = 3, .groups = 1, .stride = {1, 1},
                              .dilation = {1, 1}, .pad = {1, 1, 1, 1}};
    return cnnfast_conv2d_plan(plan, &d, weights, weights);
}
static cnnfast_status float_conv2d(cnnfast_plan **plan) { return conv2d(plan, CNNFAST_FLOAT32); }
static cnnfast_status integer_conv2d(cnnfast_plan **plan) { return conv2d(plan, CNNFAST_INT8); }

static cnnfast_status conv_transpose2d(cnnfast_plan **plan) {
    const cnnfast_conv_transpose2d d = {.conv = {.N = 1, .H = 5, .W = 6, .C = 4, .K = 4, .R = 3, .S = 3, .groups = 1, .stride = {2, 2},
                                                 .dilation = {1, 1}}};
    return cnnfast_conv_transpose2d_plan(plan, &d, weights, weights);
}

static cnnfast_status separable_conv2d(cnnfast_plan **plan) {
    const cnnfast_separable_conv2d d = {.depthwise = {.N = 1, .H = 5, .W = 6, .C = 4, .K = 4, .R = 3, .S = 3, .groups = 4, .stride = {1, 1},
                                                      .dilation = {1, 1}}, .K = 4};
    return cnnfast_separable_conv2d_plan(plan, &d, weights, weights, weights, weights);
}

static cnnfast_status pool2d(cnnfast_plan **plan) {
    const cnnfast_pool2d d = {.N = 1, .H = 5, .W = 6, .C = 4, .R = 3, .S = 3, .stride = {2, 2}, .dilation = {1, 1}};
    return cnnfast_pool2d_plan(plan, &d);
}

static cnnfast_status max_unpool2d(cnnfast_plan **plan) {
    const cnnfast_max_unpool2d d = {.N = 1, .H = 5, .W = 6, .C = 4, .P = 10, .Q = 12};
    return cnnfast_max_unpool2d_plan(plan, &d);
}

/* Fails the first allocation, then the second, ... of one kind of plan; `least` are there at least. */
static void every_allocation(const char *name, cnnfast_status (*make)(cnnfast_plan **), int least) {
    int failed = 0;
    for (long n = 1; n < 1000; n++) {
        cnnfast_plan *plan = NULL;
        countdown = n;
        cnnfast_status status = make(&plan);
        bool reached = countdown == 0;
        countdown = 0;
        if (!reached) {
            CHECK(status == CNNFAST_OK && plan, "%s: %s", name, cnnfast_status_string(status));
            cnnfast_plan_free(&plan);
            break;
        }
        CHECK(status == CNNFAST_OUT_OF_MEMORY && !plan, "%s without its allocation %ld: %s", name, n, cnnfast_status_string(status));
        if (status == CNNFAST_OK) cnnfast_plan_free(&plan);
        failed++;
    }
    CHECK(failed >= least, "%s: only %d allocations seen", name, failed);
}

/* A plan's run allocates nothing on one thread: that is what the workspace is for. */
static void run_allocates_nothing(void) {
    static int8_t x[5 * 6 * 4];
    static int32_t y[5 * 6 * 4];
    cnnfast_plan *plan;
    CHECK(integer_conv2d(&plan) == CNNFAST_OK, "no plan");
    cnnfast_set_num_threads(1);
    static char workspace[1 << 16] __attribute__((aligned(64)));
    long before = allocations;
    cnnfast_status status = cnnfast_plan_run(plan, &(cnnfast_args){.N = 1, .x = x, .y = y}, workspace, sizeof workspace);
    CHECK(status == CNNFAST_OK && allocations == before, "%ld allocations", allocations - before);
    cnnfast_plan_free(&plan);
}

int main(void) {
    every_allocation("float conv2d", float_conv2d, 2);
    every_allocation("integer conv2d", integer_conv2d, 4);
    every_allocation("conv_transpose2d", conv_transpose2d, 2);
    every_allocation("separable_conv2d", separable_conv2d, 2);
    every_allocation("pool2d", pool2d, 2);
    every_allocation("max_unpool2d", max_unpool2d, 1);
    run_allocates_nothing();
    CHECK(allocations > 0, "this program's malloc was not used");
    puts(failures ? "FAILED" : "ok");
    return failures != 0;
}
