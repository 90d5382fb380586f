/* One tile's way in, B^T x B, and its way back, A^T M A. */
#ifndef CNNFAST_WINOGRAD_PIXELS_H
#define CNNFAST_WINOGRAD_PIXELS_H

#include "activation.h"
#include "common/band.h"
#include "common/epilogue.h"
#include "panels.h"
#include "winograd_ahead.h"
#include "winograd_tiles.h"

#define OUTPUT_ROWS 4 /* of a tile, that are transformed back at a time: some spills cost less than the sums again for two more rows */
#define MOST_PIXELS 64 /* that a tile reads */

/* Along an axis, the inputs of the tile whose outputs begin at `first`; -1: zeros. None beyond those that outputs stand on. */
INLINE void find_inputs(axis a, const conv2d_problem *p, int h, int64_t first, int64_t size, int64_t outputs, int64_t *to) {
    const int64_t gap = p->g.dilation[h], end = (outputs - 1) * stride_of(a) + (a.r - 1) * gap;
    for (int i = 0; i < inputs(a); i++) {
        const int64_t at = first * stride_of(a) + i * gap;
        to[i] = at <= end ? pad_index(at - p->g.pad[2 * h], size, p->padding_mode) : -1;
    }
}

/* Whether all of them are pixels. Outputs stand on them then: no pad is negative here, and a stride leaves over less than an
 * output more would read. */
INLINE bool inside(axis a, const conv2d_problem *p, int h, int64_t first, int64_t size) {
    const int64_t from = first * stride_of(a) - p->g.pad[2 * h];
    return from >= 0 && from + (inputs(a) - 1) * p->g.dilation[h] < size;
}

/* The pixels a tile reads, row by row. */
INLINE void find_pixels(tiling of, const conv2d_problem *p, origin at, const real *x, const real *zeros, const real **to) {
    const window *g = &p->g;
    x += at.n * g->H * g->W * g->C;
    if (inside(of.h, p, 0, at.p, g->H) && inside(of.w, p, 1, at.q, g->W)) { /* as most tiles are */
        const int64_t h = at.p * stride_of(of.h) - g->pad[0], w = at.q * stride_of(of.w) - g->pad[2];
        const real *row = x + (h * g->W + w) * g->C;
        for (int i = 0; i < inputs(of.h); i++, row += g->dilation[0] * g->W * g->C)
            for (int j = 0; j < inputs(of.w); j++) *to++ = row + j * g->dilation[1] * g->C;
        return;
    }
    int64_t row[MOST_INPUTS], col[MOST_INPUTS];
    find_inputs(of.h, p, 0, at.p, g->H, g->P, row);
    find_inputs(of.w, p, 1, at.q, g->W, g->Q, col);
    for (int i = 0; i < inputs(of.h); i++)
        for (int j = 0; j < inputs(of.w); j++)
            *to++ = row[i] < 0 || col[j] < 0 ? zeros : x + (row[i] * g->W + col[j]) * g->C;
}

/* Where a tile's products lie, or its sums: those of each kind. */
typedef struct {
    real *of[KINDS];
} values;

INLINE values values_at(const values *first, int64_t elements) {
    return (values){{first->of[0] + elements, first->of[1] + elements, first->of[2] + elements, first->of[3] + elements}};
}
INLINE values values_together(real *at) { return (values){{at, at, at, at}}; }

INLINE int kind_of_product(tiling of, int i, int j) {
    const int down = sums(of.h) - 1, across = sums(of.w) - 1;
    return kind_of(of.h, of.w, i < first_of(of.h, down) ? 0 : down, j < first_of(of.w, across) ? 0 : across);
}

typedef vec halves[MOST_PRODUCTS][MOST_INPUTS]; /* [product down][column] */

/* A part of B^T x, of columns [begin, end): one vector of channels. */
INLINE void input_columns(tiling of, int part, int begin, int end, const real *const *pixel, int64_t c, int lanes, halves half) {
#pragma GCC unroll 16
    for (int j = begin; j < end; j++) {
        vec column[MOST_INPUTS], to[MOST_PRODUCTS];
#pragma GCC unroll 16
        for (int i = 0; i < inputs(of.h); i++) {
            const real *from = pixel[i * inputs(of.w) + j] + c;
            column[i] = lanes == LANES ? v_load(from) : v_load_n(from, lanes);
        }
        input_part(of.h, part, column, to);
#pragma GCC unroll 16
        for (int i = part_begin(of.h, part); i < part_end(of.h, part); i++) half[i][j] = to[place(of.h, piece_of(of.h, part), i)];
    }
}

/* And times B. */
INLINE void input_rows(tiling of, int part, halves half, const values *V, int64_t product) {
#pragma GCC unroll 16
    for (int i = part_begin(of.h, part); i < part_end(of.h, part); i++) {
        const int at = place(of.h, piece_of(of.h, part), i);
        vec to[MOST_PRODUCTS];
        input_transform(of.w, half[i], to);
#pragma GCC unroll 16
        for (int j = 0; j < products(of.w); j++)
            v_store(V->of[kind_of_product(of, at, j)] + (at * products(of.w) + j) * product, to[j]);
    }
    __asm__("" ::: "memory"); /* or the compiler merges the parts' loads, and keeps them all */
}

/* One vector of channels: B^T x B. Reading the pixels again for each part costs less than keeping what all parts need. */
INLINE void input_vector(tiling of, const real *const *pixel, int64_t c, int lanes, const values *V, int64_t product) {
#pragma GCC unroll 8
    for (int part = 0; part < parts(of.h); part++) {
        halves half;
        input_columns(of, part, 0, inputs(of.w), pixel, c, lanes, half);
        input_rows(of, part, half, V, product);
    }
}

/* Asks for the pixels of `next`, the tile after it. */
INLINE void input_tile(tiling of, const real *const *pixel, const real *const *next, int64_t channels, const values *V, int64_t product) {
    int64_t c = 0;
    for (; c <= channels - LANES; c += LANES) {
        if (asks_ahead(of)) ask_for_inputs(of, next, c);
        const values at = values_at(V, c);
        input_vector(of, pixel, c, LANES, &at, product);
    }
    if (c < channels) {
        const values at = values_at(V, c);
        input_vector(of, pixel, c, (int)(channels - c), &at, product);
    }
}

/* Where a tile's outputs go. */
typedef struct {
    int rows, cols;    /* of the tile's m x m, that exist */
    int64_t down, across; /* elements from an output to the one below, and beside */
    bool stream; /* past the caches: whole vectors of y are whole cache lines */
    const real *residual;
    real *y;
} outputs;

/* Of the tile at `o`; `to`: where its first one lies in y. */
INLINE outputs outputs_at(tiling of, const conv2d_problem *p, origin o, int64_t to, const tensors *io) {
    const window *g = &p->g;
    const int64_t dh = g->dilation[0], dw = g->dilation[1];
    return (outputs){.rows = (int)max64(0, min64(of.h.m, ceil_div(g->P - o.p, dh))),
                     .cols = (int)max64(0, min64(of.w.m, ceil_div(g->Q - o.q, dw))),
                     .down = dh * g->Q * io->y_step, .across = dw * io->y_step,
                     .stream = io->stream && VEC_BYTES == CACHE_LINE && io->y_step % LANES == 0 && to % LANES == 0 &&
                               (uintptr_t)io->y % VEC_BYTES == 0 && p->epilogue.activation <= CNNFAST_RELU6,
                     .residual = io->residual ? (const real *)io->residual + to : NULL, .y = (real *)io->y + to};
}

/* The first `cols` of a row's m outputs. */
INLINE void store_row(int m, real *y, ptrdiff_t across, const vec *v, int cols, int lanes, bool stream) {
#pragma GCC unroll 8
    for (int j = 0; j < m && j < cols; j++, y += across) {
        if (lanes < LANES) v_store_n(y, v[j], lanes);
        else if (stream) v_stream(y, v[j]);
        else v_store(y, v[j]);
    }
}

/* A row of a tile's sums + residual, and the activations that are one instruction. What is asked is asked for the row: asked for
 * each vector, it was a twelfth of a grouped tile's instructions. */
INLINE void output_row(int m, vec *v, cnnfast_activation activation, const outputs *to, int64_t at, int lanes) {
    if (to->residual)
#pragma GCC unroll 8
        for (int j = 0; j < m && j < to->cols; j++) {
            const real *residual = to->residual + at + j * to->across;
            v[j] += lanes == LANES ? v_load(residual) : v_load_n(residual, lanes);
        }
    if (activation == CNNFAST_RELU || activation == CNNFAST_RELU6)
#pragma GCC unroll 8
        for (int j = 0; j < m; j++) v[j] = v_at_least(v[j], v_splat(0));
    if (activation == CNNFAST_RELU6)
#pragma GCC unroll 8
        for (int j = 0; j < m; j++) v[j] = v_at_most(v[j], v_splat(6));
    if (to->cols < m) store_row(m, to->y + at, to->across, v, to->cols, lanes, to->stream);
    else if (to->stream) store_row(m, to->y + at, to->across, v, m, lanes, true);
    else store_row(m, to->y + at, to->across, v, m, lanes, false);
}

/* One vector of output channels: A^T M A + bias, and the row's end. `next`: from one of M's sums to the next. */
INLINE void output_vector(tiling of, const values *M, int64_t next, vec bias, cnnfast_activation activation, const outputs *to, int64_t k, int lanes) {
#pragma GCC unroll 4
    for (int begin = 0; begin < of.h.m; begin += OUTPUT_ROWS) {
        const int end = begin + OUTPUT_ROWS < of.h.m ? begin + OUTPUT_ROWS : of.h.m;
        if (begin >= to->rows) return;
        vec half[MOST_PRODUCTS][MOST_PRODUCTS];
#pragma GCC unroll 16
        for (int j = 0; j < sums(of.w); j++) {
            vec column[MOST_PRODUCTS], sum[MOST_PRODUCTS];
#pragma GCC unroll 16
            for (int i = 0; i < sums(of.h); i++)
                column[i] = v_load(M->of[kind_of(of.h, of.w, i, j)] + k + (i * sums(of.w) + j) * next);
            output_part(of.h, begin, end, column, NULL, sum);
#pragma GCC unroll 8
            for (int i = begin; i < end; i++) half[i][j] = sum[i];
        }
        int64_t at = begin * to->down + k;
#pragma GCC unroll 8
        for (int i = begin; i < end; i++, at += to->down) {
            if (i >= to->rows) return;
            vec sum[MOST_PRODUCTS];
            output_part(of.w, 0, of.w.m, half[i], &bias, sum);
            output_row(of.w.m, sum, activation, to, at, lanes);
        }
    }
}

/* The other activations. */
INLINE void finish_tile(const conv2d_problem *p, const outputs *to, int channels) {
    if (p->epilogue.activation <= CNNFAST_RELU6) return;
    for (int i = 0; i < to->rows; i++)
        for (int j = 0; j < to->cols; j++) SYMBOL(epilogue_run)(&p->epilogue, to->y + i * to->down + j * to->across, channels);
}

INLINE void output_tile(tiling of, const conv2d_problem *p, const panel *at, const values *M, const outputs *to) {
    const epilogue *e = &p->epilogue;
    int k = 0;
    for (; k + LANES <= at->channels; k += LANES)
        output_vector(of, M, TILE_N, v_load(at->bias + k), e->activation, to, k, LANES);
    if (k < at->channels) output_vector(of, M, TILE_N, v_load(at->bias + k), e->activation, to, k, at->channels - k);
    finish_tile(p, to, at->channels);
}

#endif
