/* The micro-kernel: a tile of up to TILE_M pixels by TILE_N output channels, in registers over the whole reduction.
 *
 * Each output is one chain (trust.md's contract): it starts at its bias and takes one FMA per (r, s, c), ascending.
 * Nothing is vectorised over the reduction, so the tile's shape, the ISA and the threads cannot change a bit of it.
 */
#ifndef CNNFAST_GEMM_H
#define CNNFAST_GEMM_H

#include <stdbool.h>

#include "cnnfast.h"
#include "simd.h"

#define TILE_N (TILE_V * LANES)

/* Two panels of TILE_N channels at once, WIDE_M pixels: where registers are 32, nearly as many accumulators, and 1.5 instructions
 * an FMA instead of 1.8. That tells on a core whose other hyperthread is busy (performance.md). */
#if TILE_M == 14
#define WIDE_M 6
#define WIDE_V (2 * TILE_V)
#else
#define WIDE_M 0
#define WIDE_V TILE_V
#endif

/* Where a tile has few pixels, each has an address of its own in a register, and a tile may span rows of the image.
 * Where it has many, they lie x_step apart: addresses in memory would cost a load each. */
#define TILE_SPANS (TILE_M <= 6)

/* Tiles of a call at most. */
#define MOST_TILES 16

/* What a run's tiles have in common. The reduction is `taps` runs of `len` contiguous elements of x, run t starting
 * `tap[t]` elements after the pixel's own; weights lie [taps][len][TILE_N]. */
typedef struct {
    const ptrdiff_t *tap;
    int64_t taps, len;
    ptrdiff_t x_step, y_step; /* elements from one pixel of the tile to the next */
    const ptrdiff_t *x_at;    /* TILE_SPANS: elements from x to each pixel; NULL: x_step */
    ptrdiff_t beside;         /* of more than TILE_N channels: elements from a panel's weights to the next one's, and from bias to bias */
    ptrdiff_t ahead;          /* elements from a tile to what is asked for during it: a tile's worth, from there on; 0: what is there */
    cnnfast_activation activation;
    real alpha;
    bool far;    /* what a tile's end reads and writes comes from memory: it is asked for before the tile */
    bool stream; /* whole vectors are stored past the caches: see gemm_may_stream */
} gemm;

/* y[i*y_step + k] = activation(bias[k] + sum x*w + residual), for i < pixels * tiles, pixels <= TILE_M, and k < channels <=
 * TILE_N; or pixels <= WIDE_M, k < 2 * TILE_N. bias holds TILE_N values; residual may be NULL or y. With x_at, tiles is 1. */
void SYMBOL(gemm_tiles)(const gemm *, int pixels, int64_t tiles, int channels, const real *x, const real *w, const real *bias,
                        const real *residual, real *y);

/* The activation over pixels * channels of y: what gemm_tiles ends with. */
void SYMBOL(gemm_activate)(const gemm *, int64_t pixels, int channels, real *y);

/* Whether the activation is too long to stand in every tile. */
INLINE bool gemm_activates_after(const gemm *g) { return g->activation > CNNFAST_RELU6; }

/* Whether tiles may store past the caches to y: vectors lie as v_stream wants them, and nothing reads them again. The caller
 * ends with v_stream_end. */
INLINE bool gemm_may_stream(const gemm *g, const real *y, int64_t channels) {
    return channels % LANES == 0 && g->y_step % LANES == 0 && (uintptr_t)y % VEC_BYTES == 0 && !gemm_activates_after(g);
}

/* Tiles of two panels ask for no weights ahead: of a call with few pixels most would come late. */
enum { WIDE_PIXELS = 96 };

/* Whether gemm_row takes the first two panels at once of the output channels that are left. */
INLINE bool gemm_takes_two(int64_t pixels, int64_t channels) { return WIDE_M && pixels >= WIDE_PIXELS && channels >= 2 * TILE_N; }

/* gemm_tiles over any number of pixels, cut into tiles of about equal size: first the larger ones, then those of one less.
 * So many at a time that a longer activation finds them in L1. */
INLINE void gemm_row(const gemm *g, int64_t pixels, int channels, const real *x, const real *w, const real *bias,
                     const real *residual, real *y) {
    const int64_t most = channels > TILE_N ? WIDE_M : TILE_M, tiles = (pixels + most - 1) / most, larger = pixels - pixels / tiles * tiles;
    for (int64_t i = 0, at_once; i < tiles; i += at_once) {
        const int64_t alike = i < larger ? larger - i : tiles - i, m = pixels / tiles + (i < larger);
        at_once = alike < MOST_TILES ? alike : MOST_TILES;
        SYMBOL(gemm_tiles)(g, (int)m, at_once, channels, x, w, bias, residual, y);
        const int64_t done = m * at_once;
        x += done * g->x_step, y += done * g->y_step;
        if (residual) residual += done * g->y_step;
    }
}

#endif
