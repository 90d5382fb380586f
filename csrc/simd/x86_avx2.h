/* portable.h's words for AVX2. MAXPS and MINPS return their second operand when either is NaN or both are zero,
 * which is what the words below promise. */
#include <immintrin.h>

#if defined(CNNFAST_TYPE_f32)
#define X86(op) _mm256_##op##_ps
#define X86_SUFFIX "ps"
#elif defined(CNNFAST_TYPE_f64)
#define X86(op) _mm256_##op##_pd
#define X86_SUFFIX "pd"
#endif

#if CNNFAST_REAL
/* LANES ones, then LANES zeros: reading at LANES - n gives a mask of the first n lanes. */
static const lane_int x86_first[2 * LANES] = {
#if defined(CNNFAST_TYPE_f32)
    -1, -1, -1, -1,
#endif
    -1, -1, -1, -1};
INLINE __m256i x86_first_n(int n) { return _mm256_loadu_si256((const __m256i *)(x86_first + LANES - n)); }
INLINE vec v_load_n(const real *p, int n) { return (vec)X86(maskload)(p, x86_first_n(n)); }
INLINE void v_store_n(real *p, vec v, int n) { X86(maskstore)(p, x86_first_n(n), v); }
INLINE vec v_select(mask m, vec a, vec b) { return (vec)X86(blendv)(b, a, (vec)m); }
INLINE vec v_fma(vec a, vec b, vec c) { return (vec)X86(fmadd)(a, b, c); }
INLINE vec v_fma_in_place(vec a, vec b, vec c) {
    __asm__("vfmadd231" X86_SUFFIX " %2, %1, %0" : "+v"(c) : "v"(a), "v"(b));
    return c;
}
INLINE vec v_at_least(vec v, vec lo) { return (vec)X86(max)(lo, v); }
INLINE vec v_at_most(vec v, vec hi) { return (vec)X86(min)(hi, v); }
INLINE vec v_greater(vec v, vec best) { return (vec)X86(max)(v, best); }
INLINE vec v_lesser(vec v, vec best) { return (vec)X86(min)(v, best); }
typedef mask nan_watch;
INLINE nan_watch v_unwatched(void) { return (mask){0}; }
INLINE nan_watch v_watch(nan_watch w, vec a, vec b) { return w | (mask)X86(cmp)(a, b, _CMP_UNORD_Q); }
INLINE nan_watch v_watch_both(nan_watch w, nan_watch of) { return w | of; }
INLINE int v_saw_nan(nan_watch w) { return !_mm256_testz_si256((__m256i)w, (__m256i)w); }
INLINE vec v_sqrt(vec v) { return (vec)X86(sqrt)(v); }
INLINE void v_stream(real *p, vec v) { X86(stream)(p, v); }
INLINE void v_stream_end(void) { _mm_sfence(); }
typedef int32_t pick_unit;
INLINE vec v_pick(vec v, picks p) { return (vec)_mm256_permutevar8x32_ps((__m256)v, (__m256i)p); }
#else
#include "portable.h"
#endif
