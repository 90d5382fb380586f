/* Stores past the caches, for what is compiled once. */
#ifndef CNNFAST_STREAM_H
#define CNNFAST_STREAM_H

#include <stdbool.h>
#include <stddef.h>

/* Whether the machine has such stores. */
bool stream_exists(void);
/* memcpy, whole cache lines of `to` past the caches. */
void stream_copy(char *to, const char *from, size_t bytes);
/* After the last copy: other threads may read what it wrote. */
void stream_end(void);

#endif
