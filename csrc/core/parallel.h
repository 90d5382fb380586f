/* Threads. The only file pair that knows OpenMP, and the only one that has threads of its own.
 *
 * parallel_run(threads, body, context, watch) is
 *     for (int t = 0; t < threads; t++) body(context, t, watch);
 * with the iterations on different threads, the caller's being one of them. It runs serially inside another parallel
 * region and in a child made by fork, where libgomp's threads do not exist.
 */
#ifndef CNNFAST_PARALLEL_H
#define CNNFAST_PARALLEL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* One a run of a plan, however many regions that takes: starts as {0}. */
typedef struct {
    _Atomic bool stop;
    const char *caller; /* its thread, which alone may ask the interrupt hook */
    bool begun; /* the caller's thread only: a run of one piece never asks for the time */
    int64_t next_check; /* nanoseconds, the caller's thread only */
} parallel_watch;

typedef void (*parallel_body)(void *context, int thread, parallel_watch *watch);

/* Threads a run that starts now may take. */
int parallel_threads(void);

/* False when the interrupt hook stopped it. */
bool parallel_run(int threads, parallel_body body, void *context, parallel_watch *watch);

/* A body asks before each piece of work (of well under 100 ms) whether to go on. */
bool parallel_stopped(parallel_watch *watch);

#endif
