/* Batch normalisation by a batch's own statistics, and its gradient: pieces of the batch on all threads, whose sums meet in
 * their order. How the batch is cut is a function of its sizes alone. */
#include "batch_norm_train/problem.h"

#include <math.h>
#include <stdlib.h>

#include "cache.h"
#include "plan.h"
#include "verbose.h"

/* Elements of a piece: so many that its sums in double cost little beside it. */
static const int64_t PIECE = 32768, MOST_PIECES = 64;
static const int64_t LEAST_WIDTH = 64, WHOLE_VECTORS = 16;
static const double BYTES_WORTH_A_THREAD = 40e3;

#define DECLARE(isa) DECLARE_BATCH_NORM_TRAIN(f32, isa) DECLARE_BATCH_NORM_TRAIN(f64, isa)
FOR_EACH_ISA(DECLARE)

typedef struct {
    void (*moments)(const batch_norm_piece *, const void *, int64_t, double *, double *, void *);
    void (*merge)(int64_t, double, double *, double *, double, const double *, const double *);
    void (*sums)(const batch_norm_piece *, const batch_norm_channels *, const void *, const void *, int64_t, double *, double *, void *);
    void (*apply)(const batch_norm_piece *, const batch_norm_channels *, const void *, const void *, void *, int64_t, void *);
} kernels;
#define ROW(type, isa) \
    {cnnfast_batch_norm_moments_##type##_##isa, cnnfast_batch_norm_merge_##type##_##isa, cnnfast_batch_norm_sums_##type##_##isa, \
     cnnfast_batch_norm_apply_##type##_##isa}
#define PAIR(isa) [ISA_##isa] = {ROW(f32, isa), ROW(f64, isa)},
static const kernels all[ISA_COUNT][2] = {FOR_EACH_ISA(PAIR)};

typedef struct {
    const kernels *k;
    batch_norm_piece piece;
    size_t size;               /* of an element */
    int64_t outer, C, inner;   /* as the caller has them */
    int64_t pieces;            /* NHWC: of the pixels; NCHW: outer*C planes */
    int threads;
    const char *x, *grad;
    char *to;
    batch_norm_channels channels; /* C of each, of the kernels' type */
    double *first, *second;       /* C, or 1 in NCHW, of each piece: means and m2s, or the two sums */
    char *scratch;
    size_t thread_scratch;
} job;

static void *memory(size_t bytes) { return bytes >= PTRDIFF_MAX ? NULL : aligned_alloc(CACHE_LINE, size_align(max64(1, (int64_t)bytes))); }

/* How the batch is cut, by its sizes alone. */
static cnnfast_status begin(job *j, const cnnfast_batch_norm *d) {
    if ((d->dtype != CNNFAST_FLOAT32 && d->dtype != CNNFAST_FLOAT64) || (unsigned)d->activation > CNNFAST_RELU6) return CNNFAST_INVALID_PARAM;
    if (d->outer < 0 || d->C < 0 || d->inner < 0) return CNNFAST_INVALID_SHAPE;
    const size_t count = size_mul(size_mul((size_t)d->outer, (size_t)d->C), (size_t)d->inner);
    if (count > (size_t)1 << 58) return CNNFAST_INVALID_SHAPE;
    const bool planes = d->inner > 1;
    *j = (job){.k = &all[isa_current()][d->dtype == CNNFAST_FLOAT64], .size = dtype_size(d->dtype), .outer = d->outer, .C = d->C,
               .inner = d->inner};
    int64_t repeat = planes ? LEAST_WIDTH : 1;
    if (!planes && d->C && d->C < LEAST_WIDTH) { /* whole vectors of any ISA's, and enough of them */
        int64_t step = 1;
        while (step * d->C % WHOLE_VECTORS) step *= 2;
        repeat = step * ceil_div(LEAST_WIDTH, step * d->C);
    }
    j->piece = (batch_norm_piece){.C = planes ? 1 : d->C, .repeat = repeat, .activation = d->activation,
                                  .far = 2 * count * j->size > cache_near(), /* x and one more array */
                                  .stream = count * j->size > cache_last_level()};
    const int64_t rows = ceil_div(d->outer, repeat);
    j->pieces = planes ? d->outer * d->C : min64(rows, max64(1, min64(MOST_PIECES, (int64_t)count / PIECE)));
    const double worth = (double)count * (double)j->size / BYTES_WORTH_A_THREAD;
    j->threads = (int)fmax(1, fmin(fmin(parallel_threads(), worth), (double)j->pieces));
    return CNNFAST_OK;
}

static cnnfast_status room(job *j) {
    j->thread_scratch = batch_norm_scratch(&j->piece, j->size);
    const size_t sums = size_align(size_mul(size_mul((size_t)j->pieces, (size_t)j->piece.C), sizeof(double)));
    j->first = memory(size_add(size_mul(2, sums), size_mul(j->thread_scratch, (size_t)j->threads)));
    if (!j->first) return CNNFAST_OUT_OF_MEMORY;
    j->second = (double *)((char *)j->first + sums);
    j->scratch = (char *)j->second + sums;
    return CNNFAST_OK;
}

/* The first pixel of a piece: NHWC's are of whole rows of `repeat` pixels, but for the last. */
static int64_t pixel_of(const job *j, int64_t piece) {
    const int64_t rows = ceil_div(j->outer, j->piece.repeat);
    return min64(j->outer, rows * piece / j->pieces * j->piece.repeat);
}

typedef struct {
    size_t at; /* bytes */
    int64_t pixels, channel;
} stretch;

static stretch stretch_of(const job *j, int64_t piece, int64_t past) {
    if (j->inner > 1) return (stretch){(size_t)(piece * j->inner) * j->size, j->inner, piece % j->C};
    const int64_t pixel = pixel_of(j, piece);
    return (stretch){(size_t)(pixel * j->C) * j->size, pixel_of(j, past) - pixel, 0};
}

static const void *from(const void *numbers, int64_t channel, size_t size) {
    return numbers ? (const char *)numbers + (size_t)channel * size : NULL;
}

static batch_norm_channels channels_of(const job *j, int64_t channel) {
    const batch_norm_channels *c = &j->channels;
    return (batch_norm_channels){from(c->mean, channel, j->size), from(c->scale, channel, j->size), from(c->shift, channel, j->size),
                                 from(c->slope, channel, j->size), from(c->offset, channel, j->size)};
}

static void moments_share(void *context, int thread, parallel_watch *watch) {
    const job *j = context;
    const int64_t past = j->pieces * (thread + 1) / j->threads, C = j->piece.C;
    for (int64_t i = j->pieces * thread / j->threads; i < past && !parallel_stopped(watch); i++) {
        const stretch s = stretch_of(j, i, i + 1);
        j->k->moments(&j->piece, j->x + s.at, s.pixels, j->first + i * C, j->second + i * C, j->scratch + (size_t)thread * j->thread_scratch);
    }
}

static void sums_share(void *context, int thread, parallel_watch *watch) {
    const job *j = context;
    const int64_t past = j->pieces * (thread + 1) / j->threads, C = j->piece.C;
    for (int64_t i = j->pieces * thread / j->threads; i < past && !parallel_stopped(watch); i++) {
        const stretch s = stretch_of(j, i, i + 1);
        const batch_norm_channels c = channels_of(j, s.channel);
        j->k->sums(&j->piece, &c, j->grad + s.at, j->x + s.at, s.pixels, j->first + i * C, j->second + i * C,
                   j->scratch + (size_t)thread * j->thread_scratch);
    }
}

/* From its last piece to its first: the sums' pass left those in the thread's cache. */
static void apply_share(void *context, int thread, parallel_watch *watch) {
    const job *j = context;
    const int64_t begin = j->pieces * thread / j->threads;
    for (int64_t i = j->pieces * (thread + 1) / j->threads - 1; i >= begin && !parallel_stopped(watch); i--) {
        const stretch s = stretch_of(j, i, i + 1);
        const batch_norm_channels c = channels_of(j, s.channel);
        j->k->apply(&j->piece, &c, j->grad + s.at, j->x + s.at, j->to + s.at, s.pixels, j->scratch + (size_t)thread * j->thread_scratch);
    }
}

/* All pieces' moments in the first's place, channel by channel; NCHW: the planes of a channel in its first plane's. */
static void merge_all(const job *j) {
    const int64_t C = j->piece.C, stride = j->inner > 1 ? j->C : 1;
    for (int64_t c = 0; c < stride; c++) {
        double seen = 0;
        for (int64_t i = c; i < j->pieces; i += stride) {
            const double more = (double)stretch_of(j, i, i + 1).pixels;
            if (i != c) j->k->merge(C, seen, j->first + c * C, j->second + c * C, more, j->first + i * C, j->second + i * C);
            seen += more;
        }
    }
}

static void add_all(const job *j) {
    const int64_t C = j->C, pieces = j->inner > 1 ? j->outer : j->pieces;
    for (int64_t i = 1; i < pieces; i++)
        for (int64_t c = 0; c < C; c++) j->first[c] += j->first[i * C + c], j->second[c] += j->second[i * C + c];
}

static double number(const void *from, int64_t c, size_t size) {
    return size == sizeof(float) ? (double)((const float *)from)[c] : ((const double *)from)[c];
}

static void put(void *to, int64_t c, size_t size, double value) {
    if (size == sizeof(float)) ((float *)to)[c] = (float)value;
    else ((double *)to)[c] = value;
}

cnnfast_status cnnfast_batch_norm_train_run(const cnnfast_batch_norm *d, const void *x, const void *weight, const void *bias, void *mean,
                                            void *var, void *y) {
    job j;
    cnnfast_status status = begin(&j, d);
    if (status || j.C == 0) return status;
    if (!mean || !var || ((!x || !y) && j.outer && j.inner)) return CNNFAST_INVALID_PARAM;
    const double pixels = (double)j.outer * (double)j.inner;
    j.x = x;
    if (pixels) {
        status = room(&j);
        if (status) return status;
        const double start = verbose_start();
        parallel_watch watch = {0};
        if (!parallel_run(j.threads, moments_share, &j, &watch)) status = CNNFAST_INTERRUPTED;
        else merge_all(&j);
        if (verbose() && !status) verbose_flat("batch_norm_moments", d->dtype, j.outer * j.C * j.inner, j.threads, start);
    }
    for (int64_t c = 0; c < j.C && !status; c++) {
        put(mean, c, j.size, pixels ? j.first[c] : 0);
        put(var, c, j.size, pixels ? j.second[c] / pixels : 0);
    }
    free(j.first);
    return status ? status : cnnfast_batch_norm_run(d, x, mean, var, weight, bias, y);
}

/* The channels' numbers before the sums are known, and after. */
static void describe(const job *j, const cnnfast_batch_norm *d, const cnnfast_batch_norm_grads *t, char *rows, int training) {
    const size_t row = (size_t)j->C * j->size;
    const double pixels = (double)j->outer * (double)j->inner;
    for (int64_t c = 0; c < j->C; c++) {
        const double inverse = 1 / sqrt(number(t->var, c, j->size) + d->eps), over = t->weight ? number(t->weight, c, j->size) : 1;
        put(rows, c, j->size, over / sqrt(number(t->var, c, j->size) + d->eps)); /* as the forward op rounds it */
        put(rows + row, c, j->size, t->bias ? number(t->bias, c, j->size) : 0);
        if (!j->first) continue;
        put(t->grad_bias, c, j->size, j->first[c]);
        put(t->grad_weight, c, j->size, j->second[c] * inverse);
        if (!training) continue;
        put(rows + 2 * row, c, j->size, -over * inverse * inverse * inverse * j->second[c] / pixels);
        put(rows + 3 * row, c, j->size, -over * inverse * j->first[c] / pixels);
    }
}

cnnfast_status cnnfast_batch_norm_grad_run(const cnnfast_batch_norm *d, int training, const cnnfast_batch_norm_grads *t) {
    job j;
    cnnfast_status status = begin(&j, d);
    if (status || j.C == 0) return status;
    const bool empty = j.outer == 0 || j.inner == 0;
    if (!t->mean || !t->var || !t->grad_weight || !t->grad_bias || ((!t->x || !t->grad_output || !t->grad_input) && !empty))
        return CNNFAST_INVALID_PARAM;
    if (empty) {
        for (int64_t c = 0; c < j.C; c++) put(t->grad_weight, c, j.size, 0), put(t->grad_bias, c, j.size, 0);
        return CNNFAST_OK;
    }
    const size_t row = (size_t)j.C * j.size;
    char *rows = memory(size_mul(4, row));
    if (!rows) return CNNFAST_OUT_OF_MEMORY;
    describe(&j, d, t, rows, training);
    status = room(&j);
    j.x = t->x, j.grad = t->grad_output, j.to = t->grad_input;
    j.channels = (batch_norm_channels){.mean = t->mean, .scale = rows, .shift = rows + row};
    const double start = verbose_start();
    parallel_watch watch = {0};
    if (!status && !parallel_run(j.threads, sums_share, &j, &watch)) status = CNNFAST_INTERRUPTED;
    if (!status) {
        add_all(&j);
        describe(&j, d, t, rows, training);
        if (training) j.channels.slope = rows + 2 * row, j.channels.offset = rows + 3 * row;
        if (!parallel_run(j.threads, apply_share, &j, &watch)) status = CNNFAST_INTERRUPTED;
        if (verbose() && !status) verbose_flat("batch_norm_grad", d->dtype, j.outer * j.C * j.inner, j.threads, start);
    }
    free(j.first);
    free(rows);
    return status;
}
