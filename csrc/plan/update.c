/* An optimizer's step, on all threads where the arrays are large. It is not interrupted: half a step would be none. */
#include "update/step.h"

#include "plan.h"
#include "verbose.h"

static const double BYTES_WORTH_A_THREAD = 100e3;

#define DECLARE(isa) DECLARE_UPDATE(f32, isa) DECLARE_UPDATE(f64, isa)
FOR_EACH_ISA(DECLARE)

typedef void step(const cnnfast_update *, void *, const void *, void *const[3], int64_t, int64_t);
#define PAIR(isa) [ISA_##isa] = {cnnfast_update_step_f32_##isa, cnnfast_update_step_f64_##isa},
static step *const steps[ISA_COUNT][2] = {FOR_EACH_ISA(PAIR)};

typedef struct {
    step *run;
    const cnnfast_update *d;
    void *weight, *const *state;
    const void *grad;
    int threads;
} job;

static void share(void *context, int thread, parallel_watch *watch) {
    (void)watch;
    const job *j = context;
    const int64_t lines = ceil_div(j->d->count, CACHE_LINE); /* so that no two threads write to one line */
    const int64_t begin = lines * thread / j->threads * CACHE_LINE, end = lines * (thread + 1) / j->threads * CACHE_LINE;
    j->run(j->d, j->weight, j->grad, j->state, begin, min64(end, j->d->count));
}

cnnfast_status cnnfast_update_run(const cnnfast_update *d, void *weight, const void *grad, void *const state[3]) {
    if ((d->dtype != CNNFAST_FLOAT32 && d->dtype != CNNFAST_FLOAT64) || (unsigned)d->kind > CNNFAST_ADAM) return CNNFAST_INVALID_PARAM;
    if (d->count < 0 || d->count > INT64_C(1) << 58) return CNNFAST_INVALID_SHAPE;
    if (d->count == 0) return CNNFAST_OK;
    if (!weight || !grad || (d->kind != CNNFAST_SGD && !state[0]) || (d->kind == CNNFAST_ADAM && !state[1])) return CNNFAST_INVALID_PARAM;
    job j = {steps[isa_current()][d->dtype == CNNFAST_FLOAT64], d, weight, state, grad, 1};
    int arrays = 2;
    for (int i = 0; i < 3; i++) arrays += state[i] != NULL;
    const double worth = arrays * (double)d->count * (double)dtype_size(d->dtype) / BYTES_WORTH_A_THREAD;
    if (worth >= 2) j.threads = parallel_threads();
    if (j.threads > worth) j.threads = (int)worth < 1 ? 1 : (int)worth;
    const double start = verbose_start();
    parallel_watch watch = {0};
    parallel_run(j.threads, share, &j, &watch);
    if (verbose()) verbose_flat("update", d->dtype, d->count, j.threads, start);
    return CNNFAST_OK;
}
