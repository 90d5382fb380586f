/* Every op on every ISA, algorithm, layout and dtype with each buffer flush against a page that may not be touched, at
 * its end and at its start, for channel counts of 1 to 2 vectors + 1 and rows of 1 to 2 tiles + 1. Values are small
 * integers, so that plain loops in double judge every output exactly (within 0.01 where Fourier transforms gave it). Run it under AddressSanitizer too: that watches
 * the workspace and the packed weights. Prints a line per op and exits 1 when something failed.
 */
#include <math.h>

#include "check.h"

enum { CHANNELS = 33, ROW = 29 };
static int convolved; /* convolutions that an algorithm took */

/* Element (n, h, w, c) of a tensor of shape H x W x C, in either layout. */
static int64_t at(cnnfast_layout layout, int64_t H, int64_t W, int64_t C, int64_t n, int64_t h, int64_t w, int64_t c) {
    return layout == CNNFAST_NHWC ? ((n * H + h) * W + w) * C + c : ((n * C + c) * H + h) * W + w;
}
/* Weight (r, s, inner, outer): HWIO in NHWC, OIHW in NCHW. */
static int64_t weight_at(const cnnfast_conv2d *d, int64_t inner, int64_t outer, int64_t r, int64_t s, int64_t i, int64_t o) {
    return d->layout == CNNFAST_NHWC ? ((r * d->S + s) * inner + i) * outer + o : ((o * inner + i) * d->R + r) * d->S + s;
}

/* What output (n, p, q, k) of a convolution sums, transposed or not; P and Q are the output's. */
static double expected_conv(const cnnfast_conv2d *d, bool transposed, const void *x, const void *w, cnnfast_dtype w_dtype,
                            int64_t n, int64_t p, int64_t q, int64_t k) {
    const int64_t Cg = d->C / d->groups, Kg = d->K / d->groups, group = k / Kg;
    double sum = 0;
    for (int64_t r = 0; r < d->R; r++)
        for (int64_t s = 0; s < d->S; s++) {
            int64_t h = p * d->stride[0] + r * d->dilation[0] - d->pad[0], v = q * d->stride[1] + s * d->dilation[1] - d->pad[2];
            if (transposed) {
                h = p + d->pad[0] - r * d->dilation[0], v = q + d->pad[2] - s * d->dilation[1];
                if (h % d->stride[0] || v % d->stride[1]) continue;
                h /= d->stride[0], v /= d->stride[1];
            }
            if (h < 0 || h >= d->H || v < 0 || v >= d->W) continue;
            for (int64_t c = 0; c < Cg; c++) {
                int64_t tap = transposed ? weight_at(d, Kg, d->C, r, s, k % Kg, group * Cg + c) : weight_at(d, Cg, d->K, r, s, c, k);
                sum += get(x, d->dtype, at(d->layout, d->H, d->W, d->C, n, h, v, group * Cg + c)) * get(w, w_dtype, tap);
            }
        }
    return sum;
}

static void try_conv(const cnnfast_conv2d *d, bool transposed, side end) {
    const cnnfast_dtype w_dtype = is_integer(d->dtype) ? CNNFAST_INT64 : d->dtype, y_dtype = sum_dtype(d->dtype);
    guarded w = guarded_numbers(w_dtype, d->R * d->S * (d->C / d->groups) * d->K, end), b = guarded_numbers(w_dtype, d->K, end);
    const cnnfast_conv_transpose2d t = {.conv = *d};
    cnnfast_plan *plan;
    cnnfast_status status = transposed ? cnnfast_conv_transpose2d_plan(&plan, &t, w.data, b.data) : cnnfast_conv2d_plan(&plan, d, w.data, b.data);
    if (status == CNNFAST_UNSUPPORTED) { /* not for this algorithm */
        guarded_free(&w), guarded_free(&b);
        return;
    }
    CHECK(status == CNNFAST_OK, "%s: %s", d->algorithm, cnnfast_status_string(status));
    convolved++;
    int64_t shape[4];
    cnnfast_plan_output_shape(plan, d->N, shape);
    const int64_t P = shape[d->layout == CNNFAST_NHWC ? 1 : 2], Q = shape[d->layout == CNNFAST_NHWC ? 2 : 3], count = d->N * P * Q * d->K;
    guarded x = guarded_numbers(d->dtype, d->N * d->H * d->W * d->C, end), y = guarded_new((size_t)count * size_of(y_dtype), end);
    guarded residual = guarded_numbers(y_dtype, count, end);
    const bool adds = !is_integer(d->dtype) && d->C % 2;
    const bool transforms = !strcmp(d->algorithm, "fft") || !strncmp(d->algorithm, "winograd", 8);
    const double slack = transforms ? 0.01 : 0;
    status = run_exactly(plan, (cnnfast_args){.N = d->N, .x = x.data, .y = y.data, .residual = adds ? residual.data : NULL});
    CHECK(status == CNNFAST_OK, "%s: %s", d->algorithm, cnnfast_status_string(status));
    for (int64_t i = 0; i < count; i++) {
        const int64_t n = i / (P * Q * d->K), p = i / (Q * d->K) % P, q = i / d->K % Q, k = i % d->K, to = at(d->layout, P, Q, d->K, n, p, q, k);
        double right = expected_conv(d, transposed, x.data, w.data, w_dtype, n, p, q, k) + get(b.data, w_dtype, k);
        if (adds) right += get(residual.data, y_dtype, to);
        right = d->activation == CNNFAST_RELU && right < 0 ? 0 : right;
        CHECK(fabs(get(y.data, y_dtype, to) - right) <= slack, "%s %s C %ld K %ld W %ld: %g, not %g", cnnfast_isa(), d->algorithm, (long)d->C,
              (long)d->K, (long)d->W, get(y.data, y_dtype, to), right);
    }
    cnnfast_plan_free(&plan);
    guarded_free(&w), guarded_free(&b), guarded_free(&x), guarded_free(&y), guarded_free(&residual);
}

static void try_pool(cnnfast_pool2d d, side end) {
    cnnfast_plan *plan;
    cnnfast_status status = cnnfast_pool2d_plan(&plan, &d);
    CHECK(status == CNNFAST_OK, "%s", cnnfast_status_string(status));
    int64_t shape[4];
    cnnfast_plan_output_shape(plan, d.N, shape);
    const int64_t P = shape[d.layout == CNNFAST_NHWC ? 1 : 2], Q = shape[d.layout == CNNFAST_NHWC ? 2 : 3], count = d.N * P * Q * d.C;
    guarded x = guarded_numbers(d.dtype, d.N * d.H * d.W * d.C, end), y = guarded_new((size_t)count * size_of(d.dtype), end);
    guarded index = guarded_new(d.with_indices ? (size_t)count * sizeof(int64_t) : 0, end);
    status = run_exactly(plan, (cnnfast_args){.N = d.N, .x = x.data, .y = y.data, .indices = d.with_indices ? (int64_t *)index.data : NULL});
    CHECK(status == CNNFAST_OK, "%s", cnnfast_status_string(status));
    for (int64_t i = 0; i < count; i++) {
        const int64_t n = i / (P * Q * d.C), p = i / (Q * d.C) % P, q = i / d.C % Q, c = i % d.C, to = at(d.layout, P, Q, d.C, n, p, q, c);
        double right = 0, sum = 0, squares = 0;
        int64_t taps = 0, where = -1;
        for (int64_t h = p * d.stride[0] - d.pad[0], r = 0; r < d.R; r++, h++)
            for (int64_t w = q * d.stride[1] - d.pad[2], s = 0; s < d.S; s++, w++) {
                if (h < 0 || h >= d.H || w < 0 || w >= d.W) continue;
                double v = get(x.data, d.dtype, at(d.layout, d.H, d.W, d.C, n, h, w, c));
                if (!taps++ || (d.kind == CNNFAST_MIN ? v < right : v > right)) right = v, where = h * d.W + w;
                sum += v, squares += v * v;
            }
        if (d.kind == CNNFAST_AVERAGE) right = sum / (double)taps;
        if (d.kind == CNNFAST_LP) right = sqrt(squares);
        CHECK(fabs(get(y.data, d.dtype, to) - right) < 1e-6 * (1 + fabs(right)), "pool %d %s C %ld: %g, not %g", d.kind, cnnfast_isa(),
              (long)d.C, get(y.data, d.dtype, to), right);
        if (d.with_indices) CHECK(((int64_t *)index.data)[to] == where, "index %ld", (long)((int64_t *)index.data)[to]);
    }
    cnnfast_plan_free(&plan);
    guarded_free(&x), guarded_free(&y), guarded_free(&index);
}

/* Each of a pool's values goes to its own corner of a 2x2 window. */
static void try_unpool(cnnfast_dtype dtype, cnnfast_layout layout, int64_t C, side end) {
    const cnnfast_max_unpool2d d = {.dtype = dtype, .layout = layout, .N = 2, .H = 2, .W = 3, .C = C, .P = 4, .Q = 6};
    cnnfast_plan *plan;
    CHECK(cnnfast_max_unpool2d_plan(&plan, &d) == CNNFAST_OK, "no plan");
    const int64_t in = 2 * 2 * 3 * C, out = 4 * in;
    guarded x = guarded_numbers(dtype, in, end), y = guarded_new((size_t)out * size_of(dtype), end), index = guarded_new((size_t)in * 8, end);
    for (int64_t i = 0; i < in; i++) {
        const int64_t n = i / (6 * C), h = i / (3 * C) % 2, w = i / C % 3, c = i % C;
        ((int64_t *)index.data)[at(layout, 2, 3, C, n, h, w, c)] = (2 * h + c % 2) * 6 + 2 * w + n;
    }
    CHECK(run_exactly(plan, (cnnfast_args){.N = 2, .x = x.data, .y = y.data, .indices = (int64_t *)index.data}) == CNNFAST_OK, "no run");
    for (int64_t i = 0; i < out; i++) {
        const int64_t n = i / (24 * C), h = i / (6 * C) % 4, w = i / C % 6, c = i % C;
        double right = h % 2 == c % 2 && w % 2 == n ? get(x.data, dtype, at(layout, 2, 3, C, n, h / 2, w / 2, c)) : 0;
        CHECK(get(y.data, dtype, at(layout, 4, 6, C, n, h, w, c)) == right, "unpool C %ld", (long)C);
    }
    cnnfast_plan_free(&plan);
    guarded_free(&x), guarded_free(&y), guarded_free(&index);
}

/* A depthwise step of ones and no padding, so that the whole is a conv2d whose taps repeat the pointwise weights. */
static void try_separable(cnnfast_dtype dtype, cnnfast_layout layout, int64_t C, int64_t K, side end) {
    cnnfast_separable_conv2d d = {.depthwise = {.dtype = dtype, .layout = layout, .N = 1, .H = 3, .W = 2 + C % 5, .C = C, .K = C, .R = 2, .S = 2,
                                                .groups = C, .stride = {1, 1}, .dilation = {1, 1}}, .K = K};
    const int64_t P = 2, Q = d.depthwise.W - 1;
    guarded dw = guarded_new((size_t)(4 * C) * size_of(dtype), end), pw = guarded_numbers(dtype, C * K, end), b = guarded_numbers(dtype, K, end);
    guarded zero = guarded_new((size_t)C * size_of(dtype), end);
    for (int64_t i = 0; i < 4 * C; i++) put(dw.data, dtype, i, 1);
    for (int64_t i = 0; i < C; i++) put(zero.data, dtype, i, 0);
    cnnfast_plan *plan;
    CHECK(cnnfast_separable_conv2d_plan(&plan, &d, dw.data, zero.data, pw.data, b.data) == CNNFAST_OK, "no plan");
    guarded x = guarded_numbers(dtype, 3 * d.depthwise.W * C, end), y = guarded_new((size_t)(P * Q * K) * size_of(dtype), end);
    CHECK(run_exactly(plan, (cnnfast_args){.N = 1, .x = x.data, .y = y.data}) == CNNFAST_OK, "no run");
    for (int64_t i = 0; i < P * Q * K; i++) {
        const int64_t p = i / (Q * K), q = i / K % Q, k = i % K;
        double right = get(b.data, dtype, k);
        for (int64_t c = 0; c < C; c++)
            for (int64_t tap = 0; tap < 4; tap++)
                right += get(x.data, dtype, at(layout, 3, d.depthwise.W, C, 0, p + tap / 2, q + tap % 2, c)) *
                         get(pw.data, dtype, layout == CNNFAST_NHWC ? c * K + k : k * C + c);
        CHECK(get(y.data, dtype, at(layout, P, Q, K, 0, p, q, k)) == right, "separable C %ld K %ld", (long)C, (long)K);
    }
    cnnfast_plan_free(&plan);
    guarded_free(&dw), guarded_free(&pw), guarded_free(&b), guarded_free(&zero), guarded_free(&x), guarded_free(&y);
}

static void convolutions(cnnfast_dtype dtype, cnnfast_layout layout, const char *algorithm, side end) {
    for (int64_t k = 1; k <= CHANNELS; k++) {
        cnnfast_conv2d d = {.dtype = dtype, .layout = layout, .algorithm = algorithm, .N = 1 + k % 2, .H = 1 + k % 4, .W = 1 + k * 5 % ROW,
                            .C = 1 + k % 3, .K = k, .R = 3, .S = 2, .groups = 1, .stride = {1 + k % 2, 1}, .dilation = {1, 1 + k % 3 / 2},
                            .pad = {1, 1, 1, 2}, .max_abs_input = 8, .activation = k % 2 ? CNNFAST_RELU : CNNFAST_NONE};
        try_conv(&d, false, end);
        cnnfast_conv2d large = d; /* enough taps for Fourier transforms */
        large.C = CHANNELS + 1 - k, large.R = 4, large.S = 3, large.stride[0] = 1, large.pad[0] = 2, large.pad[3] = 4;
        try_conv(&large, false, end);
        d.R = d.S = 1, memset(d.pad, 0, sizeof d.pad); /* pointwise */
        try_conv(&d, false, end);
        d.C = d.groups = k, d.K = k * (1 + k % 2), d.R = d.S = 3; /* depthwise, 3x3 being a path of its own */
        d.stride[0] = d.stride[1] = 1 + k % 2, d.dilation[1] = 1, d.pad[0] = d.pad[1] = d.pad[2] = d.pad[3] = 1;
        try_conv(&d, false, end);
    }
}

static void transposed(cnnfast_dtype dtype, cnnfast_layout layout, const char *algorithm, side end) {
    for (int64_t k = 1; k <= CHANNELS; k++) {
        cnnfast_conv2d d = {.dtype = dtype, .layout = layout, .algorithm = algorithm, .N = 1, .H = 2, .W = 1 + k * 5 % ROW, .C = 2 * (1 + k % 3),
                            .K = 2 * k, .R = 3, .S = 2, .groups = 1 + k % 2, .stride = {2, 1 + k % 3}, .dilation = {1, 1}, .pad = {1, 0, 0, 1}, .max_abs_input = 8};
        try_conv(&d, true, end);
    }
}

static void pools(cnnfast_dtype dtype, cnnfast_layout layout, side end) {
    for (int64_t c = 1; c <= CHANNELS; c++) {
        cnnfast_pool2d d = {.dtype = dtype, .layout = layout, .N = 2, .H = 4, .W = 2 + c % 5, .C = c, .R = 3, .S = 2, .stride = {2, 1},
                            .dilation = {1, 1}, .pad = {1, 0, 1, 1}, .norm = 2};
        for (int kind = CNNFAST_MAX; kind <= (is_integer(dtype) ? CNNFAST_MIN : CNNFAST_LP); kind++) {
            d.kind = (cnnfast_pool_kind)kind, d.with_indices = kind == CNNFAST_MAX && c % 2;
            try_pool(d, end);
        }
        try_unpool(dtype, layout, c, end);
    }
}

int main(void) {
    static const cnnfast_dtype dtypes[] = {CNNFAST_FLOAT32, CNNFAST_FLOAT64, CNNFAST_INT8, CNNFAST_UINT16, CNNFAST_INT64};
    for (int isa = 0; cnnfast_isa_name(isa); isa++) {
        if (!cnnfast_isa_available(cnnfast_isa_name(isa))) continue;
        CHECK(cnnfast_set_isa(cnnfast_isa_name(isa)) == CNNFAST_OK, "no %s", cnnfast_isa_name(isa));
        for (int i = 0; i < 4 * 5; i++) {
            const cnnfast_dtype dtype = dtypes[i / 4];
            const cnnfast_layout layout = i & 2 ? CNNFAST_NCHW : CNNFAST_NHWC;
            const side end = i & 1 ? AT_END : AT_START;
            for (int row = 0; cnnfast_algorithm("conv2d", row); row++) convolutions(dtype, layout, cnnfast_algorithm("conv2d", row), end);
            for (int row = 0; cnnfast_algorithm("conv_transpose2d", row); row++)
                transposed(dtype, layout, cnnfast_algorithm("conv_transpose2d", row), end);
            for (int64_t c = 1; c <= CHANNELS && !is_integer(dtype); c++) try_separable(dtype, layout, c, CHANNELS + 1 - c, end);
            pools(dtype, layout, end);
        }
        printf("%-9s %d convolutions  %s\n", cnnfast_isa(), convolved, failures ? "FAILED" : "ok");
    }
    return failures != 0;
}
