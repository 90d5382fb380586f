/* Asking for memory before it is read or written, where a walk is no straight line and the machine does not guess it. */
#ifndef CNNFAST_AHEAD_H
#define CNNFAST_AHEAD_H

#include "simd.h"
#include "size.h"

/* For a line, wherever that may lie, into the second level of cache: the first can wait for a few lines alone, and those are
 * what the loop reads now. */
INLINE void ask(const void *line) {
    __builtin_prefetch(line, 0, 2);
    __asm__ volatile(""); /* or GCC takes a function that only asks for one without effect, and drops its calls */
}

/* Into the first level: for loops whose lines the second holds. */
INLINE void ask_near(const void *line) {
    __builtin_prefetch(line, 0, 3);
    __asm__ volatile("");
}

/* Elements [at, at + n). */
INLINE void ask_ahead(const real *at, int64_t n) {
    for (const char *line = (const char *)at; line < (const char *)(at + n); line += CACHE_LINE) ask(line);
}

/* The first n elements of `count` pixels that lie `step` apart. */
INLINE void ask_pixels(const real *at, int64_t count, ptrdiff_t step, int64_t n) {
    for (int64_t i = 0; i < count; i++, at += step) ask_ahead(at, n);
}

/* What lies 4 KB further on: for loops over a few rows at a time, which the machine does not guess either. */
INLINE void ask_further(const real *at, int64_t n) { ask_ahead(at + 4096 / (int)sizeof(real), n); }

#endif
