/* The gradient of a convolution with respect to its weight, as its kernels see it: valid, NHWC, padding of zeros.
 *
 * A kernel's run sums over the pixels of grad_output [row0, row1) in a tile's units, ascending, one chain of FMAs a weight that
 * starts at +0; csrc/plan/grad_weight.c gives it chunks of at most CHUNK_PIXELS and adds those up. Products with padding may be
 * left out. In `tensors`, x is x, residual is grad_output and y the sums, (R, S, C/groups, K).
 */
#ifndef CNNFAST_CONV2D_GRAD_WEIGHT_PROBLEM_H
#define CNNFAST_CONV2D_GRAD_WEIGHT_PROBLEM_H

#include "conv2d/problem.h"

#define CHUNK_PIXELS 4096

typedef struct {
    conv2d_problem conv;
    int64_t N, parts; /* a row of grad_output is so many units, of at most CHUNK_PIXELS each */
} grad_weight_problem;

typedef struct {
    tensors of;
    void *bias; /* NULL, or where the sums of grad_output itself go, (K) */
} grad_weight_tensors;

/* The pixel of grad_output, counted over the batch, at which a unit begins. */
static inline int64_t unit_pixel(const grad_weight_problem *p, int64_t unit) {
    return unit / p->parts * p->conv.g.Q + p->conv.g.Q * (unit % p->parts) / p->parts;
}

static inline int64_t weight_rows(const grad_weight_problem *p) {
    return p->conv.g.R * p->conv.g.S * (p->conv.g.C / p->conv.groups);
}

static inline size_t nothing_packed(const void *problem) {
    (void)problem;
    return 0;
}
static inline void pack_nothing(const void *problem, const void *weight, const void *bias, void *packed) {
    (void)problem, (void)weight, (void)bias, (void)packed;
}

/* One of the pixels in turn: image n, row p, column q of grad_output. */
typedef struct {
    int64_t n, p, q;
} place_of;

static inline place_of place_at(const window *g, int64_t pixel) {
    return (place_of){pixel / (g->P * g->Q), pixel / g->Q % g->P, pixel % g->Q};
}

static inline void place_next(const window *g, place_of *at) {
    if (++at->q < g->Q) return;
    at->q = 0;
    if (++at->p < g->P) return;
    at->p = 0, at->n++;
}

#endif
