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

/* G w G^T, in double, rounded once: of `count` of the output channels from `w` on, one input channel. `product`: from one of its
 * products in `to` to the next; a sum's follow each other. */
INLINE void transform_filters(tiling of, const filter_matrices *G, const conv2d_problem *p, const real *w, int count, int64_t product,
                              real *to) {
    filters half[MOST_PRODUCTS][MOST_TAPS];
#pragma GCC unroll 8
    for (int s = 0; s < of.w.r; s++) {
        filters tap[MOST_TAPS];
#pragma GCC unroll 8
        for (int r = 0; r < of.h.r; r++) {
            const real *from = w + r * p->step_r + s * p->step_s;
            tap[r] = (filters){0};
            if (count == FILTERS)
#pragma GCC unroll 8
                for (int k = 0; k < FILTERS; k++) tap[r][k] = (double)from[k * p->step_k];
            else
                for (int k = 0; k < count; k++) tap[r][k] = (double)from[k * p->step_k];
        }
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

INLINE void winograd_pack(tiling of, const conv2d_problem *p, const real *weight, const real *bias, real *packed, int64_t col0, int64_t col1) {
    const int64_t Cg = p->g.C / p->groups;
    const filter_matrices G = matrices_of(of);
    real block[MOST_VALUES * TILE_N]; /* of an input channel, before its products go to their places, a large power of two apart */
    for (int64_t column = col0; column < col1; column++) {
        const panel to = winograd_panel(p, packed, column, tile_values(of));
        real *at = (real *)to.bias;
        memset(at, 0, TILE_N * sizeof *at);
        if (bias) memcpy(at, bias + to.k0, (size_t)to.channels * sizeof *at);
        at += TILE_N;
        for (int64_t c = 0; c < Cg; c++, at += TILE_N) {
            for (int k = 0; k < TILE_N; k += FILTERS)
                transform_filters(of, &G, p, weight + c * p->step_c + (to.k0 + k) * p->step_k,
                                  (int)max64(0, min64(FILTERS, to.channels - k)), TILE_N, block + k);
            for (int f = 0; f < tile_values(of); f++) memcpy(at + f * Cg * TILE_N, block + f * TILE_N, TILE_N * sizeof *at);
        }
    }
}

#endif
