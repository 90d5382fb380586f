#define _GNU_SOURCE
#include "parallel.h"

#include <linux/futex.h>
#include <math.h>
#include <omp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "cnnfast.h"
#include "size.h"

static const int64_t CHECK_EVERY = 50000000; /* nanoseconds */

static _Atomic int requested;     /* cnnfast_set_num_threads; 0: not called */
static int machine_cpus = 1;
static int machine_threads = 1;   /* CNNFAST_NUM_THREADS, else OMP_NUM_THREADS, else affinity and quota */
static int omp_at_load = 1;
static _Atomic bool forked_child; /* libgomp's threads did not survive the fork, and it would wait for them */
static int (*_Atomic should_stop)(void);
static _Thread_local char this_thread; /* its address is a thread's own */

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
    machine_cpus = affinity < quota ? affinity : quota;
    omp_at_load = omp_get_max_threads();
    const char *own = getenv("CNNFAST_NUM_THREADS"), *omp = getenv("OMP_NUM_THREADS");
    machine_threads = own ? atoi(own) : 0;
    if (machine_threads < 1) machine_threads = omp && *omp ? omp_at_load : machine_cpus;
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

bool parallel_stopped(parallel_watch *watch) {
    const bool caller = watch->caller == &this_thread;
    if (caller && !watch->begun) {
        watch->begun = true;
    } else if (caller && should_stop) {
        int64_t t = now();
        if (!watch->next_check) watch->next_check = t + CHECK_EVERY;
        if (t >= watch->next_check) {
            if (should_stop()) watch->stop = true;
            watch->next_check = now() + CHECK_EVERY;
        }
    }
    return atomic_load_explicit(&watch->stop, memory_order_relaxed);
}

/* Threads wait for a word to change: awake for about 1 ms where there are cores enough, then ASLEEP in it. */
enum { ASLEEP = 1, TAKEN = 2, NEXT_RUN = 4, SPINS = 40000, YIELDS = 64 };

static void pause_core(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void wait_while(_Atomic uint32_t *word, uint32_t is, bool crowded) {
    for (int i = crowded ? SPINS : 0; i < SPINS; i++) {
        if (atomic_load_explicit(word, memory_order_acquire) != is) return;
        if ((i + 1) % YIELDS) pause_core();
        else sched_yield(); /* who is waited for may be waiting for this core */
    }
    uint32_t awake = is;
    if (!atomic_compare_exchange_strong(word, &awake, is | ASLEEP)) return;
    while (atomic_load_explicit(word, memory_order_acquire) == (is | ASLEEP))
        syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, is | ASLEEP, NULL, NULL, 0);
}

static void change(_Atomic uint32_t *word, uint32_t to) {
    if (atomic_exchange(word, to) & ASLEEP) syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* How the caller rounds, and whether it keeps denormals: a worker does its share as the caller would. */
static uint32_t float_mode(void) {
#if defined(__x86_64__)
    return __builtin_ia32_stmxcsr() & ~0x3fu; /* without the flags of what has happened */
#elif defined(__aarch64__)
    return __builtin_aarch64_get_fpcr();
#else
    return 0;
#endif
}

static void set_float_mode(uint32_t mode) {
    if (mode == float_mode()) return;
#if defined(__x86_64__)
    __builtin_ia32_ldmxcsr(mode);
#elif defined(__aarch64__)
    __builtin_aarch64_set_fpcr(mode);
#endif
}

/* A thread that waits for work. What it is to do comes in the cache line it waits on. */
typedef struct {
    _Alignas(CACHE_LINE) _Atomic uint32_t run; /* NEXT_RUN more for each; TAKEN once somebody does it */
    int first, step, threads;
    uint32_t mode;
    parallel_body body;
    void *context;
    parallel_watch *watch;
    _Alignas(CACHE_LINE) _Atomic uint32_t done; /* the last run it did */
    _Alignas(CACHE_LINE) uint32_t given, did;   /* the caller's: the last run, and what `done` was before it */
} worker;

enum { MOST_WORKERS = 255 };
static worker workers[MOST_WORKERS];
static int worker_count; /* whoever has the workers may read it, and add to them */
static atomic_flag workers_taken = ATOMIC_FLAG_INIT;

/* True for one of the two who ask: the worker, or the caller where no worker came in time. */
static bool take(worker *w, uint32_t run) { return atomic_compare_exchange_strong(&w->run, &run, run | TAKEN); }

static void do_share(const worker *w) {
    for (int t = w->first; t < w->threads; t += w->step) w->body(w->context, t, w->watch);
}

static bool is_crowded(int threads) { return threads > machine_cpus; }

static void *work(void *of) {
    worker *w = of;
    bool crowded = false;
    for (;;) {
        const uint32_t run = atomic_load_explicit(&w->run, memory_order_acquire);
        if (run & TAKEN) {
            wait_while(&w->run, run, crowded);
        } else if (take(w, run)) {
            crowded = is_crowded(w->threads);
            set_float_mode(w->mode);
            do_share(w);
            change(&w->done, run);
        }
    }
    return NULL;
}

/* As many of the workers that were asked for as there are, or can be had. */
static int hire(int wanted) {
    pthread_attr_t detached;
    sigset_t all, before;
    if (wanted > MOST_WORKERS) wanted = MOST_WORKERS;
    if (worker_count >= wanted || pthread_attr_init(&detached)) return worker_count < wanted ? worker_count : wanted;
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the program's own threads */
    pthread_t thread;
    for (; worker_count < wanted; worker_count++) {
        worker *next = &workers[worker_count];
        atomic_store(&next->run, TAKEN);
        if (pthread_create(&thread, &detached, work, next)) break;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&detached);
    return worker_count < wanted ? worker_count : wanted;
}

/* On the workers, who are quicker to meet than libgomp's threads; the caller does the share of one that has not come by the
 * time its own is done, so that a core which is busy otherwise costs no wait. */
static void run_on_workers(int threads, parallel_body body, void *context, parallel_watch *watch) {
    const int count = hire(threads - 1), step = count + 1;
    const uint32_t mode = float_mode();
    for (int i = 0; i < count; i++) {
        worker *w = &workers[i];
        w->first = i + 1, w->step = step, w->threads = threads;
        w->body = body, w->context = context, w->watch = watch, w->mode = mode;
        w->did = w->given; /* not what it did last, which may be as old as the counter is long */
        atomic_store_explicit(&w->done, w->given, memory_order_relaxed);
        change(&w->run, w->given += NEXT_RUN);
    }
    for (int t = 0; t < threads; t += step) body(context, t, watch);
    for (int i = 0; i < count; i++) {
        worker *w = &workers[i];
        if (take(w, w->given)) do_share(w);
        else wait_while(&w->done, w->did, is_crowded(threads));
    }
}

bool parallel_run(int threads, parallel_body body, void *context, parallel_watch *watch) {
    watch->caller = &this_thread;
    if (threads <= 1 || forked_child) {
        for (int t = 0; t < threads; t++) body(context, t, watch);
        return !watch->stop;
    }
    if (!atomic_flag_test_and_set_explicit(&workers_taken, memory_order_acquire)) {
        run_on_workers(threads, body, context, watch);
        atomic_flag_clear_explicit(&workers_taken, memory_order_release);
        return !watch->stop;
    }
    /* The workers are at another call's work. */
#pragma omp parallel num_threads(threads)
    {
        /* OpenMP may give fewer threads than asked for; the shares stay the same. */
        int team = omp_get_num_threads();
        for (int t = omp_get_thread_num(); t < threads; t += team) body(context, t, watch);
    }
    return !watch->stop;
}
