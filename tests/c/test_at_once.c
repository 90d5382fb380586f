/* Convolutions and pools run in one call, on arrays against pages that no one may touch: the bits of their plans, whatever was
 * called before and by however many threads; and what is refused. Prints "ok" and exits 0, or says what failed and exits 1.
 */
#include <math.h>
#include <pthread.h>

#include "check.h"

enum { N = 2, H = 6, W = 7, C = 3, K = 5, P = 3, Q = 7 };

static const cnnfast_conv2d conv = {.N = N, .H = H, .W = W, .C = C, .K = K, .R = 3, .S = 3, .groups = 1, .stride = {2, 1},
                                    .dilation = {1, 1}, .pad = {1, 1, 1, 1}, .activation = CNNFAST_TANH};
static const cnnfast_pool2d pool = {.kind = CNNFAST_MAX, .N = N, .H = H, .W = W, .C = C, .R = 2, .S = 2, .stride = {2, 2},
                                    .dilation = {1, 1}};

static void same(const char *what, const guarded *a, const guarded *b) {
    CHECK(a->size == b->size && !memcmp(a->data, b->data, a->size), "%s: not its plan's bits", what);
}

static void convolution(cnnfast_dtype dtype, cnnfast_layout layout, int shift, side wall) {
    cnnfast_conv2d d = conv;
    d.dtype = dtype, d.layout = layout;
    d.once = 1; /* as it is for one call: the choice is that */
    if (is_integer(dtype)) d.activation = CNNFAST_RELU;
    const cnnfast_dtype weights = is_integer(dtype) ? CNNFAST_INT64 : dtype;
    guarded x = guarded_numbers(dtype, N * H * W * C, wall), w = guarded_numbers(weights, 9 * C * K, wall), b = guarded_numbers(weights, K, wall);
    for (int64_t i = 0; i < 9 * C * K; i++) put(w.data, weights, i, (i + shift) % 5 - 2);
    guarded y = guarded_new(N * P * Q * K * size_of(sum_dtype(dtype)), wall), right = guarded_new(y.size, wall);
    cnnfast_plan *plan;
    CHECK(!cnnfast_conv2d_plan(&plan, &d, w.data, b.data), "plan");
    CHECK(!run_exactly(plan, (cnnfast_args){.N = N, .x = x.data, .y = right.data}), "run");
    cnnfast_plan_free(&plan);
    CHECK(!cnnfast_conv2d_run(&d, x.data, w.data, b.data, NULL, y.data), "at once");
    same("conv2d", &y, &right);
    int64_t shape[4];
    CHECK(!cnnfast_conv2d_output_shape(&d, shape), "shape");
    const int nchw = layout == CNNFAST_NCHW;
    CHECK(shape[0] == N && shape[nchw ? 2 : 1] == P && shape[nchw ? 3 : 2] == Q && shape[nchw ? 1 : 3] == K, "shape");
    guarded_free(&x), guarded_free(&w), guarded_free(&b), guarded_free(&y), guarded_free(&right);
}

static void pooling(cnnfast_dtype dtype, int with_indices, side wall) {
    cnnfast_pool2d d = pool;
    d.dtype = dtype, d.with_indices = with_indices;
    int64_t shape[4];
    CHECK(!cnnfast_pool2d_output_shape(&d, shape), "shape");
    const int64_t count = shape[0] * shape[1] * shape[2] * shape[3];
    guarded x = guarded_numbers(dtype, N * H * W * C, wall), y = guarded_new((size_t)count * size_of(dtype), wall), right = guarded_new(y.size, wall);
    guarded at = guarded_new((size_t)count * 8, wall), right_at = guarded_new(at.size, wall);
    int64_t *const indices = with_indices ? (int64_t *)at.data : NULL, *const right_indices = with_indices ? (int64_t *)right_at.data : NULL;
    cnnfast_plan *plan;
    CHECK(!cnnfast_pool2d_plan(&plan, &d), "plan");
    CHECK(!run_exactly(plan, (cnnfast_args){.N = N, .x = x.data, .y = right.data, .indices = right_indices}), "run");
    cnnfast_plan_free(&plan);
    for (int twice = 0; twice < 2; twice++) CHECK(!cnnfast_pool2d_run(&d, x.data, y.data, indices), "at once");
    same("pool2d", &y, &right);
    same("indices", &at, &right_at);
    if (with_indices && !is_integer(dtype)) {
        guarded back = guarded_new(x.size, wall);
        d.output_size[0] = shape[1], d.output_size[1] = shape[2];
        CHECK(!cnnfast_pool2d_grad_run(&d, y.data, indices, back.data), "grad");
        double sum = 0, given = 0;
        for (int64_t i = 0; i < N * H * W * C; i++) sum += get(back.data, dtype, i);
        for (int64_t i = 0; i < count; i++) given += get(y.data, dtype, i);
        CHECK(sum == given, "what goes back is what was given");
        guarded_free(&back);
    }
    guarded_free(&x), guarded_free(&y), guarded_free(&right), guarded_free(&at), guarded_free(&right_at);
}

/* Of strides, of one, and of groups, whose weights go through a copy; other weights each time, infinite ones among them. */
static void gradient(cnnfast_dtype dtype, int shift, int64_t stride, int64_t groups, side wall) {
    cnnfast_conv2d d = conv;
    d.dtype = dtype, d.activation = CNNFAST_NONE, d.once = 1;
    d.C = d.groups = groups, d.K = 2 * groups, d.stride[0] = stride, d.stride[1] = 1;
    if (groups == 1) d.C = C, d.K = K;
    int64_t shape[4];
    CHECK(!cnnfast_conv2d_output_shape(&d, shape), "shape");
    guarded g = guarded_numbers(dtype, shape[0] * shape[1] * shape[2] * shape[3], wall), w = guarded_numbers(dtype, 9 * d.C / groups * d.K, wall);
    for (int64_t i = 0; i < 9 * d.C / groups * d.K; i++) put(w.data, dtype, i, (i + shift) % 5 - 2);
    if (shift == 1 && dtype == CNNFAST_FLOAT32) ((float *)w.data)[3] = INFINITY;
    if (shift == 1 && dtype == CNNFAST_FLOAT64) ((double *)w.data)[3] = INFINITY;
    guarded x = guarded_new(N * H * W * d.C * size_of(dtype), wall), right = guarded_new(x.size, wall);
    cnnfast_plan *plan;
    CHECK(!cnnfast_conv2d_grad_input_plan(&plan, &d, w.data), "plan");
    CHECK(!run_exactly(plan, (cnnfast_args){.N = N, .x = g.data, .y = right.data}), "run");
    cnnfast_plan_free(&plan);
    CHECK(!cnnfast_conv2d_grad_input_run(&d, g.data, w.data, x.data), "at once");
    same("grad_input", &x, &right);
    guarded_free(&g), guarded_free(&w), guarded_free(&x), guarded_free(&right);
}

/* More problems than plans are kept for, each with weights of its own, from several threads: every sum must be its own. */
static void *often(void *of) {
    const int seed = *(const int *)of;
    for (int i = 0; i < 3000; i++) {
        const int64_t size = 3 + (i * 7 + seed) % 90;
        float x[100], w[9], y[100], value = (float)(seed * 100 + i % 50);
        cnnfast_conv2d d = {.N = 1, .H = 3, .W = size, .C = 1, .K = 1, .R = 3, .S = 3, .groups = 1, .stride = {1, 1}, .dilation = {1, 1}};
        float big[300];
        for (int64_t j = 0; j < 3 * size; j++) big[j] = 1;
        for (int j = 0; j < 9; j++) w[j] = value;
        cnnfast_status status = cnnfast_conv2d_run(&d, big, w, NULL, NULL, y);
        CHECK(!status && y[0] == 9 * value && y[size - 3] == 9 * value, "another's weights");
        const cnnfast_pool2d p = {.kind = CNNFAST_AVERAGE, .N = 1, .H = 1, .W = size, .C = 1, .R = 1, .S = 3, .stride = {1, 1}, .dilation = {1, 1}};
        for (int64_t j = 0; j < size; j++) x[j] = value;
        status = cnnfast_pool2d_run(&p, x, y, NULL);
        CHECK(!status && y[0] == value && y[size - 3] == value, "another's pool");
    }
    return NULL;
}

static void from_threads(void) {
    enum { THREADS = 4 };
    pthread_t threads[THREADS];
    int seeds[THREADS];
    for (int i = 0; i < THREADS; i++) {
        seeds[i] = i + 1;
        if (pthread_create(&threads[i], NULL, often, &seeds[i])) abort();
    }
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
}

static void refused(void) {
    float x[N * H * W * C] = {0}, w[9 * C * K] = {0}, y[N * P * Q * K];
    int64_t shape[4];
    memset(y, POISON, sizeof y);
    cnnfast_conv2d d = conv;
    CHECK(cnnfast_conv2d_run(&d, x, NULL, NULL, NULL, y) == CNNFAST_INVALID_PARAM, "no weight");
    CHECK(cnnfast_conv2d_run(&d, NULL, w, NULL, NULL, y) == CNNFAST_INVALID_PARAM, "no x");
    CHECK(cnnfast_conv2d_grad_input_run(&d, y, NULL, x) == CNNFAST_INVALID_PARAM, "no weight");
    d.algorithm = "no such row";
    CHECK(cnnfast_conv2d_run(&d, x, w, NULL, NULL, y) == CNNFAST_INVALID_PARAM, "algorithm");
    d = conv, d.stride[0] = 0;
    CHECK(cnnfast_conv2d_run(&d, x, w, NULL, NULL, y) == CNNFAST_INVALID_PARAM, "stride");
    CHECK(cnnfast_conv2d_output_shape(&d, shape) == CNNFAST_INVALID_PARAM, "stride");
    d = conv, d.H = 0;
    CHECK(cnnfast_conv2d_run(&d, x, w, NULL, NULL, y) == CNNFAST_INVALID_SHAPE, "H");
    d = conv, d.max_workspace = 1;
    CHECK(cnnfast_conv2d_run(&d, x, w, NULL, NULL, y) == CNNFAST_SMALL_WORKSPACE, "max_workspace");
    cnnfast_pool2d p = pool;
    p.R = 9;
    CHECK(cnnfast_pool2d_run(&p, x, y, NULL) == CNNFAST_INVALID_SHAPE, "window");
    CHECK(cnnfast_pool2d_output_shape(&p, shape) == CNNFAST_INVALID_SHAPE, "window");
    for (size_t i = 0; i < sizeof y; i++) CHECK(((unsigned char *)y)[i] == POISON, "written");
    d = conv, d.N = 0;
    CHECK(!cnnfast_conv2d_run(&d, x, w, NULL, NULL, y), "no images");
}

int main(void) {
    for (side wall = AT_START; wall <= AT_END; wall++)
        for (cnnfast_dtype dtype = CNNFAST_FLOAT32; dtype <= CNNFAST_INT8; dtype++) {
            for (int shift = 0; shift < 3; shift++) convolution(dtype, CNNFAST_NHWC, shift, wall), convolution(dtype, CNNFAST_NCHW, shift, wall);
            for (int with_indices = 0; with_indices < 2; with_indices++) pooling(dtype, with_indices, wall);
            for (int shift = 0; shift < 3 && !is_integer(dtype); shift++)
                for (int64_t stride = 1; stride < 3; stride++)
                    for (int64_t groups = 1; groups < 4; groups += 2) gradient(dtype, shift, stride, groups, wall);
        }
    from_threads();
    refused();
    if (failures) return printf("%d failed\n", failures), 1;
    return puts("ok"), 0;
}
