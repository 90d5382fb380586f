#include "fft.h"

#if CNNFAST_REAL
#include <math.h>

/* Complex numbers, one a lane. */
typedef struct {
    vec re, im;
} complexes;

INLINE complexes add(complexes a, complexes b) { return (complexes){a.re + b.re, a.im + b.im}; }
INLINE complexes subtract(complexes a, complexes b) { return (complexes){a.re - b.re, a.im - b.im}; }
INLINE complexes times_minus_i(complexes a) { return (complexes){a.im, -a.re}; }
/* a*s + b for a real s: one rounding, and the same on every ISA with FMA. */
INLINE complexes scale_add(complexes a, real s, complexes b) {
    return (complexes){v_fma(a.re, v_splat(s), b.re), v_fma(a.im, v_splat(s), b.im)};
}
/* The product that is not in the FMA is kept, or the compiler might fuse either. */
INLINE complexes twist(complexes a, const real *w) {
    const vec re = v_splat(w[0]), im = v_splat(w[1]);
    return (complexes){v_fma(a.re, re, -v_keep(a.im * im)), v_fma(a.re, im, v_keep(a.im * re))};
}

INLINE void butterfly4(complexes a[4]) {
    const complexes even = add(a[0], a[2]), even_less = subtract(a[0], a[2]);
    const complexes odd = add(a[1], a[3]), odd_less = times_minus_i(subtract(a[1], a[3]));
    a[0] = add(even, odd), a[2] = subtract(even, odd);
    a[1] = add(even_less, odd_less), a[3] = subtract(even_less, odd_less);
}

INLINE void butterfly3(complexes *a, complexes *b, complexes *c) {
    const real half = (real)-0.5, sine = (real)0.86602540378443864676;
    const complexes sum = add(*b, *c), turned = times_minus_i(subtract(*b, *c)), middle = scale_add(sum, half, *a);
    *a = add(*a, sum);
    *b = scale_add(turned, sine, middle);
    *c = scale_add(turned, -sine, middle);
}

/* Good and Thomas: 6 = 2 x 3 needs no factors between its two stages. */
INLINE void butterfly6(complexes a[6]) {
    butterfly3(&a[0], &a[2], &a[4]);
    butterfly3(&a[3], &a[5], &a[1]);
    const complexes b[6] = {a[0], a[2], a[4], a[3], a[5], a[1]};
    a[0] = add(b[0], b[3]), a[3] = subtract(b[0], b[3]);
    a[4] = add(b[1], b[4]), a[1] = subtract(b[1], b[4]);
    a[2] = add(b[2], b[5]), a[5] = subtract(b[2], b[5]);
}

INLINE void butterfly8(complexes a[8]) {
    const real root = (real)0.70710678118654752440; /* the odd half's factors are root*(1 - i) and root*(-1 - i) */
    complexes even[4], odd[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) even[i] = add(a[i], a[i + 4]), odd[i] = subtract(a[i], a[i + 4]);
    butterfly4(even);
    const complexes one = {odd[1].re + odd[1].im, odd[1].im - odd[1].re}, three = {odd[3].im - odd[3].re, -odd[3].re - odd[3].im};
    const complexes two = times_minus_i(odd[2]), sum = add(one, three), turned = times_minus_i(subtract(one, three));
    const complexes more = add(odd[0], two), less = subtract(odd[0], two);
    a[0] = even[0], a[2] = even[1], a[4] = even[2], a[6] = even[3];
    a[1] = scale_add(sum, root, more), a[5] = scale_add(sum, -root, more);
    a[3] = scale_add(turned, root, less), a[7] = scale_add(turned, -root, less);
}

INLINE void butterfly(int radix, complexes *a) {
    if (radix == 8) butterfly8(a);
    else if (radix == 6) butterfly6(a);
    else if (radix == 4) butterfly4(a);
    else {
        const complexes first = a[0];
        a[0] = add(first, a[1]), a[1] = subtract(first, a[1]);
    }
}

/* Sequences of m*radix, s of them interleaved, to m*radix more interleaved ones of m. */
INLINE void pass(int radix, bool last, int64_t m, int64_t s, const real *twiddle, line from, line to, int64_t keep) {
    for (int64_t p = 0; p < m; p++, twiddle += 2 * (radix - 1))
        for (int64_t q = 0; q < s; q++) {
            complexes a[8];
#pragma GCC unroll 8
            for (int j = 0; j < radix; j++) {
                const ptrdiff_t at = (q + s * (p + m * j)) * from.step;
                a[j] = (complexes){v_load(from.re + at), v_load(from.im + at)};
            }
            butterfly(radix, a);
#pragma GCC unroll 8
            for (int k = 0; k < radix; k++) {
                const int64_t i = q + s * (radix * p + k);
                if (last && i >= keep) break;
                const complexes b = k && !last ? twist(a[k], twiddle + 2 * (k - 1)) : a[k];
                v_store(to.re + i * to.step, b.re);
                v_store(to.im + i * to.step, b.im);
            }
        }
}

#define RADIX(r)                                                                 \
    case r:                                                                      \
        if (m == 1) pass(r, true, 1, s, twiddle, from, into, keep);              \
        else pass(r, false, m, s, twiddle, from, into, keep);                    \
        break;

void SYMBOL(fft_line)(int64_t n, const real *twiddle, line from, line to, int64_t keep, real *scratch) {
    line between[2] = {{scratch, scratch + LANES, 2 * LANES}, {scratch + 2 * n * LANES, scratch + (2 * n + 1) * LANES, 2 * LANES}};
    int64_t s = 1;
    for (int i = 0; n > 1; i ^= 1) {
        const int radix = fft_radix(n);
        const int64_t m = n / radix;
        const line into = m == 1 ? to : between[i];
        switch (radix) { RADIX(8) RADIX(6) RADIX(4) RADIX(2) }
        twiddle += 2 * n;
        from = into, s *= radix, n = m;
    }
}

void SYMBOL(fft_table)(int64_t n, real *to) {
    for (int radix; n > 1; to += 2 * n, n /= radix) {
        radix = fft_radix(n);
        real *at = to;
        for (int64_t p = 0; p < n / radix; p++)
            for (int64_t k = 1; k < radix; k++) {
                const double angle = -6.283185307179586477 * (double)(p * k) / (double)n;
                *at++ = (real)cos(angle), *at++ = (real)sin(angle);
            }
        while (at < to + 2 * n) *at++ = 0;
    }
}

/* The transform z of a + i*b gives a's as z[k] + conj(z[n-k]) and b's as (z[k] - conj(z[n-k]))/i, both doubled. */
void SYMBOL(fft_real)(int64_t n, const real *table, line from, real *a, real *b, real *scratch) {
    real *z = scratch + 4 * n * LANES;
    SYMBOL(fft_line)(n, table, from, (line){z, z + LANES, 2 * LANES}, n, scratch);
    for (int64_t k = 0; k <= n / 2; k++, a += 2 * LANES, b += 2 * LANES) {
        const real *plus = z + 2 * k * LANES, *minus = z + (k ? n - k : 0) * 2 * LANES;
        const vec re = v_load(plus), im = v_load(plus + LANES), other_re = v_load(minus), other_im = v_load(minus + LANES);
        v_store(a, re + other_re), v_store(a + LANES, im - other_im);
        v_store(b, im + other_im), v_store(b + LANES, other_re - re);
    }
}

void SYMBOL(fft_real_inverse)(int64_t n, const real *table, const real *a, const real *b, int64_t keep, line to, real *scratch) {
    real *z = scratch + 4 * n * LANES;
    for (int64_t k = 0; k <= n / 2; k++, a += 2 * LANES, b += 2 * LANES) {
        real *plus = z + 2 * k * LANES, *minus = z + (k ? n - k : 0) * 2 * LANES;
        const vec re = v_load(a), im = v_load(a + LANES), other_re = v_load(b), other_im = v_load(b + LANES);
        v_store(minus, re + other_im), v_store(minus + LANES, other_re - im);
        v_store(plus, re - other_im), v_store(plus + LANES, im + other_re);
    }
    SYMBOL(fft_line)(n, table, (line){z + LANES, z, 2 * LANES}, (line){to.im, to.re, to.step}, keep, scratch);
}
#endif
