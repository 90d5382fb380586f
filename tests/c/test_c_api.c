/* The public C API: a plan's life, every status, what an error leaves behind, workspaces, threads, the interrupt hook,
 * steps.
 * Prints "ok" and exits 0, or says what failed and exits 1.
 */
#include <pthread.h>

#include "check.h"

/* 1x5x6x3 -> 1x5x6x4, 3x3, padding 1. */
static const cnnfast_conv2d SMALL = {.dtype = CNNFAST_FLOAT32, .N = 1, .H = 5, .W = 6, .C = 3, .K = 4, .R = 3, .S = 3, .groups = 1,
                                     .stride = {1, 1}, .dilation = {1, 1}, .pad = {1, 1, 1, 1}};
/* Enough work for some threads, and for a workspace of each. */
static const cnnfast_conv2d LARGE = {.dtype = CNNFAST_FLOAT32, .layout = CNNFAST_NCHW, .N = 4, .H = 28, .W = 28, .C = 32, .K = 64, .R = 3,
                                     .S = 3, .groups = 1, .stride = {1, 1}, .dilation = {1, 1}, .pad = {1, 1, 1, 1}, .precision = CNNFAST_STRICT};
enum { LARGE_X = 4 * 28 * 28 * 32, LARGE_Y = 4 * 28 * 28 * 64, LARGE_WEIGHTS = 9 * 32 * 64 };

static float weights[LARGE_WEIGHTS], image[LARGE_X], right[LARGE_Y], output[LARGE_Y];

static void life(void) {
    cnnfast_plan *plan = NULL;
    CHECK(cnnfast_conv2d_plan(&plan, &SMALL, weights, NULL) == CNNFAST_OK && plan, "no plan");
    int64_t shape[4];
    cnnfast_plan_input_shape(plan, 7, shape);
    CHECK(shape[0] == 7 && shape[1] == 5 && shape[2] == 6 && shape[3] == 3, "input %ld", (long)shape[0]);
    cnnfast_plan_output_shape(plan, 7, shape);
    CHECK(shape[0] == 7 && shape[1] == 5 && shape[2] == 6 && shape[3] == 4, "output %ld", (long)shape[0]);
    CHECK(cnnfast_plan_input_dtype(plan) == CNNFAST_FLOAT32 && cnnfast_plan_output_dtype(plan) == CNNFAST_FLOAT32, "dtypes");
    const cnnfast_info info = cnnfast_plan_info(plan);
    CHECK(!strcmp(info.op, "conv2d") && !strcmp(info.isa, cnnfast_isa()) && info.flops == 2.0 * 30 * 4 * 27, "info: %g", info.flops);
    cnnfast_candidate row;
    int rows = 0, chosen = 0;
    for (; cnnfast_plan_candidate(plan, rows, &row); rows++) {
        CHECK(!strcmp(row.algorithm, cnnfast_algorithm("conv2d", rows)), "%s", row.algorithm);
        chosen += !strcmp(row.algorithm, info.algorithm) && row.accepts;
        /* 6 + 5 products down and across 5 x 6 outputs: the second tile lacks its last */
        const double flops = strcmp(row.algorithm, "winograd_f43") ? info.flops : 2.0 * 11 * 11 * 3 * 4;
        if (!strcmp(row.algorithm, "direct") || flops != info.flops) CHECK(row.flops == flops, "%s: %g FLOPs", row.algorithm, row.flops);
    }
    CHECK(rows > 1 && chosen == 1 && !cnnfast_algorithm("conv2d", rows) && !cnnfast_plan_candidate(plan, -1, &row), "%d rows", rows);
    CHECK(!cnnfast_algorithm("no_such_op", 0), "an op that is not there has a table");
    cnnfast_plan_free(&plan);
    CHECK(!plan, "a freed plan is NULL");
    cnnfast_plan_free(&plan);
    cnnfast_plan_free(NULL);
}

static void run_plan(const cnnfast_plan *plan, const float *x, float *y) {
    const size_t size = cnnfast_plan_workspace_size(plan, 1);
    void *workspace = aligned_alloc(64, size + 64);
    const cnnfast_args args = {.N = 1, .x = x, .y = y};
    CHECK(cnnfast_plan_run(plan, &args, workspace, size) == CNNFAST_OK, "a run");
    free(workspace);
}

/* The sum over conv(x) * g is that over x * grad_input(g); of small integers, so exact. */
static void grad_input(int64_t stride, const char *algorithm) {
    enum { X = 5 * 6 * 3, MOST_Y = 5 * 6 * 4 };
    float weight[9 * 3 * 4], x[X], y[MOST_Y], g[MOST_Y], grad[X];
    for (int i = 0; i < 9 * 3 * 4; i++) weight[i] = (float)(i * 7 % 5 - 2);
    for (int i = 0; i < X; i++) x[i] = (float)(i * 5 % 9 - 4);
    for (int i = 0; i < MOST_Y; i++) g[i] = (float)(i * 3 % 7 - 3);
    cnnfast_conv2d d = SMALL;
    d.stride[0] = d.stride[1] = stride, d.precision = CNNFAST_STRICT;
    cnnfast_plan *forward = NULL, *plan = NULL;
    CHECK(cnnfast_conv2d_plan(&forward, &d, weight, NULL) == CNNFAST_OK, "forward");
    d.algorithm = algorithm, d.precision = CNNFAST_DEFAULT;
    CHECK(cnnfast_conv2d_grad_input_plan(&plan, &d, weight) == CNNFAST_OK, "grad_input by %s", algorithm);
    if (!forward || !plan) return;
    int64_t shape[4];
    cnnfast_plan_output_shape(plan, 1, shape);
    CHECK(shape[1] == 5 && shape[2] == 6 && shape[3] == 3, "grad_input's shape");
    cnnfast_plan_input_shape(plan, 1, shape);
    run_plan(forward, x, y);
    run_plan(plan, g, grad);
    double left = 0, other = 0;
    for (int64_t i = 0; i < shape[1] * shape[2] * shape[3]; i++) left += (double)y[i] * (double)g[i];
    for (int i = 0; i < X; i++) other += (double)x[i] * (double)grad[i];
    CHECK(left == other && left != 0, "stride %ld, %s: %g and %g", (long)stride, algorithm, left, other);
    cnnfast_plan_free(&forward);
    cnnfast_plan_free(&plan);
    d.algorithm = NULL, d.activation = CNNFAST_RELU;
    CHECK(cnnfast_conv2d_grad_input_plan(&plan, &d, weight) == CNNFAST_INVALID_PARAM && !plan, "an activation has no gradient here");
}

static void words(void) {
    for (int status = CNNFAST_OK; status <= CNNFAST_INTERRUPTED; status++)
        for (int other = CNNFAST_OK; other < status; other++)
            CHECK(strcmp(cnnfast_status_string((cnnfast_status)status), cnnfast_status_string((cnnfast_status)other)), "status %d", status);
    CHECK(cnnfast_status_string((cnnfast_status)99)[0], "an unknown status has a name");
    CHECK(strchr(cnnfast_version(), '.'), "version %s", cnnfast_version());
    CHECK(cnnfast_set_isa("mmx") == CNNFAST_INVALID_PARAM && !cnnfast_isa_available("mmx"), "mmx");
    for (int i = 0; cnnfast_isa_name(i); i++) {
        const bool available = cnnfast_isa_available(cnnfast_isa_name(i));
        CHECK(cnnfast_set_isa(cnnfast_isa_name(i)) == (available ? CNNFAST_OK : CNNFAST_UNSUPPORTED), "%s", cnnfast_isa_name(i));
        CHECK(!available || !strcmp(cnnfast_isa(), cnnfast_isa_name(i)), "%s", cnnfast_isa());
    }
    CHECK(!cnnfast_isa_name(-1) && cnnfast_set_isa(NULL) == CNNFAST_OK, "the best ISA");
}

/* A description with one thing wrong gives this status, whatever stands in *plan before, and no plan. */
static void refused(cnnfast_conv2d d, cnnfast_status expected, const char *what) {
    cnnfast_plan *plan = (cnnfast_plan *)&d;
    cnnfast_status status = cnnfast_conv2d_plan(&plan, &d, weights, NULL);
    CHECK(status == expected && !plan, "%s: %s", what, cnnfast_status_string(status));
    if (plan != (cnnfast_plan *)&d) cnnfast_plan_free(&plan);
}
#define REFUSED(expected, ...)                \
    do {                                      \
        cnnfast_conv2d d = SMALL;             \
        __VA_ARGS__;                          \
        refused(d, expected, #__VA_ARGS__);   \
    } while (0)

static void bad_convolutions(void) {
    REFUSED(CNNFAST_INVALID_SHAPE, d.H = 0);
    REFUSED(CNNFAST_INVALID_SHAPE, d.C = -3);
    REFUSED(CNNFAST_INVALID_SHAPE, d.K = 0);
    REFUSED(CNNFAST_INVALID_SHAPE, d.N = -1);
    REFUSED(CNNFAST_INVALID_SHAPE, d.R = 0);
    REFUSED(CNNFAST_INVALID_SHAPE, d.R = 8); /* larger than the padded input */
    REFUSED(CNNFAST_INVALID_SHAPE, d.H = INT64_MAX);
    REFUSED(CNNFAST_INVALID_SHAPE, d.dilation[1] = INT32_MAX);
    REFUSED(CNNFAST_INVALID_PARAM, d.stride[0] = 0);
    REFUSED(CNNFAST_INVALID_PARAM, d.stride[1] = INT64_MIN);
    REFUSED(CNNFAST_INVALID_PARAM, d.dilation[0] = -1);
    REFUSED(CNNFAST_INVALID_PARAM, d.pad[2] = -1);
    REFUSED(CNNFAST_INVALID_PARAM, d.pad[3] = INT64_MAX);
    REFUSED(CNNFAST_INVALID_PARAM, d.groups = 0);
    REFUSED(CNNFAST_INVALID_PARAM, d.groups = 2);
    REFUSED(CNNFAST_INVALID_PARAM, d.groups = 3); /* divides C, not K */
    REFUSED(CNNFAST_INVALID_PARAM, d.dtype = (cnnfast_dtype)77);
    REFUSED(CNNFAST_INVALID_PARAM, d.layout = (cnnfast_layout)2);
    REFUSED(CNNFAST_INVALID_PARAM, d.activation = (cnnfast_activation)-1);
    REFUSED(CNNFAST_INVALID_PARAM, d.padding_mode = (cnnfast_padding_mode)9);
    REFUSED(CNNFAST_INVALID_PARAM, d.padding_mode = CNNFAST_REFLECT, d.pad[1] = 5);
    REFUSED(CNNFAST_INVALID_PARAM, d.padding_mode = CNNFAST_CIRCULAR, d.pad[3] = 7);
    REFUSED(CNNFAST_INVALID_PARAM, d.algorithm = "no such row");
    REFUSED(CNNFAST_UNSUPPORTED, d.algorithm = "depthwise");
    REFUSED(CNNFAST_UNSUPPORTED, d.dtype = CNNFAST_INT8, d.activation = CNNFAST_GELU);
    REFUSED(CNNFAST_SMALL_WORKSPACE, d.algorithm = "im2col", d.max_workspace = 1);
    REFUSED(CNNFAST_OUT_OF_MEMORY, d.H = INT64_C(1) << 40, d.W = INT64_C(1) << 40);
    REFUSED(CNNFAST_OUT_OF_MEMORY, d.pad[0] = d.pad[1] = d.pad[2] = d.pad[3] = INT32_MAX, d.N = INT64_C(1) << 40);
}

static void bad_others(void) {
    cnnfast_plan *plan;
    cnnfast_conv_transpose2d t = {.conv = SMALL, .output_padding = {1, 0}};
    CHECK(cnnfast_conv_transpose2d_plan(&plan, &t, weights, NULL) == CNNFAST_INVALID_PARAM && !plan, "output_padding >= stride");
    t = (cnnfast_conv_transpose2d){.conv = SMALL};
    t.conv.pad[0] = t.conv.pad[1] = 4;
    CHECK(cnnfast_conv_transpose2d_plan(&plan, &t, weights, NULL) == CNNFAST_INVALID_SHAPE && !plan, "nothing left of the output");
    cnnfast_separable_conv2d s = {.depthwise = SMALL, .K = 2};
    CHECK(cnnfast_separable_conv2d_plan(&plan, &s, weights, NULL, weights, NULL) == CNNFAST_INVALID_PARAM && !plan, "groups are not C");
    const int64_t wide = INT64_MAX / 200;
    const cnnfast_conv2d sums = {.dtype = CNNFAST_INT64, .N = 1, .H = 1, .W = 1, .C = 1, .K = 1, .R = 1, .S = 1, .groups = 1, .stride = {1, 1},
                                 .dilation = {1, 1}};
    CHECK(cnnfast_conv2d_plan(&plan, &sums, &wide, NULL) == CNNFAST_OVERFLOW && !plan, "a sum could overflow");
    const cnnfast_pool2d good = {.N = 1, .H = 5, .W = 5, .C = 2, .R = 3, .S = 3, .stride = {2, 2}, .dilation = {1, 1}, .pad = {1, 1, 1, 1}};
    cnnfast_pool2d p = good;
    p.kind = CNNFAST_LP, p.norm = 0;
    CHECK(cnnfast_pool2d_plan(&plan, &p) == CNNFAST_INVALID_PARAM && !plan, "norm 0");
    p = good, p.kind = CNNFAST_AVERAGE, p.dtype = CNNFAST_UINT8;
    CHECK(cnnfast_pool2d_plan(&plan, &p) == CNNFAST_UNSUPPORTED && !plan, "average of integers");
    p = good, p.kind = CNNFAST_MIN, p.with_indices = 1;
    CHECK(cnnfast_pool2d_plan(&plan, &p) == CNNFAST_UNSUPPORTED && !plan, "indices of minima");
    p = good, p.pad[0] = 3;
    CHECK(cnnfast_pool2d_plan(&plan, &p) == CNNFAST_INVALID_PARAM && !plan, "a window wholly in the padding");
    p = good, p.output_size[0] = 2;
    CHECK(cnnfast_pool2d_plan(&plan, &p) == CNNFAST_INVALID_SHAPE && !plan, "half an output size");
    const cnnfast_max_unpool2d u = {.N = 1, .H = 2, .W = 2, .C = 1, .P = 0, .Q = 4};
    CHECK(cnnfast_max_unpool2d_plan(&plan, &u) == CNNFAST_INVALID_SHAPE && !plan, "an empty output");
}

static void bad_fused(void) {
    const cnnfast_pool2d pool = {.N = 1, .H = 6, .W = 6, .C = 4, .R = 2, .S = 2, .stride = {2, 2}, .dilation = {1, 1}};
    cnnfast_pool2d other = pool;
    cnnfast_plan *first, *second, *wider, *f64, *indexed, *plan;
    CHECK(cnnfast_pool2d_plan(&first, &pool) == CNNFAST_OK, "no plan");
    other.H = other.W = 3;
    CHECK(cnnfast_pool2d_plan(&second, &other) == CNNFAST_OK, "no plan");
    other.dtype = CNNFAST_FLOAT64;
    CHECK(cnnfast_pool2d_plan(&f64, &other) == CNNFAST_OK, "no plan");
    other.dtype = CNNFAST_FLOAT32, other.with_indices = 1;
    CHECK(cnnfast_pool2d_plan(&indexed, &other) == CNNFAST_OK, "no plan");
    other.with_indices = 0, other.C = 5;
    CHECK(cnnfast_pool2d_plan(&wider, &other) == CNNFAST_OK, "no plan");
    const struct {
        const cnnfast_plan *next;
        int count;
        const char *algorithm;
        size_t max_workspace;
        cnnfast_status expected;
    } cases[] = {
        {second, 2, NULL, 0, CNNFAST_OK},           {second, 1, NULL, 0, CNNFAST_INVALID_PARAM}, {second, 9, NULL, 0, CNNFAST_INVALID_PARAM},
        {NULL, 2, NULL, 0, CNNFAST_INVALID_PARAM},  {f64, 2, NULL, 0, CNNFAST_INVALID_PARAM},    {wider, 2, NULL, 0, CNNFAST_INVALID_SHAPE},
        {first, 2, NULL, 0, CNNFAST_INVALID_SHAPE}, {indexed, 2, NULL, 0, CNNFAST_UNSUPPORTED},  {second, 2, "direct", 0, CNNFAST_INVALID_PARAM},
        {second, 2, "bands", 1, CNNFAST_SMALL_WORKSPACE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const cnnfast_plan *stages[] = {first, cases[i].next};
        const cnnfast_fused d = {.stages = stages, .count = cases[i].count, .N = 1, .algorithm = cases[i].algorithm,
                                 .max_workspace = cases[i].max_workspace};
        cnnfast_status status = cnnfast_fused_plan(&plan, &d);
        CHECK(status == cases[i].expected && (plan != NULL) == (status == CNNFAST_OK), "fused %zu: %s", i, cnnfast_status_string(status));
        cnnfast_plan_free(&plan);
    }
    cnnfast_plan *all[] = {first, second, wider, f64, indexed};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) cnnfast_plan_free(&all[i]);
}

/* Two pools in bands or in turn, on inputs of which no byte outside is read: the workspace is theirs alone. */
static void fused_pools(const char *algorithm) {
    enum { H = 48, W = 300, C = 24 };
    const cnnfast_pool2d a = {.N = 1, .H = H, .W = W, .C = C, .R = 3, .S = 3, .stride = {1, 1}, .dilation = {1, 1}, .pad = {1, 1, 1, 1}};
    const cnnfast_pool2d b = {.N = 1, .H = H, .W = W, .C = C, .R = 2, .S = 2, .stride = {2, 2}, .dilation = {1, 1}};
    cnnfast_plan *first, *second, *plan;
    CHECK(cnnfast_pool2d_plan(&first, &a) == CNNFAST_OK && cnnfast_pool2d_plan(&second, &b) == CNNFAST_OK, "no plan");
    const cnnfast_plan *stages[] = {first, second};
    CHECK(cnnfast_fused_plan(&plan, &(cnnfast_fused){.stages = stages, .count = 2, .N = 1, .algorithm = algorithm}) == CNNFAST_OK, "no plan");
    float *x = malloc(sizeof(float) * H * W * C), *y = malloc(sizeof(float) * (H / 2) * (W / 2) * C);
    for (int i = 0; i < H * W * C; i++) x[i] = (float)((int64_t)i * 7919 % 10007);
    const size_t size = cnnfast_plan_workspace_size(plan, 1);
    void *workspace = aligned_alloc(64, size);
    CHECK(cnnfast_plan_run(plan, &(cnnfast_args){.N = 1, .x = x, .y = y}, workspace, size) == CNNFAST_OK, "no run");
    for (int p = 0; p < H / 2; p++)
        for (int q = 0; q < W / 2; q++)
            for (int c = 0; c < C; c++) { /* together a window of 4x4 at 2p - 1, 2q - 1 */
                float most = -1;
                for (int h = 2 * p - 1; h < 2 * p + 3; h++)
                    for (int w = 2 * q - 1; w < 2 * q + 3; w++)
                        if (h >= 0 && h < H && w >= 0 && w < W && x[(h * W + w) * C + c] > most) most = x[(h * W + w) * C + c];
                if (y[(p * (W / 2) + q) * C + c] != most) CHECK(0, "fused pools by %s at %d %d %d", algorithm, p, q, c);
            }
    free(x), free(y), free(workspace);
    cnnfast_plan_free(&plan), cnnfast_plan_free(&first), cnnfast_plan_free(&second);
}

/* The arguments are refused, and no byte of y is written. */
static void refused_run(const cnnfast_plan *plan, cnnfast_args args, size_t workspace_size, cnnfast_status expected, const char *what) {
    static char workspace[1 << 20] __attribute__((aligned(64)));
    memset(output, POISON, sizeof output);
    cnnfast_status status = cnnfast_plan_run(plan, &args, workspace, workspace_size);
    CHECK(status == expected, "%s: %s", what, cnnfast_status_string(status));
    for (size_t i = 0; i < sizeof output; i++) CHECK(((unsigned char *)output)[i] == POISON, "%s: wrote byte %zu", what, i);
}

static void bad_runs(void) {
    cnnfast_plan *plan;
    CHECK(cnnfast_conv2d_plan(&plan, &SMALL, weights, NULL) == CNNFAST_OK, "no plan");
    const size_t enough = cnnfast_plan_workspace_size(plan, 1);
    CHECK(enough > 0 && enough % 64 == 0, "workspace of %zu", enough);
    refused_run(plan, (cnnfast_args){.N = -1, .x = image, .y = output}, enough, CNNFAST_INVALID_SHAPE, "N < 0");
    refused_run(plan, (cnnfast_args){.N = 1, .y = output}, enough, CNNFAST_INVALID_PARAM, "no x");
    refused_run(plan, (cnnfast_args){.N = 1, .x = image}, enough, CNNFAST_INVALID_PARAM, "no y");
    refused_run(plan, (cnnfast_args){.N = 1, .x = image, .y = output, .indices = (int64_t *)right}, enough, CNNFAST_INVALID_PARAM, "indices");
    refused_run(plan, (cnnfast_args){.N = 1, .x = image, .y = output}, enough - 64, CNNFAST_SMALL_WORKSPACE, "a small workspace");
    refused_run(plan, (cnnfast_args){.N = INT64_MAX, .x = image, .y = output}, enough, CNNFAST_OUT_OF_MEMORY, "huge N");
    refused_run(plan, (cnnfast_args){.N = 0}, 0, CNNFAST_OK, "N = 0");
    cnnfast_plan_free(&plan);
    const cnnfast_max_unpool2d u = {.N = 1, .H = 1, .W = 2, .C = 1, .P = 2, .Q = 2};
    CHECK(cnnfast_max_unpool2d_plan(&plan, &u) == CNNFAST_OK, "no plan");
    static const int64_t indices[][2] = {{0, 4}, {-1, 0}, {0, INT64_C(1) << 32}, {INT64_MIN, 3}};
    for (int i = 0; i < 4; i++)
        refused_run(plan, (cnnfast_args){.N = 1, .x = image, .y = output, .indices = (int64_t *)indices[i]}, 0, CNNFAST_INVALID_PARAM, "an index");
    refused_run(plan, (cnnfast_args){.N = 1, .x = image, .y = output}, 0, CNNFAST_INVALID_PARAM, "no indices");
    refused_run(plan, (cnnfast_args){.N = 1, .x = image, .y = output, .indices = (int64_t *)indices[0], .residual = image}, 0,
                CNNFAST_UNSUPPORTED, "a residual");
    cnnfast_plan_free(&plan);
}

static cnnfast_plan *large_plan(void) {
    cnnfast_plan *plan;
    CHECK(cnnfast_conv2d_plan(&plan, &LARGE, weights, NULL) == CNNFAST_OK, "no plan");
    return plan;
}

/* Any workspace between what one thread and one image need and what is asked for gives the same bits. */
static void workspaces(void) {
    cnnfast_plan *plan = large_plan();
    cnnfast_set_num_threads(1);
    CHECK(run_exactly(plan, (cnnfast_args){.N = 4, .x = image, .y = right}) == CNNFAST_OK, "no run");
    cnnfast_set_num_threads(3);
    const size_t most = cnnfast_plan_workspace_size(plan, 4);
    int ran = 0;
    for (size_t size = 64; size <= most; size = size < most && size * 5 / 4 > most ? most : size * 5 / 4 / 64 * 64 + 64) {
        void *workspace = aligned_alloc(64, size);
        memset(output, POISON, sizeof output);
        cnnfast_status status = cnnfast_plan_run(plan, &(cnnfast_args){.N = 4, .x = image, .y = output}, workspace, size);
        free(workspace);
        CHECK(status == CNNFAST_OK || (status == CNNFAST_SMALL_WORKSPACE && !ran), "%zu bytes: %s", size, cnnfast_status_string(status));
        ran += status == CNNFAST_OK;
        if (status == CNNFAST_OK) CHECK(!memcmp(output, right, sizeof right), "other bits with a workspace of %zu", size);
    }
    CHECK(ran > 1, "%d sizes ran of up to %zu", ran, most);
    cnnfast_plan_free(&plan);
}

static void threads(void) {
    cnnfast_plan *plan = large_plan();
    for (int n = 2; n <= 5; n++) {
        CHECK(cnnfast_set_num_threads(n) == CNNFAST_OK && cnnfast_get_num_threads() == n, "%d threads", n);
        memset(output, POISON, sizeof output);
        CHECK(run_exactly(plan, (cnnfast_args){.N = 4, .x = image, .y = output}) == CNNFAST_OK, "no run");
        CHECK(!memcmp(output, right, sizeof right), "other bits on %d threads", n);
    }
    CHECK(cnnfast_set_num_threads(0) == CNNFAST_INVALID_PARAM && cnnfast_get_num_threads() == 5, "0 threads");
    cnnfast_set_num_threads(2);
    cnnfast_plan_free(&plan);
}

static void *run_shared(void *plan) {
    float *y = malloc(sizeof right);
    bool same = true;
    for (int i = 0; i < 5 && same; i++) {
        memset(y, POISON, sizeof right);
        same = run_exactly(plan, (cnnfast_args){.N = 4, .x = image, .y = y}) == CNNFAST_OK && !memcmp(y, right, sizeof right);
    }
    free(y);
    return same ? plan : NULL;
}

/* One plan, several callers at once, each of which uses several threads. */
static void shared_plan(void) {
    cnnfast_plan *plan = large_plan();
    pthread_t callers[4];
    for (int i = 0; i < 4; i++) CHECK(!pthread_create(&callers[i], NULL, run_shared, plan), "no thread");
    for (int i = 0; i < 4; i++) {
        void *same;
        pthread_join(callers[i], &same);
        CHECK(same, "other bits in caller %d", i);
    }
    cnnfast_plan_free(&plan);
}

static int asked;
static int stop(void) { return ++asked; }
static int go_on(void) { return ++asked, 0; }

/* Large batches until one lasts long enough to be asked about; then the hook ends it, and the next run is right. */
static void interrupts(cnnfast_layout layout) {
    cnnfast_conv2d d = LARGE;
    d.layout = layout;
    cnnfast_plan *plan;
    CHECK(cnnfast_conv2d_plan(&plan, &d, weights, NULL) == CNNFAST_OK, "no plan");
    cnnfast_set_num_threads(1);
    CHECK(run_exactly(plan, (cnnfast_args){.N = 4, .x = image, .y = right}) == CNNFAST_OK, "no run");
    cnnfast_set_interrupt(go_on);
    asked = 0;
    int64_t N = 4;
    for (; !asked && N < 2048; N *= 2) {
        float *x = calloc((size_t)N, sizeof image / 4), *y = malloc((size_t)N * (sizeof right / 4));
        CHECK(run_exactly(plan, (cnnfast_args){.N = N, .x = x, .y = y}) == CNNFAST_OK, "a hook that answers 0 stops nothing");
        if (asked) {
            cnnfast_set_interrupt(stop);
            CHECK(run_exactly(plan, (cnnfast_args){.N = N, .x = x, .y = y}) == CNNFAST_INTERRUPTED, "not interrupted");
        }
        free(x), free(y);
    }
    CHECK(asked >= 2, "a run of %ld images was never asked about (layout %d)", (long)N / 2, layout);
    cnnfast_set_interrupt(NULL);
    memset(output, POISON, sizeof output);
    CHECK(run_exactly(plan, (cnnfast_args){.N = 4, .x = image, .y = output}) == CNNFAST_OK, "no run after an interrupt");
    CHECK(!memcmp(output, right, sizeof right), "other bits after an interrupt");
    cnnfast_plan_free(&plan);
}

/* Of a plan's max_workspace and the process's the lesser holds; what is refused tells what would do, and that does. */
static void limits(void) {
    cnnfast_conv2d d = LARGE;
    cnnfast_plan *plan = NULL;
    d.max_workspace = 1;
    CHECK(cnnfast_conv2d_plan(&plan, &d, weights, NULL) == CNNFAST_SMALL_WORKSPACE && !plan, "a byte was enough");
    const cnnfast_refusal told = cnnfast_last_refusal();
    CHECK(told.allowed == 1 && told.needed > sizeof weights + sizeof right / 4, "%zu bytes needed", told.needed);
    d.max_workspace = told.needed;
    cnnfast_set_max_workspace(told.needed - 1);
    CHECK(cnnfast_conv2d_plan(&plan, &d, weights, NULL) == CNNFAST_SMALL_WORKSPACE, "the process allows less");
    CHECK(cnnfast_last_refusal().allowed == told.needed - 1 && cnnfast_get_max_workspace() == told.needed - 1, "what is allowed");
    cnnfast_set_max_workspace(0);
    CHECK(cnnfast_conv2d_plan(&plan, &d, weights, NULL) == CNNFAST_OK, "what was said to be needed is not enough");
    const size_t size = cnnfast_plan_workspace_size(plan, 4);
    CHECK(size + cnnfast_plan_info(plan).packed <= told.needed, "a run takes %zu", size);
    void *workspace = aligned_alloc(64, size);
    memset(output, 0, sizeof output);
    CHECK(cnnfast_plan_run(plan, &(cnnfast_args){.N = 4, .x = image, .y = output}, workspace, size) == CNNFAST_OK, "run");
    CHECK(!memcmp(output, right, sizeof right), "other bits within max_workspace");
    free(workspace);
    cnnfast_plan_free(&plan);
}

/* A network of two steps gives what its plans give one by one, in the larger of their workspaces; the first that fails ends it. */
static void steps(void) {
    static float between[30 * 4], pooled[6 * 4], alone[6 * 4];
    const cnnfast_pool2d pool = {.dtype = CNNFAST_FLOAT32, .kind = CNNFAST_MAX, .N = 1, .H = 5, .W = 6, .C = 4, .R = 2, .S = 2,
                                 .stride = {2, 2}, .dilation = {1, 1}};
    cnnfast_step two[2] = {{.args = {.N = 1, .x = image, .y = between}}, {.args = {.N = 1, .x = between, .y = pooled}}};
    cnnfast_plan *conv = NULL, *max = NULL;
    CHECK(cnnfast_conv2d_plan(&conv, &SMALL, weights, NULL) == CNNFAST_OK && cnnfast_pool2d_plan(&max, &pool) == CNNFAST_OK, "no plans");
    two[0].plan = conv, two[1].plan = max;
    const size_t one = cnnfast_plan_workspace_size(conv, 1), other = cnnfast_plan_workspace_size(max, 1);
    const size_t size = cnnfast_steps_workspace_size(two, 2);
    CHECK(size == (one > other ? one : other), "%zu bytes for two steps", size);
    void *workspace = aligned_alloc(64, (size + 63) / 64 * 64);
    CHECK(cnnfast_plan_run(conv, &(cnnfast_args){.N = 1, .x = image, .y = between}, workspace, size) == CNNFAST_OK, "convolution");
    CHECK(cnnfast_plan_run(max, &(cnnfast_args){.N = 1, .x = between, .y = alone}, workspace, size) == CNNFAST_OK, "pool");
    memset(between, 0, sizeof between);
    CHECK(cnnfast_steps_run(two, 2, workspace, size) == CNNFAST_OK && !memcmp(pooled, alone, sizeof alone), "steps differ from their plans");
    CHECK(cnnfast_steps_run(two, 0, NULL, 0) == CNNFAST_OK && cnnfast_steps_workspace_size(two, 0) == 0, "no steps");
    memset(pooled, 0, sizeof pooled);
    two[0].args.x = NULL;
    CHECK(cnnfast_steps_run(two, 2, workspace, size) == CNNFAST_INVALID_PARAM, "a step without an input");
    CHECK(pooled[0] == 0 && pooled[23] == 0, "the step after one that failed ran");
    free(workspace);
    cnnfast_plan_free(&conv);
    cnnfast_plan_free(&max);
}

int main(void) {
    for (int i = 0; i < LARGE_WEIGHTS; i++) weights[i] = (float)(i * 7 % 23 - 11) / 16;
    for (int i = 0; i < LARGE_X; i++) image[i] = (float)(i * 5 % 31 - 15) / 8;
    life();
    grad_input(1, "direct");
    grad_input(1, "scatter");
    grad_input(1, "scatter_rows");
    grad_input(2, "phases");
    grad_input(2, "scatter");
    grad_input(2, "scatter_rows");
    words();
    bad_convolutions();
    bad_others();
    bad_fused();
    fused_pools("bands");
    fused_pools("in_turn");
    bad_runs();
    workspaces();
    limits();
    threads();
    shared_plan();
    interrupts(CNNFAST_NHWC);
    interrupts(CNNFAST_NCHW);
    steps();
    puts(failures ? "FAILED" : "ok");
    return failures != 0;
}
