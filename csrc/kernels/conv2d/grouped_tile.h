/* The grouped kernel's micro-kernel: a tile of 2 rows x 7 outputs of one vector of channels (lanes.h), in registers over
 * the whole window.
 *
 * A tile's outputs lie `unit` columns of the padded image apart, so that dilation 1 and 2 are the same code. It walks the
 * columns, and an input, picked once, serves the up to three taps that read it while it is in a register. Rows of the
 * window that lie in zero padding cost one addition, columns that do for all of the tile one FMA: same bits
 * (lanes_pack_padding). */
#ifndef CNNFAST_CONV2D_GROUPED_TILE_H
#define CNNFAST_CONV2D_GROUPED_TILE_H

#include "common/epilogue.h"
#include "lanes.h"
#include "pixels.h"

/* Outputs a row: the accumulators of two rows, the taps' weights and inputs, and picks fit the registers. */
enum { TILE_Q = TILE_M == 14 || TILE_V == 4 ? 7 : 4, ROWS = 2, TAPS = 3 };
/* A tile, and what it shares with the others. Taps [s0, s1) of rows [r0, r1) read some of the image. */
typedef struct {
    const pixel *at;
    ptrdiff_t row_step, stream_step; /* pointers to the next row of taps, and to the next row of outputs */
    ptrdiff_t unit, stride;          /* from tap to tap; from output to output, in units */
    int64_t R, S, Cg, r0, r1, s0, s1;
    const column *lanes;
    ptrdiff_t pixel, y_row, y_step; /* elements to the next pixel of y; to the tile's next row, and next output */
    const real *residual;
    real *y;
    const epilogue *epilogue;
} work;

/* Channel j of one column of the tile, pixels x or `loaded`, to the `taps` taps that read it. */
INLINE void feed(lane_source source, int taps, int stride, int rows, int tq, int i, const real **x, const vec *loaded, int64_t j,
                 const real *picked, const real *w, int64_t channels, vec acc[ROWS][TILE_Q]) {
    vec v[ROWS];
    picks from = {0};
    if (source == PICKED) from = v_picks_load(picked + j * LANES);
#pragma GCC unroll 2
    for (int a = 0; a < rows; a++)
        v[a] = source == SPREAD ? v_splat(x[a][j]) : v_keep(v_pick(loaded[a], from));
#pragma GCC unroll 3
    for (int t = 0; t < taps; t++) {
        const int b = (i - t) / stride;
        if (i < t || (i - t) % stride || b >= tq) continue;
        vec weight = v_load(w + (t * channels + j) * LANES);
        if (rows > 1) weight = v_keep(weight); /* or it is read once a row */
#pragma GCC unroll 2
        for (int a = 0; a < rows; a++) acc[a][b] = v_fma(v[a], weight, acc[a][b]);
    }
}

/* `taps` taps from pixels[0] on, for tq outputs of `rows` rows. Cg constant, or 0: work's. `stride` constant, or 0: work's,
 * for one tap. */
INLINE void walk(lane_source source, int Cg, int taps, int stride, int rows, int tq, const work *k, const pixel *pixels,
                 const real *w, vec acc[ROWS][TILE_Q]) {
    const ptrdiff_t step = (stride ? 1 : k->stride) * k->unit;
    const int64_t c0 = k->lanes->c0;
    const int inputs = k->lanes->inputs, columns = stride ? (tq - 1) * stride + taps : tq, every = stride ? stride : 1;
    const real *picked = k->lanes->picks;
#pragma GCC unroll 16
    for (int i = 0; i < columns; i++) {
        const pixel *at = pixels;
        __asm__("" : "+r"(pixels)); /* one address that moves: all of them would not fit the registers */
        pixels += step;
        if (i % every >= taps) continue; /* no output reads it */
        const real *x[ROWS];
        vec loaded[ROWS];
#pragma GCC unroll 2
        for (int a = 0; a < rows; a++) {
            x[a] = at[a * k->stream_step] + c0;
            if (source != SPREAD) loaded[a] = v_keep(inputs == LANES ? v_load(x[a]) : v_load_n(x[a], inputs));
        }
        if (Cg != 1) __asm__("" : "+r"(w), "+r"(picked)); /* or every column's weights are to wait in registers */
        if (Cg)
#pragma GCC unroll 4
            for (int j = 0; j < Cg; j++) feed(source, taps, every, rows, tq, i, x, loaded, j, picked, w, Cg, acc);
        else
#pragma GCC unroll 1
            for (int64_t j = 0; j < k->Cg; j++) feed(source, taps, every, rows, tq, i, x, loaded, j, picked, w, k->Cg, acc);
    }
}

INLINE void add_everywhere(int rows, int tq, vec v, vec acc[ROWS][TILE_Q]) {
#pragma GCC unroll 2
    for (int a = 0; a < rows; a++)
#pragma GCC unroll 7
        for (int b = 0; b < tq; b++) acc[a][b] += v;
}

/* `count` vectors of weights whose inputs are all padding. */
INLINE vec padding_sum(const real *w, int64_t count) {
    vec sum = v_splat(-(real)0);
    for (int64_t i = 0; i < count; i++) sum = v_fma(v_splat(0), v_load(w + i * LANES), sum);
    return sum;
}

/* The activations that are too long to stand in every kind of tile. */
static __attribute__((noinline)) void activate(int rows, int tq, const work *k) {
    for (int i = 0; i < rows * tq; i++)
        SYMBOL(epilogue_run)(k->epilogue, k->y + i / tq * k->y_row + i % tq * k->y_step, k->lanes->outputs);
}

INLINE void finish(int rows, int tq, const work *k, vec acc[ROWS][TILE_Q]) {
    const int n = k->lanes->outputs;
    const cnnfast_activation activation = k->epilogue->activation;
#pragma GCC unroll 2
    for (int a = 0; a < rows; a++)
#pragma GCC unroll 7
        for (int b = 0; b < tq; b++) {
            const ptrdiff_t to = a * k->y_row + b * k->y_step;
            vec v = acc[a][b];
            if (k->residual) v += v_load_n(k->residual + to, n);
            if (activation == CNNFAST_RELU || activation == CNNFAST_RELU6) v = v_at_least(v, v_splat(0));
            if (activation == CNNFAST_RELU6) v = v_at_most(v, v_splat(6));
            if (n == LANES) v_store(k->y + to, v);
            else v_store_n(k->y + to, v, n);
        }
    if (activation > CNNFAST_RELU6) activate(rows, tq, k);
}

/* One column of a tile, in registers from the bias to the end. */
INLINE void run_tile(lane_source source, int Cg, int stride, int rows, int tq, const work *k) {
    const column *l = k->lanes;
    const int64_t channels = Cg ? Cg : k->Cg, row_taps = k->S * channels, after = (k->S - k->s1) * channels;
    vec acc[ROWS][TILE_Q];
    const vec bias = v_load(l->bias);
#pragma GCC unroll 2
    for (int a = 0; a < rows; a++)
#pragma GCC unroll 7
        for (int b = 0; b < tq; b++) acc[a][b] = bias;

    for (int64_t r = 0; r < k->R; r++) {
        if (r < k->r0 || r >= k->r1) {
            add_everywhere(rows, tq, v_load(l->padding + r * LANES), acc);
            continue;
        }
        const real *w = l->weight + r * row_taps * LANES;
        const pixel *row = k->at + r * k->row_step;
        if (k->s0) add_everywhere(rows, tq, padding_sum(w, k->s0 * channels), acc);
        int64_t s = k->s0;
        if (stride) {
            for (; s + TAPS <= k->s1; s += TAPS)
                walk(source, Cg, TAPS, stride, rows, tq, k, row + s * k->unit, w + s * channels * LANES, acc);
            if (s + 2 <= k->s1) {
                walk(source, Cg, 2, stride, rows, tq, k, row + s * k->unit, w + s * channels * LANES, acc);
                s += 2;
            }
        }
        for (; s < k->s1; s++) walk(source, Cg, 1, 0, rows, tq, k, row + s * k->unit, w + s * channels * LANES, acc);
        if (after) add_everywhere(rows, tq, padding_sum(w + k->s1 * channels * LANES, after), acc);
    }
    finish(rows, tq, k, acc);
}

#endif
