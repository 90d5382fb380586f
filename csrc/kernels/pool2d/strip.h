/* 2x2 and 3x3 windows in strips: one vector of channels goes along a few outputs of one row or two, so that windows which
 * overlap share their pixels in registers. */
#ifndef CNNFAST_POOL2D_STRIP_H
#define CNNFAST_POOL2D_STRIP_H

#include "pool2d/view.h"

/* Rows or columns of pixels under a step. */
enum { MOST_PIXELS = 5 };

/* A strip of outputs: tp rows of R x S windows, tq of each row at a step. Constant wherever it is used. */
typedef struct {
    int R, S, stride, tp, tq;
} shape;

INLINE int rows_under(shape t) { return (t.tp - 1) * t.stride + t.R; }
INLINE int cols_under(shape t) { return (t.tq - 1) * t.stride + t.S; }
/* Columns of pixels that a step's windows share with the next step's. */
INLINE int cols_kept(shape t) { return t.S - t.stride; }

/* `count` windows of `taps`, a stride apart, along one axis. Neighbours share what they have in common, where the order of
 * joining does not matter: it does for a sum, and a maximum's first of equals stays first. */
INLINE void slide(cnnfast_pool_kind kind, int taps, int stride, int count, const vec *in, vec *out) {
    const bool paired = kind != CNNFAST_AVERAGE && taps == 3 && stride == 1 && count % 2 == 0;
#pragma GCC unroll 2
    for (int i = 0; i < count; i++) {
        if (paired) {
            const vec both = join(kind, in[i / 2 * 2 + 1], in[i / 2 * 2 + 2]);
            out[i] = i % 2 ? join(kind, both, in[i + 2]) : join(kind, in[i], both);
            continue;
        }
        out[i] = in[i * stride];
#pragma GCC unroll 2
        for (int t = 1; t < taps; t++) out[i] = join(kind, out[i], in[i * stride + t]);
    }
}

INLINE nan_watch watch(int count, const vec *of) {
    nan_watch seen = v_unwatched();
#pragma GCC unroll 3
    for (int i = 0; i < count; i += 2) seen = v_watch(seen, of[i], of[i + 1 < count ? i + 1 : i]);
    return seen;
}

/* Columns [from, past) of pixels, each joined down. Pixel (i, j) lies at row[i] + col[j]. */
INLINE nan_watch columns(cnnfast_pool_kind kind, shape t, const real *const *row, const ptrdiff_t *col, int from, int past, int n,
                         vec (*down)[MOST_PIXELS]) {
    nan_watch seen = v_unwatched();
#pragma GCC unroll 5
    for (int j = from; j < past; j++) {
        vec pixel[MOST_PIXELS], joined[2];
#pragma GCC unroll 5
        for (int i = 0; i < rows_under(t); i++) pixel[i] = v_keep(load(row[i] + col[j], n));
        if (watched(kind)) seen = v_watch_both(seen, watch(rows_under(t), pixel));
        slide(kind, t.R, t.stride, t.tp, pixel, joined);
#pragma GCC unroll 2
        for (int a = 0; a < t.tp; a++) down[a][j] = joined[a];
    }
    return seen;
}

/* Where outputs go: the first, and how far apart rows and columns of them are. */
typedef struct {
    real *y;
    int64_t row, step;
} target;

/* One vector of channels, of n lanes, of `steps` steps. Columns joined down wait in registers for every window they are in. */
INLINE nan_watch march(cnnfast_pool_kind kind, shape t, const real *const *row, const ptrdiff_t *col, int64_t steps, int n, real divisor,
                       target to) {
    vec down[2][MOST_PIXELS];
    nan_watch seen = columns(kind, t, row, col, 0, cols_kept(t), n, down);
    for (; steps > 0; steps--, col += t.tq * t.stride, to.y += t.tq * to.step) {
        const nan_watch of = columns(kind, t, row, col, cols_kept(t), cols_under(t), n, down);
        if (watched(kind)) seen = v_watch_both(seen, of);
#pragma GCC unroll 2
        for (int a = 0; a < t.tp; a++) {
            vec all[2];
            slide(kind, t.S, t.stride, t.tq, down[a], all);
#pragma GCC unroll 2
            for (int b = 0; b < t.tq; b++) store(to.y + a * to.row + b * to.step, finish(kind, all[b], divisor), n);
#pragma GCC unroll 2
            for (int j = 0; j < cols_kept(t); j++) down[a][j] = down[a][j + t.tq * t.stride];
        }
    }
    return seen;
}

/* `count` channels of a strip, the first vector's `head`. */
INLINE nan_watch strip_of(cnnfast_pool_kind kind, shape t, const real *const *rows, const ptrdiff_t *cols, int64_t steps, int64_t count,
                          int64_t head, real divisor, target to) {
    nan_watch seen = v_unwatched();
    const real *row[MOST_PIXELS];
#pragma GCC unroll 5
    for (int i = 0; i < rows_under(t); i++) row[i] = rows[i];
    for (int64_t n = head; count > 0; count -= n, to.y += n, n = min64(LANES, count)) {
        const nan_watch of = n == LANES ? march(kind, t, row, cols, steps, LANES, divisor, to)
                                        : march(kind, t, row, cols, steps, (int)n, divisor, to);
        if (watched(kind)) seen = v_watch_both(seen, of);
#pragma GCC unroll 5
        for (int i = 0; i < rows_under(t); i++) row[i] += n;
    }
    return seen;
}

#endif
