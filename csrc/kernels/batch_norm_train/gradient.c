/* The gradient of batch normalisation: two sums a channel, then grad_input. */
#include "batch_norm_train/problem.h"

#include <string.h>

#include "common/ahead.h"
#include "simd.h"

#if CNNFAST_REAL

enum { CHUNK_ROWS = 128, GROUP_ROWS = 4 };

/* What lies further on in each; `to` may be NULL. */
static __attribute__((noinline)) void ask_for_rows(const real *grad, const real *x, const real *to, int64_t n) {
    ask_further(grad, n), ask_further(x, n);
    if (to) ask_further(to, n);
}

/* Rows of the channels' numbers. */
typedef struct {
    const real *mean, *scale, *shift, *slope, *offset;
} rings;

static const real *ring(const batch_norm_piece *p, const void *from, real **to) {
    if (!from) return NULL;
    real *row = *to;
    for (int64_t k = 0; k < p->repeat; k++) memcpy(row + k * p->C, from, (size_t)p->C * sizeof *row);
    memset(row + p->repeat * p->C, 0, 16 * sizeof *row);
    *to += p->C * p->repeat + 16;
    return row;
}

static rings rings_of(const batch_norm_piece *p, const batch_norm_channels *of, real *scratch) {
    rings r;
    r.mean = ring(p, of->mean, &scratch);
    r.scale = ring(p, of->scale, &scratch);
    r.shift = ring(p, of->shift, &scratch);
    r.slope = ring(p, of->slope, &scratch);
    r.offset = ring(p, of->offset, &scratch);
    return r;
}

/* grad where the activation rises; d = x - mean. */
INLINE vec rising(int activation, vec grad, vec d, vec scale, vec shift) {
    if (activation == CNNFAST_NONE) return grad;
    const vec z = v_fma(d, scale, shift), zero = v_splat(0);
    if (activation == CNNFAST_RELU) return v_select(z > zero, grad, zero);
    return v_select((z > zero) & (z < v_splat(6)), grad, zero);
}

/* Whole vectors of some rows. */
INLINE void add_rows(int activation, const rings *r, const real *grad, const real *x, int64_t width, real *s1, real *s2) {
    for (int64_t c = 0; c + LANES <= width; c += LANES) {
        const vec mean = v_load(r->mean + c), scale = v_load(r->scale + c), shift = v_load(r->shift + c);
        vec a = v_load(s1 + c), b = v_load(s2 + c);
#pragma GCC unroll 4
        for (int i = 0; i < GROUP_ROWS; i++) {
            const vec d = v_load(x + i * width + c) - mean, g = rising(activation, v_load(grad + i * width + c), d, scale, shift);
            a += g, b = v_fma(g, d, b);
        }
        v_store(s1 + c, a), v_store(s2 + c, b);
    }
}

/* What they leave: columns [begin, end) of some rows. */
static __attribute__((noinline)) void add_rest(int activation, const rings *r, const real *grad, const real *x, int64_t rows, int64_t width, int64_t begin, int64_t end,
                     real *s1, real *s2) {
    for (int64_t i = 0; i < rows; i++, grad += width, x += width)
        for (int64_t c = begin; c < end; c += LANES) {
            const int n = (int)min64(LANES, end - c);
            const vec d = v_load_n(x + c, n) - v_load_n(r->mean + c, n);
            const vec g = rising(activation, v_load_n(grad + c, n), d, v_load(r->scale + c), v_load(r->shift + c));
            v_store(s1 + c, v_load(s1 + c) + g);
            v_store(s2 + c, v_fma(g, d, v_load(s2 + c)));
        }
}

static void fold(const real *s1, const real *s2, int64_t C, int64_t width, double *sum, double *sum_x) {
    for (int64_t k = 0; k < width; k += C)
        for (int64_t c = 0; c < C; c++) sum[c] += (double)s1[k + c], sum_x[c] += (double)s2[k + c];
}

INLINE void sums(int activation, const batch_norm_piece *p, const rings *r, const real *grad, const real *x, int64_t pixels, double *sum,
                 double *sum_x, real *s1) {
    const int64_t width = p->C * p->repeat, rows = pixels / p->repeat, rest = pixels % p->repeat * p->C;
    const int64_t whole = width / LANES * LANES;
    real *s2 = s1 + width + 16;
    for (int64_t row = 0; row < rows; row += CHUNK_ROWS) {
        const int64_t n = min64(CHUNK_ROWS, rows - row);
        memset(s1, 0, (size_t)(2 * width + 32) * sizeof *s1);
        int64_t i = 0;
        for (; i + GROUP_ROWS <= n; i += GROUP_ROWS) {
            const int64_t at = (row + i) * width;
            if (p->far) ask_for_rows(grad + at, x + at, NULL, GROUP_ROWS * width);
            add_rows(activation, r, grad + at, x + at, width, s1, s2);
            if (whole < width) add_rest(activation, r, grad + at, x + at, GROUP_ROWS, width, whole, width, s1, s2);
        }
        add_rest(activation, r, grad + (row + i) * width, x + (row + i) * width, n - i, width, 0, width, s1, s2);
        fold(s1, s2, p->C, width, sum, sum_x);
    }
    if (rest) {
        memset(s1, 0, (size_t)(2 * width + 32) * sizeof *s1);
        add_rest(activation, r, grad + rows * width, x + rows * width, 1, rest, 0, rest, s1, s2);
        fold(s1, s2, p->C, rest, sum, sum_x);
    }
}

void SYMBOL(batch_norm_sums)(const batch_norm_piece *p, const batch_norm_channels *of, const void *grad, const void *x, int64_t pixels,
                             double *sum, double *sum_x, void *scratch) {
    real *s1 = scratch;
    const rings r = rings_of(p, of, s1 + 2 * (p->C * p->repeat + 16));
    memset(sum, 0, (size_t)p->C * sizeof *sum);
    memset(sum_x, 0, (size_t)p->C * sizeof *sum_x);
    if (p->activation == CNNFAST_NONE) sums(CNNFAST_NONE, p, &r, grad, x, pixels, sum, sum_x, s1);
    else if (p->activation == CNNFAST_RELU) sums(CNNFAST_RELU, p, &r, grad, x, pixels, sum, sum_x, s1);
    else sums(CNNFAST_RELU6, p, &r, grad, x, pixels, sum, sum_x, s1);
}

INLINE vec input(int activation, bool own, vec grad, vec d, const rings *r, int64_t c) {
    const vec scale = v_load(r->scale + c), g = rising(activation, grad, d, scale, v_load(r->shift + c));
    return own ? v_fma(scale, g, v_fma(v_load(r->slope + c), d, v_load(r->offset + c))) : scale * g;
}

INLINE void apply_rows(int activation, bool own, bool stream, const rings *r, const real *grad, const real *x, real *to, int64_t width) {
    for (int64_t c = 0; c + LANES <= width; c += LANES) {
        const vec mean = v_load(r->mean + c);
#pragma GCC unroll 4
        for (int i = 0; i < GROUP_ROWS; i++) {
            const int64_t at = i * width + c;
            const vec v = input(activation, own, v_load(grad + at), v_load(x + at) - mean, r, c);
            if (stream) v_stream(to + at, v);
            else v_store(to + at, v);
        }
    }
}

static __attribute__((noinline)) void apply_rest(int activation, bool own, const rings *r, const real *grad, const real *x, real *to, int64_t rows, int64_t width,
                       int64_t begin, int64_t end) {
    for (int64_t i = 0; i < rows; i++, grad += width, x += width, to += width)
        for (int64_t c = begin; c < end; c += LANES) {
            const int n = (int)min64(LANES, end - c);
            v_store_n(to + c, input(activation, own, v_load_n(grad + c, n), v_load_n(x + c, n) - v_load(r->mean + c), r, c), n);
        }
}

INLINE void apply(int activation, bool own, const batch_norm_piece *p, const rings *r, const real *grad, const real *x, real *to,
                  int64_t pixels) {
    const int64_t width = p->C * p->repeat, rows = pixels / p->repeat, rest = pixels % p->repeat * p->C, whole = width / LANES * LANES;
    const bool stream = p->stream && width % LANES == 0 && (uintptr_t)to % VEC_BYTES == 0;
    int64_t row = 0;
    for (; row + GROUP_ROWS <= rows; row += GROUP_ROWS) {
        const int64_t at = row * width;
        if (p->far) ask_for_rows(grad + at, x + at, stream ? NULL : to + at, GROUP_ROWS * width);
        apply_rows(activation, own, stream, r, grad + at, x + at, to + at, width);
        if (whole < width) apply_rest(activation, own, r, grad + at, x + at, to + at, GROUP_ROWS, width, whole, width);
    }
    if (stream) v_stream_end();
    const int64_t at = row * width, last = rows * width;
    apply_rest(activation, own, r, grad + at, x + at, to + at, rows - row, width, 0, width);
    if (rest) apply_rest(activation, own, r, grad + last, x + last, to + last, 1, rest, 0, rest);
}

#define APPLY(activation) \
    r.slope ? apply(activation, true, p, &r, grad, x, to, pixels) : apply(activation, false, p, &r, grad, x, to, pixels)
void SYMBOL(batch_norm_apply)(const batch_norm_piece *p, const batch_norm_channels *of, const void *grad, const void *x, void *to,
                              int64_t pixels, void *scratch) {
    const rings r = rings_of(p, of, scratch);
    if (p->activation == CNNFAST_NONE) APPLY(CNNFAST_NONE);
    else if (p->activation == CNNFAST_RELU) APPLY(CNNFAST_RELU);
    else APPLY(CNNFAST_RELU6);
}

#endif
