#include "probe.h"

#include "simd.h"

#if defined(CNNFAST_TYPE_f32)

/* Enough chains to hide the FMA's latency on every port (5 cycles x 2 ports is the worst known), and few enough to
 * stay in registers beside the two constants. */
#if defined(CNNFAST_ISA_avx512) || defined(CNNFAST_ISA_neon)
#define CHAINS 24 /* of 32 registers */
#else
#define CHAINS 14 /* of 16: it must cover a multiplication and an addition where there is no FMA */
#endif

/* v -> v/2 + 1/4 tends to 1/2 from anywhere: no value grows, dies or turns denormal however long it runs. The chain goes
 * through the multiplicand, so that the product cannot be hoisted out of the loop and leave a mere addition; and no
 * chain starts at 1/2, which the compiler would see to be constant. */
int64_t SYMBOL(probe_fma)(int64_t iterations, real *sink) {
    const vec half = v_splat(0.5f), quarter = v_splat(0.25f);
    vec chain[CHAINS];
#pragma GCC unroll 32
    for (int i = 0; i < CHAINS; i++) chain[i] = v_splat((real)i); /* different, or they would be one */
    for (int64_t n = 0; n < iterations; n++) {
#pragma GCC unroll 32
        for (int i = 0; i < CHAINS; i++) chain[i] = v_fma(chain[i], half, quarter);
    }
#pragma GCC unroll 32
    for (int i = 1; i < CHAINS; i++) chain[0] += chain[i];
    v_store(sink, chain[0]);
    return 2 * CHAINS * LANES * iterations;
}

#define STEPS (PROBE_BYTES / VEC_BYTES)

/* An exclusive or of every vector read: one cycle of latency, and no float arithmetic that could meet a denormal. */
void SYMBOL(probe_read)(const real *src, size_t bytes, real *sink) {
    mask seen[8] = {{0}};
    for (size_t n = 0; n < bytes / PROBE_BYTES; n++, src += PROBE_BYTES / sizeof(real)) {
#pragma GCC unroll 32
        for (int i = 0; i < STEPS; i++) seen[i % 8] ^= (mask)v_load(src + i * LANES);
    }
#pragma GCC unroll 8
    for (int i = 1; i < 8; i++) seen[0] ^= seen[i];
    v_store(sink, (vec)seen[0]);
}

/* Four loads, then four stores: a plain loop of copies would be turned into memcpy, which picks its stores by size. */
void SYMBOL(probe_copy)(real *dst, const real *src, size_t bytes) {
    for (size_t n = 0; n < bytes / (4 * VEC_BYTES); n++, src += 4 * LANES, dst += 4 * LANES) {
        const vec a = v_load(src), b = v_load(src + LANES), c = v_load(src + 2 * LANES), d = v_load(src + 3 * LANES);
        v_store(dst, a);
        v_store(dst + LANES, b);
        v_store(dst + 2 * LANES, c);
        v_store(dst + 3 * LANES, d);
    }
}

#endif
