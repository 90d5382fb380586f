/* Winograd's F(m, r) in one dimension: m outputs of r taps by m + r - 1 products (Lavin and Gray, "Fast Algorithms for
 * Convolutional Neural Networks", arXiv:1509.09308). Toom-Cook at the points 0, +-p for `pairs` values of p, and infinity:
 *     outputs = A^T ((G taps) * (B^T inputs))
 * With q = p^2, the row of B^T that belongs to a point is the polynomial x * prod(x^2 - q) over all points but that one; G's
 * is 1, p, p^2, ... over the polynomial's value there, and A's column is 1, p, p^2, ...
 *
 * The points were chosen by measured error: 2/3 and 3/2 have half that of the textbook's 1 and 2, and 1/2, 1, 2 is the best
 * triple of small fractions (docs/performance.md).
 */
#ifndef CNNFAST_WINOGRAD_TRANSFORM_H
#define CNNFAST_WINOGRAD_TRANSFORM_H

#include "simd.h"

/* One axis of a tile; {1, 1, 0} leaves it as it is. Always a constant, so that every loop below unrolls. */
typedef struct {
    int m, r, pairs;
} axis;

#define MOST_PRODUCTS 8
INLINE int products(axis a) { return a.m + a.r - 1; }

INLINE double point(int pairs, int j) {
    if (pairs == 1) return 1;
    if (pairs == 2) return j ? 3.0 / 2 : 2.0 / 3;
    return j == 0 ? 0.5 : j == 1 ? 1 : 2;
}

/* prod(x^2 - q) over all pairs but `without` (none: -1), the coefficient `i` places below the highest. */
INLINE double coefficient(int pairs, int without, int i) {
    double q[3] = {0, 0, 0};
    for (int j = 0, n = 0; j < pairs; j++)
        if (j != without) q[n++] = point(pairs, j) * point(pairs, j);
    if (i == 1) return -(q[0] + q[1] + q[2]);
    if (i == 2) return q[0] * q[1] + q[0] * q[2] + q[1] * q[2];
    return i ? -(q[0] * q[1] * q[2]) : 1;
}

INLINE double power(double p, int i) {
    double to = 1;
#pragma GCC unroll 8
    for (; i > 0; i--) to *= p;
    return to;
}

INLINE vec plus_scaled(vec sum, double k, vec v) {
    if (k == 1) return sum + v;
    if (k == -1) return sum - v;
    return v_fma(v_splat((real)k), v, sum);
}

/* That polynomial over every second input from `first`. */
INLINE vec polynomial(int pairs, int without, const vec *d, int first) {
    const int n = without < 0 ? pairs : pairs - 1;
    vec sum = d[first + 2 * n];
#pragma GCC unroll 4
    for (int i = 1; i <= n; i++) sum = plus_scaled(sum, coefficient(pairs, without, i), d[first + 2 * (n - i)]);
    return sum;
}

/* B^T in parts, so that a tile's first axis needs few registers at a time: part j gives the two products of pair j, the first
 * part also the first product, the last part the last. */
INLINE int parts(axis a) { return a.pairs ? a.pairs : 1; }
INLINE int part_begin(int part) { return part ? 1 + 2 * part : 0; }
INLINE int part_end(axis a, int part) { return part + 1 < parts(a) ? 3 + 2 * part : products(a); }

INLINE void input_part(axis a, int part, const vec *d, vec *to) {
    if (part == 0) to[0] = polynomial(a.pairs, -1, d, 0);
    if (!a.pairs) return;
    const double p = point(a.pairs, part);
    const vec even = polynomial(a.pairs, part, d, 2), odd = polynomial(a.pairs, part, d, 1);
    to[1 + 2 * part] = plus_scaled(even, p, odd);
    to[2 + 2 * part] = plus_scaled(even, -p, odd);
    if (part == a.pairs - 1) to[2 * a.pairs + 1] = polynomial(a.pairs, -1, d, 1);
}

INLINE void input_transform(axis a, const vec *d, vec *to) {
#pragma GCC unroll 4
    for (int part = 0; part < parts(a); part++) input_part(a, part, d, to);
}

/* A^T, outputs [begin, end). */
INLINE void output_part(axis a, int begin, int end, const vec *d, vec *to) {
    if (!a.pairs) {
        to[0] = d[0];
        return;
    }
    vec even[3], odd[3];
#pragma GCC unroll 4
    for (int j = 0; j < a.pairs; j++) even[j] = d[1 + 2 * j] + d[2 + 2 * j], odd[j] = d[1 + 2 * j] - d[2 + 2 * j];
#pragma GCC unroll 8
    for (int i = begin; i < end; i++) {
        const vec *of = i % 2 ? odd : even;
        int j = 0;
        vec sum;
        if (i == 0) sum = d[0];
        else if (i == a.m - 1) sum = d[2 * a.pairs + 1];
        else sum = plus_scaled((vec){0}, power(point(a.pairs, 0), i), of[0]), j = 1;
#pragma GCC unroll 4
        for (; j < a.pairs; j++) sum = plus_scaled(sum, power(point(a.pairs, j), i), of[j]);
        to[i] = sum;
    }
}

/* G, in double: each row is one product's. */
INLINE void filter_matrix(axis a, double G[MOST_PRODUCTS][MOST_PRODUCTS]) {
    memset(G, 0, sizeof(double[MOST_PRODUCTS][MOST_PRODUCTS]));
    if (!a.pairs) {
        G[0][0] = 1;
        return;
    }
    G[0][0] = 1 / coefficient(a.pairs, -1, a.pairs);
    G[2 * a.pairs + 1][a.r - 1] = 1;
    for (int j = 0; j < a.pairs; j++) {
        const double p = point(a.pairs, j), q = p * p;
        double slope = 2 * q; /* of x * prod(x^2 - q) at p, and at -p */
        for (int i = 0; i < a.pairs; i++)
            if (i != j) slope *= q - point(a.pairs, i) * point(a.pairs, i);
        for (int r = 0; r < a.r; r++)
            G[1 + 2 * j][r] = power(p, r) / slope, G[2 + 2 * j][r] = power(-p, r) / slope;
    }
}

#endif
