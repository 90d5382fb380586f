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

/* Packed weights that no cache holds until they are used: writing past the caches spares reading what is overwritten. */
static const size_t FAR_WEIGHTS = 16 << 20;

enum { SLAB = 8 }; /* input channels whose weights lie ready at a time: [R][S][SLAB][TILE_N] */

/* G w G^T, in double, rounded once: of FILTERS output channels, one input channel. `w`: its taps lie SLAB * TILE_N apart.
 * `product`: from one of its products in `to` to the next; a sum's follow each other. */
INLINE void transform_filters(tiling of, const filter_matrices *G, const real *w, int64_t product, real *to) {
    filters half[MOST_PRODUCTS][MOST_TAPS];
#pragma GCC unroll 8
    for (int s = 0; s < of.w.r; s++) {
        filters tap[MOST_TAPS];
#pragma GCC unroll 8
        for (int r = 0; r < of.h.r; r++) {
            rounded given;
            memcpy(&given, w + (r * of.w.r + s) * SLAB * TILE_N, sizeof given);
            tap[r] = __builtin_convertvector(given, filters);
        }
#pragma GCC unroll 8
        for (int i = 0; i < products(of.h); i++) {
            half[i][s] = (filters){0};
#pragma GCC unroll 8
            for (int r = 0; r < of.h.r; r++) half[i][s] += G->h[i][r] * tap[r];
        }
    }
#pragma GCC unroll 64
    for (int f = 0; f < tile_sums(of); f++) {
        const products_of_sum at = products_of(of, f);
#pragma GCC unroll 8
        for (int i = at.i0; i < at.i1; i++)
#pragma GCC unroll 8
            for (int j = at.j0; j < at.j1; j++, to += product) {
                filters u = {0};
#pragma GCC unroll 8
                for (int s = 0; s < of.w.r; s++) u += G->w[j][s] * half[i][s];
                const rounded v = __builtin_convertvector(u, rounded);
                memcpy(to, &v, sizeof v);
            }
    }
}

/* `count` input channels of a panel's weights, from w on: each element once, along whichever axis they lie side by side. */
INLINE void gather_slab(tiling of, const conv2d_problem *p, const real *w, int64_t count, int channels, real *slab) {
    for (int r = 0; r < of.h.r; r++)
        for (int s = 0; s < of.w.r; s++, slab += SLAB * TILE_N) {
            const real *from = w + r * p->step_r + s * p->step_s;
            if (p->step_k == 1)
                for (int64_t c = 0; c < count; c++) memcpy(slab + c * TILE_N, from + c * p->step_c, (size_t)channels * sizeof *slab);
            else
                for (int k = 0; k < channels; k++)
                    for (int64_t c = 0; c < count; c++) slab[c * TILE_N + k] = from[k * p->step_k + c * p->step_c];
        }
}

/* Input channels [c0, c0 + count) of a panel. */
INLINE void pack_slab(tiling of, const filter_matrices *G, const conv2d_problem *p, const real *weight, const panel *to, int64_t c0,
                      int64_t count, bool far) {
    const int64_t Cg = p->g.C / p->groups;
    real slab[MOST_TAPS * MOST_TAPS * SLAB * TILE_N];
    real block[MOST_VALUES * TILE_N]; /* of an input channel, before its products go to their places, a large power of two apart */
    if (to->channels < TILE_N) memset(slab, 0, (size_t)(of.h.r * of.w.r) * SLAB * TILE_N * sizeof *slab); /* those that are none */
    gather_slab(of, p, weight + c0 * p->step_c + to->k0 * p->step_k, count, to->channels, slab);
    real *at = (real *)to->weight + c0 * TILE_N;
    for (int64_t c = 0; c < count; c++, at += TILE_N) {
        for (int k = 0; k < TILE_N; k += FILTERS) transform_filters(of, G, slab + c * TILE_N + k, TILE_N, block + k);
        for (int f = 0; f < tile_values(of); f++)
            for (int k = 0; k < TILE_N; k += LANES) {
                const vec v = v_load(block + f * TILE_N + k);
                if (far) v_stream(at + f * Cg * TILE_N + k, v);
                else v_store(at + f * Cg * TILE_N + k, v);
            }
    }
}

INLINE void winograd_pack(tiling of, const conv2d_problem *p, const real *weight, const real *bias, real *packed, int64_t col0, int64_t col1) {
    const int64_t Cg = p->g.C / p->groups, slabs = ceil_div(Cg, SLAB), columns = col1 - col0;
    const filter_matrices G = matrices_of(of);
    const bool far = winograd_bytes(p, tile_values(of)) > FAR_WEIGHTS;
    for (int64_t i = 0; i < slabs * columns; i++) { /* so that pages of the weights are read from end to end */
        const int64_t slab = p->step_k == 1 ? i / columns : i % slabs;
        const panel to = winograd_panel(p, packed, col0 + (p->step_k == 1 ? i % columns : i / slabs), tile_values(of));
        if (!slab) {
            memset((real *)to.bias, 0, TILE_N * sizeof *to.bias);
            if (bias) memcpy((real *)to.bias, bias + to.k0, (size_t)to.channels * sizeof *to.bias);
        }
        pack_slab(of, &G, p, weight, &to, slab * SLAB, min64(SLAB, Cg - slab * SLAB), far);
    }
    if (far) v_stream_end();
}

#endif
