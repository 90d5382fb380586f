/* A rectangle of an image, copied with its padding into a buffer, so that the kernels never meet a border. */
#ifndef CNNFAST_BAND_H
#define CNNFAST_BAND_H

#include "kernel.h"
#include "simd.h"

/* The pixel that stands at i of an axis of n when padded: 0 <= result < n, or -1 for a zero. */
INLINE int64_t pad_index(int64_t i, int64_t n, cnnfast_padding_mode mode) {
    if (i >= 0 && i < n) return i;
    switch (mode) {
    case CNNFAST_ZEROS: return -1;
    case CNNFAST_REFLECT: return i < 0 ? -i : 2 * (n - 1) - i; /* pad < n, so once is enough */
    case CNNFAST_REPLICATE: return i < 0 ? 0 : n - 1;
    case CNNFAST_CIRCULAR: return i < 0 ? i + n : i - n; /* pad <= n */
    }
    return -1;
}

/* Where the rectangle lies: rows [h0, h1) and columns [w0, w1) of the padded image, `channels` from channel c0. */
typedef struct {
    int64_t h0, h1, w0, w1, c0, channels;
} band;

INLINE void copy_pixel(real *to, const real *from, int64_t channels) {
    if (from) memcpy(to, from, (size_t)channels * sizeof *to);
    else memset(to, 0, (size_t)channels * sizeof *to);
}

/* Pixels of the copy lie `step` >= channels elements apart, rows (w1 - w0) * step. */
INLINE void band_copy(const window *g, cnnfast_padding_mode mode, const real *x, band b, real *to, int64_t step) {
    for (int64_t h = b.h0; h < b.h1; h++) {
        int64_t from_h = pad_index(h, g->H, mode);
        const real *row = from_h < 0 ? NULL : x + from_h * g->W * g->C + b.c0;
        int64_t w = b.w0, inside = min64(g->W, b.w1);
        for (; w < b.w1 && (w < 0 || !row); w++, to += step) {
            int64_t from = row ? pad_index(w, g->W, mode) : -1;
            copy_pixel(to, from < 0 ? NULL : row + from * g->C, b.channels);
        }
        if (w < inside && step == g->C && b.channels == g->C) {
            copy_pixel(to, row + w * g->C, (inside - w) * g->C);
            to += (inside - w) * step;
            w = inside;
        }
        for (; w < inside; w++, to += step) copy_pixel(to, row + w * g->C, b.channels);
        for (; w < b.w1; w++, to += step) {
            int64_t from = pad_index(w, g->W, mode);
            copy_pixel(to, from < 0 ? NULL : row + from * g->C, b.channels);
        }
    }
}

#endif
