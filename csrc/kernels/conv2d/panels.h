/* Weights as the GEMM micro-kernel reads them, shared by direct and im2col: for each group, for each panel of TILE_N
 * of its output channels, TILE_N biases and then [R][S][C/groups][TILE_N] weights. The last panel is filled with zeros.
 * A panel is these kernels' column. */
#ifndef CNNFAST_PANELS_H
#define CNNFAST_PANELS_H

#include "common/gemm.h"
#include "conv2d/problem.h"

INLINE int64_t panels_per_group(const conv2d_problem *p) { return ceil_div(p->g.K / p->groups, TILE_N); }
INLINE int64_t panel_depth(const conv2d_problem *p) { return p->g.R * p->g.S * (p->g.C / p->groups); }
INLINE int64_t panel_size(const conv2d_problem *p) { return (1 + panel_depth(p)) * TILE_N; }

INLINE size_t panels_bytes(const conv2d_problem *p) {
    size_t panels = (size_t)(p->groups * panels_per_group(p));
    return size_mul(size_mul(panels, (size_t)panel_size(p)), sizeof(real));
}

/* Which channels a column computes. */
typedef struct {
    int64_t group, k0; /* k0 counts over all K */
    int channels;
    const real *bias, *weight;
} panel;

INLINE panel panel_at(const conv2d_problem *p, const real *packed, int64_t column) {
    int64_t per_group = panels_per_group(p), in_group = column % per_group, Kg = p->g.K / p->groups;
    const real *at = packed + column * panel_size(p);
    return (panel){.group = column / per_group,
                   .k0 = column / per_group * Kg + in_group * TILE_N,
                   .channels = (int)min64(TILE_N, Kg - in_group * TILE_N),
                   .bias = at,
                   .weight = at + TILE_N};
}

/* A column's panel, and the next one's with it where a tile may have both. */
INLINE panel panels_at(const conv2d_problem *p, const real *packed, int64_t column, int64_t end, int64_t pixels) {
    panel of = panel_at(p, packed, column);
    const int64_t left = p->g.K / p->groups - column % panels_per_group(p) * TILE_N;
    if (column + 1 < end && gemm_takes_two(pixels, left)) of.channels += TILE_N;
    return of;
}

INLINE int64_t panels_in(const panel *of) { return ceil_div(of->channels, TILE_N); }

/* Input channels at a time: where they or taps are neighbours in memory, a cache line of them is read once. */
enum { PACK_CHANNELS = 16 };

/* A tap's weights for `channels` output channels, from memory where they lie step_k and step_c apart. */
INLINE void pack_tap(const real *from, int64_t step_c, int64_t step_k, int64_t in, int64_t channels, real *rows) {
    if (step_k == 1)
        for (int64_t c = 0; c < in; c++) memcpy(rows + c * TILE_N, from + c * step_c, (size_t)channels * sizeof *rows);
    else
        for (int64_t k = 0; k < channels; k++)
            for (int64_t c = 0; c < in; c++) rows[c * TILE_N + k] = from[k * step_k + c * step_c];
}

INLINE void panels_pack(const conv2d_problem *p, const real *weight, const real *bias, real *packed, int64_t col0, int64_t col1) {
    const int64_t Cg = p->g.C / p->groups;
    for (int64_t column = col0; column < col1; column++) {
        panel to = panel_at(p, packed, column);
        real *at = packed + column * panel_size(p);
        memset(at, 0, (size_t)(to.channels < TILE_N ? panel_size(p) : TILE_N) * sizeof *at);
        if (bias) memcpy(at, bias + to.k0, (size_t)to.channels * sizeof *at);
        for (int64_t c0 = 0; c0 < Cg; c0 += PACK_CHANNELS)
            for (int64_t r = 0; r < p->g.R; r++)
                for (int64_t s = 0; s < p->g.S; s++)
                    pack_tap(weight + r * p->step_r + s * p->step_s + c0 * p->step_c + to.k0 * p->step_k, p->step_c, p->step_k,
                             min64(PACK_CHANNELS, Cg - c0), to.channels, at + (1 + (r * p->g.S + s) * Cg + c0) * TILE_N);
    }
}

#endif
