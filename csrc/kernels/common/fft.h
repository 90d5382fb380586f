/* Fourier transforms of LANES sequences at once, a sequence a lane: nothing is shuffled, so a length is all there is to know.
 *
 * Stockham's passes (Van Loan, Computational Frameworks for the FFT, 1992, section 1.7) of radix 8, 6, 4 and 2; the inverse
 * is the forward transform with re and im exchanged, and is not scaled. Two real sequences run as one complex one. */
#ifndef CNNFAST_FFT_H
#define CNNFAST_FFT_H

#include "kernel.h"
#include "simd.h"

/* Even numbers whose only primes are 2 and 3, no more than 1.5 apart. */
static const int64_t FFT_LENGTHS[] = {2, 4, 6, 8, 12, 16, 24, 32, 36, 48, 64, 72, 96, 128, 144, 192, 256, 288, 384, 512};
enum { FFT_LENGTH_COUNT = sizeof FFT_LENGTHS / sizeof *FFT_LENGTHS };

#if CNNFAST_REAL

/* A pass fits the registers; eights are the cheapest, and two fours cheaper than an eight and a two. */
INLINE int fft_radix(int64_t n) {
    if (n % 3 == 0) return 6;
    return n % 8 == 0 && n != 16 ? 8 : n % 4 == 0 ? 4 : 2;
}

/* Elements of the twiddle factors of a length. */
INLINE int64_t fft_table_size(int64_t n) {
    int64_t size = 0;
    for (int64_t rest = n; rest > 1; rest /= fft_radix(rest)) size += 2 * rest;
    return size;
}

/* Numbers as a transform reads and writes them: the i-th is the vectors at re + i*step and im + i*step. */
#define FFT_DECLARE(real, SYMBOL, line)                                                                             \
    typedef struct {                                                                                                \
        real *re, *im;                                                                                              \
        ptrdiff_t step;                                                                                             \
    } line;                                                                                                         \
    void SYMBOL(fft_table)(int64_t n, real *to);                                                                    \
    /* The first `keep` numbers of the transform of `from`; scratch: two lines of n complex vectors. */             \
    void SYMBOL(fft_line)(int64_t n, const real *table, line from, line to, int64_t keep, real *scratch);           \
    /* Two real lines, given as from.re and from.im, to n/2 + 1 complex vectors each, re and im in turn, doubled. */ \
    void SYMBOL(fft_real)(int64_t n, const real *table, line from, real *a, real *b, real *scratch);                \
    /* And back, so many of each; `to` is a line of n complex vectors. */                                           \
    void SYMBOL(fft_real_inverse)(int64_t n, const real *table, const real *a, const real *b, int64_t keep, line to, real *scratch);

FFT_DECLARE(real, SYMBOL, line)

/* The same in double, for weights that are transformed before they are rounded. */
#define FFT_DOUBLE(name) CNNFAST_JOIN4(cnnfast_, name, f64, CNNFAST_ISA)
#define DOUBLE_LANES ((int)(VEC_BYTES / sizeof(double)))
#if defined(CNNFAST_TYPE_f64)
typedef line double_line;
#else
FFT_DECLARE(double, FFT_DOUBLE, double_line)
#endif

#endif
#endif
