/* Activations on whole vectors: y = v_activation(v, CNNFAST_GELU, 0).
 *
 * NaN gives NaN, an infinity gives the limit, denormals are kept. AVX2, AVX-512 and NEON give the same bits (a NaN's
 * sign and payload excepted). Integer elements have none, relu and relu6 alone.
 *
 * The largest errors measured, in units in the last place of the correctly rounded result; the limit is 4:
 *     float32   sigmoid 2.41   tanh 2.50   gelu 3.47   silu 2.84   hardswish 2.49
 *     float64   sigmoid 2.44   tanh 2.57   gelu 3.63   silu 2.94   hardswish 2.42
 * leaky_relu is rounded once, the rest are exact. float32: every value in 2^-14 <= |x| < 2^7 and every 61st of the
 * others; float64: 30 to 400 million samples each. With FMA the numbers are a little lower (gelu: 3.33 and 3.45).
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

/* -t/(2 + t) with t = e^(-2|v|) - 1 = expm1_r*2^n + (2^n - 1). Exact at n = 0, where v is small; at n < 0 both terms
 * are negative or the second dominates, so t keeps its relative accuracy. */
INLINE vec v_tanh(vec v) {
    exp_parts e = v_exp(v_magnitude(v, EXP_CLAMP / 4) * -2);
    vec power = e.scale * EXP_UNSCALE;
    vec t = v_fma(e.expm1_r, power, power - 1);
    return v_copy_sign(t / (2 + t), v);
}

/* Exact gelu, v*Phi(v) = v/2 * (1 + erf(v/sqrt 2)). */
INLINE vec v_gelu(vec v) {
    vec a = v_magnitude(v, MILLS_CLAMP);
    exp_parts e = v_gauss(a);
    mills m = v_mills(a);
    vec q = v_fma(m.slip, m.ratio * 2, e.expm1_r);
    vec scaled = v_fma(a, q, a) * m.ratio * e.scale;
    return v_fma(scaled, v_splat(-EXP_UNSCALE), v_relu(v));
}

/* v * (relu6(v + 3) / 6); a v below -3 is raised to -3, for -inf * 0 is NaN. */
INLINE vec v_hardswish(vec v) {
    vec gate = v_relu6(v + 3) * (real)(1.0 / 6.0);
    return v_at_least(v, v_splat(-3)) * gate;
}

#endif

/* `activation` is a cnnfast_activation; `alpha` is leaky_relu's slope. */
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
#endif
    default: (void)alpha; return v;
    }
}

#endif
