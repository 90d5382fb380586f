/* A table of pointers, one a pixel of the padded image (Dukhan 2019, "The Indirect Convolution Algorithm"): borders,
 * padding modes and dilation become one case. A padding pixel points at zeros. */
#ifndef CNNFAST_CONV2D_PIXELS_H
#define CNNFAST_CONV2D_PIXELS_H

#include "common/band.h"
#include "conv2d/problem.h"

typedef const real *pixel;

INLINE int64_t pixels_width(const conv2d_problem *p) { return p->g.W + p->g.pad[2] + p->g.pad[3]; }
/* Rows of the padded image under `rows` rows of the output. */
INLINE int64_t pixels_rows(const conv2d_problem *p, int64_t rows) {
    return (rows - 1) * p->g.stride[0] + (p->g.R - 1) * p->g.dilation[0] + 1;
}
INLINE size_t pixels_bytes(const conv2d_problem *p, int64_t rows) {
    return size_align(size_mul(size_mul((size_t)pixels_rows(p, rows), (size_t)pixels_width(p)), sizeof(pixel)));
}

/* Where column j of a row of the padded image lies. */
INLINE pixel pixels_border(const conv2d_problem *p, const real *row, int64_t j, int64_t step, const real *zeros) {
    const int64_t w = row ? pad_index(j - p->g.pad[2], p->g.W, p->padding_mode) : -1;
    return w < 0 ? zeros : row + w * step;
}

/* One row of the table, its columns by phases of `dilation`: 0, d, 2d, ..., then 1, d + 1, ... The image's pixels lie `step`
 * apart from `row` on; NULL is a row of padding. */
INLINE void pixels_fill_row(const conv2d_problem *p, const real *row, int64_t step, const real *zeros, int64_t dilation, pixel *table) {
    const int64_t width = pixels_width(p), left = p->g.pad[2], right = left + p->g.W;
    for (int64_t phase = 0; phase < dilation; phase++, table += ceil_div(width, dilation)) {
        pixel *to = table;
        int64_t j = phase;
        for (; j < left; j += dilation) *to++ = pixels_border(p, row, j, step, zeros);
        if (row && j < right) {
            const int64_t inside = ceil_div(right - j, dilation);
            for (int64_t i = 0; i < inside; i++) to[i] = row + (j - left + i * dilation) * step;
            to += inside, j += inside * dilation;
        }
        for (; j < width; j += dilation) *to++ = pixels_border(p, row, j, step, zeros);
    }
}

#endif
