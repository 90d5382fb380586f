/* Elementary functions on whole vectors, for the activations.
 *
 *   v_abs(v), v_copy_sign(v, of)    bit operations; NaN stays NaN
 *   V_HORNER(x, c)                  c[0] + c[1]*x + c[2]*x^2 + ..., c a constant array
 *   v_exp(x)                        e^x for x <= 20, as a mantissa and a scale
 *   v_normal_tail(a)                a*Phi(-a) for a >= 0, Phi the normal distribution
 *
 * Same bits on every ISA with FMA: a sum with a product in it is always v_fma(a, b, c). Where c is a product too, or
 * where a product is also used elsewhere, it is exact (by a power of two, or n*LN2_HIGH), so that fused or not it is
 * the same, or v_keep has it rounded. Only v_square_rest uses the FMA's single rounding, and knows to do without: the
 * baseline ISA has the same error bounds (tests/c/simd/test_activation.c).
 *
 * Polynomials: minimax by Remez exchange in 60-digit arithmetic, then rounded; float32's gauss_c and mills_c by
 * Lawson's least squares, rounded one by one, the rest fitted again. The errors given include the rounding.
 */
#ifndef CNNFAST_ELEMENTARY_H
#define CNNFAST_ELEMENTARY_H

#include "simd.h"

#if CNNFAST_REAL

#if defined(CNNFAST_TYPE_f32)
typedef uint32_t lane_bits;
#define MANTISSA_BITS 23
#define SIGN_BIT 0x80000000u
#define HIGH_HALF 0xfffff000u /* 12 of 24 significant bits: the square is exact */
#define ROUND_MAGIC 0x1.8p23f
#define EXP_MAGIC (ROUND_MAGIC + 127 + 64)
#define LOG2_UNSCALE -64
#define EXP_UNSCALE 0x1p-64f
#define EXP_CLAMP 120.0f  /* n >= -174; a*e^-a is 0 here */
#define TAIL_CLAMP 14.5f /* n >= -152; a*Phi(-a) is 0 here */
#define LN2_HIGH 0x1.62e4p-1f /* 16 bits, n has 8 */
#define LN2_LOW 0x1.7f7d1cp-20f
#define LOG2_E 0x1.715476p+0f

/* (e^r - 1 - r) / r^2 on |r| <= ln(2)/2. Relative error of e^r - 1: 2^-25.7; of e^r: 2^-27.2. */
static const real expm1_c[] = {0.5f, 0.166665465f, 0.0416662917f, 0.00836626627f, 0.0013945864f};

/* (e^(-u/2) - 1) / u on |u| <= ln(2). Relative error of e^(-u/2): 2^-28.0. */
static const real gauss_c[] = {-0.5f, 0.125f, -0.0208331663f, 0.00260420307f, -0.000261488138f, 2.16611788e-05f};

/* (a + MILLS_C)*M(a) by powers of t = (a - MILLS_K)/(a + MILLS_K), a in [0, 13.3]; see v_normal_tail. Relative error
 * 2^-27.8. */
#define MILLS_C 1.125f
#define MILLS_K 3.625f
static const real mills_c[] = {
    0.489726931f,  -0.120460898f,   0.0201671291f,   0.0277205277f,  -0.0284250546f,
    0.0121196285f, -0.00103815401f, -0.00130826794f, 0.00030749393f, 0.000167357051f};
#define RECIPROCAL_2 0x7f7311c7u /* less the bits of a number: those of 2/it, within 6% */

/* log(1 + q)/q on [0, 1]. Relative error 2^-24.8. */
static const real log1p_c[] = {1.0f,          -0.499999315f, 0.33330512f,    -0.249585867f, 0.196953997f,
                               -0.153553963f, 0.106805556f,  -0.0576644465f, 0.0202045888f, -0.00331847393f};
#else
typedef uint64_t lane_bits;
#define MANTISSA_BITS 52
#define SIGN_BIT 0x8000000000000000u
#define HIGH_HALF 0xfffffffff8000000u /* 26 of 53 significant bits: the square is exact */
#define ROUND_MAGIC 0x1.8p52
#define EXP_MAGIC (ROUND_MAGIC + 1023 + 128)
#define LOG2_UNSCALE -128
#define EXP_UNSCALE 0x1p-128
#define EXP_CLAMP 760.0  /* n >= -1097; a*e^-a is 0 here */
#define TAIL_CLAMP 39.0 /* n >= -1098; a*Phi(-a) is 0 here */
#define LN2_HIGH 0x1.62e42fefa38p-1 /* 42 bits, n has 11 */
#define LN2_LOW 0x1.ef35793c7673p-45
#define LOG2_E 0x1.71547652b82fep+0

/* As above. Relative error of e^r - 1: 2^-54.7; of e^r: 2^-56.1. */
static const real expm1_c[] = {
    0.5000000000000004,   0.16666666666666682,   0.04166666666658521,    0.008333333333316028,  0.0013888888929356135,
    0.000198412699001796, 2.4801507503847566e-05, 2.75572302938585e-06,  2.762526960713404e-07, 2.51137898026658e-08};

/* expm1_c's, as 1 + r*(1 + ...) at r = -u/2. */
static const real gauss_c[] = {
    -0.5, 0.1250000000000001, -0.020833333333333353, 0.0026041666666615755,
    -0.00026041666666612586, 2.170138895211896e-05, -1.5500992109515313e-06, 9.688088868690455e-08,
    -5.382271541769238e-09, 2.6977802350716834e-10, -1.226259267708291e-11};

/* a in [0, 39]. Relative error 2^-57.9. */
#define MILLS_C 1.25
#define MILLS_K 4.171875
static const real mills_c[] = {
    0.49274602060641171, -0.13733196235043599, 0.048552406420402795, 0.0066897910271339258,
    -0.02329593504283408, 0.017103744429761574, -0.0065694199782602757, 0.00070126420049368486,
    0.00057665765102133239, -0.00022425478037306419, -4.194731286299402e-05, 3.7938747926455078e-05,
    3.9483229424370135e-06, -6.3090598329484341e-06, -7.6798976025052684e-07, 1.0853208391047501e-06,
    2.3312168636572531e-07, -1.7906990563419043e-07, -7.0113719187912911e-08, 2.2558389402110724e-08,
    1.6841152267361867e-08, -3.3757377105745844e-10, -2.3280767761489372e-09, -4.8831940072748936e-10};

#define RECIPROCAL_2 0x7fee6238502484bau

/* Relative error 2^-55.2. */
static const real log1p_c[] = {
    1.0,
    -0.4999999999999946,    0.3333333333323502,    -0.24999999993675537,  0.19999999791297493,    -0.16666662498110313,
    0.14285658893055683,    -0.12499479581150393,  0.11107505820133048,   -0.09981014195324693,   0.0901315140283882,
    -0.080812063048974,     0.07035533244376169,   -0.057501902570652984, 0.042300006557311275,   -0.026743879498410953,
    0.013838538981357404,   -0.005543085943852734, 0.0015957339655328113, -0.0002917598736538481, 2.5329824529952196e-05};
#endif

/* Unsigned, so that the shift and the wrap-around of a NaN lane's meaningless bits are defined. */
typedef lane_bits bits __attribute__((vector_size(VEC_BYTES)));

INLINE vec v_abs(vec v) { return (vec)((bits)v & ~(lane_bits)SIGN_BIT); }
INLINE vec v_copy_sign(vec v, vec of) { return (vec)((bits)v_abs(v) | ((bits)of & (lane_bits)SIGN_BIT)); }

/* `c`, `n` and `times` are constants: the loop unrolls and the coefficients become immediate operands. */
INLINE vec v_horner(vec x, const real *c, int n, real times) {
    vec p = v_splat(c[n - 1] * times);
#pragma GCC unroll 32
    for (int i = n - 2; i >= 0; i--) p = v_fma(p, x, v_splat(c[i] * times));
    return p;
}
#define V_HORNER_TIMES(x, c, times) v_horner(x, c, (int)(sizeof(c) / sizeof((c)[0])), times)
#define V_HORNER(x, c) V_HORNER_TIMES(x, c, 1)

/* e^x = (1 + expm1_r) * scale * EXP_UNSCALE. A caller multiplies the mantissa 1 + expm1_r up before the scale takes it
 * into the denormals, so that the result is rounded there once. */
typedef struct {
    vec expm1_r; /* in [-0.3, 0.42] */
    vec scale;   /* 2^n / EXP_UNSCALE, a normal number whatever n */
} exp_parts;

/* Adding EXP_MAGIC to x/ln 2 rounds it to the integer n and leaves n plus the exponent's bias in the low bits of the
 * sum, which the shift moves in place. r = x - n*ln 2. */
INLINE exp_parts v_exp_reduced(vec sum, vec r) {
    vec expm1_r = v_fma(r * r, V_HORNER(r, expm1_c), r);
    return (exp_parts){expm1_r, (vec)((bits)sum << MANTISSA_BITS)};
}

/* e^x, x in [-EXP_CLAMP, 20] or NaN. ln 2 comes in two parts, n*LN2_HIGH being exact (Cody and Waite, Software Manual
 * for the Elementary Functions, 1980, ch. 6). */
INLINE exp_parts v_exp(vec x) {
    vec sum = v_fma(x, v_splat(LOG2_E), v_splat(EXP_MAGIC)), n = sum - EXP_MAGIC;
    vec r = v_fma(n, v_splat(-LN2_HIGH), x);
    return v_exp_reduced(sum, v_fma(n, v_splat(-LN2_LOW), r));
}

/* e^(x + low), |low| at most an ulp of x: for an x that is a rounded difference. */
INLINE exp_parts v_exp_sum(vec x, vec low) {
    vec sum = v_fma(x, v_splat(LOG2_E), v_splat(EXP_MAGIC)), n = sum - EXP_MAGIC;
    vec r = v_fma(n, v_splat(-LN2_HIGH), x);
    return v_exp_reduced(sum, v_fma(n, v_splat(-LN2_LOW), r) + low);
}

/* a*a - s, s being a*a rounded; exact where there is FMA. Else a is split in halves, whose products are exact but for
 * float64's low*low (Dekker, A floating-point technique for extending the available precision, Num. Math. 18, 1971). */
INLINE vec v_square_rest(vec a, vec s) {
#if defined(__FMA__)
    return v_fma(a, a, -s);
#else
    vec high = (vec)((bits)a & (lane_bits)HIGH_HALF), low = a - high;
    return v_fma(low, low, v_fma(2 * high, low, v_fma(high, high, -s)));
#endif
}

/* a*Phi(-a) / EXP_UNSCALE, a in [0, TAIL_CLAMP]; a NaN gives anything. Phi(-a) = e^(-a^2/2)*M(a), M being Mills' ratio
 * over sqrt(2*pi) (Abramowitz and Stegun, 26.2), 1/2 at 0 and like 1/(a*sqrt(2*pi)) far out. What counts are FMAs,
 * products and divisions: sums and integers go beside them on most cores.
 *
 * (a + C)*M(a) stays between 0.4 and 0.63 and is nearly level, and t takes the half-line to [-1, 1): the way of
 * Schonfelder, Chebyshev expansions for the error and related functions, Math. Comp. 32 (1978). So the errors of t and
 * of the sum count little: the terms' magnitudes add up to at most 1.6 times the sum; t*d(log sum)/dt is below 0.17.
 * C and K are near the best for the degree, and such that the coefficients round well.
 *
 * e^(-a^2/2) = 2^n*e^(-u/2), u = a^2 + 2n*ln 2, as v_exp reduces. a^2 needs more digits than the element has, for e^x
 * turns its absolute error into a relative one: `low` has them. It also makes good what rounding added to the divisor,
 * e^(-low/2) being the factor 1 + that/divisor, of which a few bits suffice (without it gelu errs by 4.4 ulp). n goes
 * to the exponent last: M's factor 1/EXP_UNSCALE keeps that a normal number's, and where the mantissa is 0, n is 0. */
INLINE vec v_normal_tail(vec a) {
    vec divisor = a + MILLS_C;
    vec ratio = V_HORNER_TIMES((a - MILLS_K) / (a + MILLS_K), mills_c, 1 / EXP_UNSCALE) / divisor;
    vec s = v_keep(a * a); /* rounded, whatever a compiler could fuse it with */
    vec low = v_fma(a - (divisor - MILLS_C), (vec)(RECIPROCAL_2 - (bits)divisor), v_square_rest(a, s));
    vec sum = v_fma(s, v_splat(LOG2_E * (real)-0.5), v_splat(ROUND_MAGIC)), n = sum - ROUND_MAGIC;
    vec high = v_fma(n, v_splat(2 * LN2_HIGH), s);
    vec u = v_fma(n, v_splat(2 * LN2_LOW), high) + low;
    vec mantissa = v_fma(a * u, V_HORNER(u, gauss_c), a) * ratio;
    return (vec)((bits)mantissa + ((bits)sum << MANTISSA_BITS));
}

#endif
#endif
