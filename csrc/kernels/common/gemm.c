#include "gemm.h"

#include "size.h"

#if CNNFAST_REAL
#include "activation.h"
#include "ahead.h"

/* Pixels an address register serves. Fourteen addresses would not fit sixteen registers, so that some would wait in
 * memory or in a vector: base + 0, 1, 2, 4 steps are x86 addresses of one register, base + 3 of one more. */
#define ROW_GROUP (TILE_SPANS ? 1 : 5)
/* Steps of the reduction by which weights are asked for ahead: those of deep layers come from L3 or memory. Not where the
 * registers are sixteen: it spills. */
#define AHEAD (TILE_SPANS ? 0 : 64)
/* Of the reduction between two moves of the addresses: not where these alone fill the registers. */
#define STEPS (TILE_SPANS ? 1 : 4)
#define LINE (CACHE_LINE / (int)sizeof(real))
/* Whose ends are asked for at once. */
#define FAR_TILES 2
#define ceil_div_constant(a, b) (((a) + (b) - 1) / (b))

INLINE void addresses(int m, const gemm *g, const real *x, const real **at) {
#pragma GCC unroll 6
    for (int i = 0; i < m; i += ROW_GROUP) {
        at[i / ROW_GROUP] = x + (TILE_SPANS && g->x_at ? g->x_at[i] : i * g->x_step);
        __asm__("" : "+r"(at[i / ROW_GROUP])); /* or the compiler derives all of them from one, and is back at fourteen */
    }
}

/* Where vector j's weights lie, or its bias. */
INLINE ptrdiff_t in_panels(int j, ptrdiff_t beside) { return j / TILE_V * beside + j % TILE_V * LANES; }

/* Elements from pixel to pixel in first layers of three channels at stride 2. As a constant it is part of an instruction, so that
 * one address serves all pixels, and an FMA reads its own: 1.7 instructions for one instead of 2.6. */
#define STEM_STEP 6

INLINE void stem_taps(int m, int v, const gemm *g, const real *x, const real *w, vec (*acc)[WIDE_V]) {
    const int64_t taps = g->taps, len = g->len;
    for (int64_t t = 0; t < taps; t++) {
        const real *at = x + g->tap[t];
        for (int64_t c = 0; c < len; c++, w += TILE_N, at++)
#pragma GCC unroll 4
            for (int j = 0; j < v; j++) {
                const vec weight = v_load(w + j * LANES);
                __asm__ volatile("" : : : "memory"); /* or pixels wait in registers for the next vector, an instruction each */
#pragma GCC unroll 14
                for (int i = 0; i < m; i++) acc[i][j] = v_fma(v_splat(at[i * STEM_STEP]), weight, acc[i][j]);
            }
    }
}

INLINE void move(int m, int v, int steps, const real **at, const real **w) {
#pragma GCC unroll 6
    for (int i = 0; i < m; i += ROW_GROUP) at[i / ROW_GROUP] += steps;
#pragma GCC unroll 2
    for (int j = 0; j < v; j += TILE_V) w[j / TILE_V] += steps * TILE_N;
}

/* The s-th number of each pixel from `at` on, times the s-th row of weights of one panel or two. */
INLINE void tile_step(int m, int v, int s, ptrdiff_t step, const real *const *at, const real *const *w, vec (*acc)[WIDE_V]) {
    vec weight[WIDE_V];
    ptrdiff_t one = step * (ptrdiff_t)sizeof(real), three = 3 * one;
    __asm__("" : "+r"(one), "+r"(three)); /* or the compiler makes a register of each sum of a step and s */
    __asm__ volatile("" : : : "memory"); /* or numbers of the next step are read early, and no register is left for them */
    if (v <= TILE_V)
#pragma GCC unroll 4
        for (int j = 0; AHEAD && j < v * LANES; j += LINE) __builtin_prefetch(w[0] + (AHEAD + s) * TILE_N + j, 0, 2);
#pragma GCC unroll 4
    for (int j = 0; j < v; j++) weight[j] = v_load(w[j / TILE_V] + s * TILE_N + j % TILE_V * LANES);
#pragma GCC unroll 14
    for (int i = 0; i < m; i++) {
        const int row = i % ROW_GROUP;
        const char *from = (const char *)at[i / ROW_GROUP] + (row == 3 ? three : row * one);
        vec pixel = v_splat(((const real *)from)[s]);
        if (v > 1) pixel = v_keep(pixel); /* or it is read early, and no register is left for it */
#pragma GCC unroll 4
        for (int j = 0; j < v; j++) acc[i][j] = v > 1 ? v_fma_in_place(pixel, weight[j], acc[i][j]) : v_fma(pixel, weight[j], acc[i][j]);
    }
}

static const real relu_limits[2] = {0, 6};

/* `tiles` tiles of m pixels, one after another. With m and v constant every accumulator is a register; the loops over them
 * unroll. `apart`: STEM_STEP where pixels lie so far apart, or 0. */
INLINE void tiles_of(int m, int v, ptrdiff_t apart, const gemm *g, int64_t tiles, int channels, const real *x, const real *packed, const real *bias,
                     const real *residual, real *y) {
    const ptrdiff_t step = g->x_step, y_step = g->y_step; /* read once: y might be g, for all the compiler knows */
    const int last = channels - (v - 1) * LANES;          /* lanes of the last vector that exist */
    const ptrdiff_t beside = v > TILE_V ? g->beside : 0;
    for (; tiles > 0; tiles--, x += m * step) {
        vec acc[TILE_M][WIDE_V];
        const real *w[2] = {packed, packed + beside};
        __asm__("" : "+r"(w[1])); /* or it is made from the first at each use */
#pragma GCC unroll 14
        for (int i = 0; i < m; i++)
#pragma GCC unroll 4
            for (int j = 0; j < v; j++) acc[i][j] = v_load(bias + in_panels(j, beside));

        if (apart) stem_taps(m, v, g, x, packed, acc);
        for (int64_t t = 0; !apart && t < g->taps; t++) {
            const real *at[ceil_div_constant(TILE_M, ROW_GROUP)], *later = x + g->ahead;
            addresses(m, g, x + g->tap[t], at);
            int64_t left = g->len;
            for (; left >= STEPS; left -= STEPS, later += STEPS * m) {
#pragma GCC unroll 4
                for (int j = 0; m > 1 && j < STEPS * m; j += LINE) __builtin_prefetch(later + j); /* a tile of one would spill a mask with sixteen registers */
#pragma GCC unroll 4
                for (int s = 0; s < STEPS; s++) tile_step(m, v, s, step, at, w, acc);
                move(m, v, STEPS, at, w);
            }
            for (; left > 0; left--) {
                tile_step(m, v, 0, step, at, w, acc);
                move(m, v, 1, at, w);
            }
        }

        if (residual) {
#pragma GCC unroll 14
            for (int i = 0; i < m; i++)
#pragma GCC unroll 4
                for (int j = 0; j < v; j++) {
                    const real *from = residual + i * y_step + j * LANES;
                    acc[i][j] += j < v - 1 || last == LANES ? v_load(from) : v_load_n(from, last);
                }
            residual += m * y_step;
        }
        const real *limit = relu_limits;
        __asm__ volatile("" : "+r"(limit)); /* or they wait in registers while the sums fill all */
        if (g->activation == CNNFAST_RELU || g->activation == CNNFAST_RELU6)
#pragma GCC unroll 14
            for (int i = 0; i < m; i++)
#pragma GCC unroll 4
                for (int j = 0; j < v; j++) acc[i][j] = v_at_least(acc[i][j], v_splat(limit[0]));
        if (g->activation == CNNFAST_RELU6)
#pragma GCC unroll 14
            for (int i = 0; i < m; i++)
#pragma GCC unroll 4
                for (int j = 0; j < v; j++) acc[i][j] = v_at_most(acc[i][j], v_splat(limit[1]));
        if (g->stream) {
#pragma GCC unroll 14
            for (int i = 0; i < m; i++, y += y_step) {
                __asm__("" : "+r"(y));
#pragma GCC unroll 4
                for (int j = 0; j < v; j++) v_stream(y + j * LANES, acc[i][j]);
            }
            continue;
        }
#pragma GCC unroll 14
        for (int i = 0; i < m; i++, y += y_step) {
            __asm__("" : "+r"(y)); /* one address that moves, not fourteen */
#pragma GCC unroll 4
            for (int j = 0; j < v; j++)
                if (j < v - 1 || last == LANES) v_store(y + j * LANES, acc[i][j]);
                else v_store_n(y + j * LANES, acc[i][j], last);
        }
    }
}

#ifdef HALF_LANES
/* Elements of the reduction at once where pixels are neighbours in x (one channel, stride 1), and what one meets at the
 * next element is what the one after it meets at this: a number is read once for so many. */
#define SLIDING 3

INLINE void slide(int m, int elements, const real *x, const real *w, half *acc) {
    half weight[SLIDING];
    __asm__("" : "+r"(x)); /* or the compiler keeps numbers for the next call too, which costs more than reading them */
#pragma GCC unroll 3
    for (int c = 0; c < elements; c++) weight[c] = half_load(w + c * TILE_N);
#pragma GCC unroll 16
    for (int j = 0; j < m + elements - 1; j++) {
        half pixel = half_splat(x[j]);
        __asm__("" : "+v"(pixel)); /* or it is read again at each use */
#pragma GCC unroll 3
        for (int c = 0; c < elements; c++)
            if (j >= c && j - c < m) acc[j - c] = half_fma(pixel, weight[c], acc[j - c]);
    }
}

/* tiles_of for so few channels that half a vector holds them; the activation is left to gemm_activate. */
INLINE void narrow_tiles_of(int m, bool sliding, const gemm *g, int64_t tiles, int channels, const real *x, const real *packed,
                            const real *bias, const real *residual, real *y) {
    const ptrdiff_t step = g->x_step, y_step = g->y_step;
    for (; tiles > 0; tiles--, x += m * step) {
        half acc[TILE_M];
        const real *w = packed;
#pragma GCC unroll 14
        for (int i = 0; i < m; i++) acc[i] = half_load(bias);
        for (int64_t t = 0; t < g->taps; t++) {
            if (sliding) {
                int64_t c = 0;
                for (; c + SLIDING <= g->len; c += SLIDING, w += SLIDING * TILE_N) slide(m, SLIDING, x + g->tap[t] + c, w, acc);
                for (; c < g->len; c++, w += TILE_N) slide(m, 1, x + g->tap[t] + c, w, acc);
                continue;
            }
            const real *at[ceil_div_constant(TILE_M, ROW_GROUP)], *later = x + g->ahead;
            addresses(m, g, x + g->tap[t], at);
            for (int64_t c = 0; c < g->len; c++, w += TILE_N) {
                if (m > 1) __builtin_prefetch(later), later += m;
                const half weight = half_load(w);
#pragma GCC unroll 14
                for (int i = 0; i < m; i++)
                    acc[i] = half_fma(half_splat(at[i / ROW_GROUP][i % ROW_GROUP * step]), weight, acc[i]);
#pragma GCC unroll 6
                for (int i = 0; i < m; i += ROW_GROUP) at[i / ROW_GROUP]++;
            }
        }
        if (residual) {
#pragma GCC unroll 14
            for (int i = 0; i < m; i++) acc[i] += half_load_n(residual + i * y_step, channels);
            residual += m * y_step;
        }
#pragma GCC unroll 14
        for (int i = 0; i < m; i++, y += y_step) {
            __asm__("" : "+r"(y));
            half_store_n(y, acc[i], channels);
        }
    }
}
#define NARROW_PIXELS(m, s) case m: narrow_tiles_of(m, s, g, tiles, channels, x, w, bias, residual, y); break;
#endif

/* The activations that are too long to stand in every tile: over what the tiles just stored, still in L1. The loops
 * differ in the activation alone, which is constant in each. */
INLINE void activate_run(int activation, real alpha, int64_t n, real *y) {
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) v_store(y + i, v_activation(v_load(y + i), activation, alpha));
    if (i < n) v_store_n(y + i, v_activation(v_load_n(y + i, (int)(n - i)), activation, alpha), (int)(n - i));
}

#define ACTIVATE(name) case name: for (; runs > 0; runs--, y += g->y_step) activate_run(name, g->alpha, length, y); break;
void SYMBOL(gemm_activate)(const gemm *g, int64_t pixels, int channels, real *y) {
    int64_t runs = pixels, length = channels;
    if (g->y_step == channels) runs = 1, length = pixels * channels; /* no gaps: one run, with one incomplete vector */
    switch (g->activation) {
        ACTIVATE(CNNFAST_RELU) ACTIVATE(CNNFAST_RELU6) ACTIVATE(CNNFAST_LEAKY_RELU) ACTIVATE(CNNFAST_SIGMOID)
        ACTIVATE(CNNFAST_TANH) ACTIVATE(CNNFAST_GELU) ACTIVATE(CNNFAST_SILU) ACTIVATE(CNNFAST_HARDSWISH)
        ACTIVATE(CNNFAST_ELU) ACTIVATE(CNNFAST_SELU) ACTIVATE(CNNFAST_HARDSIGMOID) ACTIVATE(CNNFAST_GELU_TANH)
        ACTIVATE(CNNFAST_MISH) ACTIVATE(CNNFAST_SOFTPLUS)
    case CNNFAST_NONE: break;
    }
}

INLINE void ask_for_lines(int64_t pixels, int channels, const real *at, ptrdiff_t step) {
    for (int64_t i = 0; i < pixels; i++, at += step) {
        for (int k = 0; k < channels - 1; k += LINE) ask(at + k);
        ask(at + channels - 1);
    }
}

/* What the tiles' ends read and write. */
static void ask_for_end(const gemm *g, int64_t pixels, int channels, const real *residual, const real *y) {
    if (!g->stream || residual == y) ask_for_lines(pixels, channels, y, g->y_step);
    if (residual && residual != y) ask_for_lines(pixels, channels, residual, g->y_step);
}

#define PIXELS(m, v) case m: tiles_of(m, v, 0, g, tiles, channels, x, w, bias, residual, y); break;
#define STEM_PIXELS(m, v) case m: tiles_of(m, v, STEM_STEP, g, tiles, channels, x, w, bias, residual, y); break;
#if TILE_M == 14
#define EVERY(X, v) X(1, v) X(2, v) X(3, v) X(4, v) X(5, v) X(6, v) X(7, v) X(8, v) X(9, v) X(10, v) X(11, v) X(12, v) X(13, v) X(14, v)
#elif TILE_M == 6
#define EVERY(X, v) X(1, v) X(2, v) X(3, v) X(4, v) X(5, v) X(6, v)
#elif TILE_M == 4
#define EVERY(X, v) X(1, v) X(2, v) X(3, v) X(4, v)
#endif
#define VECTORS(v) case v: switch (m) { EVERY(PIXELS, v) } break;

static __attribute__((noinline)) void run_tiles(const gemm *g, int m, int64_t tiles, int channels, const real *x, const real *w, const real *bias,
                                                const real *residual, real *y) {
#ifdef HALF_LANES
    if (channels <= HALF_LANES) {
        if (g->x_step == 1 && g->len >= SLIDING) switch (m) { EVERY(NARROW_PIXELS, true) }
        else switch (m) { EVERY(NARROW_PIXELS, false) }
        SYMBOL(gemm_activate)(g, m * tiles, channels, y);
        return;
    }
#endif
    switch ((channels + LANES - 1) / LANES) {
        VECTORS(1)
    case 2:
        if (TILE_M == 14 && g->x_step == STEM_STEP) switch (m) { EVERY(STEM_PIXELS, 2) }
        else switch (m) { EVERY(PIXELS, 2) }
        break;
#if WIDE_V == 4 && TILE_V == 2
    case WIDE_V: switch (m) { PIXELS(1, WIDE_V) PIXELS(2, WIDE_V) PIXELS(3, WIDE_V) PIXELS(4, WIDE_V) PIXELS(5, WIDE_V) PIXELS(6, WIDE_V) } break;
#elif TILE_V == 4
        VECTORS(3)
        VECTORS(4)
#endif
    }
    if (gemm_activates_after(g)) SYMBOL(gemm_activate)(g, m * tiles, channels, y);
}

void SYMBOL(gemm_tiles)(const gemm *g, int m, int64_t tiles, int channels, const real *x, const real *w, const real *bias,
                        const real *residual, real *y) {
    const int64_t most = g->far ? FAR_TILES : MOST_TILES;
    for (int64_t pixels; tiles > 0; tiles -= most, x += pixels * g->x_step, y += pixels * g->y_step) {
        const int64_t now = tiles < most ? tiles : most;
        pixels = m * now;
        if (g->far) ask_for_end(g, pixels, channels, residual, y);
        run_tiles(g, m, now, channels, x, w, bias, residual, y);
        if (residual) residual += pixels * g->y_step;
    }
}
#endif
