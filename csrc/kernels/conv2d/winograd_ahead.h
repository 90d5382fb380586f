/* Winograd: asking for what a tile reads and writes ahead of its turn. */
#ifndef CNNFAST_CONV2D_WINOGRAD_AHEAD_H
#define CNNFAST_CONV2D_WINOGRAD_AHEAD_H

#include "common/ahead.h"
#include "conv2d/winograd_tiles.h"

/* A vector of a tile's pixels, but of those that its left neighbour reads: one at a time, between that one's own vectors. All
 * at once they are more lines than a core waits for, and what it then reads waits behind them. */
INLINE void ask_for_inputs(tiling of, const real *const *pixel, int64_t c) {
#pragma GCC unroll 16
    for (int i = 0; i < inputs(of.h); i++)
#pragma GCC unroll 16
        for (int j = of.w.r - stride_of(of.w); j < inputs(of.w); j++) ask(pixel[i * inputs(of.w) + j] + c);
}

/* Channels [k0, k0 + channels) of a tile's outputs. */
INLINE void ask_for_outputs(tiling of, const conv2d_problem *p, origin o, int64_t k0, int64_t channels, const tensors *io) {
    const window *g = &p->g;
    const int64_t down = g->dilation[0], along = g->dilation[1], wide = min64(of.w.m, ceil_div(g->Q - o.q, along));
    for (int64_t i = o.p; i < min64(g->P, o.p + of.h.m * down); i += down)
        ask_pixels((const real *)io->y + ((o.n * g->P + i) * g->Q + o.q) * io->y_step + k0, wide, along * io->y_step, channels);
}

#endif
