/* The depthwise kernels' tiles: one vector of channels of some outputs, in registers over the whole window.
 *
 * A tile's outputs lie `step` apart, so that inputs `unit` apart serve all of them: a dilation of d is d * d images that
 * interleave, each of dilation 1, and costs no code. Two kinds: 3x3 windows share inputs between two rows and up to 7
 * columns; any other window keeps some weights of one of its rows in registers and slides them along a line of 7 outputs. */
#ifndef CNNFAST_DEPTHWISE_TILE_H
#define CNNFAST_DEPTHWISE_TILE_H

#include "common/ahead.h"
#include "common/epilogue.h"
#include "pixels.h"

/* Outputs of 3x3 tiles: 14 with 9 weights and an input fit 32 registers, 8 fit 16 beside one weight each.
 * The maps of most networks are a multiple of 7 wide. At stride 2 fewer, for more columns lie under each. */
enum { TILE_P = 2, TILE_Q = TILE_M == 14 || TILE_V == 4 ? 7 : 4, STRIDED_Q = 4 };
/* Outputs of a line, and the most weights beside them. */
enum { LINE_Q = 7, LINE_TAPS = TILE_M == 14 || TILE_V == 4 ? 9 : 5 };

/* Two lines at once: of windows of 5 or 7 columns, whose weights fit 32 registers beside 14 outputs. */
#define LINE_TAPS_OF_TWO (TILE_M == 14 || TILE_V == 4 ? 7 : 0)

/* What the tiles of one block share. Where lines run down columns, R and S, rows and columns change places. */
typedef struct {
    const real *packed;   /* of channel k0: its bias, and so on (depthwise_layout.h) */
    int64_t number_step;  /* to the next number of a 3x3 window */
    int64_t packed_step;  /* to a line's next vector */
    int64_t unit, row;    /* pointers of the table to the next input of a row and to the next row of inputs */
    int64_t y_step, y_row; /* elements to the next output of a row and to the next row of outputs */
    int64_t R, S, stride; /* stride in units */
    int64_t k0, k1;
    int head;    /* channels of the first vector */
    bool stream; /* past the caches: whole vectors of y are whole cache lines */
    const epilogue *epilogue;
    bool asks;                  /* 3x3: for what the tile below reads and writes, */
    ptrdiff_t x_below, y_below; /* so many elements further on */
    const real *next, *next_end; /* lines: of x, what the next band reads, asked for a little at each column of them */
    int64_t ahead;               /* elements */
} shared;

/* The taps that read some of the image: the others are padding for all of a line. */
typedef struct {
    int64_t r0, r1, s0, s1;
} inside;

INLINE void fetch_ahead(shared *d) {
    const int64_t n = min64(d->ahead, d->next_end - d->next);
    ask_ahead(d->next, n);
    d->next += n;
}

/* tq outputs of a row to y. What is asked of all of them is asked once: asked of each, it was half of a tile's instructions. */
INLINE void finish(const shared *d, int tq, const real *residual, real *y, int n, vec *acc) {
    const int64_t step = d->y_step;
    const cnnfast_activation activation = d->epilogue->activation;
#define EACH _Pragma("GCC unroll 7") for (int b = 0; b < tq; b++)
    if (residual) EACH acc[b] += v_load_n(residual + b * step, n);
    if (activation == CNNFAST_RELU || activation == CNNFAST_RELU6) EACH acc[b] = v_at_least(acc[b], v_splat(0));
    if (activation == CNNFAST_RELU6) EACH acc[b] = v_at_most(acc[b], v_splat(6));
    if (n < LANES) EACH v_store_n(y + b * step, acc[b], n);
    else if (d->stream) EACH v_stream(y + b * step, acc[b]);
    else EACH v_store(y + b * step, acc[b]);
#undef EACH
}

/* What the tile below this one reads, and this one does not, and what it writes, of the vector at k. A vector at a time, for
 * those of a whole tile are more lines than a core waits for. */
INLINE void ask_below(int stride, int tp, int tq, const shared *d, const pixel *at, const real *y, int64_t k) {
    at += (3 - stride) * d->row;
#pragma GCC unroll 4
    for (int i = 0; i < tp * stride; i++, at += d->row)
#pragma GCC unroll 8
        for (int j = 0; j < tq * stride; j++) ask(at[j] + k + d->x_below);
    if (d->stream) return;
    y += k + d->y_below;
#pragma GCC unroll 2
    for (int a = 0; a < tp; a++, y += d->y_row)
#pragma GCC unroll 7
        for (int b = 0; b < tq; b++) ask(y + b * d->y_step);
}

/* A tile of tp x tq outputs of a 3x3 window, all but `n` constant. */
INLINE void fixed_vector(int stride, int tp, int tq, const shared *d, const pixel *at, const real *packed,
                         const real *residual, real *y, int64_t k, int n) {
    enum { R = 3, S = 3 };
    const bool whole = n == LANES;
    vec acc[TILE_P][TILE_Q], w[R * S];
    const pixel *row = at;
#pragma GCC unroll 9
    for (int t = 0; t < R * S; t++) w[t] = v_load(packed + (1 + t) * d->number_step);
    const vec bias = v_load(packed);
#pragma GCC unroll 2
    for (int a = 0; a < tp; a++)
#pragma GCC unroll 7
        for (int b = 0; b < tq; b++) acc[a][b] = bias;
#pragma GCC unroll 9
    for (int i = 0; i < (tp - 1) * stride + R; i++, row += d->row) {
#pragma GCC unroll 15
        for (int j = 0; j < (tq - 1) * stride + S; j++) {
            const real *x = row[j];
            __asm__("" : "+r"(x)); /* or k is added to it by an instruction of its own */
            vec v = v_keep(whole ? v_load(x + k) : v_load_n(x + k, n));
#pragma GCC unroll 2
            for (int a = 0; a < tp; a++)
#pragma GCC unroll 7
                for (int b = 0; b < tq; b++) {
                    int r = i - a * stride, s = j - b * stride;
                    if (r >= 0 && r < R && s >= 0 && s < S) acc[a][b] = v_fma(v, w[r * S + s], acc[a][b]);
                }
        }
        const int a = (i + 1 - R) / stride; /* the row of outputs that has all of its inputs now */
        const int64_t to = a * d->y_row + k;
        if (i + 1 >= R && (i + 1 - R) % stride == 0) finish(d, tq, residual ? residual + to : NULL, y + to, n, acc[a]);
    }
}

INLINE void fixed(int stride, int tp, int tq, const shared *d, const pixel *at, const real *residual, real *y) {
    const real *packed = d->packed;
    int n = d->head;
    for (int64_t k = d->k0; k < d->k1; packed += n, k += n, n = (int)min64(LANES, d->k1 - k)) {
        if (tp == TILE_P && d->asks) ask_below(stride, tp, tq, d, at, y, k);
        if (n == LANES) fixed_vector(stride, tp, tq, d, at, packed, residual, y, k, LANES);
        else fixed_vector(stride, tp, tq, d, at, packed, residual, y, k, n);
    }
}

/* `taps` taps of a row for tq outputs, all constant: each input is loaded once. `stride` 0: the call's, for one tap. `unit` 0: the
 * call's, and one address that moves, for all of them would not fit the registers. */
INLINE void slide(int taps, int stride, int unit, int tq, const shared *d, const pixel *at, const real *w, int64_t k, int n, vec acc[LINE_Q]) {
    vec weight[9];
    const int64_t step = stride ? d->unit : d->unit * d->stride;
    const int every = stride ? stride : 1;
#pragma GCC unroll 9
    for (int t = 0; t < taps; t++) weight[t] = v_load(w + t * LANES);
#pragma GCC unroll 21
    for (int j = 0; j < (tq - 1) * every + taps; j++) {
        if (j % every < taps) { /* else no output reads it */
            const real *x = unit ? at[j * unit] : at[0];
            __asm__("" : "+r"(x));
            const vec v = v_keep(n == LANES ? v_load(x + k) : v_load_n(x + k, n));
#pragma GCC unroll 9
            for (int t = 0; t < taps; t++) {
                const int b = (j - t) / every;
                if (j >= t && (j - t) % every == 0 && b < tq) acc[b] = v_fma(v, weight[t], acc[b]);
            }
        }
        if (!unit) {
            at += step;
            __asm__("" : "+r"(at));
        }
    }
}

/* What `count` taps of padding add to a chain: x + 0*w1 + 0*w2 + ... is x + z, z folded from -0, for x + -0 is x. */
INLINE vec padding_sum(const real *w, int64_t count) {
    vec sum = v_splat(-(real)0);
    for (int64_t i = 0; i < count; i++) sum = v_fma(v_splat(0), v_load(w + i * LANES), sum);
    return sum;
}

INLINE void add_to_all(int tq, vec v, vec acc[LINE_Q]) {
#pragma GCC unroll 7
    for (int b = 0; b < tq; b++) acc[b] += v;
}

INLINE void line_vector(int stride, int unit, int tq, const shared *d, const inside *in, const pixel *at, const real *packed,
                        const real *residual, real *y, int64_t k, int n) {
    const real *padding = packed + LANES, *w = padding + d->R * LANES;
    vec acc[LINE_Q];
    const vec bias = v_load(packed);
#pragma GCC unroll 7
    for (int b = 0; b < tq; b++) acc[b] = bias;
    for (int64_t r = 0; r < d->R; r++, at += d->row, w += d->S * LANES) {
        if (r < in->r0 || r >= in->r1) {
            add_to_all(tq, v_load(padding + r * LANES), acc);
            continue;
        }
        if (in->s0) add_to_all(tq, padding_sum(w, in->s0), acc);
        int64_t s = in->s0;
#define SLIDE(taps) slide(taps, stride, unit, tq, d, at + s * d->unit, w + s * LANES, k, n, acc), s += taps
        if (stride && tq > 1) {
            if (LINE_TAPS >= 9) {
                while (s + 9 <= in->s1) SLIDE(9);
                if (s + 7 <= in->s1) SLIDE(7);
            }
            while (s + 5 <= in->s1) SLIDE(5);
            if (s + 3 <= in->s1) SLIDE(3);
        }
#undef SLIDE
        for (; s < in->s1; s++) slide(1, 0, 0, tq, d, at + s * d->unit, w + s * LANES, k, n, acc);
        if (s < d->S) add_to_all(tq, padding_sum(w + s * LANES, d->S - s), acc);
    }
    finish(d, tq, residual ? residual + k : NULL, y + k, n, acc);
}

INLINE void line(int stride, int unit, int tq, const shared *d, const inside *in, const pixel *at, const real *residual, real *y) {
    const real *packed = d->packed;
    int n = d->head;
    for (int64_t k = d->k0; k < d->k1; k += n, n = (int)min64(LANES, d->k1 - k), packed += d->packed_step)
        if (n == LANES) line_vector(stride, unit, tq, d, in, at, packed, residual, y, k, LANES);
        else line_vector(stride, unit, tq, d, in, at, packed, residual, y, k, n);
}

#if LINE_TAPS_OF_TWO
/* `taps` taps of a row of inputs for the line above, and of the row of taps before it for the line below. */
INLINE void slide_both(int taps, int stride, const pixel *at, const real *upper, const real *lower, int64_t k, int n, vec (*acc)[LINE_Q]) {
    vec weight[2][LINE_TAPS_OF_TWO];
#pragma GCC unroll 7
    for (int t = 0; t < taps; t++) weight[0][t] = v_load(upper + t * LANES), weight[1][t] = v_load(lower + t * LANES);
#pragma GCC unroll 19
    for (int j = 0; j < (LINE_Q - 1) * stride + taps; j++) {
        const real *x = at[j];
        __asm__("" : "+r"(x));
        const vec v = v_keep(n == LANES ? v_load(x + k) : v_load_n(x + k, n));
#pragma GCC unroll 7
        for (int t = 0; t < taps; t++) {
            const int b = (j - t) / stride;
            if (j < t || (j - t) % stride || b >= LINE_Q) continue;
            acc[0][b] = v_fma(v, weight[0][t], acc[0][b]);
            acc[1][b] = v_fma(v, weight[1][t], acc[1][b]);
        }
    }
}

/* Two lines, one below the other, of windows whose columns are all inside. in: rows of inputs under the windows of both. */
INLINE void two_lines_vector(int taps, int stride, const shared *d, const inside *in, const pixel *at, const real *packed,
                             const real *residual, real *y, int64_t k, int n) {
    const real *padding = packed + LANES, *w = padding + d->R * LANES;
    const int64_t step = taps * LANES, above = stride * step;
    vec acc[2][LINE_Q];
    const vec bias = v_load(packed);
#pragma GCC unroll 7
    for (int b = 0; b < LINE_Q; b++) acc[0][b] = acc[1][b] = bias;
    for (int64_t r = 0; r < d->R + stride; r++, at += d->row, w += step) {
        const bool upper = r < d->R, lower = r >= stride;
        if (r < in->r0 || r >= in->r1) {
            if (upper) add_to_all(LINE_Q, v_load(padding + r * LANES), acc[0]);
            if (lower) add_to_all(LINE_Q, v_load(padding + (r - stride) * LANES), acc[1]);
        } else if (upper && lower) slide_both(taps, stride, at, w, w - above, k, n, acc);
        else if (upper) slide(taps, stride, 1, LINE_Q, d, at, w, k, n, acc[0]);
        else slide(taps, stride, 1, LINE_Q, d, at, w - above, k, n, acc[1]);
        if (r + 1 == d->R) finish(d, LINE_Q, residual ? residual + k : NULL, y + k, n, acc[0]);
    }
    k += d->y_row;
    finish(d, LINE_Q, residual ? residual + k : NULL, y + k, n, acc[1]);
}

INLINE void two_lines(int taps, int stride, const shared *d, const inside *in, const pixel *at, const real *residual, real *y) {
    const real *packed = d->packed;
    int n = d->head;
    for (int64_t k = d->k0; k < d->k1; k += n, n = (int)min64(LANES, d->k1 - k), packed += d->packed_step)
        if (n == LANES) two_lines_vector(taps, stride, d, in, at, packed, residual, y, k, LANES);
        else two_lines_vector(taps, stride, d, in, at, packed, residual, y, k, n);
}
#endif

#endif
