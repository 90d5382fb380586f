/* The last level of cache, bytes, as far as the system is believed: an output larger than that is better stored past it. */
#ifndef CNNFAST_CACHE_H
#define CNNFAST_CACHE_H

#include <stddef.h>

size_t cache_last_level(void);
/* What of it other programs leave to one operation. */
size_t cache_share(void);
/* An operation that passes over more asks for it ahead of time; SIZE_MAX where that gains nothing. */
size_t cache_near(void);

#endif
