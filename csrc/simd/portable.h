/* The words an ISA may do better, in portable form.
 *   v_load_n / v_store_n   the first n lanes, touching no byte beyond them; the other lanes read as zero
 *   v_fma(a, b, c)         a*b + c, in one rounding where the ISA has FMA
 *   v_fma_in_place(a, b, c)  the same, to c's register: where many sums go on side by side the compiler would write some over a or b,
 *                          and then move them back
 *   v_select(m, a, b)      a where m is all ones, b where it is zero
 *   v_at_least(v, lo)      v < lo ? lo : v, so NaN and -0 stay as they are
 *   v_at_most(v, hi)       v > hi ? hi : v, likewise
 *   v_greater(v, best)     v > best ? v : best, so `best` where either is NaN
 *   v_lesser(v, best)      v < best ? v : best, likewise
 *   v_watch(w, a, b)       w, having seen a and b; it begins as v_unwatched()
 *   v_watch_both(w, of)    one watch for two
 *   v_saw_nan(w)           whether a NaN may have been among what w saw; true wherever one was
 *   v_sqrt(v)              the square root, correctly rounded
 *   v_stream(p, v)         a store that passes by the caches, p a multiple of VEC_BYTES; for what is not read again soon
 *   v_pick(v, p)           lane i is v's lane p_i, p as v_picks_write wrote it
 *   v_stream_end()         after the last v_stream of a call: other threads may read what it wrote
 */
INLINE vec v_load_n(const real *p, int n) {
    real lane[LANES] = {0};
    for (int i = 0; i < n; i++) lane[i] = p[i];
    return v_load(lane);
}
INLINE void v_store_n(real *p, vec v, int n) {
    real lane[LANES];
    v_store(lane, v);
    for (int i = 0; i < n; i++) p[i] = lane[i];
}
/* One rounding where the ISA has FMA: the build contracts it. */
INLINE vec v_fma(vec a, vec b, vec c) { return a * b + c; }
INLINE vec v_fma_in_place(vec a, vec b, vec c) { return v_fma(a, b, c); }
INLINE vec v_select(mask m, vec a, vec b) { return (vec)((m & (mask)a) | (~m & (mask)b)); }
INLINE vec v_at_least(vec v, vec lo) { return v_select(v < lo, lo, v); }
INLINE vec v_at_most(vec v, vec hi) { return v_select(v > hi, hi, v); }
INLINE vec v_greater(vec v, vec best) { return v_select(v > best, v, best); }
INLINE vec v_lesser(vec v, vec best) { return v_select(v < best, v, best); }
/* A sum of all that was watched: it is NaN if one of them was, or if infinities met. */
typedef vec nan_watch;
INLINE nan_watch v_unwatched(void) { return (vec){0}; }
INLINE nan_watch v_watch(nan_watch w, vec a, vec b) { return w + (a + b); }
INLINE nan_watch v_watch_both(nan_watch w, nan_watch of) { return w + of; }
INLINE int v_saw_nan(nan_watch w) {
    int seen = 0;
    for (int i = 0; i < LANES; i++) seen |= w[i] != w[i];
    return seen;
}
#if CNNFAST_REAL
INLINE vec v_sqrt(vec v) {
    for (int i = 0; i < LANES; i++)
        v[i] = sizeof(real) == sizeof(float) ? (real)__builtin_sqrtf((float)v[i]) : (real)__builtin_sqrt((double)v[i]);
    return v;
}
typedef uint8_t pick_unit;
#if defined(__SSE2__)
#include <tmmintrin.h>
INLINE vec v_pick(vec v, picks p) { return (vec)_mm_shuffle_epi8((__m128i)v, (__m128i)p); }
#if defined(CNNFAST_TYPE_f32)
INLINE void v_stream(real *p, vec v) { _mm_stream_ps(p, (__m128)v); }
#else
INLINE void v_stream(real *p, vec v) { _mm_stream_pd(p, (__m128d)v); }
#endif
INLINE void v_stream_end(void) { _mm_sfence(); }
#else
#include <arm_neon.h>
INLINE vec v_pick(vec v, picks p) { return (vec)vqtbl1q_u8((uint8x16_t)v, (uint8x16_t)p); }
INLINE void v_stream(real *p, vec v) { v_store(p, v); }
INLINE void v_stream_end(void) {}
#endif
#endif
