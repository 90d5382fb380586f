/* fft.c's weights: spectra of the kernels, transformed in double and then rounded. */
#ifndef CNNFAST_FFT_WEIGHTS_H
#define CNNFAST_FFT_WEIGHTS_H

#include "conv2d/fft_tiles.h"

#if CNNFAST_REAL

/* Output channels of a panel, which lie as PANEL real parts and PANEL imaginary ones. */
#define PANEL (TILE_N / 2)

INLINE int64_t fft_panels(const conv2d_problem *p) { return ceil_div(p->g.K, PANEL); }

/* The next buffer in a block of memory; NULL where only the block's size is asked for. */
INLINE void *fft_take(void *block, size_t *at, size_t size, int64_t elements) {
    void *to = block ? (char *)block + *at : NULL;
    *at = size_add(*at, size_align(size_mul((size_t)elements, size)));
    return to;
}

/* What pack writes: the two lengths' tables, TILE_N zeros, biases by panels, then the spectra [panel][half][Th][C][TILE_N]. */
typedef struct {
    real *table_h, *table_w, *zeros, *bias, *weight;
    size_t size;
} parts;

INLINE parts packed_parts(const conv2d_problem *p, const fft_tiles *t, void *packed) {
    parts to = {.size = 0};
    to.table_h = fft_take(packed, &to.size, sizeof(real), fft_table_size(t->Th));
    to.table_w = fft_take(packed, &to.size, sizeof(real), fft_table_size(t->Tw));
    to.zeros = fft_take(packed, &to.size, sizeof(real), TILE_N);
    to.bias = fft_take(packed, &to.size, sizeof(real), fft_panels(p) * PANEL);
    to.weight = fft_take(packed, &to.size, sizeof(real), fft_panels(p) * t->half * t->Th * p->g.C * TILE_N);
    return to;
}

/* pack's own, behind what it writes: tables, lines and one spectrum of DOUBLE_LANES kernels, in double. */
typedef struct {
    double *table_h, *table_w, *line, *scratch, *rows, *column;
    size_t size;
} pack_buffers;

INLINE pack_buffers pack_parts(const fft_tiles *t, void *packed, size_t at) {
    const int64_t longest = max64(t->Th, t->Tw);
    pack_buffers b = {.size = at};
    b.table_h = fft_take(packed, &b.size, sizeof(double), fft_table_size(t->Th));
    b.table_w = fft_take(packed, &b.size, sizeof(double), fft_table_size(t->Tw));
    b.line = fft_take(packed, &b.size, sizeof(double), 2 * longest * DOUBLE_LANES);
    b.scratch = fft_take(packed, &b.size, sizeof(double), 6 * longest * DOUBLE_LANES);
    b.column = fft_take(packed, &b.size, sizeof(double), 2 * longest * DOUBLE_LANES);
    b.rows = fft_take(packed, &b.size, sizeof(double), t->Th * t->half * 2 * DOUBLE_LANES);
    return b;
}

/* Kernels k0 to k0 + lanes of channel c. Conjugated: a layer slides its kernel unturned, which is a correlation. Scaled by
 * what the transforms leave out: the inverses' 1/(Th Tw), and the real lines' doubling. */
INLINE void pack_kernels(const conv2d_problem *p, const fft_tiles *t, const real *weight, const pack_buffers *b, real *to,
                         int lanes) {
    const window *g = &p->g;
    const double scale = 0.25 / (double)(t->Th * t->Tw);
    const ptrdiff_t row = t->half * 2 * DOUBLE_LANES;
    const double_line taps = {b->line, b->line + DOUBLE_LANES, 2 * DOUBLE_LANES};
    memset(b->rows, 0, (size_t)(t->Th * row) * sizeof(double));
    for (int64_t h = 0; h < t->tall; h += 2) {
        memset(b->line, 0, (size_t)(2 * t->Tw * DOUBLE_LANES) * sizeof(double));
        for (int64_t i = h; i < min64(h + 2, t->tall); i++)
            for (int64_t s = 0; s < g->S && i % g->dilation[0] == 0; s++)
                for (int k = 0; k < lanes; k++)
                    b->line[(2 * s * g->dilation[1] + i - h) * DOUBLE_LANES + k] =
                        weight[i / g->dilation[0] * p->step_r + s * p->step_s + k * p->step_k];
        double *a = b->rows + h * row; /* Th is even, so there is room for a row more */
        FFT_DOUBLE(fft_real)(t->Tw, b->table_w, taps, a, a + row, b->scratch);
    }
    const double_line column = {b->column, b->column + DOUBLE_LANES, 2 * DOUBLE_LANES};
    for (int64_t x = 0; x < t->half; x++) {
        double *from = b->rows + x * 2 * DOUBLE_LANES;
        FFT_DOUBLE(fft_line)(t->Th, b->table_h, (double_line){from, from + DOUBLE_LANES, row}, column, t->Th, b->scratch);
        for (int64_t y = 0; y < t->Th; y++, to += g->C * TILE_N)
            for (int k = 0; k < lanes; k++) {
                to[k] = (real)(scale * b->column[2 * y * DOUBLE_LANES + k]);
                to[PANEL + k] = (real)(-scale * b->column[(2 * y + 1) * DOUBLE_LANES + k]);
            }
    }
}

#endif
#endif
