/* CNNFAST_VERBOSE=1: a line of CSV on stderr for each run of an op, a network's steps among them, as oneDNN's verbose mode. */
#ifndef CNNFAST_VERBOSE_H
#define CNNFAST_VERBOSE_H

#include "plan.h"

extern bool verbose_on; /* read when the library is loaded: a run that tells nothing pays one branch */

static inline bool verbose(void) { return __builtin_expect(verbose_on, 0); }

/* Milliseconds of a clock that only runs forward; 0 where nobody asks. */
double verbose_start(void);

/* A run of a plan on N images (rows, where it is no plan of images) that ended now. */
void verbose_plan(const cnnfast_plan *, int64_t N, int threads, double start);

/* A run of an op without a plan, over so many elements. */
void verbose_flat(const char *op, cnnfast_dtype, int64_t elements, int threads, double start);

#endif
