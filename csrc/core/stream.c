#include "stream.h"

#include <string.h>

#include "size.h"

#if defined(__SSE2__)
#include <emmintrin.h>

bool stream_exists(void) { return true; }

void stream_copy(char *to, const char *from, size_t bytes) {
    const size_t to_line = -(uintptr_t)to % CACHE_LINE, head = to_line < bytes ? to_line : bytes;
    memcpy(to, from, head);
    to += head, from += head, bytes -= head;
    for (; bytes >= CACHE_LINE; to += CACHE_LINE, from += CACHE_LINE, bytes -= CACHE_LINE) {
        const __m128i a = _mm_loadu_si128((const __m128i *)from), b = _mm_loadu_si128((const __m128i *)from + 1);
        const __m128i c = _mm_loadu_si128((const __m128i *)from + 2), d = _mm_loadu_si128((const __m128i *)from + 3);
        _mm_stream_si128((__m128i *)to, a); /* close together: the processor joins them to a line */
        _mm_stream_si128((__m128i *)to + 1, b);
        _mm_stream_si128((__m128i *)to + 2, c);
        _mm_stream_si128((__m128i *)to + 3, d);
    }
    memcpy(to, from, bytes);
}

void stream_end(void) { _mm_sfence(); }
#else
bool stream_exists(void) { return false; }
void stream_copy(char *to, const char *from, size_t bytes) { memcpy(to, from, bytes); }
void stream_end(void) {}
#endif
