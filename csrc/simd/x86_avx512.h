/* portable.h's words for AVX-512, where masks have registers of their own. MAXPS and MINPS return their second
 * operand when either is NaN or both are zero, which is what the words below promise. */
#include <immintrin.h>

#if defined(CNNFAST_TYPE_f32)
#define X86(op) _mm512_##op##_ps
#define X86_FIRST(n) ((__mmask16)((1u << (n)) - 1))
#define X86_MASK_OF(m) _mm512_movepi32_mask((__m512i)(m))
#elif defined(CNNFAST_TYPE_f64)
#define X86(op) _mm512_##op##_pd
#define X86_FIRST(n) ((__mmask8)((1u << (n)) - 1))
#define X86_MASK_OF(m) _mm512_movepi64_mask((__m512i)(m))
#endif

#if CNNFAST_REAL
INLINE vec v_load_n(const real *p, int n) { return (vec)X86(maskz_loadu)(X86_FIRST(n), p); }
INLINE void v_store_n(real *p, vec v, int n) { X86(mask_storeu)(p, X86_FIRST(n), v); }
INLINE vec v_select(mask m, vec a, vec b) { return (vec)X86(mask_blend)(X86_MASK_OF(m), b, a); }
INLINE vec v_fma(vec a, vec b, vec c) { return (vec)X86(fmadd)(a, b, c); }
INLINE vec v_at_least(vec v, vec lo) { return (vec)X86(max)(lo, v); }
INLINE vec v_at_most(vec v, vec hi) { return (vec)X86(min)(hi, v); }
INLINE vec v_greater(vec v, vec best) { return (vec)X86(max)(v, best); }
INLINE vec v_lesser(vec v, vec best) { return (vec)X86(min)(v, best); }
INLINE int v_any(mask m) { return _mm512_test_epi32_mask((__m512i)m, (__m512i)m) != 0; }
INLINE vec v_sqrt(vec v) { return (vec)X86(sqrt)(v); }
INLINE void v_stream(real *p, vec v) { X86(stream)(p, v); }
INLINE void v_stream_end(void) { _mm_sfence(); }
#else
#include "portable.h"
#endif
