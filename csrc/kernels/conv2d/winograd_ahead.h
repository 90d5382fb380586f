/* Winograd: asking for a tile's pixels ahead of its turn, where they come from beyond L2. */
#ifndef CNNFAST_CONV2D_WINOGRAD_AHEAD_H
#define CNNFAST_CONV2D_WINOGRAD_AHEAD_H

#include "common/ahead.h"
#include "conv2d/winograd_tiles.h"

/* Of one image's x and y. */
static const int64_t BEYOND_L2 = 4 << 20;

INLINE bool worth_asking(const conv2d_problem *p, const tensors *io) {
    const window *g = &p->g;
    const bool large = (g->H * g->W * g->C + g->P * g->Q * g->K) * (int64_t)sizeof(real) > BEYOND_L2;
    return large || io->far;
}

/* A tile's pixels that its left neighbour does not read, which lie side by side: a dilation of 1. */
INLINE void ask_for_inputs(tiling of, const conv2d_problem *p, origin o, const real *x) {
    const window *g = &p->g;
    const int stride = stride_of(of.w);
    const int64_t left = o.q * stride - g->pad[2] + of.w.r - stride, begin = max64(0, left), end = min64(g->W, left + stride * of.w.m);
    for (int64_t i = 0, h = o.p * stride_of(of.h) - g->pad[0]; i < inputs(of.h); i++, h++)
        if (h >= 0 && h < g->H) ask_ahead(x + ((o.n * g->H + h) * g->W + begin) * g->C, (end - begin) * g->C);
}

/* Channels [k0, k0 + channels) of a tile's outputs. */
INLINE void ask_for_outputs(tiling of, const conv2d_problem *p, origin o, int64_t k0, int64_t channels, const tensors *io) {
    const window *g = &p->g;
    const int64_t down = g->dilation[0], along = g->dilation[1], wide = min64(of.w.m, ceil_div(g->Q - o.q, along));
    for (int64_t i = o.p; i < min64(g->P, o.p + of.h.m * down); i += down)
        ask_pixels((const real *)io->y + ((o.n * g->P + i) * g->Q + o.q) * io->y_step + k0, wide, along * io->y_step, channels);
}

#endif
