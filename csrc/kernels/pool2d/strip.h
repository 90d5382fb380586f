/* 2x2 and 3x3 windows in strips: one vector of channels goes along a few outputs of one row or two, so that windows which
 * overlap share their pixels in registers. */
#ifndef CNNFAST_POOL2D_STRIP_H
#define CNNFAST_POOL2D_STRIP_H

#include "common/ahead.h"
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

/* Where vectors of outputs start at a cache line and those of pixels do not, every load would cross two lines. Vectors that do
 * start at one are pooled instead, and of two is made what is stored: the last lanes of the one before, kept, and the first of this. */
typedef enum { STORE, KEEP, STORE_OF_TWO } ending;
typedef struct {
    picks lanes; /* of the two */
    vec before[2];
} pair;

/* Rows and columns [from, past) of pixels, `ahead` elements further. Loads that cross two lines want it, where the machine does not
 * guess them; others are slower by it. */
INLINE void ask_pixels_near(const real *const *row, int rows, const ptrdiff_t *col, int from, int past, ptrdiff_t ahead) {
#pragma GCC unroll 5
    for (int j = from; j < past; j++)
#pragma GCC unroll 5
        for (int i = 0; i < rows; i++) ask_near(row[i] + col[j] + ahead);
}

/* One vector of channels, of n lanes, of `steps` steps. Columns joined down wait in registers for every window they are in. */
INLINE nan_watch march(cnnfast_pool_kind kind, shape t, const real *const *row, const ptrdiff_t *col, int64_t steps, int n, real divisor,
                       target to, ending end, pair *two, ptrdiff_t ahead) {
    vec down[2][MOST_PIXELS];
#ifndef PICKS_OF_TWO
    (void)two;
#endif
    nan_watch seen = columns(kind, t, row, col, 0, cols_kept(t), n, down);
    for (; steps > 0; steps--, col += t.tq * t.stride, to.y += t.tq * to.step) {
        if (t.R == 3 && t.stride == 2 && ahead) ask_pixels_near(row, rows_under(t), col, cols_kept(t), cols_under(t), ahead);
        const nan_watch of = columns(kind, t, row, col, cols_kept(t), cols_under(t), n, down);
        if (watched(kind)) seen = v_watch_both(seen, of);
#pragma GCC unroll 2
        for (int a = 0; a < t.tp; a++) {
            vec all[2];
            slide(kind, t.S, t.stride, t.tq, down[a], all);
#pragma GCC unroll 2
            for (int b = 0; b < t.tq; b++) {
                vec v = finish(kind, all[b], divisor);
                if (end == STORE_OF_TWO) ask_pixels_near(row, t.R, col, b * t.stride, b * t.stride + t.S, ahead);
#ifdef PICKS_OF_TWO
                if (end != STORE) {
                    const vec pooled = v;
                    if (end == STORE_OF_TWO) v = v_pick_of_two(two->before[b], v, two->lanes);
                    two->before[b] = pooled;
                }
#endif
                if (end != KEEP) store(to.y + a * to.row + b * to.step, v, n);
            }
#pragma GCC unroll 2
            for (int j = 0; j < cols_kept(t); j++) down[a][j] = down[a][j + t.tq * t.stride];
        }
    }
    return seen;
}

#ifdef PICKS_OF_TWO
/* Vectors of outputs from which on pairs are worth one more of pixels. */
enum { WORTH_PAIRS = 3 };

INLINE picks lanes_from(int64_t first) {
    picks p = {0};
    for (int i = 0; i < LANES; i++) p[i] = (lane_int)(first + i);
    return p;
}
#endif

/* `count` channels of a strip, the first vector's `head`. */
INLINE nan_watch strip_of(cnnfast_pool_kind kind, shape t, const real *const *rows, const ptrdiff_t *cols, int64_t steps, int64_t count,
                          int64_t head, real divisor, target to) {
    nan_watch seen = v_unwatched();
    pair two;
    const real *row[MOST_PIXELS], *const x = rows[0];
    real *const y = to.y;
    const bool asks = t.R == 2 || (VEC_BYTES == CACHE_LINE && (uintptr_t)(x + head) % CACHE_LINE != 0);
    const ptrdiff_t next_strip = t.tq * t.stride * steps * (cols[2] - cols[1]) - count;
/* Pixels from channel `from` on, outputs from `c` on. What is asked for is two vectors further, of the next strip's at last. */
#define MARCH(from, n, end)                                                                             \
    do {                                                                                                \
        const ptrdiff_t on = t.R == 2 || c + 2 * LANES < count ? 0 : next_strip;                        \
        for (int i = 0; i < rows_under(t); i++) row[i] = rows[i] + (from);                              \
        to.y = y + c;                                                                                   \
        const nan_watch of = march(kind, t, row, cols, steps, (int)(n), divisor, to, end, &two,         \
                                   asks ? 2 * LANES + on : 0);                                          \
        if (watched(kind)) seen = v_watch_both(seen, of);                                               \
    } while (0)
    for (int64_t c = 0, n = head; c < count; n = min64(LANES, count - c)) {
        if (n == LANES) MARCH(c, LANES, STORE);
        else MARCH(c, n, STORE);
        c += n;
#ifdef PICKS_OF_TWO
        const int64_t past = (int64_t)((uintptr_t)(x + c) % VEC_BYTES / sizeof(real));
        if (t.R > 2 || !past || past > c || count - c < WORTH_PAIRS * LANES) continue;
        two.lanes = lanes_from(past);
        MARCH(c - past, LANES, KEEP);
        for (; count - c >= 2 * LANES; c += LANES) MARCH(c - past + LANES, LANES, STORE_OF_TWO);
#endif
    }
#undef MARCH
    return seen;
}

#endif
