/* The activations against long double libm: largest error in ulp, special values in every lane, and a hash of all
 * output bits (NaN made canonical), which is the same for avx2, avx512 and neon.
 *
 *   gcc -std=gnu11 -O3 -ffp-contract=fast -fno-math-errno -march=x86-64-v3 -Icsrc/include -Icsrc/simd \
 *       -DCNNFAST_ISA=avx2 -DCNNFAST_ISA_avx2 -DCNNFAST_TYPE=f32 -DCNNFAST_TYPE_f32 tests/c/test_activation.c -lm
 *   ./a.out [stride]     float32 only: every stride-th bit pattern of all, instead of the samples
 *
 * Prints a line per function and exits 1 when one fails.
 */
#define _GNU_SOURCE /* M_1_PIl */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "activation.h"

static uint64_t random_state = 1;
static uint64_t random_bits(void) { /* splitmix64 */
    uint64_t z = random_state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static void activate(real *y, const real *x, int activation, real alpha) {
    v_store(y, v_activation(v_load(x), activation, alpha));
}

#if CNNFAST_REAL

#define SAMPLES (1 << 21)
#define SLOPE ((real)0.01)
/* Emulated binary128 is slow: there only some samples are checked, while the hash still has them all. */
#define CHECK_EVERY (LDBL_MANT_DIG > 64 ? 256 : 1)

static long double exact_none(long double x) { return x; }
static long double exact_relu(long double x) { return x < 0 ? 0 : x; }
static long double exact_relu6(long double x) { return x < 0 ? 0 : x > 6 ? 6 : x; }
static long double exact_leaky_relu(long double x) { return x < 0 ? x * SLOPE : x; }
static long double exact_sigmoid(long double x) { return x < 0 ? expl(x) / (1 + expl(x)) : 1 / (1 + expl(-x)); }
static long double exact_silu(long double x) { return x * exact_sigmoid(x); }
static long double exact_hardswish(long double x) { return x < -3 ? 0 : x > 3 ? x : x * (x + 3) / 6; }

/* x/2 * erfc(-x/sqrt 2). z = -x/sqrt 2 is rounded, which erfc multiplies by about 2*z^2, hence the first-order term:
 * erfc(z + d) = erfc(z) - d * 2/sqrt(pi) * e^(-z^2). */
static long double exact_gelu(long double x) {
    long double root2 = sqrtl(2), root2_rest = -fmal(root2, root2, -2) / (2 * root2);
    long double z = -x / root2, d = (fmal(-z, root2, -x) - z * root2_rest) / root2;
    return x / 2 * (erfcl(z) - d * 2 * sqrtl(M_1_PI) * expl(-z * z));
}

static long double exact_elu(long double x) { return x < 0 ? SLOPE * expm1l(x) : x; }
static long double exact_selu(long double x) {
    const long double scale = 1.0507009873554804934193349852946L, alpha = 1.6732632423543772848170429916717L;
    return x < 0 ? scale * alpha * expm1l(x) : scale * x;
}
static long double exact_hardsigmoid(long double x) { return x < -3 ? 0 : x > 3 ? 1 : (x + 3) / 6; }
static long double exact_gelu_tanh(long double x) {
    return x * exact_sigmoid(2 * sqrtl(2 * (long double)M_1_PIl) * (x + 0.044715L * x * x * x));
}
static long double exact_mish(long double x) {
    const long double q = expl(x < 0 ? x : -x);
    return x < 0 ? x * (q * (q + 2) / (q * (q + 2) + 2)) : x * ((1 + 2 * q) / (1 + 2 * q + 2 * q * q));
}
static long double exact_softplus(long double x) { return x > 20 ? x : x < 0 ? log1pl(expl(x)) : x + log1pl(expl(-x)); }

/* sign_of_zero: activation(-0) must be -0. `low` and `high` are the limits at -inf and +inf. */
typedef struct {
    const char *name;
    long double (*exact)(long double);
    double max_ulp, low, high;
    int sign_of_zero;
} function;

static const function functions[] = {
    [CNNFAST_NONE] = {"none", exact_none, 0, -INFINITY, INFINITY, 1},
    [CNNFAST_RELU] = {"relu", exact_relu, 0, 0, INFINITY, 1},
    [CNNFAST_RELU6] = {"relu6", exact_relu6, 0, 0, 6, 1},
    [CNNFAST_LEAKY_RELU] = {"leaky_relu", exact_leaky_relu, 0.501, -INFINITY, INFINITY, 1},
    [CNNFAST_SIGMOID] = {"sigmoid", exact_sigmoid, 4, 0, 1, 0},
    [CNNFAST_TANH] = {"tanh", tanhl, 4, -1, 1, 1},
    [CNNFAST_GELU] = {"gelu", exact_gelu, 4, 0, INFINITY, 1},
    [CNNFAST_SILU] = {"silu", exact_silu, 4, 0, INFINITY, 1},
    [CNNFAST_HARDSWISH] = {"hardswish", exact_hardswish, 4, 0, INFINITY, 1},
    [CNNFAST_ELU] = {"elu", exact_elu, 4, -SLOPE, INFINITY, 1},
    [CNNFAST_SELU] = {"selu", exact_selu, 4, -(SELU_SCALE * SELU_ALPHA), INFINITY, 1},
    [CNNFAST_HARDSIGMOID] = {"hardsigmoid", exact_hardsigmoid, 4, 0, 1, 0},
    [CNNFAST_GELU_TANH] = {"gelu_tanh", exact_gelu_tanh, 4 + 2 * (double)EXP_CLAMP, 0, INFINITY, 1}, /* 4 + 2|z| */
    [CNNFAST_MISH] = {"mish", exact_mish, 4, 0, INFINITY, 1},
    [CNNFAST_SOFTPLUS] = {"softplus", exact_softplus, 4, 0, INFINITY, 0},
};
#define FUNCTIONS ((int)(sizeof functions / sizeof *functions))

static real real_of(lane_bits b) {
    real r;
    memcpy(&r, &b, sizeof r);
    return r;
}

static lane_bits bits_of(real r) {
    lane_bits b;
    memcpy(&b, &r, sizeof b);
    return isnan(r) ? (lane_bits)-1 : b;
}

/* |y - exact| in units of the last place of exact's rounding, denormals included; 1e9 where only one is finite. */
static double ulp_error(real y, long double exact) {
    const int digits = sizeof(real) == 4 ? FLT_MANT_DIG : DBL_MANT_DIG;
    const int lowest = sizeof(real) == 4 ? FLT_MIN_EXP : DBL_MIN_EXP;
    real want = (real)exact;
    if (!isfinite(y) || !isfinite(want)) return y == want ? 0 : 1e9;
    int exponent = want == 0 ? lowest : ilogb(want) + 1;
    return (double)fabsl(((long double)y - exact) / ldexpl(1, (exponent < lowest ? lowest : exponent) - digits));
}

/* A third each: any bit pattern; magnitudes spread by their logarithm over 2^-12 ... 2^11; the line up to where e^-x
 * leaves the denormals. */
static real sample(int i) {
    const int mantissa = MANTISSA_BITS, bias = sizeof(real) == 4 ? 127 : 1023;
    lane_bits b = (lane_bits)random_bits();
    if (i % 3 == 0) return real_of(b);
    if (i % 3 == 1) {
        lane_bits exponent = (lane_bits)(bias - 12) + (lane_bits)(random_bits() % 23);
        return real_of((b & ~((lane_bits)(2 * bias + 1) << mantissa)) | exponent << mantissa);
    }
    return (real)((int64_t)random_bits() >> 11) * (EXP_CLAMP * (real)0x1p-52);
}

typedef struct {
    double max_ulp;
    real worst;
    uint64_t hash; /* FNV-1a over whole elements */
} result;

static void check_block(result *r, const function *f, const real *x, int checked) {
    real y[LANES];
    activate(y, x, (int)(f - functions), SLOPE);
    for (int i = 0; i < LANES; i++) {
        r->hash = (r->hash ^ bits_of(y[i])) * 0x100000001b3u;
        if (!checked || isinf(x[i])) continue;
        double error = isnan(x[i]) ? (isnan(y[i]) ? 0 : 1e9) : ulp_error(y[i], f->exact(x[i]));
        if (error > r->max_ulp) r->max_ulp = error, r->worst = x[i];
    }
}

/* Every special value in every lane, the others left alone. */
static int special_failures(const function *f) {
    const real x[] = {(real)NAN, INFINITY, -INFINITY, 0, (real)-0.0};
    real zero = f->exact(0), y[LANES], in[LANES], ones[LANES];
    const real want[] = {(real)NAN, (real)f->high, (real)f->low, zero, f->sign_of_zero ? -zero : zero};
    int failures = 0;
    for (int i = 0; i < LANES; i++) in[i] = 1;
    activate(ones, in, (int)(f - functions), SLOPE);
    for (int c = 0; c < 5; c++)
        for (int lane = 0; lane < LANES; lane++) {
            in[lane] = x[c];
            activate(y, in, (int)(f - functions), SLOPE);
            in[lane] = 1;
            for (int i = 0; i < LANES; i++) {
                real wanted = i == lane ? want[c] : ones[i];
                int same = isnan(wanted) ? isnan(y[i]) : y[i] == wanted;
                if (c == 4 && i == lane) same = bits_of(y[i]) == bits_of(wanted);
                if (same) continue;
                printf("%s(%g) in lane %d: lane %d is %g, not %g\n", f->name, x[c], lane, i, y[i], wanted);
                failures++;
            }
        }
    return failures;
}

int main(int argc, char **argv) {
    const uint64_t stride = argc > 1 ? strtoull(argv[1], NULL, 0) : 0;
    const uint64_t count = stride ? (UINT64_C(1) << 32) / (stride * LANES) : SAMPLES / LANES;
    int failures = 0;
    for (int a = 0; a < FUNCTIONS; a++) {
        const function *f = &functions[a];
        result r = {.hash = 0xcbf29ce484222325u};
        int number = 0;
        random_state = 1;
        for (uint64_t block = 0; block < count; block++) {
            real x[LANES];
            for (int i = 0; i < LANES; i++, number++)
                x[i] = stride ? real_of((lane_bits)((block * LANES + (uint64_t)i) * stride)) : sample(number);
            check_block(&r, f, x, block % CHECK_EVERY == 0);
        }
        int bad = special_failures(f) + !(r.max_ulp <= f->max_ulp);
        printf("%-10s  max %5.3f ulp at %-24.17g  hash %016llx  %s\n", f->name, r.max_ulp, (double)r.worst,
               (unsigned long long)r.hash, bad ? "FAILED" : "ok");
        failures += bad;
    }
    return failures != 0;
}

#else

static real clamp(real x, real low, real high) { return x < low ? low : x > high ? high : x; }

int main(void) {
    const real lowest = sizeof(real) == 4 ? INT32_MIN : (real)INT64_MIN;
    const real highest = sizeof(real) == 4 ? INT32_MAX : (real)INT64_MAX;
    const struct {
        const char *name;
        real low, high;
    } functions[] = {
        [CNNFAST_NONE] = {"none", lowest, highest},
        [CNNFAST_RELU] = {"relu", 0, highest},
        [CNNFAST_RELU6] = {"relu6", 0, 6},
    };
    int failures = 0;
    for (int a = CNNFAST_NONE; a <= CNNFAST_RELU6; a++) {
        int wrong = 0;
        for (int block = 0; block < 1 << 16; block++) {
            real x[LANES], y[LANES];
            for (int i = 0; i < LANES; i++) x[i] = (real)((int64_t)random_bits() >> (random_bits() % 64));
            activate(y, x, a, 0);
            for (int i = 0; i < LANES; i++) wrong += y[i] != clamp(x[i], functions[a].low, functions[a].high);
        }
        printf("%-10s  %d wrong  %s\n", functions[a].name, wrong, wrong ? "FAILED" : "ok");
        failures += wrong;
    }
    return failures != 0;
}

#endif
