/* The vector words the kernels are written in.
 *
 * A kernel source is compiled once per ISA and once per element type. The build names both:
 *   CNNFAST_ISA   baseline | avx2 | avx512 | neon      (and defines CNNFAST_ISA_<isa>)
 *   CNNFAST_TYPE  f32 | f64 | i32 | i64                (and defines CNNFAST_TYPE_<type>)
 * `real` is the element, `vec` a register of LANES of them, `mask` the integer vector a comparison gives.
 * Everything here is static inline: a shared non-static function would leak one ISA's code into another's.
 */
#ifndef CNNFAST_SIMD_H
#define CNNFAST_SIMD_H

#include <stdint.h>
#include <string.h>

#define CNNFAST_JOIN4_(a, b, c, d) a##b##_##c##_##d
#define CNNFAST_JOIN4(a, b, c, d) CNNFAST_JOIN4_(a, b, c, d)
/* SYMBOL(conv2d_direct) is cnnfast_conv2d_direct_f32_avx512 in that unit. */
#define SYMBOL(name) CNNFAST_JOIN4(cnnfast_, name, CNNFAST_TYPE, CNNFAST_ISA)

#if defined(CNNFAST_TYPE_f32)
typedef float real;
typedef int32_t lane_int;
#define CNNFAST_REAL 1
#elif defined(CNNFAST_TYPE_f64)
typedef double real;
typedef int64_t lane_int;
#define CNNFAST_REAL 1
#elif defined(CNNFAST_TYPE_i32)
typedef int32_t real;
typedef int32_t lane_int;
#define CNNFAST_REAL 0
#elif defined(CNNFAST_TYPE_i64)
typedef int64_t real;
typedef int64_t lane_int;
#define CNNFAST_REAL 0
#else
#error "the build must define CNNFAST_TYPE_<type>"
#endif

/* VEC_BYTES: the register. TILE_M pixels x TILE_V vectors of output channels: the GEMM micro-kernel's
 * accumulators, which with TILE_V weights and one broadcast must fit the ISA's registers. */
#if defined(CNNFAST_ISA_avx512)
#define VEC_BYTES 64
#define TILE_M 14 /* 28 accumulators + 2 weights + 1 broadcast of 32 zmm */
#define TILE_V 2
#elif defined(CNNFAST_ISA_avx2)
#define VEC_BYTES 32
#define TILE_M 6 /* 12 + 2 + 1 of 16 ymm */
#define TILE_V 2
#elif defined(CNNFAST_ISA_neon)
#define VEC_BYTES 16
#define TILE_M 6 /* 24 + 4 + 1 of 32 q registers */
#define TILE_V 4
#elif defined(CNNFAST_ISA_baseline)
#define VEC_BYTES 16
#define TILE_M 4 /* 8 + 2 + 1, and one for the product that FMA would not need, of 16 xmm */
#define TILE_V 2
#else
#error "the build must define CNNFAST_ISA_<isa>"
#endif

#define LANES ((int)(VEC_BYTES / sizeof(real)))
#define INLINE static inline __attribute__((always_inline))

typedef real vec __attribute__((vector_size(VEC_BYTES)));
typedef lane_int mask __attribute__((vector_size(VEC_BYTES)));
/* The same register as it lies in memory: any address a `real` may have. */
typedef real vec_in_memory __attribute__((vector_size(VEC_BYTES), aligned(sizeof(real)), may_alias));

/* A choice of lanes, for v_pick. */
typedef lane_int picks __attribute__((vector_size(VEC_BYTES)));

INLINE vec v_load(const real *p) { return *(const vec_in_memory *)p; }
INLINE void v_store(real *p, vec v) { *(vec_in_memory *)p = v; }
INLINE vec v_splat(real s) { return s - (vec){0}; } /* s - (+0) is s, for -0 and NaN too */

/* v, as a value of its own: the compiler may not go back to memory for it at each use. */
INLINE vec v_keep(vec v) {
#if defined(__x86_64__)
    __asm__("" : "+v"(v));
#elif defined(__aarch64__)
    __asm__("" : "+w"(v));
#endif
    return v;
}

/* Lane i is v's lane at[i] % LANES. */
INLINE vec v_permute(vec v, mask at) {
#if defined(__clang__)
    vec of = {0};
    for (int i = 0; i < LANES; i++) of[i] = v[at[i] % LANES];
    return of;
#else
    return __builtin_shuffle(v, at);
#endif
}

/* v_fma for one element. Said to the compiler outright: it may split a*b + c to vectorise the product. */
INLINE real s_fma(real a, real b, real c) {
#if CNNFAST_REAL && (defined(__FMA__) || defined(__aarch64__))
    if (sizeof(real) == sizeof(float)) return (real)__builtin_fmaf((float)a, (float)b, (float)c);
    return (real)__builtin_fma(a, b, c);
#else
    return a * b + c;
#endif
}

#if defined(CNNFAST_ISA_avx512)
#include "x86_avx512.h"
#elif defined(CNNFAST_ISA_avx2)
#include "x86_avx2.h"
#else
#include "portable.h"
#endif

#if CNNFAST_REAL
INLINE picks v_picks_load(const real *p) { return (picks)v_load(p); }
/* The picks that take lane from[i] to lane i, as VEC_BYTES of memory: an ISA's shuffle counts in units of its own. */
INLINE void v_picks_write(real *to, const int *from) {
    enum { PARTS = (int)(sizeof(real) / sizeof(pick_unit)) };
    pick_unit unit[LANES * PARTS];
    for (int i = 0; i < LANES * PARTS; i++) unit[i] = (pick_unit)(from[i / PARTS] * PARTS + i % PARTS);
    memcpy(to, unit, sizeof unit);
}
#endif

#endif
