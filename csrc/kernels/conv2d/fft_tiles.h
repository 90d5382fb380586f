/* How fft.c cuts an image into tiles, and what that costs. */
#ifndef CNNFAST_FFT_TILES_H
#define CNNFAST_FFT_TILES_H

#include "common/cost.h"
#include "common/fft.h"
#include "common/gemm.h"
#include "conv2d/problem.h"

#if CNNFAST_REAL

typedef struct {
    int64_t tall, wide;   /* the dilated kernel */
    int64_t Th, Tw, half; /* a tile is Th x Tw pixels, its spectrum Th x half complex numbers: half = Tw/2 + 1 */
    int64_t Mh, Mw;       /* outputs of a tile */
    int64_t rows, cols;   /* tiles of an image */
} fft_tiles;

/* Tiles at once, which share a pass over the weights: so many, or what fits a share of the last level of cache. Much more
 * per thread, and the C library gives a call's workspace back to the system each time. */
static const int64_t FFT_MOST_TILES = 16, FFT_BLOCK_BYTES = 8 << 20;
/* Spectra of small kernels are many times as large: no more than 8 times, or 4 MB, or 1 GB. */
static const double FFT_GROWTH = 8, FFT_LITTLE_BYTES = 4 << 20, FFT_PACKED_BYTES = 1 << 30;

INLINE int64_t nominal_channels(int64_t n) { return ceil_div(n, NOMINAL_LANES) * NOMINAL_LANES; }

/* A function of the problem alone, as the price is: for elements of 4 bytes in vectors of NOMINAL_LANES. */
INLINE int64_t fft_at_once(const fft_tiles *t, int64_t C) {
    const int64_t spectra = t->Th * t->half * 2 * nominal_channels(C);
    const int64_t products = t->Th * 4 * NOMINAL_LANES, kept = t->Mh * t->half * 2 * NOMINAL_LANES;
    return max64(1, min64(FFT_MOST_TILES, FFT_BLOCK_BYTES / (4 * (spectra + products + kept))));
}

/* Of one line of n complex vectors, in operations of a lane: a pass's sums, products, loads and stores, by its radix. */
INLINE double fft_line_work(int64_t n) {
    double of_one = 0;
    for (int64_t rest = n; rest > 1; rest /= fft_radix(rest)) {
        const int radix = fft_radix(rest);
        of_one += radix == 8 ? 15.5 : radix == 6 ? 15 : radix == 4 ? 12 : 9;
    }
    return (double)n * of_one;
}

#define NOMINAL_FFT_WORK 32e3   /* per microsecond, over full vectors */
#define NOMINAL_PACKING 1e3     /* bytes of spectra per microsecond */
#define NOMINAL_GEMM_TILES 2.0  /* tiles at which the products run at half of the FMA rate */

INLINE double fft_packed_bytes(const window *g, const fft_tiles *t) {
    return 8 * (double)(t->Th * t->half) * (double)(g->C * nominal_channels(g->K));
}

INLINE double fft_price(const window *g, const fft_tiles *t, int64_t N) {
    const double tiles = (double)(N * t->rows * t->cols);
    const double C = (double)nominal_channels(g->C), K = (double)nominal_channels(g->K);
    const double rows = fft_line_work(t->Tw), columns = (double)t->half * fft_line_work(t->Th);
    const double tall = (double)min64(t->Th, g->H); /* rows that are not zero */
    const double lines = tiles * (C * (columns + tall / 2 * rows) + K * (columns + (double)t->Mh / 2 * rows));
    const double at_once = fft_at_once(t, g->C), blocks = ceil_div((int64_t)tiles, (int64_t)at_once), shared = tiles / blocks;
    const double products = 8 * (double)(t->Th * t->half) * (double)g->C * K * tiles;
    const double rate = NOMINAL_FLOPS * shared / (shared + NOMINAL_GEMM_TILES);
    const double pixels = 4.0 * (double)N * ((double)g->H * g->W * g->C + (double)g->P * g->Q * g->K);
    return lines / NOMINAL_FFT_WORK + cost_max(products / rate, blocks * fft_packed_bytes(g, t) / NOMINAL_DRAM) + pixels / NOMINAL_DRAM;
}

INLINE fft_tiles fft_tiles_of(const window *g, int64_t Th, int64_t Tw) {
    fft_tiles t = {.Th = Th, .Tw = Tw, .half = Tw / 2 + 1};
    t.tall = (g->R - 1) * g->dilation[0] + 1, t.wide = (g->S - 1) * g->dilation[1] + 1;
    t.Mh = Th - t.tall + 1, t.Mw = Tw - t.wide + 1;
    t.rows = ceil_div(g->P, t.Mh), t.cols = ceil_div(g->Q, t.Mw);
    return t;
}

INLINE bool fft_fits(const window *g, const fft_tiles *t) {
    const double bytes = fft_packed_bytes(g, t), given = 4 * (double)(g->R * g->S) * (double)(g->C * nominal_channels(g->K));
    return bytes <= FFT_PACKED_BYTES && (bytes <= FFT_GROWTH * given || bytes <= FFT_LITTLE_BYTES);
}

/* The lengths that cost one image least: a plan serves any batch. Th is 0 where there is none. `any`: the first there is. */
INLINE fft_tiles fft_search(const conv2d_problem *p, bool any) {
    const window *g = &p->g;
    fft_tiles best = {.Th = 0};
    double least = 0;
    for (int i = 0; i < FFT_LENGTH_COUNT; i++)
        for (int j = 0; j < FFT_LENGTH_COUNT; j++) {
            const int64_t Th = FFT_LENGTHS[i], Tw = FFT_LENGTHS[j];
            if (Th <= (g->R - 1) * g->dilation[0] || Tw <= (g->S - 1) * g->dilation[1]) continue;
            const fft_tiles t = fft_tiles_of(g, Th, Tw);
            if (!fft_fits(g, &t)) continue;
            if (any) return t;
            const double price = fft_price(g, &t, 1);
            if (best.Th && price >= least) continue;
            least = price, best = t;
        }
    return best;
}
INLINE fft_tiles fft_choose(const conv2d_problem *p) { return fft_search(p, false); }
INLINE bool fft_exists(const conv2d_problem *p) { return fft_search(p, true).Th > 0; }

#endif
#endif
