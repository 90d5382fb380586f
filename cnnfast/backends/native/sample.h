/* A look at memory that its owner may change without telling: cheap enough for every call. */
#ifndef CNNFAST_SAMPLE_H
#define CNNFAST_SAMPLE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Hashes (FNV-1a, by words) 32 words of 4 bytes from the first to the last, evenly apart: all where there are no more. `size` is a
 * multiple of 4, or what is over is not looked at. */
static uint64_t memory_sample(const void *at, size_t size) {
    const size_t words = size / 4, count = words < 32 ? words : 32;
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < count; i++) {
        uint32_t word;
        memcpy(&word, (const char *)at + 4 * (count == words ? i : (words - 1) * i / 31), 4);
        hash = (hash ^ word) * 1099511628211u;
    }
    return hash;
}

#endif
