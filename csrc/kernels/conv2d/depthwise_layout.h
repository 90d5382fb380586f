/* Depthwise: what lies where. The packed weights, and a table of the padded image's pixels.
 *
 * Outputs of one phase of a dilation lie `step` apart: they are an image of dilation 1. Windows of a single column of taps
 * run along columns, all others along rows. */
#ifndef CNNFAST_CONV2D_DEPTHWISE_LAYOUT_H
#define CNNFAST_CONV2D_DEPTHWISE_LAYOUT_H

#include "depthwise.h"
#include "pixels.h"

INLINE int64_t padded_K(const conv2d_problem *p) { return ceil_div(p->g.K, LANES) * LANES; }
INLINE int64_t multiplier(const conv2d_problem *p) { return p->g.K / p->g.C; }
/* Where one channel has several outputs, its pixels are copied with each channel repeated; where pixels lie a multiple of 4 KB
 * apart they would all meet in one set of L1, so they are copied closer together. */
INLINE bool is_copied(const conv2d_problem *p) { return multiplier(p) > 1 || p->g.C * (int64_t)sizeof(real) % 4096 == 0; }
/* Elements from one pixel of a copy of so many channels to the next: an odd number of vectors, if they fill them. */
INLINE int64_t copy_step(int64_t channels) { return channels + LANES; }

/* Rows of the window as the tiles see it: those of a single column lie along a line. */
INLINE int64_t window_rows(const conv2d_problem *p) { return p->g.S > 1 || p->g.R == 1 ? p->g.R : 1; }

static inline int64_t common_divisor(int64_t a, int64_t b) { return b ? common_divisor(b, a % b) : a; }

/* Outputs of one phase of a dilation lie `step` apart, and their inputs `stride` times the dilation. */
typedef struct {
    int64_t stride, step;
} phases;

INLINE phases phases_of(const window *g, int axis) {
    const int64_t common = common_divisor(g->stride[axis], g->dilation[axis]);
    return (phases){g->stride[axis] / common, g->dilation[axis] / common};
}

INLINE bool is_fixed3x3(const window *g) {
    const int64_t stride = phases_of(g, 0).stride;
    return g->R == 3 && g->S == 3 && stride == phases_of(g, 1).stride && stride <= 2;
}

/* The axis that lines of outputs run along: the one that has taps to share. */
static int line_axis(const window *g) { return g->S > 1 || g->R == 1; }

/* Packed: the bias, a sum of padding for each row of a line's window, and R*S weights. Of a 3x3 window each is K elements, which
 * tiles may read from any channel on; of others each is a vector, and all of a vector of channels are neighbours, so that
 * they do not meet the pixels in L1. */
INLINE int64_t padding_sums(const conv2d_problem *p) { return is_fixed3x3(&p->g) ? 0 : window_rows(p); }
INLINE int64_t numbers(const conv2d_problem *p) { return 1 + padding_sums(p) + p->g.R * p->g.S; }
INLINE int64_t number_step(const conv2d_problem *p) { return is_fixed3x3(&p->g) ? padded_K(p) + LANES : LANES; }
INLINE int64_t packed_at(const conv2d_problem *p, int64_t number, int64_t k) {
    if (is_fixed3x3(&p->g)) return number * number_step(p) + k;
    return (k / LANES * numbers(p) + number) * LANES + k % LANES;
}

/* The table's rows by phases of the dilation, so that a tile's columns are neighbours. */
INLINE int64_t table_columns(const conv2d_problem *p) { return ceil_div(pixels_width(p), p->g.dilation[1]); }
INLINE int64_t table_width(const conv2d_problem *p) { return table_columns(p) * p->g.dilation[1]; }
INLINE int64_t table_column(const conv2d_problem *p, int64_t w) {
    const int64_t d = p->g.dilation[1];
    return d == 1 ? w : w % d * table_columns(p) + w / d;
}
INLINE size_t table_bytes(const conv2d_problem *p, int64_t rows) {
    return size_align(size_mul(size_mul((size_t)pixels_rows(p, rows), (size_t)table_width(p)), sizeof(pixel)));
}

/* Channels [k0, k1) of rows of x from padded row h0, closely packed; rows outside the image are left alone. */
static inline void copy_rows(const conv2d_problem *p, const real *image, int64_t h0, int64_t rows, int64_t k0, int64_t k1, real *to) {
    const window *g = &p->g;
    const int64_t m = multiplier(p), width = copy_step(k1 - k0);
    for (int64_t i = 0; i < rows; i++, to += g->W * width) {
        const int64_t h = pad_index(h0 + i, g->H, p->padding_mode);
        for (int64_t w = 0; h >= 0 && w < g->W; w++) {
            const real *from = image + (h * g->W + w) * g->C;
            if (m == 1 && (k1 - k0) % LANES == 0) /* short runs: memcpy's call would cost as much */
                for (int64_t k = k0; k < k1; k += LANES) v_store(to + w * width + k - k0, v_load(from + k));
            else
                for (int64_t k = k0; k < k1; k++) to[w * width + k - k0] = from[k / m];
        }
    }
}

/* table[i][j]: where pixel (h0 + i, j - pad_left) of the padded image lies; `copy` holds the image's channels [k0, k1), or
 * is NULL. */
static inline void fill_table(const conv2d_problem *p, const depthwise_rows *at, int64_t k0, int64_t k1, const real *zeros, pixel *table,
                       real *copy) {
    const window *g = &p->g;
    const int64_t h0 = at->p0 * g->stride[0] - g->pad[0], rows = pixels_rows(p, at->p1 - at->p0), width = table_width(p);
    const int64_t step = copy ? copy_step(k1 - k0) : g->C;
    if (copy) copy_rows(p, at->image, h0, rows, k0, k1, copy);
    for (int64_t i = 0; i < rows; i++, table += width) {
        int64_t h = pad_index(h0 + i, g->H, p->padding_mode);
        const real *row = copy ? copy + i * g->W * step - k0 : at->image + h * g->W * step;
        pixels_fill_row(p, h < 0 ? NULL : row, step, zeros, g->dilation[1], table);
    }
}

#endif
