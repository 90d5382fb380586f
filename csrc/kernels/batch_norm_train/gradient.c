/* The gradient of batch normalisation: two sums a channel, then grad_input. */
#include "batch_norm_train/problem.h"

#include <string.h>

#include "simd.h"

#if CNNFAST_REAL

enum { CHUNK_ROWS = 128, GROUP_ROWS = 4 };

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

#define WHOLE(p) v_load(p)
#define PART(p) v_load_n(p, (int)(width - c))

INLINE void add_rows(int activation, const rings *r, const real *grad, const real *x, int rows, int64_t width, real *s1, real *s2) {
    int64_t c = 0;
#define ADD(load)                                                                               \
    const vec mean = v_load(r->mean + c), scale = v_load(r->scale + c), shift = v_load(r->shift + c); \
    vec a = v_load(s1 + c), b = v_load(s2 + c);                                                 \
    _Pragma("GCC unroll 4") for (int i = 0; i < rows; i++) {                                    \
        const vec d = load(x + i * width + c) - mean;                                           \
        const vec g = rising(activation, load(grad + i * width + c), d, scale, shift);          \
        a += g, b = v_fma(g, d, b);                                                             \
    }                                                                                           \
    v_store(s1 + c, a), v_store(s2 + c, b);
    for (; c + LANES <= width; c += LANES) {
        ADD(WHOLE)
    }
    if (c < width) {
        ADD(PART)
    }
#undef ADD
}

static void fold(const real *s1, const real *s2, int64_t C, int64_t width, double *sum, double *sum_x) {
    for (int64_t k = 0; k < width; k += C)
        for (int64_t c = 0; c < C; c++) sum[c] += (double)s1[k + c], sum_x[c] += (double)s2[k + c];
}

INLINE void sums(int activation, const batch_norm_piece *p, const rings *r, const real *grad, const real *x, int64_t pixels, double *sum,
                 double *sum_x, real *s1) {
    const int64_t width = p->C * p->repeat, rows = pixels / p->repeat, rest = pixels % p->repeat * p->C;
    real *s2 = s1 + width + 16;
    for (int64_t row = 0; row < rows; row += CHUNK_ROWS) {
        const int64_t n = min64(CHUNK_ROWS, rows - row);
        memset(s1, 0, (size_t)(2 * width + 32) * sizeof *s1);
        for (int64_t i = 0; i < n;) {
            const int64_t at = (row + i) * width;
            if (i + GROUP_ROWS <= n) add_rows(activation, r, grad + at, x + at, GROUP_ROWS, width, s1, s2), i += GROUP_ROWS;
            else add_rows(activation, r, grad + at, x + at, 1, width, s1, s2), i++;
        }
        fold(s1, s2, p->C, width, sum, sum_x);
    }
    if (rest) {
        memset(s1, 0, (size_t)(2 * width + 32) * sizeof *s1);
        add_rows(activation, r, grad + rows * width, x + rows * width, 1, rest, s1, s2);
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

INLINE void apply_rows(int activation, bool own, bool stream, const rings *r, const real *grad, const real *x, real *to, int rows,
                       int64_t width) {
    int64_t c = 0;
#define AT(load, store)                                                                               \
    const vec mean = v_load(r->mean + c), scale = v_load(r->scale + c), shift = v_load(r->shift + c); \
    const vec slope = own ? v_load(r->slope + c) : scale, offset = own ? v_load(r->offset + c) : scale; \
    _Pragma("GCC unroll 4") for (int i = 0; i < rows; i++) {                                          \
        const int64_t at = i * width + c;                                                             \
        const vec d = load(x + at) - mean;                                                            \
        const vec g = rising(activation, load(grad + at), d, scale, shift);                           \
        const vec v = own ? v_fma(scale, g, v_fma(slope, d, offset)) : scale * g;                     \
        store;                                                                                        \
    }
    if (stream) {
        for (; c + LANES <= width; c += LANES) {
            AT(WHOLE, v_stream(to + at, v))
        }
    } else {
        for (; c + LANES <= width; c += LANES) {
            AT(WHOLE, v_store(to + at, v))
        }
    }
    if (c < width) {
        AT(PART, v_store_n(to + at, v, (int)(width - c)))
    }
#undef AT
}

INLINE void apply(int activation, bool own, const batch_norm_piece *p, const rings *r, const real *grad, const real *x, real *to,
                  int64_t pixels) {
    const int64_t width = p->C * p->repeat, rows = pixels / p->repeat, rest = pixels % p->repeat * p->C;
    const bool stream = p->stream && width % LANES == 0 && (uintptr_t)to % VEC_BYTES == 0;
    int64_t at = 0;
    if (stream) {
        for (; at + GROUP_ROWS * width <= rows * width; at += GROUP_ROWS * width)
            apply_rows(activation, own, true, r, grad + at, x + at, to + at, GROUP_ROWS, width);
        v_stream_end();
    } else {
        for (; at + GROUP_ROWS * width <= rows * width; at += GROUP_ROWS * width)
            apply_rows(activation, own, false, r, grad + at, x + at, to + at, GROUP_ROWS, width);
    }
    for (; at < rows * width; at += width) apply_rows(activation, own, false, r, grad + at, x + at, to + at, 1, width);
    if (rest) apply_rows(activation, own, false, r, grad + at, x + at, to + at, 1, rest);
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
