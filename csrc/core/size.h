/* Overflow-checked size arithmetic: a product or sum that does not fit is SIZE_OVERFLOW, and stays so. */
#ifndef CNNFAST_SIZE_H
#define CNNFAST_SIZE_H

#include <stddef.h>
#include <stdint.h>

#define SIZE_OVERFLOW SIZE_MAX
#define CACHE_LINE 64

static inline size_t size_mul(size_t a, size_t b) {
    size_t c;
    if (a == SIZE_OVERFLOW || b == SIZE_OVERFLOW || __builtin_mul_overflow(a, b, &c)) return SIZE_OVERFLOW;
    return c;
}

static inline size_t size_add(size_t a, size_t b) {
    size_t c;
    if (a == SIZE_OVERFLOW || b == SIZE_OVERFLOW || __builtin_add_overflow(a, b, &c)) return SIZE_OVERFLOW;
    return c;
}

/* Up to the next cache line, so that one buffer may follow another. */
static inline size_t size_align(size_t a) {
    a = size_add(a, CACHE_LINE - 1);
    return a == SIZE_OVERFLOW ? a : a / CACHE_LINE * CACHE_LINE;
}

static inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static inline int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t max64(int64_t a, int64_t b) { return a > b ? a : b; }

#endif
