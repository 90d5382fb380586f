/* Rows of the output: nearest repeats pixels, and rows; bilinear mixes two rows into a buffer, then two of its pixels. */
#include "upsample2d/problem.h"

#include "common/cost.h"
#include "simd.h"

#if CNNFAST_REAL

static bool accepts(const void *problem) {
    (void)problem;
    return true;
}

static double cost(const void *problem, int64_t N) {
    const upsample2d_problem *p = problem;
    const double row = (double)p->W * (double)p->scale[1] * (double)p->C * sizeof(real);
    return (double)N * row / NOMINAL_DRAM * (p->bilinear ? 3 : 1) * (p->C == 1 ? 2 : 1);
}

/* What an output reads: the pixel at `low`, and `part` of the way to the one at `high`. */
typedef struct {
    int64_t low, high;
    real rest, part;
} between;

static between place_of(const upsample2d_problem *p, int axis, int64_t at) {
    const int64_t n = axis ? p->W : p->H, scale = p->scale[axis];
    double place;
    if (p->align_corners) place = (double)at * (double)(n - 1) / (double)max64(n * scale - 1, 1);
    else place = ((double)at + 0.5) / (double)scale - 0.5;
    if (place < 0) place = 0;
    const int64_t low = min64((int64_t)place, n - 1);
    return (between){low, min64(low + 1, n - 1), (real)(1 - (place - (double)low)), (real)(place - (double)low)};
}

/* A tile's row is a row of an output image. The workspace: the columns' places, then a row of x. */
static size_t places_size(const upsample2d_problem *p) {
    return size_align(size_mul(size_mul((size_t)p->W, (size_t)p->scale[1]), sizeof(between)));
}

static grain grain_of(const void *problem) {
    const upsample2d_problem *p = problem;
    const int64_t row = p->W * p->scale[1] * p->C;
    return (grain){.columns = 1, .block_rows = max64(1, (1 << 22) / row),
                   .workspace = p->bilinear ? size_add(places_size(p), size_mul((size_t)(p->W * p->C), sizeof(real))) : 0};
}

static size_t packed_size(const void *problem) {
    (void)problem;
    return 0;
}

static void pack(const void *problem, const void *weight, const void *bias, void *packed) {
    (void)problem, (void)weight, (void)bias, (void)packed;
}

/* to[i] = a[i]*rest + b[i]*part */
INLINE void mix(const real *a, const real *b, real rest, real part, real *to, int64_t n) {
    const vec of_a = v_splat(rest), of_b = v_splat(part);
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) v_store(to + i, v_fma(v_load(a + i), of_a, v_load(b + i) * of_b));
    if (i < n) {
        const int last = (int)(n - i);
        v_store_n(to + i, v_fma(v_load_n(a + i, last), of_a, v_load_n(b + i, last) * of_b), last);
    }
}

static void repeat_pixels(const upsample2d_problem *p, const real *x, real *y) {
    const int64_t scale = p->scale[1], C = p->C;
    if (C == 1 && scale == 2)
        for (int64_t w = 0; w < p->W; w++) y[2 * w] = y[2 * w + 1] = x[w];
    else if (C == 1)
        for (int64_t w = 0; w < p->W; w++)
            for (int64_t i = 0; i < scale; i++) *y++ = x[w];
    else
        for (int64_t w = 0; w < p->W; w++, x += C)
            for (int64_t i = 0; i < scale; i++, y += C) memcpy(y, x, (size_t)C * sizeof *y);
}

static void run_nearest(const upsample2d_problem *p, const real *x, real *y, tile at) {
    const int64_t P = p->H * p->scale[0], in = p->W * p->C, out = in * p->scale[1];
    for (int64_t row = at.row0; row < at.row1; row++) {
        real *to = y + row * out;
        if (row > at.row0 && row % p->scale[0]) memcpy(to, to - out, (size_t)out * sizeof *to);
        else repeat_pixels(p, x + (row / P * p->H + row % P / p->scale[0]) * in, to);
    }
}

static void run_bilinear(const upsample2d_problem *p, const real *x, real *y, tile at, between *places, real *line) {
    const int64_t P = p->H * p->scale[0], Q = p->W * p->scale[1], C = p->C, in = p->W * C;
    for (int64_t q = 0; q < Q; q++) places[q] = place_of(p, 1, q);
    for (int64_t row = at.row0; row < at.row1; row++) {
        const real *image = x + row / P * p->H * in;
        const between h = place_of(p, 0, row % P);
        mix(image + h.low * in, image + h.high * in, h.rest, h.part, line, in);
        real *to = y + row * Q * C;
        if (C == 1)
            for (int64_t q = 0; q < Q; q++) to[q] = s_fma(line[places[q].low], places[q].rest, line[places[q].high] * places[q].part);
        else
            for (int64_t q = 0; q < Q; q++, to += C)
                mix(line + places[q].low * C, line + places[q].high * C, places[q].rest, places[q].part, to, C);
    }
}

static void run(const void *problem, const void *packed, const tensors *t, tile at, void *workspace) {
    (void)packed;
    const upsample2d_problem *p = problem;
    if (!p->bilinear) run_nearest(p, t->x, t->y, at);
    else run_bilinear(p, t->x, t->y, at, workspace, (real *)((char *)workspace + places_size(p)));
}

const kernel SYMBOL(upsample2d_lerp) = {accepts, cost, grain_of, packed_size, pack, run};
#endif
