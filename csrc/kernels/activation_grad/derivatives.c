/* The activations' derivatives. By the output y, which is all that backpropagation has to keep:
 *     relu, relu6, leaky_relu, hardsigmoid   constants         elu    y > 0 ? 1 : y + alpha
 *     sigmoid  y*(1 - y)                                       selu   y > 0 ? scale : y + scale*alpha
 *     tanh     (1 - y)*(1 + y)
 * each within 3u of it (elu's and selu's below 0: of it and |y|), u half an ulp of 1, y as it is given. By the input x, with
 * s = sigmoid, Phi and phi the normal distribution and its density, n = e^x*(e^x + 2):
 *     silu       s(x) + x*s(x)*s(-x)                           mish      n/(n + 2) + 4x*e^x*(1 + e^x)/(n + 2)^2
 *     gelu       Phi(x) + x*phi(x)                             softplus  s(x)
 *     gelu_tanh  s(z) + x*s(z)*s(-z)*z', gelu's z              hardswish x/3 + 1/2 between -3 and 3
 * within 8u*(1 + |it|): they are sums whose terms cancel where they cross 0. NaN gives NaN; at an infinity it is the limit. */
#include "activation_grad/derivatives.h"

#include "activation.h"
#include "simd.h"

#if CNNFAST_REAL

/* s(a), s(-a) and their product for a >= 0. */
typedef struct {
    vec high, low, both;
} sigmoids;

INLINE sigmoids sigmoids_of(vec a) {
    const exp_parts e = v_exp(-v_at_most(a, v_splat(EXP_CLAMP)));
    const vec high = 1 / v_logistic_denominator(e), low = v_fma(e.expm1_r, e.scale, e.scale) * high * EXP_UNSCALE;
    return (sigmoids){high, low, low * high};
}

INLINE vec d_silu(vec x) {
    const vec a = v_magnitude(x, EXP_CLAMP);
    const sigmoids s = sigmoids_of(a);
    return v_select(x < v_splat(0), v_fma(-a, s.both, s.low), v_fma(a, s.both, s.high));
}

INLINE vec d_gelu(vec x) {
    const vec a = v_at_least(v_magnitude(x, TAIL_CLAMP), v_splat((real)0x1p-60)), below = v_normal_tail(a) * EXP_UNSCALE / a;
    const exp_parts e = v_exp(v_keep(a * a) * (real)-0.5);
    const vec density = v_fma(e.expm1_r, e.scale, e.scale) * (EXP_UNSCALE * (real)0.39894228040143267794);
    return v_select(x < v_splat(0), v_fma(-a, density, below), v_fma(a, density, 1 - below));
}

INLINE vec d_gelu_tanh(vec x) {
    const vec a = v_magnitude(x, 32), square = v_keep(a * a); /* z > EXP_CLAMP there */
    const vec z = v_fma(square, v_splat((real)0.0713548162726002527), v_splat((real)1.5957691216057307118)) * a;
    const vec slope = v_fma(square, v_splat((real)0.2140644488178007581), v_splat((real)1.5957691216057307118));
    const sigmoids s = sigmoids_of(z);
    const vec part = v_keep(s.both * slope);
    return v_select(x < v_splat(0), v_fma(-a, part, s.low), v_fma(a, part, s.high));
}

INLINE vec d_mish(vec x) {
    const vec low = v_at_most(v_at_least(x, v_splat(-EXP_CLAMP)), v_splat(20));
    const exp_parts e = v_exp(low);
    const vec q = v_fma(e.expm1_r, e.scale, e.scale) * EXP_UNSCALE, n = v_keep(q * (q + 2)), under = n + 2;
    const vec slope = v_fma(q, q, q) / under * (4 / under);
    return v_select(x > v_splat(20), v_splat(1), v_fma(low, slope, n / under));
}

INLINE vec derivative(int activation, vec v, real alpha) {
    const vec zero = v_splat(0), one = v_splat(1);
    switch (activation) {
    case CNNFAST_SIGMOID: return v * (1 - v);
    case CNNFAST_TANH: return (1 - v) * (1 + v);
    case CNNFAST_ELU: return v_select(v > zero, one, v + alpha);
    case CNNFAST_SELU: return v_select(v > zero, v_splat((real)SELU_SCALE), v + (real)(SELU_SCALE * SELU_ALPHA));
    case CNNFAST_GELU: return d_gelu(v);
    case CNNFAST_SILU: return d_silu(v);
    case CNNFAST_GELU_TANH: return d_gelu_tanh(v);
    case CNNFAST_MISH: return d_mish(v);
    case CNNFAST_SOFTPLUS: return v_select(v > v_splat(20), one, v_sigmoid(v));
    default: return one;
    }
}

/* Those with kinks choose between products, so that an infinite gradient is not multiplied by 0. */
INLINE vec back(int activation, vec grad, vec v, real alpha) {
    const vec zero = v_splat(0);
    vec to;
    switch (activation) {
    case CNNFAST_RELU: to = v_select(v > zero, grad, zero); break;
    case CNNFAST_RELU6: to = v_select((v > zero) & (v < v_splat(6)), grad, zero); break;
    case CNNFAST_LEAKY_RELU: to = v_select(v > zero, grad, grad * alpha); break;
    case CNNFAST_HARDSIGMOID: to = v_select((v > zero) & (v < v_splat(1)), grad * (real)(1.0 / 6.0), zero); break;
    case CNNFAST_HARDSWISH:
        to = grad * v_fma(v, v_splat((real)(1.0 / 3.0)), v_splat((real)0.5));
        to = v_select(v > v_splat(-3), v_select(v < v_splat(3), to, grad), zero);
        break;
    default: return grad * derivative(activation, v, alpha);
    }
    return v_select(v == v, to, v);
}

INLINE void map(int activation, real alpha, const real *grad, const real *values, real *to, int64_t n, bool stream) {
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        const vec v = back(activation, v_load(grad + i), v_load(values + i), alpha);
        if (stream) v_stream(to + i, v);
        else v_store(to + i, v);
    }
    if (i < n) v_store_n(to + i, back(activation, v_load_n(grad + i, (int)(n - i)), v_load_n(values + i, (int)(n - i)), alpha), (int)(n - i));
    if (stream) v_stream_end();
}

#define MAP(name) case name: map(name, (real)alpha, grad, values, to, n, stream); break;
void SYMBOL(activation_grad)(cnnfast_activation activation, double alpha, const void *grads, const void *given, void *result, int64_t begin,
                             int64_t end, bool stream) {
    const real *grad = (const real *)grads + begin, *values = (const real *)given + begin;
    real *to = (real *)result + begin;
    const int64_t n = end - begin;
    stream &= (uintptr_t)to % VEC_BYTES == 0;
    switch (activation) {
        MAP(CNNFAST_NONE) MAP(CNNFAST_RELU) MAP(CNNFAST_RELU6) MAP(CNNFAST_LEAKY_RELU) MAP(CNNFAST_SIGMOID) MAP(CNNFAST_TANH)
        MAP(CNNFAST_GELU) MAP(CNNFAST_SILU) MAP(CNNFAST_HARDSWISH) MAP(CNNFAST_ELU) MAP(CNNFAST_SELU) MAP(CNNFAST_HARDSIGMOID)
        MAP(CNNFAST_GELU_TANH) MAP(CNNFAST_MISH) MAP(CNNFAST_SOFTPLUS)
    }
}

#endif
