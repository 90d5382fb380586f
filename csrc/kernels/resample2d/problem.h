/* Pixels of y as weighted sums of pixels of x, the rows' weights times the columns': gradients of what sums, averages or
 * mixes over windows. It is told as the op whose gradient it is does it: which of y's rows (its inputs) each of x's rows (its
 * outputs) is made of, and columns alike. */
#ifndef CNNFAST_RESAMPLE2D_PROBLEM_H
#define CNNFAST_RESAMPLE2D_PROBLEM_H

#include "kernel.h"

/* One axis of one output of the op: pixels first, first + step, ... inside the image, the first in this weight, the others in
 * `rest`. */
typedef struct {
    int64_t first, taps, step;
    double weight, rest;
} footprint;

typedef struct {
    window g;            /* x is H W C, y is P Q C */
    int64_t row_parts, col_parts; /* taps of all rows, and of all columns */
} resample2d_problem;

/* What is packed: of g.H rows and g.W columns of x. */
typedef struct {
    const footprint *rows, *cols;
} resample2d_weights;

#endif
