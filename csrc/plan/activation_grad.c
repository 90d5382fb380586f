/* An activation's gradient, on all threads where the array is large. */
#include "activation_grad/derivatives.h"

#include "cache.h"
#include "plan.h"
#include "verbose.h"

static const double BYTES_WORTH_A_THREAD = 60e3;
static const int64_t BLOCK = 1 << 20; /* elements between two looks at the interrupt hook */

#define DECLARE(isa) DECLARE_ACTIVATION_GRAD(f32, isa) DECLARE_ACTIVATION_GRAD(f64, isa)
FOR_EACH_ISA(DECLARE)

typedef void derivative(cnnfast_activation, double, const void *, const void *, void *, int64_t, int64_t, bool);
#define PAIR(isa) [ISA_##isa] = {cnnfast_activation_grad_f32_##isa, cnnfast_activation_grad_f64_##isa},
static derivative *const derivatives[ISA_COUNT][2] = {FOR_EACH_ISA(PAIR)};

typedef struct {
    derivative *run;
    const cnnfast_elementwise *d;
    const void *grad, *values;
    void *to;
    bool stream;
    int threads;
} job;

static void share(void *context, int thread, parallel_watch *watch) {
    const job *j = context;
    const int64_t lines = ceil_div(j->d->count, CACHE_LINE); /* so that no two threads write to one line */
    const int64_t past = min64(j->d->count, lines * (thread + 1) / j->threads * CACHE_LINE);
    for (int64_t i = lines * thread / j->threads * CACHE_LINE; i < past && !parallel_stopped(watch); i += BLOCK)
        j->run(j->d->activation, j->d->alpha, j->grad, j->values, j->to, i, min64(past, i + BLOCK), j->stream);
}

cnnfast_status cnnfast_activation_grad_run(const cnnfast_elementwise *d, const void *grad_output, const void *values, void *grad_input) {
    if ((d->dtype != CNNFAST_FLOAT32 && d->dtype != CNNFAST_FLOAT64) || d->kind != CNNFAST_MAP || (unsigned)d->activation > CNNFAST_SOFTPLUS)
        return CNNFAST_INVALID_PARAM;
    if (d->count < 0 || d->count > INT64_C(1) << 58) return CNNFAST_INVALID_SHAPE;
    if (d->count == 0) return CNNFAST_OK;
    if (!grad_output || !values || !grad_input) return CNNFAST_INVALID_PARAM;
    const double bytes = (double)d->count * (double)dtype_size(d->dtype), worth = 3 * bytes / BYTES_WORTH_A_THREAD;
    job j = {derivatives[isa_current()][d->dtype == CNNFAST_FLOAT64], d, grad_output, values, grad_input, bytes > (double)cache_last_level(), 1};
    if (worth >= 2) j.threads = parallel_threads();
    if (j.threads > worth) j.threads = (int)worth < 1 ? 1 : (int)worth;
    const double start = verbose_start();
    parallel_watch watch = {0};
    if (!parallel_run(j.threads, share, &j, &watch)) return CNNFAST_INTERRUPTED;
    if (verbose()) verbose_flat("activation_grad", d->dtype, d->count, j.threads, start);
    return CNNFAST_OK;
}
