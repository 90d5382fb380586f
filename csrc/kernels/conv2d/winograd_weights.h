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

/* Weights are transformed in double: G w G^T, rounded once. */
INLINE void winograd_pack(tiling of, const conv2d_problem *p, const real *weight, const real *bias, real *packed) {
    enum { AT_ONCE = TILE_N < 8 ? TILE_N : 8 };
    const int64_t Cg = p->g.C / p->groups, columns = p->groups * panels_per_group(p);
    const int R = of.h.r, S = of.w.r, F_h = products(of.h), F_w = products(of.w);
    double G_h[MOST_PRODUCTS][MOST_PRODUCTS], G_w[MOST_PRODUCTS][MOST_PRODUCTS];
    filter_matrix(of.h, G_h);
    filter_matrix(of.w, G_w);
    for (int64_t column = 0; column < columns; column++) {
        const panel to = winograd_panel(p, packed, column, tile_values(of));
        real *at = (real *)to.bias;
        memset(at, 0, TILE_N * sizeof *at);
        if (bias) memcpy(at, bias + to.k0, (size_t)to.channels * sizeof *at);
        at += TILE_N;
        for (int64_t c = 0; c < Cg; c++)
            for (int k0 = 0; k0 < TILE_N; k0 += AT_ONCE) {
                double half[MOST_PRODUCTS][MOST_PRODUCTS][AT_ONCE] = {0};
                const real *from = weight + c * p->step_c + (to.k0 + k0) * p->step_k;
                for (int r = 0; r < R; r++)
                    for (int s = 0; s < S; s++) {
                        double w[AT_ONCE] = {0};
                        const int there = to.channels - k0 < AT_ONCE ? to.channels - k0 : AT_ONCE;
                        for (int k = 0; k < there; k++) w[k] = (double)from[r * p->step_r + s * p->step_s + k * p->step_k];
                        for (int i = 0; i < F_h; i++)
                            for (int k = 0; k < AT_ONCE; k++) half[i][s][k] += G_h[i][r] * w[k];
                    }
                for (int i = 0; i < F_h; i++)
                    for (int j = 0; j < F_w; j++) {
                        double u[AT_ONCE] = {0};
                        for (int s = 0; s < S; s++)
                            for (int k = 0; k < AT_ONCE; k++) u[k] += G_w[j][s] * half[i][s][k];
                        real *put = at + ((i * F_w + j) * Cg + c) * TILE_N + k0;
                        for (int k = 0; k < AT_ONCE; k++) put[k] = (real)u[k];
                    }
            }
    }
}

#endif
