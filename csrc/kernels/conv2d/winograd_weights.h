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

/* G w G^T, in double, rounded once: of `filters` of the output channels from `w` on, one input channel. `product`: from one
 * of its products in `to` to the next; a sum's follow each other. */
INLINE void transform_filters(tiling of, const filter_matrices *G, const conv2d_problem *p, const real *w, int filters, int64_t product,
                              real *to) {
    double half[MOST_PRODUCTS][MOST_TAPS][FILTERS];
    memset(half, 0, (size_t)products(of.h) * sizeof half[0]);
    HIDE(half);
    for (int r = 0; r < of.h.r; r++)
        for (int s = 0; s < of.w.r; s++) {
            double tap[FILTERS] = {0};
            for (int k = 0; k < filters; k++) tap[k] = (double)w[r * p->step_r + s * p->step_s + k * p->step_k];
            for (int i = 0; i < products(of.h); i++)
                for (int k = 0; k < FILTERS; k++) half[i][s][k] += G->h[i][r] * tap[k];
        }
    for (int f = 0; f < tile_sums(of); f++) {
        const products_of_sum at = products_of(of, f);
        for (int i = at.i0; i < at.i1; i++)
            for (int j = at.j0; j < at.j1; j++, to += product) {
                double u[FILTERS] = {0};
                HIDE(u);
                for (int s = 0; s < of.w.r; s++)
                    for (int k = 0; k < FILTERS; k++) u[k] += G->w[j][s] * half[i][s][k];
                for (int k = 0; k < FILTERS; k++) to[k] = (real)u[k];
            }
    }
}

INLINE void winograd_pack(tiling of, const conv2d_problem *p, const real *weight, const real *bias, real *packed) {
    const int64_t Cg = p->g.C / p->groups, columns = p->groups * panels_per_group(p);
    const filter_matrices G = matrices_of(of);
    for (int64_t column = 0; column < columns; column++) {
        const panel to = winograd_panel(p, packed, column, tile_values(of));
        real *at = (real *)to.bias;
        memset(at, 0, TILE_N * sizeof *at);
        if (bias) memcpy(at, bias + to.k0, (size_t)to.channels * sizeof *at);
        at += TILE_N;
        for (int64_t c = 0; c < Cg; c++, at += TILE_N)
            for (int k = 0; k < TILE_N; k += FILTERS)
                transform_filters(of, &G, p, weight + c * p->step_c + (to.k0 + k) * p->step_k,
                                  (int)max64(0, min64(FILTERS, to.channels - k)), Cg * TILE_N, at + k);
    }
}

#endif
