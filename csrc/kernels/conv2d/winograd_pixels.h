/* One tile's way in, B^T x B, and its way back, A^T M A. */
#ifndef CNNFAST_WINOGRAD_PIXELS_H
#define CNNFAST_WINOGRAD_PIXELS_H

#include "activation.h"
#include "common/band.h"
#include "common/epilogue.h"
#include "panels.h"
#include "winograd_tiles.h"

#define OUTPUT_ROWS 2 /* of a tile, that are transformed back at a time: what the registers hold */
#define MOST_VALUES (MOST_PRODUCTS * MOST_PRODUCTS)

/* The pixels a tile reads, row by row. */
INLINE void find_pixels(tiling of, const conv2d_problem *p, origin at, const real *x, const real *zeros, const real **to) {
    const window *g = &p->g;
    int64_t row[MOST_PRODUCTS], col[MOST_PRODUCTS];
    for (int i = 0; i < products(of.h); i++) {
        const int64_t h = at.p + i * g->dilation[0] - g->pad[0];
        row[i] = h < g->H + g->pad[1] ? pad_index(h, g->H, p->padding_mode) : -1;
    }
    for (int i = 0; i < products(of.w); i++) {
        const int64_t w = at.q + i * g->dilation[1] - g->pad[2];
        col[i] = w < g->W + g->pad[3] ? pad_index(w, g->W, p->padding_mode) : -1;
    }
    x += at.n * g->H * g->W * g->C;
    for (int i = 0; i < products(of.h); i++)
        for (int j = 0; j < products(of.w); j++)
            *to++ = row[i] < 0 || col[j] < 0 ? zeros : x + (row[i] * g->W + col[j]) * g->C;
}

/* One vector of channels: B^T x B. Reading the pixels again for each part costs less than keeping what all parts need. */
INLINE void input_vector(tiling of, const real *const *pixel, int64_t c, int lanes, real *V, int64_t product) {
#pragma GCC unroll 4
    for (int part = 0; part < parts(of.h); part++) {
        vec half[MOST_PRODUCTS][MOST_PRODUCTS];
#pragma GCC unroll 8
        for (int j = 0; j < products(of.w); j++) {
            vec column[MOST_PRODUCTS], to[MOST_PRODUCTS];
#pragma GCC unroll 8
            for (int i = 0; i < products(of.h); i++) {
                const real *from = pixel[i * products(of.w) + j] + c;
                column[i] = lanes == LANES ? v_load(from) : v_load_n(from, lanes);
            }
            input_part(of.h, part, column, to);
#pragma GCC unroll 8
            for (int i = part_begin(of.h, part); i < part_end(of.h, part); i++) half[i][j] = to[i];
        }
#pragma GCC unroll 8
        for (int i = part_begin(of.h, part); i < part_end(of.h, part); i++) {
            vec to[MOST_PRODUCTS];
            input_transform(of.w, half[i], to);
#pragma GCC unroll 8
            for (int j = 0; j < products(of.w); j++) v_store(V + (i * products(of.w) + j) * product, to[j]);
        }
        __asm__("" ::: "memory"); /* or the compiler merges the parts' loads, and keeps them all */
    }
}

INLINE void input_tile(tiling of, const real *const *pixel, int64_t channels, real *V, int64_t product) {
    int64_t c = 0;
    for (; c + LANES <= channels; c += LANES) input_vector(of, pixel, c, LANES, V + c, product);
    if (c < channels) input_vector(of, pixel, c, (int)(channels - c), V + c, product);
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

/* One vector of output channels: A^T M A + bias + residual, and the activations that are one instruction. `product`: from
 * one of M's products to the next. */
INLINE void output_vector(tiling of, const real *M, int64_t product, vec bias, cnnfast_activation activation, const outputs *to, int64_t k, int lanes) {
#pragma GCC unroll 4
    for (int begin = 0; begin < of.h.m; begin += OUTPUT_ROWS) {
        const int end = begin + OUTPUT_ROWS < of.h.m ? begin + OUTPUT_ROWS : of.h.m;
        if (begin >= to->rows) return;
        vec half[MOST_PRODUCTS][MOST_PRODUCTS];
#pragma GCC unroll 8
        for (int j = 0; j < products(of.w); j++) {
            vec column[MOST_PRODUCTS], sum[MOST_PRODUCTS];
#pragma GCC unroll 8
            for (int i = 0; i < products(of.h); i++) column[i] = v_load(M + (i * products(of.w) + j) * product);
            output_part(of.h, begin, end, column, sum);
#pragma GCC unroll 8
            for (int i = begin; i < end; i++) half[i][j] = sum[i];
        }
#pragma GCC unroll 8
        for (int i = begin; i < end; i++) {
            if (i >= to->rows) return;
            vec sum[MOST_PRODUCTS];
            output_part(of.w, 0, of.w.m, half[i], sum);
#pragma GCC unroll 8
            for (int j = 0; j < of.w.m; j++) {
                if (j >= to->cols) break;
                const int64_t at = i * to->down + j * to->across + k;
                vec v = sum[j] + bias;
                if (to->residual) v += lanes == LANES ? v_load(to->residual + at) : v_load_n(to->residual + at, lanes);
                if (activation == CNNFAST_RELU || activation == CNNFAST_RELU6) v = v_at_least(v, v_splat(0));
                if (activation == CNNFAST_RELU6) v = v_at_most(v, v_splat(6));
                if (lanes == LANES && to->stream) v_stream(to->y + at, v);
                else if (lanes == LANES) v_store(to->y + at, v);
                else v_store_n(to->y + at, v, lanes);
            }
        }
    }
}

/* The other activations. */
INLINE void finish_tile(const conv2d_problem *p, const outputs *to, int channels) {
    if (p->epilogue.activation <= CNNFAST_RELU6) return;
    for (int i = 0; i < to->rows; i++)
        for (int j = 0; j < to->cols; j++) epilogue_run(&p->epilogue, to->y + i * to->down + j * to->across, channels);
}

INLINE void output_tile(tiling of, const conv2d_problem *p, const panel *at, const real *M, const outputs *to) {
    const epilogue *e = &p->epilogue;
    int k = 0;
    for (; k + LANES <= at->channels; k += LANES)
        output_vector(of, M + k, TILE_N, v_load(at->bias + k), e->activation, to, k, LANES);
    if (k < at->channels) output_vector(of, M + k, TILE_N, v_load(at->bias + k), e->activation, to, k, at->channels - k);
    finish_tile(p, to, at->channels);
}

#endif
