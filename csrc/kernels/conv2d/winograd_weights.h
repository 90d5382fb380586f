/* Winograd's weights: transformed in double, a panel of output channels after the other. */
#ifndef CNNFAST_WINOGRAD_WEIGHTS_H
#define CNNFAST_WINOGRAD_WEIGHTS_H

#include "panels.h"
#include "winograd_tiles.h"

/* The weights of a panel: TILE_N biases, then [f][C/groups][TILE_N]. */
INLINE panel winograd_panel(const conv2d_problem *p, const real *packed, int64_t column, int values) {
    panel at = panel_at(p, packed, column);
    at.bias = packed + column * (1 + values * (p->g.C / p->groups)) * TILE_N;
    at.weight = at.bias + TILE_N;
    return at;
}

INLINE size_t winograd_bytes(const conv2d_problem *p, int values) {
    const size_t rows = size_add(1, size_mul((size_t)values, (size_t)(p->g.C / p->groups)));
    return size_mul(size_mul((size_t)(p->groups * panels_per_group(p)), rows), TILE_N * sizeof(real));
}

/* G of both axes. */
typedef struct {
    filter h, w;
} filter_matrices;

INLINE filter_matrices matrices_of(tiling of) {
    filter_matrices G;
    filter_matrix(of.h, G.h);
    filter_matrix(of.w, G.w);
    return G;
}

#define FILTERS (LANES < 8 ? LANES : 8) /* at once */
typedef double filters __attribute__((vector_size(FILTERS * sizeof(double))));
typedef real rounded __attribute__((vector_size(FILTERS * sizeof(real))));

/* Elements from one weight to the next along r, s and k. */
typedef struct {
    int64_t r, s, k;
} filter_steps;

/* `count` weights, of as many output channels. */
INLINE filters load_filters(const real *from, int64_t step, int count) {
    filters to = {0};
    if (count == FILTERS && step == 1) {
        rounded v;
        memcpy(&v, from, sizeof v);
        return __builtin_convertvector(v, filters);
    }
    if (count == FILTERS)
#pragma GCC unroll 8
        for (int k = 0; k < FILTERS; k++) to[k] = (double)from[k * step];
    else
        for (int k = 0; k < count; k++) to[k] = (double)from[k * step];
    return to;
}

/* G w G^T, in double, rounded once: of `count` of the output channels from `w` on, one input channel. `product`: from one of its
 * products in `to` to the next; a sum's follow each other. */
INLINE void transform_filters(tiling of, const filter_matrices *G, filter_steps step, const real *w, int count, int64_t product,
                              real *to) {
    filters half[MOST_PRODUCTS][MOST_TAPS];
#pragma GCC unroll 8
    for (int s = 0; s < of.w.r; s++) {
        filters tap[MOST_TAPS];
#pragma GCC unroll 8
        for (int r = 0; r < of.h.r; r++) tap[r] = load_filters(w + r * step.r + s * step.s, step.k, count);
#pragma GCC unroll 8
        for (int i = 0; i < products(of.h); i++) {
            half[i][s] = (filters){0};
#pragma GCC unroll 8
            for (int r = 0; r < of.h.r; r++) half[i][s] += G->h[i][r] * tap[r];
        }
    }
    for (int f = 0; f < tile_sums(of); f++) {
        const products_of_sum at = products_of(of, f);
        for (int i = at.i0; i < at.i1; i++)
            for (int j = at.j0; j < at.j1; j++, to += product) {
                filters u = {0};
#pragma GCC unroll 8
                for (int s = 0; s < of.w.r; s++) u += G->w[j][s] * half[i][s];
                const rounded v = __builtin_convertvector(u, rounded);
                memcpy(to, &v, sizeof v);
            }
    }
}

/* Weights of some input channels of a panel, put in order [c][r][s][TILE_N] where filters are not neighbours in memory but
 * channels may be: else every one would be a cache line of its own. */
enum { ORDERED = 36 * TILE_N };
INLINE int64_t ordered_at_once(tiling of) { return max64(1, ORDERED / (of.h.r * of.w.r * TILE_N)); }

static inline void order_filters(tiling of, const conv2d_problem *p, const real *weight, int64_t channels, int filters_of_panel, real *to) {
    const int64_t taps = of.h.r * of.w.r;
    for (int64_t r = 0; r < of.h.r; r++)
        for (int64_t s = 0; s < of.w.r; s++, to += TILE_N)
            for (int k = 0; k < filters_of_panel; k++) {
                const real *from = weight + r * p->step_r + s * p->step_s + k * p->step_k;
                for (int64_t c = 0; c < channels; c++) to[c * taps * TILE_N + k] = from[c * p->step_c];
            }
}

INLINE void winograd_pack(tiling of, const conv2d_problem *p, const real *weight, const real *bias, real *packed, int64_t col0, int64_t col1) {
    const int64_t Cg = p->g.C / p->groups;
    const filter_matrices G = matrices_of(of);
    const int64_t at_once = ordered_at_once(of), taps = of.h.r * of.w.r;
    const bool neighbours = p->step_k == 1;
    const filter_steps step = {neighbours ? p->step_r : of.w.r * TILE_N, neighbours ? p->step_s : TILE_N, 1};
    real ordered[ORDERED], block[MOST_VALUES * TILE_N]; /* of an input channel, before its products go to their places, a large power of two apart */
    for (int64_t column = col0; column < col1; column++) {
        const panel to = winograd_panel(p, packed, column, tile_values(of));
        real *at = (real *)to.bias;
        memset(at, 0, TILE_N * sizeof *at);
        if (bias) memcpy(at, bias + to.k0, (size_t)to.channels * sizeof *at);
        at += TILE_N;
        for (int64_t c = 0; c < Cg; c++, at += TILE_N) {
            const real *from = weight + c * p->step_c + to.k0 * p->step_k;
            if (!neighbours) {
                if (c % at_once == 0) order_filters(of, p, from, min64(at_once, Cg - c), to.channels, ordered);
                from = ordered + c % at_once * taps * TILE_N;
            }
            for (int k = 0; k < TILE_N; k += FILTERS)
                transform_filters(of, &G, step, from + k, (int)max64(0, min64(FILTERS, to.channels - k)), TILE_N, block + k);
            for (int f = 0; f < tile_values(of); f++) memcpy(at + f * Cg * TILE_N, block + f * TILE_N, TILE_N * sizeof *at);
        }
    }
}

#endif
