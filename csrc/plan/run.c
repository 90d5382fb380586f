/* Running a plan: bring the input to the kernels' form where it is not, run them (shares.c), and bring the output back. */
#include "cache.h"
#include "plan.h"
#include "shares.h"
#include "verbose.h"

#include <stdlib.h>

/* NCHW and integers go through the workspace, so many images at a time. */
static const size_t CHUNK_BYTES = 4 << 20;
/* A thread must have this much to do, in nominal microseconds, to be worth meeting: that costs about half of one. */
static const double WORTH_A_THREAD = 2;
/* What of a run's tensors lies in the workspace, and how many images at a time. */
typedef struct {
    bool x, y, indices;
    size_t x_bytes, y_bytes, index_bytes; /* an image, 0 where it is not converted */
    size_t between_bytes;                 /* of an image: outputs of one stage that wait for the next */
    int64_t images;
} staging;

static bool other_order(cnnfast_layout layout, int64_t channels, int64_t pixels) {
    return layout == CNNFAST_NCHW && channels > 1 && pixels > 1;
}

static staging stage(const cnnfast_plan *plan, const kernel *k, int64_t N) {
    const window *g = &plan->g;
    const int64_t in = g->H * g->W, out = g->P * g->Q;
    const bool unpool = plan->checks_indices, pool_indices = plan->table == &pool2d_table && plan->problem.pool.with_indices;
    const bool widened = plan->integer && dtype_size(plan->in) != type_size(plan->type);
    const bool narrowed = plan->integer && dtype_size(plan->out) != type_size(plan->type);
    const bool x = other_order(plan->x_layout, g->C, in) || widened, y = other_order(plan->y_layout, g->K, out) || narrowed;
    const size_t size = type_size(plan->type);
    staging s = {.x = x, .y = y, .indices = unpool ? other_order(plan->x_layout, g->C, in) : pool_indices && other_order(plan->y_layout, g->K, out)};
    if (s.x) s.x_bytes = (size_t)(in * g->C) * size;
    if (s.y) s.y_bytes = (size_t)(out * g->K) * size;
    if (s.indices) s.index_bytes = (size_t)(unpool ? in * g->C : out * g->K) * sizeof(int64_t);
    s.between_bytes = fused_between(plan, k);
    const size_t image = s.x_bytes + s.y_bytes + s.index_bytes + s.between_bytes;
    s.images = image ? max64(1, min64(N, (int64_t)(CHUNK_BYTES / image))) : N;
    return s;
}

static size_t staging_size(const staging *s) {
    size_t n = (size_t)s->images;
    return size_add(size_add(size_align(size_mul(n, s->x_bytes)), size_align(size_mul(n, s->y_bytes))),
                    size_add(size_align(size_mul(n, s->index_bytes)), size_mul(n, s->between_bytes)));
}

/* Threads by what there is to do, not by what there is room for. */
static int threads_for(const cnnfast_plan *plan, int64_t N) {
    const double worth = plan->kernel->cost(&plan->problem, plan->whole ? plan->whole : N) / WORTH_A_THREAD;
    const double tiles = (double)N * (double)image_units(plan) * (double)plan->grain.columns;
    double threads = parallel_threads();
    if (threads > worth) threads = worth;
    if (threads > tiles) threads = tiles;
    return threads < 1 ? 1 : (int)threads;
}

size_t staging_least(const cnnfast_plan *plan, const kernel *k) {
    const staging s = stage(plan, k, 1);
    return staging_size(&s);
}

/* How a run of N images fits `room` bytes: images at a time, by which every thread fits, or as many threads as fit one image. */
typedef struct {
    staging s;
    size_t fixed, thread; /* bytes; a thread's landing among its own */
    int64_t landing;      /* strips, where there is room */
    int threads;
} fit;

static fit fit_into(const cnnfast_plan *plan, int64_t N, size_t room) {
    fit f = {.s = stage(plan, plan->kernel, N), .thread = size_align(plan->grain.workspace), .threads = threads_for(plan, N)};
    const size_t threads = size_mul(f.thread, (size_t)f.threads);
    while (f.s.images > 1 && size_add(staging_size(&f.s), threads) > room) f.s.images /= 2;
    f.fixed = staging_size(&f.s);
    if (size_add(f.fixed, threads) > room) f.threads = f.fixed > room ? 0 : (int)((room - f.fixed) / f.thread);
    f.landing = f.s.y ? 0 : landing_strips(plan, f.s.images);
    const size_t landing = landing_bytes(plan, f.landing);
    if (size_add(f.fixed, size_mul(size_add(f.thread, landing), (size_t)f.threads)) <= room) f.thread += landing;
    else f.landing = 0;
    return f;
}

size_t cnnfast_plan_workspace_size(const cnnfast_plan *plan, int64_t N) {
    /* plan_choose saw to it that there is room for the weights and one thread. */
    const fit f = fit_into(plan, max64(1, N), plan->max_workspace - size_align(plan->kernel->packed_size(&plan->problem)));
    return size_add(f.fixed, size_mul(f.thread, (size_t)f.threads));
}

size_t plan_bytes(const window *g, int64_t n, size_t x_size, size_t y_size) {
    return (size_t)n * ((size_t)(g->H * g->W * g->C) * x_size + (size_t)(g->P * g->Q * g->K) * y_size);
}

/* A fused plan's stages, each on all threads, over images whose outputs lie in `workspace`, which two stages take in turn. */
static bool run_in_turn(const cnnfast_plan *plan, const tensors *t, int64_t N, char *workspace, int threads, size_t near,
                        parallel_watch *watch) {
    const fused_problem *p = &plan->problem.fused;
    const size_t between = (size_t)N * fused_between(plan, plan->kernel), half = p->count > 2 ? between / 2 : 0;
    tensors of = {.x = t->x};
    for (int i = 0; i < p->count; i++, of.x = of.y) {
        const cnnfast_plan *stage = p->stages[i];
        const bool last = i + 1 == p->count;
        of.y = last ? t->y : workspace + (i % 2 ? half : 0);
        of.residual = last ? t->residual : NULL;
        of.y_step = last ? t->y_step : stage->g.K;
        of.far = plan_bytes(&stage->g, N, type_size(stage->type), type_size(stage->type)) > near;
        const int most = threads_for(stage, N);
        const job j = {.plan = stage, .t = &of, .workspace = workspace + between};
        if (!run_kernels(j, N, most < threads ? most : threads, watch)) return false;
    }
    return true;
}

void plan_begin(cnnfast_plan *plan, const table *table, cnnfast_dtype dtype) {
    *plan = (cnnfast_plan){.table = table, .type = dtype_type(dtype), .isa = isa_current(), .in = dtype, .out = dtype, .N = 1,
                           .rows_per_image = 1, .max_workspace = workspace_limit(0)};
}

cnnfast_status plan_run_once(cnnfast_plan *plan, const void *weight, const tensors *t, int64_t rows) {
    plan->N = rows;
    cnnfast_status status = plan_choose(plan, NULL);
    const size_t packed = status ? 0 : size_align(plan->kernel->packed_size(&plan->problem));
    if (packed) status = plan_pack(plan, weight, NULL);
    const int threads = status ? 1 : fit_into(plan, rows, plan->max_workspace - packed).threads;
    const double start = verbose_start();
    const size_t size = size_mul(size_align(plan->grain.workspace), (size_t)threads);
    void *workspace = !status && size && size < PTRDIFF_MAX ? aligned_alloc(CACHE_LINE, size) : NULL;
    if (!status && size && !workspace) status = CNNFAST_OUT_OF_MEMORY;
    parallel_watch watch = {0};
    if (!status && !run_kernels((job){.plan = plan, .t = t, .workspace = workspace}, rows, threads, &watch)) status = CNNFAST_INTERRUPTED;
    if (verbose() && !status) verbose_plan(plan, rows, threads, start);
    free(workspace);
    packing_drop(plan->packing);
    return status;
}

typedef struct {
    const int64_t *index;
    int64_t count, limit;
    int threads;
    _Atomic bool outside;
} range_job;

static void range_share(void *context, int thread, parallel_watch *watch) {
    (void)watch;
    range_job *j = context;
    const uint64_t *index = (const uint64_t *)j->index, last = (uint64_t)j->limit - 1;
    uint64_t below = 0; /* whether its sign bit is set: of an index, or of what is left to the last one */
    for (int64_t i = j->count * thread / j->threads, end = j->count * (thread + 1) / j->threads; i < end; i++)
        below |= index[i] | (last - index[i]);
    if (below >> 63) j->outside = true;
}

/* So many indices are worth a thread. */
static const int64_t INDICES_FOR_A_THREAD = 16 * 1024;

static bool indices_in_range(const int64_t *index, int64_t count, int64_t limit) {
    const int64_t worth = max64(1, count / INDICES_FOR_A_THREAD);
    range_job j = {.index = index, .count = count, .limit = limit, .threads = (int)min64(worth, parallel_threads())};
    parallel_watch watch = {0};
    parallel_run(j.threads, range_share, &j, &watch);
    return !j.outside;
}

int cnnfast_plan_takes_slices(const cnnfast_plan *plan) {
    const bool dense = plan->whole || plan->checks_indices || plan->table == &linear_table || plan->table == &softmax_table;
    return !dense && plan->y_layout == CNNFAST_NHWC && !stage(plan, plan->kernel, 1).y;
}

static cnnfast_status check_args(const cnnfast_plan *plan, const cnnfast_args *args) {
    const window *g = &plan->g;
    if (args->N < 0) return CNNFAST_INVALID_SHAPE;
    if (check_tensors(g, args->N, plan->in, plan->out, 0)) return CNNFAST_OUT_OF_MEMORY;
    if (args->y_step) {
        if (!cnnfast_plan_takes_slices(plan)) return CNNFAST_UNSUPPORTED;
        if (args->y_step < g->K) return CNNFAST_INVALID_SHAPE;
        window wide = *g;
        wide.K = args->y_step;
        if (wide.K > (INT64_C(1) << 40) || check_tensors(&wide, args->N, plan->in, plan->out, 0)) return CNNFAST_OUT_OF_MEMORY;
    }
    if (args->N == 0) return CNNFAST_OK;
    if (plan->whole && args->N != 1) return CNNFAST_INVALID_SHAPE;
    const bool wants_indices = plan->checks_indices || (plan->table == &pool2d_table && plan->problem.pool.with_indices);
    if (!args->x || !args->y || wants_indices != (args->indices != NULL)) return CNNFAST_INVALID_PARAM;
    const fused_problem *fused = plan->table == &fused_table ? &plan->problem.fused : NULL;
    const table *ends = fused ? fused->stages[fused->count - 1]->table : plan->table;
    if (plan->table == &elementwise_table) {
        const bool wants_other = plan->problem.elementwise.kind != CNNFAST_MAP && !plan->problem.elementwise.period;
        return wants_other == (args->residual != NULL) ? CNNFAST_OK : CNNFAST_INVALID_PARAM;
    }
    if (args->residual && (plan->integer || plan->whole || plan->table == &resample2d_table || ends == &pool2d_table || ends == &linear_table || ends == &softmax_table ||
                           plan->checks_indices))
        return CNNFAST_UNSUPPORTED;
    if (plan->checks_indices && !indices_in_range(args->indices, args->N * g->H * g->W * g->C, g->P * g->Q))
        return CNNFAST_INVALID_PARAM;
    return CNNFAST_OK;
}

/* Images [first, first + s->images) through the staging buffers at `at`. */
static bool run_staged(const cnnfast_plan *plan, const cnnfast_args *args, const fit *f, int64_t first, char *at, size_t near,
                       parallel_watch *watch) {
    const staging *s = &f->s;
    const int threads = f->threads;
    const window *g = &plan->g;
    const int64_t in = g->H * g->W, out = g->P * g->Q, n = min64(s->images, args->N - first);
    const bool x_order = plan->x_layout == CNNFAST_NCHW, y_order = plan->y_layout == CNNFAST_NCHW, unpool = plan->checks_indices;
    const int64_t y_step = args->y_step ? args->y_step : g->K;
    const size_t x_image = (size_t)(in * g->C) * dtype_size(plan->in), y_image = (size_t)(out * g->K) * dtype_size(plan->out);
    char *x = at, *y = x + size_align((size_t)s->images * s->x_bytes), *index = y + size_align((size_t)s->images * s->y_bytes);
    char *kernels = index + size_align((size_t)s->images * s->index_bytes);

    const char *from_x = (const char *)args->x + (size_t)first * x_image;
    char *to_y = (char *)args->y + (size_t)(first * out * y_step) * dtype_size(plan->out);
    const char *residual = args->residual ? (const char *)args->residual + (size_t)first * y_image : NULL;
    if (args->residual == args->y) residual = to_y;
    int64_t *indices = args->indices ? args->indices + first * (unpool ? in * g->C : out * g->K) : NULL;
    tensors t = {.x = s->x ? x : from_x, .y = s->y ? y : to_y, .y_step = y_step, .residual = residual, .indices = s->indices ? (void *)index : indices};
    t.far = plan_bytes(g, n, dtype_size(plan->in), dtype_size(plan->out)) > near;
    t.stream = !s->y && (size_t)n * y_image > cache_last_level();

    if (s->x) convert_import(&(conversion){from_x, x, n, g->C, in, plan->in, plan->type, x_order}, threads, watch);
    if (s->y && residual) { /* the kernels read it where they then write */
        convert_import(&(conversion){residual, y, n, g->K, out, plan->out, plan->type, y_order}, threads, watch);
        t.residual = y;
    }
    if (y_step != g->K && residual && residual != to_y) { /* so that both have one step */
        convert_spread(&(conversion){residual, to_y, n, g->K, out, plan->out, plan->type, false}, y_step, threads, watch);
        t.residual = to_y;
    }
    if (s->indices && unpool) convert_import(&(conversion){indices, index, n, g->C, in, CNNFAST_INT64, TYPE_i64, x_order}, threads, watch);
    job j = {.plan = plan, .t = &t, .workspace = kernels};
    if (t.stream && y_step == g->K && !(plan->grain.streams && (uintptr_t)t.y % CACHE_LINE == 0)) j.landing = f->landing;
    if (!(plan->kernel == &fused_in_turn ? run_in_turn(plan, &t, n, kernels, threads, near, watch) : run_kernels(j, n, threads, watch)))
        return false;
    if (s->y) convert_export(&(conversion){y, to_y, n, g->K, out, plan->out, plan->type, y_order}, threads, watch);
    if (s->indices && !unpool) convert_export(&(conversion){index, indices, n, g->K, out, CNNFAST_INT64, TYPE_i64, y_order}, threads, watch);
    return true;
}

cnnfast_status plan_run(const cnnfast_plan *plan, const cnnfast_args *args, void *workspace, size_t workspace_size, size_t near) {
    cnnfast_status status = check_args(plan, args);
    if (status || args->N == 0) return status;
    const fit f = fit_into(plan, args->N, workspace_size);
    if (f.threads < 1) return CNNFAST_SMALL_WORKSPACE;
    const double start = verbose_start();
    parallel_watch watch = {0};
    for (int64_t first = 0; first < args->N; first += f.s.images)
        if (!run_staged(plan, args, &f, first, workspace, near, &watch)) return CNNFAST_INTERRUPTED;
    if (verbose()) verbose_plan(plan, args->N, f.threads, start);
    return CNNFAST_OK;
}

cnnfast_status cnnfast_plan_run(const cnnfast_plan *plan, const cnnfast_args *args, void *workspace, size_t workspace_size) {
    return plan_run(plan, args, workspace, workspace_size, cache_near());
}
