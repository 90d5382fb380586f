/* Means and sums of squared deviations. A chunk's deviations are from its own first row: where the mean is far from 0 they are
 * exact or nearly so, and as the shift is one of the chunk's numbers, the sum of their squares is at most rows + 1 times that
 * about the mean, whatever the data. So taking the one from the other loses at most 7 bits of 24, and on ordinary data one. */
#include "batch_norm_train/problem.h"

#include <string.h>

#include "common/ahead.h"
#include "simd.h"

#if CNNFAST_REAL

enum { CHUNK_ROWS = 128, GROUP_ROWS = 8 };

INLINE void add_rows(const real *shift, const real *x, int rows, int64_t width, real *s1, real *s2) {
    int64_t c = 0;
#define ADD(load)                                                    \
    vec a = v_load(s1 + c), b = v_load(s2 + c);                      \
    const vec from = load(shift + c);                                \
    _Pragma("GCC unroll 8") for (int i = 0; i < rows; i++) {         \
        const vec d = load(x + i * width + c) - from;                \
        a += d, b = v_fma(d, d, b);                                  \
    }                                                                \
    v_store(s1 + c, a), v_store(s2 + c, b);
#define WHOLE(p) v_load(p)
#define PART(p) v_load_n(p, (int)(width - c))
    for (; c + LANES <= width; c += LANES) {
        ADD(WHOLE)
    }
    if (c < width) {
        ADD(PART)
    }
#undef ADD
#undef WHOLE
#undef PART
}

void SYMBOL(batch_norm_merge)(int64_t C, double seen, double *mean, double *m2, double more, const double *means, const double *m2s) {
    const double share = more / (seen + more), weight = seen * share;
    for (int64_t c = 0; c < C; c++) {
        const double delta = means[c] - mean[c];
        mean[c] += delta * share;
        m2[c] += m2s[c] + delta * (delta * weight);
    }
}

/* The chunk's moments, from its sums, merged into those of the rows before it. */
static void fold(const real *shift, const real *s1, const real *s2, int64_t rows, int64_t seen, int64_t width, double *mean, double *m2) {
    const double each = 1 / (double)rows, share = (double)rows / (double)(seen + rows), weight = (double)seen * share;
    for (int64_t c = 0; c < width; c++) {
        const double by = (double)s1[c] * each, squares = (double)s2[c] - (double)s1[c] * by;
        const double delta = (double)shift[c] + by - mean[c];
        mean[c] += delta * share;
        m2[c] += (squares < 0 ? 0 : squares) + delta * (delta * weight);
    }
}

/* Columns to channels: those below `rest` have one row more. */
static void join(const batch_norm_piece *p, int64_t rows, int64_t rest, const double *means, const double *m2s, double *mean, double *m2) {
    for (int64_t c = 0; c < p->C; c++) {
        mean[c] = m2[c] = 0;
        double seen = 0;
        for (int64_t j = c; j < p->C * p->repeat; j += p->C) {
            const double more = (double)(rows + (j < rest));
            if (more == 0) break;
            SYMBOL(batch_norm_merge)(1, seen, mean + c, m2 + c, more, means + j, m2s + j);
            seen += more;
        }
    }
}

void SYMBOL(batch_norm_moments)(const batch_norm_piece *p, const void *from, int64_t pixels, double *mean, double *m2, void *scratch) {
    const int64_t width = p->C * p->repeat, rows = pixels / p->repeat, rest = pixels % p->repeat * p->C;
    double *means = scratch, *m2s = means + width;
    real *s1 = (real *)(m2s + width), *s2 = s1 + width + 16;
    if (p->repeat == 1) means = mean, m2s = m2;
    memset(means, 0, (size_t)width * sizeof *means);
    memset(m2s, 0, (size_t)width * sizeof *m2s);
    const real *x = from;
    for (int64_t row = 0; row < rows; row += CHUNK_ROWS) {
        const real *first = x + row * width;
        const int64_t n = min64(CHUNK_ROWS, rows - row);
        memset(s1, 0, (size_t)(2 * width + 32) * sizeof *s1);
        int64_t i = 0;
        for (; i + GROUP_ROWS <= n; i += GROUP_ROWS) {
            if (p->far) ask_further(first + i * width, GROUP_ROWS * width);
            add_rows(first, first + i * width, GROUP_ROWS, width, s1, s2);
        }
        for (; i < n; i++) add_rows(first, first + i * width, 1, width, s1, s2);
        fold(first, s1, s2, n, row, width, means, m2s);
    }
    if (p->repeat == 1) return;
    memset(s1, 0, (size_t)(2 * width + 32) * sizeof *s1);
    fold(x + rows * width, s1, s2, 1, rows, rest, means, m2s);
    join(p, rows, rest, means, m2s, mean, m2);
}

#endif
