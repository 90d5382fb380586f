/* Plans for arrays that lie as NHWC though their plan says NCHW: every value where it belongs, in whatever order they are freed.
 * Prints "ok" and exits 0, or says what failed and exits 1.
 */
#include "check.h"

enum { N = 2, H = 5, W = 4, C = 3, K = 6, R = 2, P = 4, Q = 3 };

static void run(const cnnfast_plan *plan, const float *x, const float *residual, float *y, int64_t *indices) {
    const size_t size = cnnfast_plan_workspace_size(plan, N);
    void *workspace = aligned_alloc(64, size ? size : 64);
    const cnnfast_args args = {.N = N, .x = x, .residual = residual, .y = y, .indices = indices};
    CHECK(cnnfast_plan_run(plan, &args, workspace, size) == CNNFAST_OK, "run");
    free(workspace);
}

/* (n, h, w, c) of an array of H x W pixels and C channels. */
static int64_t at(bool last, int64_t n, int64_t h, int64_t w, int64_t c, int64_t high, int64_t wide, int64_t deep) {
    return last ? ((n * high + h) * wide + w) * deep + c : ((n * deep + c) * high + h) * wide + w;
}

static void fill(float *to, bool last, int64_t high, int64_t wide, int64_t deep) {
    for (int64_t n = 0; n < N; n++)
        for (int64_t h = 0; h < high; h++)
            for (int64_t w = 0; w < wide; w++)
                for (int64_t c = 0; c < deep; c++)
                    to[at(last, n, h, w, c, high, wide, deep)] = (float)((n * 31 + h * 17 + w * 5 + c * 3) % 13 - 6);
}

/* The plan's own answer, and its turned one's, element by element; the plan is freed before or after. */
static void compare(cnnfast_plan *plan, unsigned turned, int64_t channels, int64_t high, int64_t wide, bool indexed, bool plan_first) {
    const bool x_last = turned & CNNFAST_INPUT, y_last = turned & CNNFAST_OUTPUT;
    float x[N * H * W * C], lying[N * H * W * C], residual[N * P * Q * K], beside[N * P * Q * K], y[N * P * Q * K], z[N * P * Q * K];
    int64_t places[N * P * Q * K], lie[N * P * Q * K];
    fill(x, false, H, W, C), fill(lying, x_last, H, W, C);
    fill(residual, false, high, wide, channels), fill(beside, y_last, high, wide, channels);
    run(plan, x, indexed ? NULL : residual, y, indexed ? places : NULL);

    cnnfast_plan *other;
    CHECK(cnnfast_plan_turned(&other, plan, turned) == CNNFAST_OK, "turned %u", turned);
    if (plan_first) cnnfast_plan_free(&plan);
    run(other, lying, indexed ? NULL : beside, z, indexed ? lie : NULL);
    for (int64_t n = 0; n < N; n++)
        for (int64_t p = 0; p < high; p++)
            for (int64_t q = 0; q < wide; q++)
                for (int64_t k = 0; k < channels; k++) {
                    const int64_t i = at(false, n, p, q, k, high, wide, channels), j = at(y_last, n, p, q, k, high, wide, channels);
                    CHECK(y[i] == z[j], "turned %u: y[%ld] is %g, not %g", turned, (long)j, (double)z[j], (double)y[i]);
                    if (indexed) CHECK(places[i] == lie[j], "turned %u: indices[%ld]", turned, (long)j);
                }
    cnnfast_plan *third;
    CHECK(cnnfast_plan_turned(&third, other, turned) == CNNFAST_UNSUPPORTED && !third, "what lies so already");
    cnnfast_plan_free(&other);
    cnnfast_plan_free(&plan);
}

int main(void) {
    float weight[K * C * R * R];
    for (int i = 0; i < K * C * R * R; i++) weight[i] = (float)(i % 7 - 3);
    const cnnfast_conv2d conv = {.layout = CNNFAST_NCHW, .N = N, .H = H, .W = W, .C = C, .K = K, .R = R, .S = R, .groups = 1,
                                 .stride = {1, 1}, .dilation = {1, 1}};
    const cnnfast_pool2d pool = {.layout = CNNFAST_NCHW, .kind = CNNFAST_MAX, .N = N, .H = H, .W = W, .C = C, .R = 2, .S = 2,
                                 .stride = {2, 2}, .dilation = {1, 1}, .with_indices = 1};
    for (unsigned turned = CNNFAST_INPUT; turned <= (CNNFAST_INPUT | CNNFAST_OUTPUT); turned++)
        for (int first = 0; first < 2; first++) {
            cnnfast_plan *plan;
            CHECK(cnnfast_conv2d_plan(&plan, &conv, weight, NULL) == CNNFAST_OK, "conv2d");
            compare(plan, turned, K, P, Q, false, first);
            CHECK(cnnfast_pool2d_plan(&plan, &pool) == CNNFAST_OK, "pool2d");
            compare(plan, turned, C, 2, 2, true, first);
        }
    cnnfast_plan *plan, *other;
    CHECK(cnnfast_pool2d_plan(&plan, &pool) == CNNFAST_OK, "pool2d");
    CHECK(cnnfast_plan_turned(&other, plan, 0) == CNNFAST_INVALID_PARAM && !other, "nothing to turn");
    CHECK(cnnfast_plan_turned(&other, plan, CNNFAST_WEIGHT) == CNNFAST_INVALID_PARAM && !other, "weights are packed");
    cnnfast_plan_free(&plan);
    puts(failures ? "FAILED" : "ok");
    return failures != 0;
}
