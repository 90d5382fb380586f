#define _GNU_SOURCE
#include "parallel.h"

#include <math.h>
#include <omp.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cnnfast.h"

static const int64_t CHECK_EVERY = 50000000; /* nanoseconds */

static _Atomic int requested;     /* cnnfast_set_num_threads; 0: not called */
static int machine_threads = 1;   /* CNNFAST_NUM_THREADS, else OMP_NUM_THREADS, else affinity and quota */
static int omp_at_load = 1;
static _Atomic bool forked_child; /* libgomp's threads did not survive the fork, and it would wait for them */
static int (*_Atomic should_stop)(void);

/* CPUs the cgroup's quota pays for, at least 1; INT32_MAX where there is no quota. */
static int quota_cpus(void) {
    double quota = -1, period = 0;
    FILE *f = fopen("/sys/fs/cgroup/cpu.max", "r"); /* v2: "max 100000" or "200000 100000" */
    if (f) {
        if (fscanf(f, "%lf %lf", &quota, &period) != 2) quota = -1;
        fclose(f);
    } else {
        FILE *q = fopen("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "r"), *p = fopen("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "r");
        if (!q || !p || fscanf(q, "%lf", &quota) != 1 || fscanf(p, "%lf", &period) != 1) quota = -1;
        if (q) fclose(q);
        if (p) fclose(p);
    }
    if (quota <= 0 || period <= 0) return INT32_MAX;
    double cpus = floor(quota / period);
    return cpus < 1 ? 1 : cpus > INT32_MAX ? INT32_MAX : (int)cpus;
}

static void after_fork_in_child(void) { forked_child = true; }

__attribute__((constructor)) static void at_load(void) {
    cpu_set_t set;
    int affinity = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : omp_get_num_procs();
    int quota = quota_cpus();
    omp_at_load = omp_get_max_threads();
    const char *own = getenv("CNNFAST_NUM_THREADS"), *omp = getenv("OMP_NUM_THREADS");
    machine_threads = own ? atoi(own) : 0;
    if (machine_threads < 1) machine_threads = omp && *omp ? omp_at_load : affinity < quota ? affinity : quota;
    if (machine_threads < 1) machine_threads = 1;
    pthread_atfork(NULL, NULL, after_fork_in_child);
}

int cnnfast_get_num_threads(void) {
    if (forked_child) return 1;
    int n = requested;
    return n ? n : machine_threads;
}

cnnfast_status cnnfast_set_num_threads(int n) {
    if (n < 1) return CNNFAST_INVALID_PARAM;
    requested = n;
    return CNNFAST_OK;
}

void cnnfast_set_interrupt(int (*hook)(void)) { should_stop = hook; }

int parallel_threads(void) {
    if (omp_in_parallel()) return 1;
    int n = cnnfast_get_num_threads();
    /* Somebody (threadpoolctl, say) lowered this thread's OpenMP limit since the library was loaded: honour it. */
    int omp_now = omp_get_max_threads();
    return omp_now < omp_at_load && omp_now < n ? omp_now : n;
}

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

bool parallel_stopped(parallel_watch *watch, int thread) {
    if (thread == 0 && !watch->begun) {
        watch->begun = true;
    } else if (thread == 0 && should_stop) {
        int64_t t = now();
        if (!watch->next_check) watch->next_check = t + CHECK_EVERY;
        if (t >= watch->next_check) {
            if (should_stop()) watch->stop = true;
            watch->next_check = now() + CHECK_EVERY;
        }
    }
    return atomic_load_explicit(&watch->stop, memory_order_relaxed);
}

bool parallel_run(int threads, parallel_body body, void *context, parallel_watch *watch) {
    if (threads <= 1 || forked_child) {
        for (int t = 0; t < threads; t++) body(context, t, watch);
        return !watch->stop;
    }
#pragma omp parallel num_threads(threads)
    {
        /* OpenMP may give fewer threads than asked for; the shares stay the same. */
        int team = omp_get_num_threads();
        for (int t = omp_get_thread_num(); t < threads; t += team) body(context, t, watch);
    }
    return !watch->stop;
}
