/* A plan's life: choose a row of the table, pack the weights, answer questions, end. */
#define _DEFAULT_SOURCE /* madvise */
#include "plan.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

size_t dtype_size(cnnfast_dtype dtype) {
    switch (dtype) {
    case CNNFAST_INT8:
    case CNNFAST_UINT8: return 1;
    case CNNFAST_INT16:
    case CNNFAST_UINT16: return 2;
    case CNNFAST_FLOAT32:
    case CNNFAST_INT32:
    case CNNFAST_UINT32: return 4;
    default: return 8;
    }
}

bool dtype_valid(cnnfast_dtype dtype) { return (unsigned)dtype <= CNNFAST_INT64; }
bool dtype_is_integer(cnnfast_dtype dtype) { return dtype >= CNNFAST_INT8; }

element_type dtype_type(cnnfast_dtype dtype) {
    switch (dtype) {
    case CNNFAST_FLOAT32: return TYPE_f32;
    case CNNFAST_FLOAT64: return TYPE_f64;
    case CNNFAST_INT8:
    case CNNFAST_UINT8: return TYPE_i32;
    default: return TYPE_i64;
    }
}

size_t type_size(element_type type) { return type == TYPE_f32 || type == TYPE_i32 ? 4 : 8; }

cnnfast_dtype conv_output_dtype(cnnfast_dtype in) {
    if (!dtype_is_integer(in)) return in;
    return dtype_type(in) == TYPE_i32 ? CNNFAST_INT32 : CNNFAST_INT64;
}

static _Atomic size_t process_limit; /* cnnfast_set_max_workspace: 0 is none */
static _Thread_local cnnfast_refusal last_refusal;

void cnnfast_set_max_workspace(size_t bytes) { process_limit = bytes; }
size_t cnnfast_get_max_workspace(void) { return process_limit; }
cnnfast_refusal cnnfast_last_refusal(void) { return last_refusal; }

size_t workspace_limit(size_t max_workspace) {
    const size_t process = process_limit, own = max_workspace ? max_workspace : SIZE_OVERFLOW - 1;
    return process && process < own ? process : own;
}

bool layouts_valid(cnnfast_layout layout, unsigned other) {
    return (unsigned)layout <= CNNFAST_NCHW && other <= (CNNFAST_INPUT | CNNFAST_OUTPUT | CNNFAST_WEIGHT);
}

cnnfast_layout layout_of(cnnfast_layout layout, unsigned other, cnnfast_tensor tensor) {
    return (layout == CNNFAST_NCHW) != ((other & tensor) != 0) ? CNNFAST_NCHW : CNNFAST_NHWC;
}

cnnfast_plan *plan_new(const table *table, cnnfast_dtype in, cnnfast_dtype out, cnnfast_layout layout, unsigned other_layout,
                       int64_t N, size_t max_workspace) {
    cnnfast_plan *plan = calloc(1, sizeof *plan);
    if (!plan) return NULL;
    plan->table = table;
    plan->in = in;
    plan->out = out;
    plan->type = dtype_type(in);
    plan->integer = dtype_is_integer(in);
    plan->x_layout = layout_of(layout, other_layout, CNNFAST_INPUT);
    plan->y_layout = layout_of(layout, other_layout, CNNFAST_OUTPUT);
    plan->N = N;
    plan->isa = isa_current();
    plan->max_workspace = workspace_limit(max_workspace);
    return plan;
}

/* Bytes this row wants of one thread. */
static size_t row_workspace(const cnnfast_plan *plan, const kernel *k) {
    return k->grain(&plan->problem).workspace;
}

/* The least that max_workspace must allow this row: its packed weights, and a run on one thread, image by image. */
static size_t row_needs(const cnnfast_plan *plan, const kernel *k) {
    const size_t run = size_add(staging_least(plan, k), size_align(row_workspace(plan, k)));
    return size_add(size_align(k->packed_size(&plan->problem)), run);
}

static const kernel *row_kernel(const cnnfast_plan *plan, const table_row *row) {
    const kernel *k = row->kernels[plan->isa][plan->type];
    return k && k->accepts(&plan->problem) ? k : NULL;
}

static void take(cnnfast_plan *plan, const table_row *row, const kernel *k) {
    plan->row = row;
    plan->kernel = k;
    plan->grain = k->grain(&plan->problem);
}

static cnnfast_status refuse(const cnnfast_plan *plan, size_t needed) {
    if (needed == SIZE_OVERFLOW) return CNNFAST_OUT_OF_MEMORY;
    last_refusal = (cnnfast_refusal){.needed = needed, .allowed = plan->max_workspace};
    return CNNFAST_SMALL_WORKSPACE;
}

static cnnfast_status choose_named(cnnfast_plan *plan, const char *algorithm) {
    for (const table_row *row = plan->table->rows; row->name; row++) {
        if (strcmp(row->name, algorithm)) continue;
        const kernel *k = row_kernel(plan, row);
        if (!k) return CNNFAST_UNSUPPORTED;
        const size_t needs = row_needs(plan, k);
        if (needs > plan->max_workspace) return refuse(plan, needs);
        take(plan, row, k);
        return CNNFAST_OK;
    }
    return CNNFAST_INVALID_PARAM;
}

/* Of all rows. */
static size_t least_needed(const cnnfast_plan *plan) {
    size_t least = SIZE_OVERFLOW;
    for (const table_row *row = plan->table->rows; row->name; row++) {
        const kernel *k = row_kernel(plan, row);
        const size_t needs = k ? row_needs(plan, k) : SIZE_OVERFLOW;
        if (needs < least) least = needs;
    }
    return least;
}

cnnfast_status plan_choose(cnnfast_plan *plan, const char *algorithm) {
    if (algorithm) return choose_named(plan, algorithm);
    bool accepted = false;
    double least = 0;
    const table_row *best = NULL;
    for (const table_row *row = plan->table->rows; row->name; row++) {
        const kernel *k = row_kernel(plan, row);
        if (!k) continue;
        accepted = true;
        const double cost = k->cost(&plan->problem, max64(1, plan->N));
        if ((best && cost >= least) || row_needs(plan, k) > plan->max_workspace) continue;
        least = cost, best = row;
    }
    if (best) take(plan, best, best->kernels[plan->isa][plan->type]);
    return best ? CNNFAST_OK : accepted ? refuse(plan, least_needed(plan)) : CNNFAST_UNSUPPORTED;
}

/* int64 weights as the element type has them; their values fit, since check_overflow passed. */
static void *cast_int64(const int64_t *from, size_t count, element_type type) {
    void *to = malloc(size_mul(count, type_size(type)));
    if (!to) return NULL;
    if (type == TYPE_i64) memcpy(to, from, count * sizeof *from);
    else
        for (size_t i = 0; i < count; i++) ((int32_t *)to)[i] = (int32_t)from[i];
    return to;
}

/* The largest of the packings that were dropped last, for the next plan: a training step packs its weights anew each time, and
 * fresh pages cost more than that. The memory tells its own size. */
static _Atomic(void *) spare;
static const size_t SMALLEST_SPARE = 4 << 20, LARGEST_SPARE = 64 << 20;

static void keep_spare(void *memory, size_t size) {
    memcpy(memory, &size, sizeof size);
    void *other = atomic_exchange(&spare, memory);
    size_t its = 0;
    if (other) memcpy(&its, other, sizeof its);
    if (its > size) other = atomic_exchange(&spare, other);
    free(other);
}

/* *room: the bytes it has. */
static void *take_spare(size_t size, size_t *room) {
    void *memory = atomic_exchange(&spare, NULL);
    size_t its = 0;
    if (memory) memcpy(&its, memory, sizeof its);
    *room = its;
    if (its >= size && its / 2 <= size) return memory;
    if (its >= size) keep_spare(memory, its); /* a small plan would hold it for as long as it lives */
    else free(memory);
    return NULL;
}

/* Weights that stream from memory meet fewer page boundaries where pages are large. */
static void *packed_memory(size_t size, size_t *room) {
    static const size_t LARGE_PAGE = 2 << 20;
    *room = size;
    if (size < 2 * LARGE_PAGE) return aligned_alloc(CACHE_LINE, size);
    void *memory = take_spare(size, room);
    if (memory) return memory;
    *room = size = (size + LARGE_PAGE - 1) / LARGE_PAGE * LARGE_PAGE;
    memory = aligned_alloc(LARGE_PAGE, size);
#ifdef MADV_HUGEPAGE
    if (memory) madvise(memory, size, MADV_HUGEPAGE); /* a wish: whether it is heard changes no result */
#endif
    return memory;
}

typedef struct {
    const cnnfast_plan *plan;
    const void *weight, *bias;
    int threads;
} pack_job;

static void pack_share(void *context, int thread, parallel_watch *watch) {
    (void)watch;
    const pack_job *j = context;
    const int64_t columns = j->plan->grain.columns;
    j->plan->kernel->pack_columns(&j->plan->problem, j->weight, j->bias, j->plan->packed, columns * thread / j->threads,
                                  columns * (thread + 1) / j->threads);
}

/* So many bytes of packed weights are worth a thread. */
static const size_t PACKED_FOR_A_THREAD = 128 * 1024;

static void pack_on_threads(const cnnfast_plan *plan, const void *weight, const void *bias) {
    const int64_t most = min64((int64_t)(plan->packing->size / PACKED_FOR_A_THREAD), plan->grain.columns);
    pack_job j = {plan, weight, bias, (int)min64(parallel_threads(), most)};
    parallel_watch watch = {0};
    if (j.threads > 1 && plan->kernel->pack_columns) parallel_run(j.threads, pack_share, &j, &watch);
    else plan->kernel->pack(&plan->problem, weight, bias, plan->packed);
}

void plan_repack(cnnfast_plan *plan, const void *weight, const void *bias) { pack_on_threads(plan, weight, bias); }

cnnfast_status plan_pack(cnnfast_plan *plan, const void *weight, const void *bias) {
    size_t size = size_align(plan->kernel->packed_size(&plan->problem));
    if (size == SIZE_OVERFLOW || size > PTRDIFF_MAX) return CNNFAST_OUT_OF_MEMORY;
    packing *of = plan->packing = calloc(1, sizeof *of);
    if (!of) return CNNFAST_OUT_OF_MEMORY;
    of->plans = 1;
    of->size = plan->kernel->packed_size(&plan->problem);
    of->memory = plan->packed = packed_memory(size, &of->room);
    if (!of->memory) return CNNFAST_OUT_OF_MEMORY;
    if (!plan->integer) {
        pack_on_threads(plan, weight, bias);
        return CNNFAST_OK;
    }
    void *w = cast_int64(weight, (size_t)plan->weight_elements, plan->type);
    void *b = bias ? cast_int64(bias, (size_t)plan->g.K, plan->type) : NULL;
    bool ok = w && (b || !bias);
    if (ok) plan->kernel->pack(&plan->problem, w, b, plan->packed);
    free(w);
    free(b);
    return ok ? CNNFAST_OK : CNNFAST_OUT_OF_MEMORY;
}

cnnfast_status plan_finish(cnnfast_plan **to, cnnfast_plan *plan, cnnfast_status status) {
    if (status) cnnfast_plan_free(&plan);
    *to = plan;
    return status;
}

void packing_drop(packing *p) {
    if (!p || --p->plans) return;
    if (p->memory && p->room >= SMALLEST_SPARE && p->room <= LARGEST_SPARE) keep_spare(p->memory, p->room);
    else free(p->memory);
    free(p);
}

int cnnfast_plan_share(cnnfast_plan *plan, const cnnfast_plan *other) {
    packing *own = plan->packing, *with = other->packing;
    if (!own || !with || plan->kernel != other->kernel || own->size != with->size) return 0;
    if (own == with) return 1;
    if (memcmp(own->memory, with->memory, own->size)) return 0;
    with->plans++;
    plan->packing = with;
    plan->packed = with->memory;
    packing_drop(own);
    return 1;
}

void cnnfast_plan_free(cnnfast_plan **plan) {
    if (!plan || !*plan) return;
    packing_drop((*plan)->packing);
    free((*plan)->spans);
    free(*plan);
    *plan = NULL;
}

static void shape(cnnfast_layout layout, int64_t to[4], int64_t N, int64_t H, int64_t W, int64_t C) {
    to[0] = N;
    if (layout == CNNFAST_NHWC) to[1] = H, to[2] = W, to[3] = C;
    else to[1] = C, to[2] = H, to[3] = W;
}

void cnnfast_plan_input_shape(const cnnfast_plan *plan, int64_t N, int64_t to[4]) {
    shape(plan->x_layout, to, N, plan->g.H, plan->g.W, plan->g.C);
}
void cnnfast_plan_output_shape(const cnnfast_plan *plan, int64_t N, int64_t to[4]) {
    shape(plan->y_layout, to, N, plan->g.P, plan->g.Q, plan->g.K);
}
cnnfast_dtype cnnfast_plan_input_dtype(const cnnfast_plan *plan) { return plan->in; }
cnnfast_dtype cnnfast_plan_output_dtype(const cnnfast_plan *plan) { return plan->out; }

cnnfast_info cnnfast_plan_info(const cnnfast_plan *plan) {
    const window *g = &plan->g;
    double x = (double)plan->N * g->H * g->W * g->C, y = (double)plan->N * g->P * g->Q * g->K;
    return (cnnfast_info){
        .op = plan->table->op,
        .algorithm = plan->row->name,
        .isa = cnnfast_isa_name(plan->isa),
        .tile_pixels = plan->grain.tile_pixels,
        .tile_channels = plan->grain.tile_channels,
        .workspace = cnnfast_plan_workspace_size(plan, plan->N),
        .packed = plan->kernel->packed_size(&plan->problem),
        .flops = plan->flops,
        .bytes = x * (double)dtype_size(plan->in) + y * (double)dtype_size(plan->out) +
                 plan->weight_elements * (double)type_size(plan->type),
    };
}

int cnnfast_plan_candidate(const cnnfast_plan *plan, int index, cnnfast_candidate *to) {
    const table_row *row = plan->table->rows;
    for (int i = 0; row->name && i < index; i++) row++;
    if (index < 0 || !row->name) return 0;
    const kernel *k = row_kernel(plan, row);
    *to = (cnnfast_candidate){.algorithm = row->name, .accepts = k != NULL};
    if (k) {
        to->cost = k->cost(&plan->problem, max64(1, plan->N));
        to->workspace = row_workspace(plan, k);
        to->needed = row_needs(plan, k);
        const double products = k->grain(&plan->problem).flops;
        to->flops = products ? products * (double)plan->N : plan->flops;
    }
    return 1;
}
