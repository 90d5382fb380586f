/* The gradient of a convolution with respect to its weight: pixels of grad_output in chunks, whose sums are added in pairs.
 *
 * Where a chunk begins and which sums are paired depends on the problem alone: chunk 2i is added to chunk 2i + 1, their sum to its
 * neighbour's, and so on; what has no neighbour goes up as it is. So each sum has the same bits for any number of threads, and
 * errs by at most gamma(CHUNK_PIXELS + ceil(log2(chunks)) + 1) times the sum of its products' magnitudes. */
#include "cache.h"
#include "pieces.h"
#include "plan.h"
#include "verbose.h"

#include <stdlib.h>
#include <string.h>

#include "conv2d_grad_weight/problem.h"

/* Chunks whose sums wait beside each other, a power of 2: all, or as many as take so many bytes. */
static const size_t GROUP_BYTES = 16 << 20;
static const double WORTH_A_THREAD = 4; /* nominal microseconds */
static const double CALL = 1e5;         /* nominal microseconds that a kernel's call may take, between two looks for Ctrl-C */
enum { SERIAL = 1 << 14, PIECE = 2048 };
enum { EVEN = 4 }; /* chunks are a multiple of, so that threads that share none are busy for equally long */

typedef struct {
    const cnnfast_plan *plan;
    const grad_weight_problem *problem;
    grad_weight_tensors t; /* with the results */
    int64_t units, chunks, group;
    int64_t weights, sums; /* elements: of the weight, and with the bias */
    char *parts, *levels;  /* `group` sums of chunks; sums that wait for their neighbours, one a level */
    char *workspace;       /* a thread's after another */
    size_t each;
    int threads, chunk_shares, column_shares;
    int64_t first, count; /* the chunks of this group */
    pieces *pieces;
} job;

static char *sums_at(const job *j, char *from, int64_t i) { return from + (size_t)(i * j->sums) * type_size(j->plan->type); }

/* A share of this group's chunks, and of the columns: a chunk is a piece. */
static void run_pieces(void *context, int thread, parallel_watch *watch) {
    const job *j = context;
    const cnnfast_plan *plan = j->plan;
    const double cost = plan->kernel->cost(&plan->problem, j->problem->N) / (double)(j->chunks * j->column_shares);
    for (pieces_walk w = {0}; pieces_next(j->pieces, thread, &w);) {
        const int64_t a = w.share / j->column_shares, b = w.share % j->column_shares, columns = plan->grain.columns;
        const int64_t col0 = columns * b / j->column_shares, col1 = columns * (b + 1) / j->column_shares;
        const int64_t calls = max64(1, min64(col1 - col0, (int64_t)(cost / CALL)));
        const int64_t i = j->count * a / j->chunk_shares + w.piece, chunk = j->first + i;
        if (i >= j->count * (a + 1) / j->chunk_shares) continue; /* the share has a chunk less than others */
        grad_weight_tensors t = j->t;
        if (j->chunks > 1) {
            t.of.y = sums_at(j, j->parts, i);
            if (t.bias) t.bias = (char *)t.of.y + (size_t)j->weights * type_size(plan->type);
        }
        tile at = {.row0 = j->units * chunk / j->chunks, .row1 = j->units * (chunk + 1) / j->chunks};
        for (int64_t c = 0; c < calls; c++) {
            if (parallel_stopped(watch)) return;
            at.col0 = col0 + (col1 - col0) * c / calls, at.col1 = col0 + (col1 - col0) * (c + 1) / calls;
            plan->kernel->run(&plan->problem, NULL, &t.of, at, j->workspace + (size_t)thread * j->each);
        }
    }
}

#define ADD_UP(type) \
    static void add_##type(const job *j, int64_t begin, int64_t end) { \
        const bool last = j->first + j->count == j->chunks; \
        int64_t above = j->first / j->group; \
        type *const sum = (type *)j->parts; \
        for (int64_t step = 1; step < j->count; step *= 2) \
            for (int64_t i = 0; i + step < j->count; i += 2 * step) { \
                type *to = sum + i * j->sums; \
                const type *from = to + step * j->sums; \
                for (int64_t k = begin; k < end; k++) to[k] += from[k]; \
            } \
        type *level = (type *)j->levels; \
        for (; last ? above != 0 : above & 1; above >>= 1, level += j->sums) \
            if (above & 1) \
                for (int64_t k = begin; k < end; k++) sum[k] += level[k]; \
        if (!last) memcpy(level + begin, sum + begin, (size_t)(end - begin) * sizeof(type)); \
        const int64_t middle = last ? min64(end, max64(begin, j->weights)) : begin; \
        if (last && begin < middle) memcpy((type *)j->t.of.y + begin, sum + begin, (size_t)(middle - begin) * sizeof(type)); \
        if (last && middle < end) memcpy((type *)j->t.bias + (middle - j->weights), sum + middle, (size_t)(end - middle) * sizeof(type)); \
    }
ADD_UP(float)
ADD_UP(double)

/* A share of the elements of this group's sums, added up a piece at a time. */
static void add_share(void *context, int thread, parallel_watch *watch) {
    (void)watch;
    const job *j = context;
    const int64_t end = j->sums * (thread + 1) / j->threads;
    for (int64_t i = j->sums * thread / j->threads; i < end; i += PIECE)
        (j->plan->type == TYPE_f32 ? add_float : add_double)(j, i, min64(end, i + PIECE));
}

/* The grid of shares of this group's chunks and columns that ends first; where two do, threads share no chunk. */
static void choose_grid(job *j) {
    double least = 0;
    for (int chunks = 1; chunks <= j->threads; chunks++) {
        const int columns = (int)min64(j->threads / chunks, j->plan->grain.columns);
        const double cost = (double)ceil_div(j->count, chunks) * (double)ceil_div(j->plan->grain.columns, columns);
        if (chunks > j->count || (least && cost > least)) continue;
        least = cost;
        j->chunk_shares = chunks, j->column_shares = columns;
    }
}

static bool run_groups(job *j, parallel_watch *watch) {
    pieces all;
    j->pieces = &all;
    for (j->first = 0; j->first < j->chunks; j->first += j->group) {
        j->count = min64(j->group, j->chunks - j->first);
        choose_grid(j);
        const int shares = j->chunk_shares * j->column_shares;
        pieces_begin(&all, shares, (int)ceil_div(j->count, j->chunk_shares));
        if (!parallel_run(shares, run_pieces, j, watch)) return false;
        if (j->chunks == 1) continue;
        const int threads = j->threads;
        if (j->sums * j->count < SERIAL) j->threads = 1;
        parallel_run(j->threads, add_share, j, watch);
        j->threads = threads;
    }
    return true;
}

static void divide(job *j) {
    const window *g = &j->problem->conv.g;
    const int64_t longest = ceil_div(g->Q, j->problem->parts);
    j->units = j->problem->N * g->P * j->problem->parts;
    j->chunks = ceil_div(j->units, max64(1, CHUNK_PIXELS / longest));
    if (j->chunks > 2) j->chunks = min64(j->units, ceil_div(j->chunks, EVEN) * EVEN);
    j->weights = weight_rows(j->problem) * g->K;
    j->sums = j->weights + (j->t.bias ? g->K : 0);
    const double worth = j->plan->kernel->cost(&j->plan->problem, j->problem->N) / WORTH_A_THREAD;
    j->threads = (int)max64(1, min64(parallel_threads(), worth > INT32_MAX ? INT32_MAX : (int64_t)worth));
}

/* Memory for as many chunks at a time as GROUP_BYTES and the limit allow. */
static cnnfast_status find_room(job *j, void **memory) {
    const size_t one = size_mul((size_t)j->sums, type_size(j->plan->type)), limit = j->plan->max_workspace;
    j->each = size_align(j->plan->grain.workspace);
    j->group = 1;
    while (j->group < j->chunks && size_mul(one, (size_t)j->group * 2) <= GROUP_BYTES) j->group *= 2;
    for (;; j->group /= 2) {
        int64_t levels = 0;
        for (int64_t above = (j->chunks - 1) / j->group; above; above >>= 1) levels++;
        const size_t parts = j->chunks > 1 ? size_align(size_mul(one, (size_t)j->group)) : 0, all = size_align(size_mul(one, (size_t)levels));
        size_t size = size_add(size_add(parts, all), size_mul(j->each, (size_t)j->threads));
        if (size > limit && j->group > 1) continue;
        while (size > limit && j->threads > 1) size = size_add(size_add(parts, all), size_mul(j->each, (size_t)--j->threads));
        *memory = size && size < PTRDIFF_MAX ? aligned_alloc(CACHE_LINE, size) : NULL;
        if (size && !*memory) return CNNFAST_OUT_OF_MEMORY;
        j->parts = *memory, j->levels = j->parts + parts, j->workspace = j->levels + all;
        return CNNFAST_OK;
    }
}

static cnnfast_status check(const cnnfast_conv2d *d, grad_weight_problem *p) {
    if (d->dtype != CNNFAST_FLOAT32 && d->dtype != CNNFAST_FLOAT64) return CNNFAST_UNSUPPORTED;
    if (d->layout != CNNFAST_NHWC || d->other_layout || d->padding_mode != CNNFAST_ZEROS) return CNNFAST_UNSUPPORTED;
    cnnfast_status status = check_conv2d(d, &p->conv);
    if (status) return status;
    window *g = &p->conv.g;
    g->P = output_size(g->H + g->pad[0] + g->pad[1], g->R, g->dilation[0], g->stride[0]);
    g->Q = output_size(g->W + g->pad[2] + g->pad[3], g->S, g->dilation[1], g->stride[1]);
    const size_t weights = size_mul(size_mul((size_t)g->R, (size_t)g->S), size_mul((size_t)(g->C / d->groups), (size_t)g->K));
    p->N = d->N, p->parts = ceil_div(g->Q, CHUNK_PIXELS);
    return check_tensors(g, d->N, d->dtype, d->dtype, size_mul(weights, sizeof(double)));
}

cnnfast_status cnnfast_conv2d_grad_weight_run(const cnnfast_conv2d *d, const void *x, const void *grad_output, void *grad_weight,
                                              void *grad_bias) {
    grad_weight_problem problem;
    cnnfast_status status = check(d, &problem);
    if (status) return status;
    if (!grad_weight || (d->N && (!x || !grad_output))) return CNNFAST_INVALID_PARAM;
    if (d->N == 0) {
        memset(grad_weight, 0, (size_t)(weight_rows(&problem) * problem.conv.g.K) * dtype_size(d->dtype));
        if (grad_bias) memset(grad_bias, 0, (size_t)problem.conv.g.K * dtype_size(d->dtype));
        return CNNFAST_OK;
    }
    cnnfast_plan plan;
    plan_begin(&plan, &conv2d_grad_weight_table, d->dtype);
    plan.problem.grad_weight = problem;
    plan.N = d->N;
    plan.max_workspace = workspace_limit(d->max_workspace);
    status = plan_choose(&plan, d->algorithm);
    if (status) return status;
    job j = {.plan = &plan, .problem = &problem, .t = {.of = {.x = x, .residual = grad_output, .y = grad_weight}, .bias = grad_bias}};
    j.t.of.far = plan_bytes(&problem.conv.g, d->N, dtype_size(d->dtype), dtype_size(d->dtype)) > cache_near();
    divide(&j);
    void *memory;
    status = find_room(&j, &memory);
    parallel_watch watch = {0};
    const double start = verbose_start();
    if (!status && !run_groups(&j, &watch)) status = CNNFAST_INTERRUPTED;
    if (verbose() && !status) verbose_plan(&plan, d->N, j.threads, start);
    free(memory);
    return status;
}
