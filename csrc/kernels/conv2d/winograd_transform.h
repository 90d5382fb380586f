/* Winograd's F(m, r) in one dimension: m outputs of r taps by m + r - 1 products (Lavin and Gray, "Fast Algorithms for
 * Convolutional Neural Networks", arXiv:1509.09308). Toom-Cook at the points +-p for `pairs` values of p, infinity, and 0
 * where m + r - 1 is even:
 *     outputs = A^T ((G taps) * (B^T inputs))
 * With q = p^2, the row of B^T that belongs to a point is the polynomial x * prod(x^2 - q) over all points but that one (x only
 * where 0 is a point); G's is 1, p, p^2, ... over the polynomial's value there, and A's column is 1, p, p^2, ...
 *
 * The points were chosen by measured error: 2/3 and 3/2 have half that of the textbook's 1 and 2; 1/2, 1, 2 beside 0, and
 * 5/16, 7/8, 7/4 without it, are the best triples of small fractions (docs/performance.md).
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
/* The product of 0 is the first, if there is one; those of the pairs follow, infinity's is the last. */
INLINE int zeros_of(axis a) { return products(a) - 2 * a.pairs - 1; }

INLINE double point(axis a, int j) {
    if (a.pairs == 1) return 1;
    if (a.pairs == 2) return j ? 3.0 / 2 : 2.0 / 3;
    if (zeros_of(a)) return j == 0 ? 0.5 : j == 1 ? 1 : 2;
    return j == 0 ? 5.0 / 16 : j == 1 ? 7.0 / 8 : 7.0 / 4;
}

/* prod(x^2 - q) over all pairs but `without` (none: -1), the coefficient `i` places below the highest. */
INLINE double coefficient(axis a, int without, int i) {
    double q[3] = {0, 0, 0};
    for (int j = 0, n = 0; j < a.pairs; j++)
        if (j != without) q[n++] = point(a, j) * point(a, j);
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
INLINE vec polynomial(axis a, int without, const vec *d, int first) {
    const int n = without < 0 ? a.pairs : a.pairs - 1;
    vec sum = d[first + 2 * n];
#pragma GCC unroll 4
    for (int i = 1; i <= n; i++) sum = plus_scaled(sum, coefficient(a, without, i), d[first + 2 * (n - i)]);
    return sum;
}

/* B^T in parts, so that a tile's first axis needs few registers at a time: part j gives the two products of pair j, the first
 * part also 0's, the last part infinity's. */
INLINE int parts(axis a) { return a.pairs ? a.pairs : 1; }
INLINE int part_begin(axis a, int part) { return part ? zeros_of(a) + 2 * part : 0; }
INLINE int part_end(axis a, int part) { return part + 1 < parts(a) ? zeros_of(a) + 2 * part + 2 : products(a); }

INLINE void input_part(axis a, int part, const vec *d, vec *to) {
    if (!a.pairs) {
        to[0] = d[0];
        return;
    }
    const int zero = zeros_of(a), at = zero + 2 * part;
    const double p = point(a, part);
    if (part == 0 && zero) to[0] = polynomial(a, -1, d, 0);
    const vec high = polynomial(a, part, d, zero + 1), low = polynomial(a, part, d, zero);
    to[at] = plus_scaled(high, p, low);
    to[at + 1] = plus_scaled(high, -p, low);
    if (part == a.pairs - 1) to[at + 2] = polynomial(a, -1, d, zero);
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
    const int zero = zeros_of(a);
    vec even[3], odd[3];
#pragma GCC unroll 4
    for (int j = 0; j < a.pairs; j++) {
        const vec *pair = d + zero + 2 * j;
        even[j] = pair[0] + pair[1], odd[j] = pair[0] - pair[1];
    }
#pragma GCC unroll 8
    for (int i = begin; i < end; i++) {
        const vec *of = i % 2 ? odd : even;
        int j = 0;
        vec sum;
        if (i == 0 && zero) sum = d[0];
        else if (i == a.m - 1) sum = d[zero + 2 * a.pairs];
        else if (i == 0) sum = of[0], j = 1;
        else sum = plus_scaled((vec){0}, power(point(a, 0), i), of[0]), j = 1;
#pragma GCC unroll 4
        for (; j < a.pairs; j++) sum = plus_scaled(sum, power(point(a, j), i), of[j]);
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
    const int zero = zeros_of(a);
    if (zero) G[0][0] = 1 / coefficient(a, -1, a.pairs);
    G[zero + 2 * a.pairs][a.r - 1] = 1;
    for (int j = 0; j < a.pairs; j++) {
        const double p = point(a, j), q = p * p;
        double slope = zero ? 2 * q : 2 * p; /* of the product at p; at -p it is the same, or the opposite without the x */
        for (int i = 0; i < a.pairs; i++)
            if (i != j) slope *= q - point(a, i) * point(a, i);
        for (int r = 0; r < a.r; r++)
            G[zero + 2 * j][r] = power(p, r) / slope, G[zero + 2 * j + 1][r] = power(-p, r) / (zero ? slope : -slope);
    }
}

#endif
