/* The ways back of pools and of upsample2d: on arrays against pages that no one may touch; values by plain loops; and what
 * is refused. Prints "ok" and exits 0, or says what failed and exits 1.
 */
#include <math.h>

#include "check.h"

static guarded taken[8];
static int taken_count;
static side wall;

static void *room(size_t bytes) {
    guarded g = guarded_new(bytes, wall);
    taken[taken_count++] = g;
    return g.data;
}

/* Numbers in quarters, against a page that no one may touch. */
static float *array(int64_t count) {
    float *a = room((size_t)count * sizeof(float));
    for (int64_t i = 0; i < count; i++) a[i] = (float)(i * 7 % 23 - 11) / 4;
    return a;
}

/* All arrays, after a look at what lies around them. */
static void release(void) {
    while (taken_count) guarded_free(&taken[--taken_count]);
}

static void near(const char *what, float y, double right) {
    CHECK(fabs((double)y - right) <= 1e-5 * (1 + fabs(right)), "%s: %g, not %g", what, (double)y, right);
}

enum { N = 2, H = 7, W = 9 };

static void average(int64_t C, int64_t kernel, int64_t stride, int64_t pad) {
    const cnnfast_pool2d d = {.kind = CNNFAST_AVERAGE, .N = N, .H = H, .W = W, .C = C, .R = kernel, .S = kernel,
                              .stride = {stride, stride}, .dilation = {1, 1}, .pad = {pad, pad, pad, pad}, .count_include_pad = 1};
    cnnfast_plan *plan;
    CHECK(cnnfast_pool2d_grad_plan(&plan, &d) == CNNFAST_OK, "average");
    int64_t shape[4];
    cnnfast_plan_input_shape(plan, N, shape);
    const int64_t P = shape[1], Q = shape[2];
    float *x = array(N * P * Q * C), *y = array(N * H * W * C);
    CHECK(run_exactly(plan, (cnnfast_args){.N = N, .x = x, .y = y}) == CNNFAST_OK, "average does not run");
    for (int64_t i = 0; i < N * H * W * C; i++) {
        const int64_t c = i % C, w = i / C % W, h = i / C / W % H, n = i / C / W / H;
        double sum = 0;
        for (int64_t p = 0; p < P; p++)
            for (int64_t q = 0; q < Q; q++) {
                const int64_t r = h + pad - p * stride, s = w + pad - q * stride;
                if (r >= 0 && r < kernel && s >= 0 && s < kernel) sum += (double)x[((n * P + p) * Q + q) * C + c];
            }
        near("average", y[i], sum / (double)(kernel * kernel));
    }
    CHECK(run_exactly(plan, (cnnfast_args){.N = N, .x = x, .y = y, .residual = y}) == CNNFAST_UNSUPPORTED, "residual");
    cnnfast_plan_free(&plan);
    release();
}

static void scatter(int64_t C) {
    const int64_t P = 3, Q = 4, count = N * P * Q * C;
    const cnnfast_pool2d d = {.kind = CNNFAST_MAX, .N = N, .H = H, .W = W, .C = C, .output_size = {P, Q}};
    cnnfast_plan *plan;
    CHECK(cnnfast_pool2d_grad_plan(&plan, &d) == CNNFAST_OK, "max");
    float *x = array(count), *y = array(N * H * W * C);
    int64_t *index = room((size_t)count * sizeof *index);
    for (int64_t i = 0; i < count; i++) index[i] = i * 31 % (H * W); /* anywhere in the image, some of them equal */
    CHECK(run_exactly(plan, (cnnfast_args){.N = N, .x = x, .y = y, .indices = index}) == CNNFAST_OK, "max does not run");
    for (int64_t i = 0; i < N * H * W * C; i++) {
        double sum = 0;
        for (int64_t from = i / C / W / H * P * Q * C + i % C, k = 0; k < P * Q; k++, from += C)
            if (index[from] == i / C % (H * W)) sum += (double)x[from];
        near("max", y[i], sum);
    }
    const int64_t wrong[] = {-1, H * W, INT64_MAX, INT64_MIN};
    for (int i = 0; i < 4; i++) {
        index[count - 1] = wrong[i], y[0] = 77;
        CHECK(run_exactly(plan, (cnnfast_args){.N = N, .x = x, .y = y, .indices = index}) == CNNFAST_INVALID_PARAM && y[0] == 77, "index");
    }
    CHECK(run_exactly(plan, (cnnfast_args){.N = N, .x = x, .y = y}) == CNNFAST_INVALID_PARAM, "no indices");
    cnnfast_plan_free(&plan);
    release();
}

static void upsampled(int64_t C, int64_t down, int64_t across) {
    const int64_t P = H * down, Q = W * across;
    const cnnfast_upsample2d d = {.N = N, .H = H, .W = W, .C = C, .scale = {down, across}};
    cnnfast_plan *plan;
    CHECK(cnnfast_upsample2d_grad_plan(&plan, &d, CNNFAST_NHWC) == CNNFAST_OK, "upsample2d");
    float *x = array(N * P * Q * C), *y = array(N * H * W * C);
    CHECK(run_exactly(plan, (cnnfast_args){.N = N, .x = x, .y = y}) == CNNFAST_OK, "upsample2d does not run");
    for (int64_t i = 0; i < N * H * W * C; i++) {
        const int64_t c = i % C, w = i / C % W, h = i / C / W % H, n = i / C / W / H;
        double sum = 0;
        for (int64_t p = h * down; p < (h + 1) * down; p++)
            for (int64_t q = w * across; q < (w + 1) * across; q++) sum += (double)x[((n * P + p) * Q + q) * C + c];
        near("upsample2d", y[i], sum);
    }
    cnnfast_plan_free(&plan);
    release();
}

static void refusals(void) {
    cnnfast_plan *plan;
    cnnfast_pool2d d = {.kind = CNNFAST_AVERAGE, .N = 1, .H = 4, .W = 4, .C = 4, .R = 2, .S = 2, .stride = {2, 2}, .dilation = {1, 1}};
    d.kind = CNNFAST_MIN;
    CHECK(cnnfast_pool2d_grad_plan(&plan, &d) == CNNFAST_UNSUPPORTED && !plan, "min");
    d.kind = CNNFAST_MAX;
    CHECK(cnnfast_pool2d_grad_plan(&plan, &d) == CNNFAST_INVALID_SHAPE && !plan, "max without a size");
    d.kind = CNNFAST_AVERAGE, d.dtype = CNNFAST_INT32;
    CHECK(cnnfast_pool2d_grad_plan(&plan, &d) == CNNFAST_INVALID_PARAM && !plan, "integers");
    d.dtype = CNNFAST_FLOAT32, d.stride[0] = 0;
    CHECK(cnnfast_pool2d_grad_plan(&plan, &d) == CNNFAST_INVALID_PARAM && !plan, "stride");
    cnnfast_upsample2d u = {.N = 1, .H = 4, .W = 4, .C = 4};
    CHECK(cnnfast_upsample2d_grad_plan(&plan, &u, CNNFAST_NHWC) == CNNFAST_INVALID_PARAM && !plan, "scale");
    u.scale[0] = u.scale[1] = INT32_MAX;
    CHECK(cnnfast_upsample2d_grad_plan(&plan, &u, CNNFAST_NHWC) == CNNFAST_INVALID_SHAPE && !plan, "overflow");
}

static void every_op(void) {
    for (int64_t C = 1; C < 40; C++) {
        average(C, 2, 2, 0), average(C, 3, 2, 1), average(C, 3, 1, 1), average(C, 2, 4, 0);
        scatter(C), upsampled(C, 2, 2), upsampled(C, 1, 3);
    }
}

int main(void) {
    for (int i = 0; cnnfast_isa_name(i); i++) {
        if (cnnfast_set_isa(cnnfast_isa_name(i)) != CNNFAST_OK) continue;
        wall = AT_START, every_op();
        wall = AT_END, every_op();
    }
    cnnfast_set_isa(NULL);
    refusals();
    puts(failures ? "FAILED" : "ok");
    return failures != 0;
}
