/* cnnfast_probe: the probe kernels on every thread at once, each on memory of its own. */
#include "probe/probe.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cnnfast.h"
#include "isa.h"
#include "parallel.h"
#include "size.h"

FOR_EACH_ISA(DECLARE_PROBE)

typedef struct {
    int64_t (*fma)(int64_t, float *);
    void (*read)(const float *, size_t, float *);
    void (*copy)(float *, const float *, size_t);
} probe;
#define PROBE_ROW(isa) [ISA_##isa] = {cnnfast_probe_fma_f32_##isa, cnnfast_probe_read_f32_##isa, cnnfast_probe_copy_f32_##isa},
static const probe probes[ISA_COUNT] = {FOR_EACH_ISA(PROBE_ROW)};

enum { FMA_ROUNDS = 200000, MAX_THREADS = 1024 };

typedef struct {
    char kind;
    size_t bytes; /* of a buffer */
    int64_t repeats;
    char *memory[MAX_THREADS];
    double done; /* FLOPs or bytes of one pass, one thread */
} job;

static void pass(void *context, int thread, parallel_watch *watch) {
    (void)watch;
    job *j = context;
    const probe *p = &probes[isa_current()];
    float sink[PROBE_SINK], *src = (float *)j->memory[thread], *dst = src + j->bytes / sizeof(float);
    double done = 0;
    for (int64_t i = 0; i < j->repeats; i++) {
        if (j->kind == 'f') done += (double)p->fma(FMA_ROUNDS, sink);
        else if (j->kind == 'r') p->read(src, j->bytes, sink), done += (double)j->bytes;
        else p->copy(dst, src, j->bytes), done += 2.0 * (double)j->bytes;
    }
    if (thread == 0) j->done = done;
}

static double seconds_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Touched by the caller's thread: on one memory node that is where any thread finds it. */
static int allocate(job *j, int threads) {
    const size_t size = size_align(2 * j->bytes + PROBE_BYTES);
    for (int i = 0; i < threads; i++) {
        j->memory[i] = aligned_alloc(CACHE_LINE, size);
        if (!j->memory[i]) return 0;
        memset(j->memory[i], 1, size);
    }
    return 1;
}

double cnnfast_probe(const char *kind, size_t bytes, double seconds, int threads) {
    const bool fma = !strcmp(kind, "fma"), copy = !strcmp(kind, "copy");
    if ((!fma && !copy && strcmp(kind, "read")) || threads < 1 || threads > MAX_THREADS || bytes > PTRDIFF_MAX / 4) return -1;
    job *j = calloc(1, sizeof *j);
    if (!j) return -1;
    j->kind = kind[0];
    j->bytes = fma ? PROBE_BYTES : (bytes / (copy ? 2 : 1) + PROBE_BYTES - 1) / PROBE_BYTES * PROBE_BYTES;
    j->repeats = fma ? 1 : 1 + (int64_t)((size_t)(16 << 20) / j->bytes);
    double rate = -1;
    parallel_watch watch = {0};
    if (allocate(j, threads)) {
        parallel_run(threads, pass, j, &watch); /* warm */
        const double start = seconds_now();
        double done = 0, took;
        do {
            parallel_run(threads, pass, j, &watch);
            done += j->done * threads;
            took = seconds_now() - start;
        } while (took < seconds);
        rate = done / took * 1e-9;
    }
    for (int i = 0; i < threads; i++) free(j->memory[i]);
    free(j);
    return rate;
}
