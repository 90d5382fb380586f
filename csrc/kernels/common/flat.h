/* Loops over contiguous elements: whole vectors at addresses of y that v_stream takes, and partial ones at both ends. */
#ifndef CNNFAST_FLAT_H
#define CNNFAST_FLAT_H

#include "kernel.h"
#include "simd.h"

/* Elements before the first whole vector of y, at most n. */
INLINE int64_t flat_head(const real *y, int64_t n) {
    return min64(n, (int64_t)(-(uintptr_t)y % VEC_BYTES / sizeof(real)));
}

/* FLAT_EACH(n, y, stream, EXPR): y[i...] = EXPR for i from 0 to n, where EXPR reads by LOAD(p) = p[i...]. */
#define FLAT_EACH(n, y, stream, EXPR)                                            \
    do {                                                                         \
        const int64_t head_ = flat_head(y, n);                                   \
        int64_t i = 0;                                                           \
        if (head_) {                                                             \
            const int lanes_ = (int)head_;                                       \
            v_store_n(y, EXPR(FLAT_PART), lanes_);                               \
            i = head_;                                                           \
        }                                                                        \
        if (stream)                                                              \
            for (; i + LANES <= (n); i += LANES) v_stream(y + i, EXPR(FLAT_WHOLE)); \
        else                                                                     \
            for (; i + LANES <= (n); i += LANES) v_store(y + i, EXPR(FLAT_WHOLE)); \
        if (i < (n)) {                                                           \
            const int lanes_ = (int)((n) - i);                                   \
            v_store_n(y + i, EXPR(FLAT_PART), lanes_);                           \
        }                                                                        \
        if (stream) v_stream_end();                                              \
    } while (0)
#define FLAT_WHOLE(p) v_load((p) + i)
#define FLAT_PART(p) v_load_n((p) + i, lanes_)

/* C numbers repeated without end, read as vectors from any of the first C: C + LANES - 1 of them lie in memory, or a few
 * more, so that the next ring starts at a vector too. */
INLINE size_t ring_size(int64_t C) { return size_add((size_t)C, 2 * LANES - 2) / LANES * LANES; }
INLINE void ring_fill(real *to, const real *from, int64_t C) {
    for (int64_t i = 0; i < (int64_t)ring_size(C); i++) to[i] = from[i % C];
}
INLINE int64_t ring_next(int64_t at, int64_t step, int64_t C) { /* 0 <= step < C, or C == 1 */
    at += step;
    return at >= C ? at - C : at;
}

#endif
