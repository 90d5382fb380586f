/* Which channels a vector holds, and its weights, for the grouped kernel. A vector takes as many whole groups as fit
 * it, or a part of one group. A vector is this kernel's column.
 *
 * Packed, a column after another, in vectors: the bias; Cg picks (PICKED alone); R sums of padding; [R][S][Cg] weights. */
#ifndef CNNFAST_CONV2D_LANES_H
#define CNNFAST_CONV2D_LANES_H

#include "conv2d/problem.h"
#include "simd.h"

/* Where a vector's inputs come from: one element for all lanes (one group), or picked out of a vector of channels (several
 * groups). */
typedef enum { SPREAD, PICKED } lane_source;

typedef struct {
    int64_t Cg, Kg, groups; /* channels a group; groups a vector, 1 where a group takes `vectors` */
    int64_t vectors;
    lane_source source;
} lanes;

INLINE lanes lanes_of(const conv2d_problem *p) {
    lanes l = {.Cg = p->g.C / p->groups, .Kg = p->g.K / p->groups};
    l.groups = max64(1, LANES / max64(l.Cg, l.Kg));
    l.vectors = ceil_div(l.Kg, l.groups * LANES);
    l.source = l.groups == 1 ? SPREAD : PICKED;
    return l;
}

INLINE int64_t lanes_columns(const conv2d_problem *p, const lanes *l) { return ceil_div(p->groups, l->groups) * l->vectors; }

typedef struct {
    int64_t k0, c0;     /* its first output and input channel */
    int outputs, inputs; /* lanes stored; channels that may be loaded from c0 on */
    const real *bias, *picks, *padding, *weight;
} column;

INLINE size_t lanes_column_size(const conv2d_problem *p, const lanes *l) {
    const size_t weights = size_mul(size_mul((size_t)p->g.R, (size_t)p->g.S), (size_t)l->Cg);
    const size_t rest = (size_t)(1 + p->g.R + (l->source == PICKED ? l->Cg : 0));
    return size_mul(size_add(rest, weights), (size_t)LANES);
}

/* Its channels alone. */
INLINE column lanes_channels(const conv2d_problem *p, const lanes *l, int64_t at) {
    const int64_t group = at / l->vectors * l->groups, part = at % l->vectors * LANES;
    const int64_t groups = min64(l->groups, p->groups - group);
    column c = {.k0 = group * l->Kg + part, .c0 = group * l->Cg, .outputs = (int)min64(groups * l->Kg - part, LANES)};
    c.inputs = (int)min64(LANES, p->g.C - c.c0);
    return c;
}

INLINE column lanes_column(const conv2d_problem *p, const lanes *l, const real *packed, int64_t at) {
    column c = lanes_channels(p, l, at);
    c.bias = packed + at * (int64_t)lanes_column_size(p, l);
    c.picks = c.bias + LANES;
    c.padding = c.picks + (l->source == PICKED ? l->Cg * LANES : 0);
    c.weight = c.padding + p->g.R * LANES;
    return c;
}

/* What a row of taps that are padding adds to a chain: a zero, -0 if all its weights are negative, or the NaN of an
 * infinite weight. Folding 0 * w from -0 gives just that, for x + -0 is x. */
INLINE void lanes_pack_padding(int64_t taps, const real *w, real *to) {
    for (int i = 0; i < LANES; i++) {
        real sum = -(real)0;
        for (int64_t t = 0; t < taps; t++) sum = s_fma(0, w[t * LANES + i], sum);
        to[i] = sum;
    }
}

/* The picks of each of a group's channels. */
INLINE void lanes_pack_picks(const lanes *l, int outputs, real *to) {
    for (int64_t j = 0; j < l->Cg; j++) {
        int from[LANES] = {0};
        for (int i = 0; i < outputs; i++) from[i] = (int)(i / l->Kg * l->Cg + j);
        v_picks_write(to + j * LANES, from);
    }
}

INLINE void lanes_pack(const conv2d_problem *p, const real *weight, const real *bias, real *packed) {
    const lanes l = lanes_of(p);
    const int64_t taps = p->g.S * l.Cg;
    for (int64_t at = 0; at < lanes_columns(p, &l); at++) {
        const column c = lanes_column(p, &l, packed, at);
        real *to = packed + at * (int64_t)lanes_column_size(p, &l), *w = packed + (c.weight - packed);
        memset(to, 0, lanes_column_size(p, &l) * sizeof *to);
        if (bias) memcpy(to, bias + c.k0, (size_t)c.outputs * sizeof *to);
        if (l.source == PICKED) lanes_pack_picks(&l, c.outputs, to + LANES);
        for (int64_t r = 0; r < p->g.R; r++) {
            for (int64_t s = 0; s < p->g.S; s++)
                for (int64_t j = 0; j < l.Cg; j++) {
                    const real *from = weight + r * p->step_r + s * p->step_s + j * p->step_c + c.k0 * p->step_k;
                    for (int i = 0; i < c.outputs; i++) w[((r * p->g.S + s) * l.Cg + j) * LANES + i] = from[i * p->step_k];
                }
            lanes_pack_padding(taps, w + r * taps * LANES, packed + (c.padding - packed) + r * LANES);
        }
    }
}

#endif
