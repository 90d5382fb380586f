/* What lies otherwise than a plan's middle: an input, output or weights of the other layout, y as some channels of wider
 * pixels, a residual that is y, packed weights that plans share. Every algorithm on every ISA, with each buffer of just its
 * size: run it under AddressSanitizer too. Results are held to the plan of one layout, bit by bit. */
#include <pthread.h>

#include "check.h"

enum { N = 2, H = 9, W = 11, C = 12, K = 20, R = 3, PIXELS = H * W };

static cnnfast_conv2d conv(void) {
    return (cnnfast_conv2d){.dtype = CNNFAST_FLOAT32, .N = N, .H = H, .W = W, .C = C, .K = K, .R = R, .S = R, .groups = 1,
                            .stride = {1, 1}, .dilation = {1, 1}, .pad = {1, 1, 1, 1}, .activation = CNNFAST_SILU};
}

static float *numbers(int64_t count, int seed) {
    float *to = malloc((size_t)count * sizeof *to);
    for (int64_t i = 0; i < count; i++) to[i] = (float)((i * 37 + seed * 11) % 61 - 30) / 16;
    return to;
}

/* (outer, pixels, channels) as (outer, channels, pixels), or the other way round. */
static float *turned(const float *from, int64_t outer, int64_t rows, int64_t columns) {
    float *to = malloc((size_t)(outer * rows * columns) * sizeof *to);
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j < columns; j++) to[(o * columns + j) * rows + i] = from[(o * rows + i) * columns + j];
    return to;
}

static cnnfast_status run(const cnnfast_plan *plan, cnnfast_args args) {
    const size_t size = cnnfast_plan_workspace_size(plan, args.N);
    void *workspace = size ? aligned_alloc(64, size) : NULL;
    const cnnfast_status status = cnnfast_plan_run(plan, &args, workspace, size);
    free(workspace);
    return status;
}

static bool same(const float *a, const float *b, int64_t count) { return !memcmp(a, b, (size_t)count * sizeof *a); }

/* Each sum of CNNFAST_INPUT, CNNFAST_OUTPUT and CNNFAST_WEIGHT, from either layout. */
static void layouts(const char *algorithm) {
    cnnfast_conv2d d = conv();
    d.algorithm = algorithm;
    float *x[2] = {numbers(N * PIXELS * C, 1)}, *w[2] = {numbers(R * R * C * K, 2)}, *residual[2] = {numbers(N * PIXELS * K, 3)}, *y[2];
    x[1] = turned(x[0], N, PIXELS, C), w[1] = turned(w[0], 1, R * R * C, K), residual[1] = turned(residual[0], N, PIXELS, K);
    float *oihw = malloc(R * R * C * K * sizeof *oihw); /* (K, R*R*C) with the taps last */
    for (int k = 0; k < K; k++)
        for (int rs = 0; rs < R * R; rs++)
            for (int c = 0; c < C; c++) oihw[(k * C + c) * R * R + rs] = w[0][(rs * C + c) * K + k];
    free(w[1]);
    w[1] = oihw;
    y[0] = malloc(N * PIXELS * K * sizeof(float));
    cnnfast_plan *plan;
    if (cnnfast_conv2d_plan(&plan, &d, w[0], NULL)) goto done;
    CHECK(!run(plan, (cnnfast_args){.N = N, .x = x[0], .residual = residual[0], .y = y[0]}), "%s", algorithm);
    cnnfast_plan_free(&plan);
    y[1] = turned(y[0], N, PIXELS, K);
    for (int layout = 0; layout < 2; layout++)
        for (unsigned other = 0; other < 8; other++) {
            d.layout = (cnnfast_layout)layout, d.other_layout = other;
            const int of_x = layout ^ !!(other & CNNFAST_INPUT), of_y = layout ^ !!(other & CNNFAST_OUTPUT), of_w = layout ^ !!(other & CNNFAST_WEIGHT);
            float *to = malloc(N * PIXELS * K * sizeof *to);
            CHECK(!cnnfast_conv2d_plan(&plan, &d, w[of_w], NULL), "%s %d %u", algorithm, layout, other);
            CHECK(!run(plan, (cnnfast_args){.N = N, .x = x[of_x], .residual = residual[of_y], .y = to}), "%s %d %u", algorithm, layout, other);
            CHECK(same(to, y[of_y], N * PIXELS * K), "%s: layout %d, others %u", algorithm, layout, other);
            int64_t shape[4];
            cnnfast_plan_output_shape(plan, N, shape);
            CHECK(shape[of_y ? 1 : 3] == K && shape[of_y ? 2 : 1] == H, "%s %u", algorithm, other);
            cnnfast_plan_free(&plan);
            free(to);
        }
    free(y[1]);
done:
    for (int i = 0; i < 2; i++) free(x[i]), free(w[i]), free(residual[i]);
    free(y[0]);
}

/* y as channels [FIRST, FIRST + K) of pixels `step` apart, that end with the last of them. */
static void slices(const char *algorithm, int64_t step) {
    enum { FIRST = 3 };
    cnnfast_conv2d d = conv();
    d.algorithm = algorithm;
    float *x = numbers(N * PIXELS * C, 1), *w = numbers(R * R * C * K, 2), *residual = numbers(N * PIXELS * K, 3);
    float *dense = malloc(N * PIXELS * K * sizeof *dense);
    const int64_t count = FIRST + (N * PIXELS - 1) * step + K;
    cnnfast_plan *plan;
    for (int adds = 0; adds < 3 && !cnnfast_conv2d_plan(&plan, &d, w, NULL); adds++) { /* no residual, one, y itself */
        float *wide = malloc((size_t)count * sizeof *wide), *y = wide + FIRST;
        for (int64_t i = 0; i < count; i++) wide[i] = -5;
        if (adds == 2)
            for (int64_t i = 0; i < N * PIXELS; i++) memcpy(y + i * step, residual + i * K, K * sizeof *y);
        CHECK(!run(plan, (cnnfast_args){.N = N, .x = x, .residual = adds ? residual : NULL, .y = dense}), "%s", algorithm);
        CHECK(!run(plan, (cnnfast_args){.N = N, .x = x, .residual = adds == 2 ? y : adds ? residual : NULL, .y = y, .y_step = step}),
              "%s", algorithm);
        int64_t wrong = 0, spilt = 0;
        for (int64_t i = 0; i < count; i++) {
            const int64_t k = (i - FIRST) % step, pixel = (i - FIRST) / step;
            if (i < FIRST || k >= K) spilt += wide[i] != -5;
            else wrong += memcmp(&wide[i], &dense[pixel * K + k], sizeof *wide) != 0;
        }
        CHECK(!wrong && !spilt, "%s, pixels %d apart, residual %d: %d wrong, %d spilt", algorithm, (int)step, adds, (int)wrong, (int)spilt);
        CHECK(run(plan, (cnnfast_args){.N = N, .x = x, .y = y, .y_step = K - 1}) == CNNFAST_INVALID_SHAPE, "pixels that overlap");
        CHECK(run(plan, (cnnfast_args){.N = N, .x = x, .y = y, .y_step = INT64_MAX}) == CNNFAST_OUT_OF_MEMORY, "pixels too far apart");
        cnnfast_plan_free(&plan);
        free(wide);
    }
    free(x), free(w), free(residual), free(dense);
}

static void refused_slices(void) {
    static float x[16], y[64];
    cnnfast_plan *plan;
    const cnnfast_linear linear = {.dtype = CNNFAST_FLOAT32, .N = 1, .C = 4, .K = 4};
    CHECK(!cnnfast_linear_plan(&plan, &linear, x, NULL), "linear");
    CHECK(run(plan, (cnnfast_args){.N = 1, .x = x, .y = y, .y_step = 8}) == CNNFAST_UNSUPPORTED, "linear");
    cnnfast_plan_free(&plan);
    cnnfast_pool2d pool = {.dtype = CNNFAST_FLOAT32, .layout = CNNFAST_NCHW, .N = 1, .H = 2, .W = 2, .C = 4, .R = 1, .S = 1,
                           .stride = {1, 1}, .dilation = {1, 1}};
    CHECK(!cnnfast_pool2d_plan(&plan, &pool), "pool");
    CHECK(run(plan, (cnnfast_args){.N = 1, .x = x, .y = y, .y_step = 8}) == CNNFAST_UNSUPPORTED, "NCHW");
    cnnfast_plan_free(&plan);
    pool.other_layout = CNNFAST_OUTPUT;
    CHECK(!cnnfast_pool2d_plan(&plan, &pool), "pool");
    CHECK(!run(plan, (cnnfast_args){.N = 1, .x = x, .y = y, .y_step = 8}), "NCHW in, slices out");
    cnnfast_plan_free(&plan);
    pool.other_layout = 8;
    CHECK(cnnfast_pool2d_plan(&plan, &pool) == CNNFAST_INVALID_PARAM, "no such tensor");
    cnnfast_conv2d d = conv();
    d.other_layout = 8;
    CHECK(cnnfast_conv2d_plan(&plan, &d, x, NULL) == CNNFAST_INVALID_PARAM, "no such tensor");
}

typedef struct {
    const cnnfast_plan *donor;
    cnnfast_plan *plan;
    const float *x, *expected;
    bool ok;
} sharer;

static void *share(void *context) {
    sharer *s = context;
    float *y = malloc(N * PIXELS * K * sizeof *y);
    s->ok = cnnfast_plan_share(s->plan, s->donor) && !run(s->plan, (cnnfast_args){.N = N, .x = s->x, .y = y}) && same(y, s->expected, N * PIXELS * K);
    cnnfast_plan_free(&s->plan);
    free(y);
    return NULL;
}

/* Plans of two sizes of image, in any order of freeing, and from many threads at once. */
static void sharing(const char *algorithm) {
    cnnfast_conv2d d = conv(), taller = conv();
    d.algorithm = taller.algorithm = algorithm;
    taller.H = H + 4;
    float *w = numbers(R * R * C * K, 2), *other_w = numbers(R * R * C * K, 5), *x = numbers(N * PIXELS * C, 1);
    float *y = malloc(N * PIXELS * K * sizeof *y), *z = malloc(N * PIXELS * K * sizeof *z);
    cnnfast_plan *a, *b, *c;
    if (cnnfast_conv2d_plan(&a, &d, w, NULL)) goto done;
    CHECK(!cnnfast_conv2d_plan(&b, &taller, w, NULL) && !cnnfast_conv2d_plan(&c, &d, other_w, NULL), "%s", algorithm);
    CHECK(!run(a, (cnnfast_args){.N = N, .x = x, .y = y}), "%s", algorithm);
    const bool alike = cnnfast_plan_info(a).packed == cnnfast_plan_info(b).packed && strcmp(algorithm, "fft"); /* its tiles follow the image */
    if (alike) CHECK(cnnfast_plan_share(a, b) && cnnfast_plan_share(a, b) && cnnfast_plan_share(b, a), "%s: equal weights", algorithm);
    CHECK(!cnnfast_plan_share(c, a), "%s: other weights", algorithm);
    CHECK(cnnfast_plan_share(a, a), "a plan shares with itself");
    cnnfast_plan_free(&b);
    cnnfast_plan_free(&c);
    CHECK(!run(a, (cnnfast_args){.N = N, .x = x, .y = z}) && same(y, z, N * PIXELS * K), "%s: after the other's end", algorithm);

    enum { SHARERS = 6 };
    sharer s[SHARERS];
    pthread_t thread[SHARERS];
    for (int i = 0; i < SHARERS; i++) {
        s[i] = (sharer){.donor = a, .x = x, .expected = y};
        CHECK(!cnnfast_conv2d_plan(&s[i].plan, &d, w, NULL), "%s", algorithm);
        CHECK(!pthread_create(&thread[i], NULL, share, &s[i]), "a thread");
    }
    for (int i = 0; i < SHARERS; i++) {
        pthread_join(thread[i], NULL);
        CHECK(s[i].ok, "%s: thread %d", algorithm, i);
    }
    cnnfast_plan_free(&a);
done:
    free(w), free(other_w), free(x), free(y), free(z);
}

int main(void) {
    for (int isa = 0; cnnfast_isa_name(isa); isa++) {
        if (!cnnfast_isa_available(cnnfast_isa_name(isa))) continue;
        cnnfast_set_isa(cnnfast_isa_name(isa));
        const char *algorithm;
        for (int row = 0; (algorithm = cnnfast_algorithm("conv2d", row)); row++) {
            layouts(algorithm);
            slices(algorithm, K + 3);
            slices(algorithm, 64);
            sharing(algorithm);
        }
        refused_slices();
    }
    puts(failures ? "FAILED" : "ok");
    return failures != 0;
}
