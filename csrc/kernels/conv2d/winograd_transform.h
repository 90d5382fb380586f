/* Winograd's F(m, r) in one dimension: m outputs of r taps by m + r - 1 products (Lavin and Gray, "Fast Algorithms for
 * Convolutional Neural Networks", arXiv:1509.09308). Toom-Cook at the points +-p for `pairs` values of p, infinity, and 0
 * where m + r - 1 is even:
 *     outputs = A^T ((G taps) * (B^T inputs))
 * With q = p^2, the row of B^T that belongs to a point is the polynomial x * prod(x^2 - q) over all points but that one (x only
 * where 0 is a point); G's is 1, p, p^2, ... over the polynomial's value there, and A's column is 1, p, p^2, ...
 *
 * Taps may be cut in two pieces, each with products of its own. Products that A^T treats alike are added up first, as one
 * longer reduction: an axis has fewer sums than products.
 *
 * The points were chosen by measured error: 2/3 and 3/2 have half that of the textbook's 1 and 2; 1/2, 1, 2 beside 0, and
 * 5/16, 7/8, 7/4 without it, are the best triples of small fractions (docs/performance.md).
 */
#ifndef CNNFAST_WINOGRAD_TRANSFORM_H
#define CNNFAST_WINOGRAD_TRANSFORM_H

#include <stdbool.h>

#include "simd.h"

typedef enum {
    WHOLE,
    HALVES, /* the first (r + 1) / 2 taps; the others, one less, without infinity's product */
    PARITY, /* stride 2: two taps over the even inputs, F(m, 2), and one over the odd ones, F(m, 1) */
} cut;

/* One axis of a tile; {1, 1, 0} leaves it as it is. Always a constant, so that every loop below unrolls. */
typedef struct {
    int m, r, pairs;
    cut cut;
} axis;

#define MOST_PRODUCTS 13
#define MOST_INPUTS 10
#define MOST_VALUES 64 /* products of a tile */
#define MOST_TAPS 7

/* The first piece, by itself. */
INLINE axis first_piece(axis a) { return (axis){a.m, a.cut == PARITY ? 2 : a.cut == HALVES ? (a.r + 1) / 2 : a.r, a.pairs, WHOLE}; }
INLINE int stride_of(axis a) { return a.cut == PARITY ? 2 : 1; }
INLINE int inputs(axis a) { return stride_of(a) * (a.m - 1) + a.r; }
INLINE int first_products(axis a) { return a.m + first_piece(a).r - 1; }
INLINE int products(axis a) {
    return first_products(a) + (a.cut == HALVES ? first_products(a) - 1 : a.cut == PARITY ? a.m : 0);
}
/* Of the first piece, the product of 0 is the first, if there is one; those of the pairs follow, infinity's is the last. */
INLINE int zeros_of(axis a) { return first_products(a) - 2 * a.pairs - 1; }

/* Sums: the first piece's products, with the other's added to them; but PARITY's second piece has a product for each output,
 * and those of outputs that neither 0 nor infinity is alone in are sums of their own, before the last. */
INLINE int sums(axis a) { return first_products(a) + (a.cut == PARITY ? a.m - 1 - zeros_of(a) : 0); }
/* A sum's products follow each other; sums(a): the end of the last one's. */
INLINE int first_of(axis a, int sum) {
    if (sum == sums(a)) return products(a);
    return a.cut == HALVES ? 2 * sum : a.cut == PARITY && sum ? sum + zeros_of(a) : sum;
}
/* Where a piece's product stands among all. */
INLINE int place(axis a, int piece, int product) {
    const int first = first_products(a) - 1, zero = zeros_of(a);
    if (a.cut == HALVES) return 2 * product + piece;
    if (a.cut == WHOLE) return product;
    if (piece) return product == a.m - 1 ? products(a) - 1 : product || !zero ? first + product : 1;
    return product == first ? products(a) - 2 : product ? product + zero : 0;
}

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

/* B^T in parts, so that a tile's first axis needs few registers at a time: part j of a piece gives the two products of pair j,
 * the first part also 0's, the last part infinity's; what is left alone is one part. */
INLINE int parts_of_piece(axis a) { return a.pairs ? a.pairs : 1; }
INLINE int parts(axis a) { return a.cut == HALVES ? 2 * a.pairs : a.cut == PARITY ? a.pairs + 1 : parts_of_piece(a); }
INLINE int piece_of(axis a, int part) { return part / parts_of_piece(a); }
/* The products of its piece that a part gives. */
INLINE int part_begin(axis a, int part) {
    const int in_piece = part % parts_of_piece(a);
    return in_piece ? zeros_of(a) + 2 * in_piece : 0;
}
INLINE int part_end(axis a, int part) {
    const int in_piece = part % parts_of_piece(a);
    if (a.cut == PARITY && piece_of(a, part)) return a.m;
    return in_piece + 1 < parts_of_piece(a) ? zeros_of(a) + 2 * in_piece + 2 : first_products(a) - piece_of(a, part);
}

/* A part of the first piece, or with its points and without infinity of another. */
INLINE void piece_part(axis a, int part, bool infinity, const vec *d, vec *to) {
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
    if (part == a.pairs - 1 && infinity) to[at + 2] = polynomial(a, -1, d, zero);
}

INLINE void input_part(axis a, int part, const vec *d, vec *to) {
    const int piece = piece_of(a, part), stride = stride_of(a);
    const axis first = first_piece(a);
    const int count = a.cut == PARITY && piece ? a.m : first_products(a) - piece;
    vec from[MOST_INPUTS], found[MOST_PRODUCTS];
#pragma GCC unroll 16
    for (int i = 0; i < count; i++) from[i] = d[a.cut == PARITY ? stride * i + piece : i + piece * first.r];
    if (a.cut == PARITY && piece) {
#pragma GCC unroll 16
        for (int i = 0; i < a.m; i++) to[place(a, piece, i)] = from[i];
        return;
    }
    piece_part(first, part % parts_of_piece(a), piece == 0, from, found);
#pragma GCC unroll 16
    for (int i = part_begin(a, part); i < part_end(a, part); i++) to[place(a, piece, i)] = found[i];
}

INLINE void input_transform(axis a, const vec *d, vec *to) {
#pragma GCC unroll 8
    for (int part = 0; part < parts(a); part++) input_part(a, part, d, to);
}

/* A^T, outputs [begin, end), of the sums, and `bias` added to each unless it is NULL. The last sum is of the last output alone. */
INLINE void output_part(axis a, int begin, int end, const vec *d, const vec *bias, vec *to) {
    if (!a.pairs) {
        to[0] = bias ? d[0] + *bias : d[0];
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
        else if (i == a.m - 1) sum = d[sums(a) - 1];
        else if (a.cut == PARITY) sum = d[first_products(a) - 1 + i - zero];
        else if (i == 0) sum = of[0], j = 1;
        else sum = plus_scaled(bias ? *bias : (vec){0}, power(point(a, 0), i), of[0]), j = 1;
        if (bias && (j == 0 || i == 0)) sum += *bias;
#pragma GCC unroll 4
        for (; j < a.pairs; j++) sum = plus_scaled(sum, power(point(a, j), i), of[j]);
        to[i] = sum;
    }
}

/* Of two products the compiler may fuse either one with their sum, and not the same one for every ISA: unless it does not know
 * that one of them is a product, or zero. */
#define HIDE(number) __asm__("" : "+m"(number))

typedef double filter[MOST_PRODUCTS][MOST_TAPS];

INLINE void first_filter(axis a, filter G) {
    if (!a.pairs) {
        G[0][0] = 1;
        return;
    }
    const int zero = zeros_of(a);
    if (zero) G[0][0] = 1 / coefficient(a, -1, a.pairs);
    G[zero + 2 * a.pairs][a.r - 1] = 1;
    for (int j = 0; j < a.pairs; j++) {
        const double p = point(a, j);
        double q = p * p, slope = zero ? 2 * q : 2 * p; /* of the product at p; at -p it is the same, or the opposite without the x */
        HIDE(q);
        for (int i = 0; i < a.pairs; i++) {
            double other = point(a, i) * point(a, i);
            HIDE(other);
            if (i != j) slope *= q - other;
        }
        for (int r = 0; r < a.r; r++)
            G[zero + 2 * j][r] = power(p, r) / slope, G[zero + 2 * j + 1][r] = power(-p, r) / (zero ? slope : -slope);
    }
}

/* G, in double: each row is one product's. */
INLINE void filter_matrix(axis a, filter G) {
    const axis first = first_piece(a);
    filter of_first = {0};
    first_filter(first, of_first);
    memset(G, 0, sizeof(filter));
    for (int i = 0; i < first_products(a); i++)
        for (int r = 0; r < first.r; r++) {
            G[place(a, 0, i)][r * stride_of(a)] = of_first[i][r];
            if (a.cut == HALVES && i + 1 < first_products(a) && first.r + r < a.r) G[place(a, 1, i)][first.r + r] = of_first[i][r];
        }
    for (int i = 0; a.cut == PARITY && i < a.m; i++) G[place(a, 1, i)][1] = 1;
}

#endif
