/* portable.h's words for AVX-512, where masks have registers of their own. MAXPS and MINPS return their second
 * operand when either is NaN or both are zero, which is what the words below promise. */
#include <immintrin.h>

#if defined(CNNFAST_TYPE_f32)
#define X86(op) _mm512_##op##_ps
#define X86_SUFFIX "ps"
#define X86_HALF(op) _mm256_##op##_ps
#define X86_FIRST(n) ((__mmask16)((1u << (n)) - 1))
#define X86_MASK_OF(m) _mm512_movepi32_mask((__m512i)(m))
#define X86_ORDERED(w, a, b) _mm512_mask_cmp_ps_mask(w, a, b, _CMP_ORD_Q)
#elif defined(CNNFAST_TYPE_f64)
#define X86(op) _mm512_##op##_pd
#define X86_SUFFIX "pd"
#define X86_HALF(op) _mm256_##op##_pd
#define X86_FIRST(n) ((__mmask8)((1u << (n)) - 1))
#define X86_MASK_OF(m) _mm512_movepi64_mask((__m512i)(m))
#define X86_ORDERED(w, a, b) (__mmask16)(0xff00 | _mm512_mask_cmp_pd_mask((__mmask8)(w), a, b, _CMP_ORD_Q))
#endif

#if CNNFAST_REAL
INLINE vec v_load_n(const real *p, int n) { return (vec)X86(maskz_loadu)(X86_FIRST(n), p); }
INLINE void v_store_n(real *p, vec v, int n) { X86(mask_storeu)(p, X86_FIRST(n), v); }
INLINE vec v_select(mask m, vec a, vec b) { return (vec)X86(mask_blend)(X86_MASK_OF(m), b, a); }
INLINE vec v_fma(vec a, vec b, vec c) { return (vec)X86(fmadd)(a, b, c); }
INLINE vec v_fma_in_place(vec a, vec b, vec c) {
    __asm__("vfmadd231" X86_SUFFIX " %2, %1, %0" : "+v"(c) : "v"(a), "v"(b));
    return c;
}
INLINE vec v_at_least(vec v, vec lo) { return (vec)X86(max)(lo, v); }
INLINE vec v_at_most(vec v, vec hi) { return (vec)X86(min)(hi, v); }
INLINE vec v_greater(vec v, vec best) { return (vec)X86(max)(v, best); }
INLINE vec v_lesser(vec v, vec best) { return (vec)X86(min)(v, best); }
typedef __mmask16 nan_watch;
INLINE nan_watch v_unwatched(void) { return 0xffff; }
INLINE nan_watch v_watch(nan_watch w, vec a, vec b) { return X86_ORDERED(w, a, b); }
INLINE nan_watch v_watch_both(nan_watch w, nan_watch of) { return w & of; }
INLINE int v_saw_nan(nan_watch w) { return w != 0xffff; }
INLINE vec v_sqrt(vec v) { return (vec)X86(sqrt)(v); }
INLINE void v_stream(real *p, vec v) { X86(stream)(p, v); }
INLINE void v_stream_end(void) { _mm_sfence(); }
typedef lane_int pick_unit;
INLINE vec v_pick(vec v, picks p) { return (vec)X86(permutexvar)((__m512i)p, v); }
/* Lanes p[i] of v and then w. */
#define PICKS_OF_TWO
INLINE vec v_pick_of_two(vec v, vec w, picks p) { return (vec)X86(permutex2var)(v, (__m512i)p, w); }

/* Half a vector, where no more lanes are wanted: most AVX-512 cores run twice as many of these. */
#define HALF_LANES (LANES / 2)
typedef real half __attribute__((vector_size(VEC_BYTES / 2)));
typedef real half_in_memory __attribute__((vector_size(VEC_BYTES / 2), aligned(sizeof(real)), may_alias));
INLINE half half_load(const real *p) { return *(const half_in_memory *)p; }
INLINE half half_splat(real s) { return s - (half){0}; }
INLINE half half_load_n(const real *p, int n) { return (half)X86_HALF(maskz_loadu)((__mmask8)X86_FIRST(n), p); }
INLINE void half_store_n(real *p, half v, int n) { X86_HALF(mask_storeu)(p, (__mmask8)X86_FIRST(n), v); }
INLINE half half_fma(half a, half b, half c) { return (half)X86_HALF(fmadd)(a, b, c); }
#else
#include "portable.h"
#endif
