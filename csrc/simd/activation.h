/* Activations on whole vectors: y = v_activation(v, CNNFAST_GELU, 0).
 *
 * NaN gives NaN, an infinity gives the limit, denormals are kept. AVX2, AVX-512 and NEON give the same bits (a NaN's
 * sign and payload excepted). Integer elements have none, relu and relu6 alone.
 *
 * The largest errors measured, in units in the last place of the correctly rounded result; the limit is 4:
 *     float32   sigmoid 2.41   tanh 2.50   gelu 3.59   silu 2.84   hardswish 2.49
 *     float64   sigmoid 2.44   tanh 2.57   gelu 3.63   silu 2.94   hardswish 2.42
 * and, over tests/c/simd/test_activation.c's 2 million samples of each,
 *     float32   elu 1.61   selu 1.82   hardsigmoid 1.34   mish 3.30   softplus 2.53   gelu_tanh 193 at 4 + 2|z| = 214
 *     float64   elu 3.01   selu 3.01   hardsigmoid 1.34   mish 3.60   softplus 2.37   gelu_tanh 1414 at 4 + 2|z| = 1472
 * leaky_relu is rounded once, the rest are exact. float32: every value in 2^-14 <= |x| < 2^7 and every 61st of the
 * others; float64: 30 to 400 million samples each. With FMA the numbers are a little lower (gelu: 3.32 and 3.28).
 *
 * sigmoid, silu and gelu share a symmetry: with tail(a) = sigmoid(-a) or Phi(-a), a = |x|, which e^-a or e^(-a^2/2)
 * gives to full relative accuracy,
 *     silu(x), gelu(x) = relu(x) - a*tail(a)         sigmoid(x) = x < 0 ? tail(a) : 1 - tail(a)
 * and since tail <= 1/2 the subtraction loses nothing.
 */
#ifndef CNNFAST_ACTIVATION_H
#define CNNFAST_ACTIVATION_H

#include "cnnfast.h"
#include "elementary.h"

INLINE vec v_relu(vec v) { return v_at_least(v, v_splat(0)); }
INLINE vec v_relu6(vec v) { return v_at_most(v_relu(v), v_splat(6)); }

#if CNNFAST_REAL

INLINE vec v_leaky_relu(vec v, real slope) { return v_select(v < v_splat(0), v * slope, v); }

/* min(|v|, limit), NaN kept. */
INLINE vec v_magnitude(vec v, real limit) { return v_at_most(v_abs(v), v_splat(limit)); }

/* 1 + e^-a, a's exponential given in parts. */
INLINE vec v_logistic_denominator(exp_parts e) {
    vec scaled = v_fma(e.expm1_r, e.scale, e.scale);
    return v_fma(scaled, v_splat(EXP_UNSCALE), v_splat(1));
}

INLINE vec v_sigmoid(vec v) {
    exp_parts e = v_exp(-v_magnitude(v, EXP_CLAMP));
    vec scaled = v_fma(e.expm1_r, e.scale, e.scale) / v_logistic_denominator(e);
    return v_select(v < v_splat(0), scaled * EXP_UNSCALE, v_fma(scaled, v_splat(-EXP_UNSCALE), v_splat(1)));
}

INLINE vec v_silu(vec v) {
    vec a = v_magnitude(v, EXP_CLAMP);
    exp_parts e = v_exp(-a);
    vec scaled = v_fma(a, e.expm1_r, a) / v_logistic_denominator(e) * e.scale;
    return v_fma(scaled, v_splat(-EXP_UNSCALE), v_relu(v));
}

/* -t/(1 + t), t = (e^(-2|v|) - 1)/2 = expm1_r/2*2^n + (2^n - 1)/2. Exact at n = 0, where v is small; at n < 0 both
 * terms are negative or the second dominates, so t keeps its relative accuracy. Unlike v_exp it takes n*ln 2 in one part,
 * whose error 2^n makes small; and sums, where there is a choice, for multiplications are what it waits for. */
INLINE vec v_tanh(vec v) {
    const real magic = EXP_MAGIC + LOG2_UNSCALE - 1;
    vec a = v_at_least(-v_abs(v), v_splat(-EXP_CLAMP / 4));
    vec sum = v_fma(a, v_splat(2 * LOG2_E), v_splat(magic)), n = sum - magic;
    vec r = v_fma(n, v_splat(-(LN2_HIGH + LN2_LOW) / 2), a), r2 = r + r;
    vec half_power = (vec)((bits)sum << MANTISSA_BITS);
    vec half_expm1_r = v_fma(r * r2, V_HORNER(r2, expm1_c), r);
    vec t = v_fma(half_expm1_r, half_power + half_power, half_power - (real)0.5);
    return v_copy_sign(t / (1 + t), v);
}

/* Exact gelu, v*Phi(v) = v/2 * (1 + erf(v/sqrt 2)). */
INLINE vec v_gelu(vec v) {
    return v_fma(v_normal_tail(v_magnitude(v, TAIL_CLAMP)), v_splat(-EXP_UNSCALE), v_relu(v));
}

/* v * (relu6(v + 3) / 6); a v below -3 is raised to -3, for -inf * 0 is NaN. */
INLINE vec v_hardswish(vec v) {
    vec gate = v_relu6(v + 3) * (real)(1.0 / 6.0);
    return v_at_least(v, v_splat(-3)) * gate;
}

INLINE vec v_hardsigmoid(vec v) { return v_relu6(v + 3) * (real)(1.0 / 6.0); }

/* e^v - 1 for v < 0 (anything elsewhere), as v_tanh has it: -1 below -EXP_CLAMP/2. */
INLINE vec v_expm1_below(vec v) {
    exp_parts e = v_exp(-v_magnitude(v, EXP_CLAMP / 2));
    vec power = e.scale * EXP_UNSCALE;
    return v_fma(e.expm1_r, power, power - 1);
}

INLINE vec v_elu(vec v, real alpha) { return v_select(v < v_splat(0), v_expm1_below(v) * alpha, v); }

#define SELU_SCALE 1.0507009873554804934
#define SELU_ALPHA 1.6732632423543772848
INLINE vec v_selu(vec v) {
    return v_select(v < v_splat(0), v_expm1_below(v) * (real)(SELU_SCALE * SELU_ALPHA), v * (real)SELU_SCALE);
}

/* silu's form with another exponent, v*sigmoid(z), z = 2*sqrt(2/pi)*(v + 0.044715*v^3). What rounding takes from z the
 * tail multiplies: below 0 the error is within 4 + 2|z| ulp, above 0 within 4. */
INLINE vec v_gelu_tanh(vec v) {
    vec a = v_magnitude(v, 32); /* z > EXP_CLAMP there */
    vec z = v_fma(a * a, v_splat((real)0.0713548162726002527), v_splat((real)1.5957691216057307118)) * a;
    exp_parts e = v_exp(-v_at_most(z, v_splat(EXP_CLAMP)));
    vec scaled = v_fma(a, e.expm1_r, a) / v_logistic_denominator(e) * e.scale;
    return v_fma(scaled, v_splat(-EXP_UNSCALE), v_relu(v));
}

/* v*tanh(log(1 + e^v)) = v*q*(q + 2)/(q*(q + 2) + 2), q = e^v: sums of positive terms. The factor q comes last, as
 * silu's does. Above 20 the quotient is 1. */
INLINE vec v_mish(vec v) {
    vec low = v_at_most(v_at_least(v, v_splat(-EXP_CLAMP)), v_splat(20));
    exp_parts e = v_exp(low);
    vec q = v_fma(e.expm1_r, e.scale, e.scale) * EXP_UNSCALE, over = q + 2;
    vec soft = v_fma(low, e.expm1_r, low) * (over / v_fma(q, over, v_splat(2))) * e.scale * EXP_UNSCALE;
    return v_select(v > v_splat(20), v, soft);
}

/* log(1 + e^(beta*v))/beta = (relu(beta*v) + log1p(e^-|beta*v|))/beta; v above the threshold of beta*v. A beta other
 * than 1 rounds beta*v, which below 0 is an error of |beta*v|/2 ulp more. */
INLINE vec v_softplus(vec v, real beta, real threshold) {
    vec w = v * beta;
    exp_parts e = v_exp(-v_magnitude(w, EXP_CLAMP));
    vec scaled = v_fma(e.expm1_r, e.scale, e.scale);
    vec soft = v_fma(scaled * V_HORNER(scaled * EXP_UNSCALE, log1p_c), v_splat(EXP_UNSCALE), v_relu(w));
    return v_select(w > v_splat(threshold), v, soft / beta);
}

#endif

/* `activation` is a cnnfast_activation; `alpha` is leaky_relu's slope or elu's alpha. */
INLINE vec v_activation(vec v, int activation, real alpha) {
    switch (activation) {
    case CNNFAST_RELU: return v_relu(v);
    case CNNFAST_RELU6: return v_relu6(v);
#if CNNFAST_REAL
    case CNNFAST_LEAKY_RELU: return v_leaky_relu(v, alpha);
    case CNNFAST_SIGMOID: return v_sigmoid(v);
    case CNNFAST_TANH: return v_tanh(v);
    case CNNFAST_GELU: return v_gelu(v);
    case CNNFAST_SILU: return v_silu(v);
    case CNNFAST_HARDSWISH: return v_hardswish(v);
    case CNNFAST_ELU: return v_elu(v, alpha);
    case CNNFAST_SELU: return v_selu(v);
    case CNNFAST_HARDSIGMOID: return v_hardsigmoid(v);
    case CNNFAST_GELU_TANH: return v_gelu_tanh(v);
    case CNNFAST_MISH: return v_mish(v);
    case CNNFAST_SOFTPLUS: return v_softplus(v, 1, 20);
#endif
    default: (void)alpha; return v;
    }
}

#endif
