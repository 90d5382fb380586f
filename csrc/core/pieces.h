/* Equal shares of work, one a thread, each in pieces: who is done with its own share takes pieces of the others', so that a core
 * which runs slower (another's hyperthread, an efficiency core, a virtual one that was set aside) does less instead of being
 * waited for. */
#ifndef CNNFAST_PIECES_H
#define CNNFAST_PIECES_H

#include <stdatomic.h>
#include <stdbool.h>

#include "size.h"

/* A cache line of the stack each; where there are more, everybody does its own alone. */
enum { MOST_SHARES = 64 };

typedef struct {
    int shares, pieces; /* of each share */
    struct {
        _Alignas(CACHE_LINE) _Atomic int taken;
    } share[MOST_SHARES];
} pieces;

/* A thread's way through them, from {0} on. */
typedef struct {
    int steps;        /* to others' shares, or on its own */
    int share, piece; /* what it found */
} pieces_walk;

static inline void pieces_begin(pieces *p, int shares, int count) {
    p->shares = shares, p->pieces = count;
    for (int i = 0; i < shares && shares <= MOST_SHARES; i++) atomic_init(&p->share[i].taken, 0);
}

/* The thread's next piece; false: none is left. Of another's share only where more are left than the one that its own thread is
 * about to take: what a thread wrote and read lies in its core's cache, for the next step and the next run. */
static inline bool pieces_next(pieces *p, int thread, pieces_walk *w) {
    if (p->shares > MOST_SHARES) {
        w->share = thread, w->piece = w->steps++;
        return w->piece < p->pieces;
    }
    for (; w->steps < p->shares; w->steps++) {
        w->share = (thread + w->steps) % p->shares;
        _Atomic int *taken = &p->share[w->share].taken;
        w->piece = atomic_load_explicit(taken, memory_order_relaxed);
        while (w->piece < p->pieces - (w->steps > 0))
            if (atomic_compare_exchange_weak_explicit(taken, &w->piece, w->piece + 1, memory_order_relaxed, memory_order_relaxed)) return true;
    }
    return false;
}

#endif
