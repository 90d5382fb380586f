/* The ops that run at once, and linear: on arrays against pages that no one may touch; values by plain loops; and what
 * is refused. Prints "ok" and exits 0, or says what failed and exits 1.
 */
#include <math.h>

#include "check.h"

static guarded taken[8];
static int taken_count;
static side wall;

/* Numbers in quarters, against a page that no one may touch. */
static float *array(int64_t count) {
    guarded g = guarded_new((size_t)count * sizeof(float), wall);
    float *a = (float *)g.data;
    for (int64_t i = 0; i < count; i++) a[i] = (float)(i * 7 % 23 - 11) / 4;
    taken[taken_count++] = g;
    return a;
}

/* All arrays, after a look at what lies around them. */
static void release(void) {
    while (taken_count) guarded_free(&taken[--taken_count]);
}

static void near(const char *what, float y, double right) {
    CHECK(fabs((double)y - right) <= 1e-5 * (1 + fabs(right)), "%s: %g, not %g", what, (double)y, right);
}

static void elementwise(int64_t count, int64_t period) {
    float *x = array(count), *other = array(period ? period : count), *y = array(count);
    for (int kind = CNNFAST_MAP; kind <= CNNFAST_PRELU; kind++)
        for (int activation = CNNFAST_NONE; activation <= CNNFAST_SOFTPLUS; activation++) {
            const cnnfast_elementwise d = {.kind = (cnnfast_elementwise_kind)kind, .count = count, .period = period,
                                           .activation = (cnnfast_activation)activation, .alpha = 1, .beta = 20};
            CHECK(cnnfast_elementwise_run(&d, x, other, y) == CNNFAST_OK, "elementwise %d %d", kind, activation);
            if (activation > CNNFAST_RELU) continue;
            for (int64_t i = 0; i < count; i++) {
                const double w = other[period ? i % period : i], v = x[i];
                double right = kind == CNNFAST_ADD ? v + w : kind == CNNFAST_MULTIPLY ? v * w : kind == CNNFAST_PRELU && v < 0 ? v * w : v;
                if (activation == CNNFAST_RELU && kind != CNNFAST_PRELU && right < 0) right = 0;
                if (kind != CNNFAST_PRELU || activation == CNNFAST_NONE) near("elementwise", y[i], right);
            }
        }
    release();
}

static void channels(int64_t outer, int64_t C, int64_t inner) {
    const int64_t count = outer * C * inner;
    float *x = array(count), *y = array(count), *mean = array(C), *var = array(C), *weight = array(C), *bias = array(C);
    for (int64_t c = 0; c < C; c++) var[c] = fabsf(var[c]);
    const cnnfast_batch_norm d = {.outer = outer, .C = C, .inner = inner, .eps = 0.5};
    CHECK(cnnfast_batch_norm_run(&d, x, mean, var, weight, bias, y) == CNNFAST_OK, "batch_norm");
    for (int64_t i = 0; i < count; i++) {
        const int64_t c = i / inner % C;
        near("batch_norm", y[i], (x[i] - mean[c]) / sqrt(var[c] + 0.5) * weight[c] + bias[c]);
    }
    const cnnfast_local_response_norm lrn = {.outer = outer, .C = C, .inner = inner, .size = 5, .alpha = 1, .beta = 0.75, .k = 1};
    CHECK(cnnfast_local_response_norm_run(&lrn, x, y) == CNNFAST_OK, "local_response_norm");
    for (int64_t i = 0; i < count; i++) {
        const int64_t c = i / inner % C;
        double sum = 0;
        for (int64_t j = c - 2; j <= c + 2; j++)
            if (j >= 0 && j < C) sum += (double)x[i + (j - c) * inner] * (double)x[i + (j - c) * inner];
        near("local_response_norm", y[i], x[i] / pow(1 + sum / 5, 0.75));
    }
    for (int log_ = 0; log_ < 2; log_++) {
        const cnnfast_softmax softmax = {.outer = outer, .n = C, .inner = inner, .log = log_};
        CHECK(cnnfast_softmax_run(&softmax, x, y) == CNNFAST_OK, "softmax");
        for (int64_t i = 0; i < count; i++) {
            double sum = 0;
            for (int64_t c = 0; c < C; c++) sum += exp((double)x[i / (C * inner) * C * inner + c * inner + i % inner]);
            near("softmax", y[i], log_ ? x[i] - log(sum) : exp((double)x[i]) / sum);
        }
    }
    release();
}

static void upsample(int64_t C, int64_t down, int64_t across) {
    const int64_t H = 3, W = 4, P = H * down, Q = W * across;
    float *x = array(2 * H * W * C), *y = array(2 * P * Q * C);
    for (int mode = 0; mode < 3; mode++) {
        const cnnfast_upsample2d d = {.N = 2, .H = H, .W = W, .C = C, .scale = {down, across}, .bilinear = mode > 0, .align_corners = mode > 1};
        CHECK(cnnfast_upsample2d_run(&d, x, y) == CNNFAST_OK, "upsample2d");
        for (int64_t i = 0; mode == 0 && i < 2 * P * Q * C; i++) {
            const int64_t c = i % C, q = i / C % Q, p = i / C / Q % P, n = i / C / Q / P;
            near("upsample2d", y[i], x[((n * H + p / down) * W + q / across) * C + c]);
        }
    }
    release();
}

static void linear(int64_t N, int64_t C, int64_t K) {
    float *x = array(N * C), *weight = array(K * C), *bias = array(K), *y = array(N * K);
    cnnfast_plan *plan;
    CHECK(cnnfast_linear_plan(&plan, &(cnnfast_linear){.N = N, .C = C, .K = K}, weight, bias) == CNNFAST_OK, "linear");
    CHECK(run_exactly(plan, (cnnfast_args){.N = N, .x = x, .y = y}) == CNNFAST_OK, "linear does not run");
    for (int64_t i = 0; i < N * K; i++) {
        double sum = bias[i % K];
        for (int64_t c = 0; c < C; c++) sum += (double)x[i / K * C + c] * (double)weight[i % K * C + c];
        near("linear", y[i], sum);
    }
    CHECK(run_exactly(plan, (cnnfast_args){.N = N, .x = x, .y = y, .residual = y}) == CNNFAST_UNSUPPORTED, "residual");
    cnnfast_plan_free(&plan);
    release();
}

static void refusals(void) {
    float x[4] = {0}, y[4];
    cnnfast_plan *plan;
    CHECK(cnnfast_elementwise_run(&(cnnfast_elementwise){.dtype = CNNFAST_INT8, .count = 4}, x, NULL, y) == CNNFAST_INVALID_PARAM, "int8");
    CHECK(cnnfast_elementwise_run(&(cnnfast_elementwise){.count = -1}, x, NULL, y) == CNNFAST_INVALID_SHAPE, "count");
    CHECK(cnnfast_elementwise_run(&(cnnfast_elementwise){.kind = CNNFAST_ADD, .count = 4}, x, NULL, y) == CNNFAST_INVALID_PARAM, "other");
    CHECK(cnnfast_elementwise_run(&(cnnfast_elementwise){.count = 0}, NULL, NULL, NULL) == CNNFAST_OK, "nothing to do");
    CHECK(cnnfast_batch_norm_run(&(cnnfast_batch_norm){.outer = 1, .C = 4, .inner = 1}, x, NULL, x, NULL, NULL, y) == CNNFAST_INVALID_PARAM, "mean");
    CHECK(cnnfast_softmax_run(&(cnnfast_softmax){.outer = INT64_MAX, .n = 4, .inner = 4}, x, y) == CNNFAST_INVALID_SHAPE, "overflow");
    CHECK(cnnfast_local_response_norm_run(&(cnnfast_local_response_norm){.outer = 1, .C = 4, .inner = 1}, x, y) == CNNFAST_INVALID_PARAM, "size");
    CHECK(cnnfast_upsample2d_run(&(cnnfast_upsample2d){.N = 1, .H = 2, .W = 2, .C = 1}, x, y) == CNNFAST_INVALID_PARAM, "scale");
    CHECK(cnnfast_linear_plan(&plan, &(cnnfast_linear){.N = 1, .C = 0, .K = 4}, x, NULL) == CNNFAST_INVALID_SHAPE && !plan, "C");
    CHECK(cnnfast_linear_plan(&plan, &(cnnfast_linear){.N = 1, .C = 4, .K = 1}, NULL, NULL) == CNNFAST_INVALID_PARAM && !plan, "weight");
}

static void every_op(void) {
    for (int64_t count = 1; count < 70; count += 3) elementwise(count, 0), elementwise(count, 1 + count % 33);
    elementwise(20000, 0);
    for (int64_t C = 1; C < 40; C += 3) channels(3, C, 1), channels(2, C, 1 + C % 19);
    channels(2, 3000, 1);
    for (int64_t C = 1; C < 36; C += 5) upsample(C, 2, 2), upsample(C, 1, 3);
    for (int64_t N = 1; N < 36; N++) linear(N, 1 + N % 7 * 9, 1 + N % 9 * 8);
    linear(3, 9000, 33);
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
