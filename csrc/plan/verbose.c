#include "verbose.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *const dtypes[] = {"float32", "float64", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64"};
static const char *const pools[] = {"max", "min", "avg", "lp"}, *const elementwise[] = {"map", "add", "multiply", "prelu"};

bool verbose_on;

__attribute__((constructor)) static void at_load(void) {
    const char *value = getenv("CNNFAST_VERBOSE");
    verbose_on = value && *value && strcmp(value, "0");
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

double verbose_start(void) { return verbose() ? now() : 0; }

/* What a run was of, without a comma. */
typedef struct {
    char text[320];
    size_t length;
} words;

__attribute__((format(printf, 2, 3))) static void add(words *to, const char *format, ...) {
    va_list values;
    va_start(values, format);
    const int wanted = vsnprintf(to->text + to->length, sizeof to->text - to->length, format, values);
    va_end(values);
    if (wanted > 0) to->length += (size_t)min64(wanted, (int64_t)(sizeof to->text - to->length) - 1);
}

#define L(value) ((long long)(value))

/* What the window does otherwise than most. */
static void add_window(words *to, const window *g, int64_t groups) {
    if (g->R > 1 || g->S > 1) add(to, "_k%lldx%lld", L(g->R), L(g->S));
    if (g->stride[0] != 1 || g->stride[1] != 1) add(to, "_s%lldx%lld", L(g->stride[0]), L(g->stride[1]));
    if (g->dilation[0] != 1 || g->dilation[1] != 1) add(to, "_d%lldx%lld", L(g->dilation[0]), L(g->dilation[1]));
    const int64_t *pad = g->pad;
    if (pad[0] || pad[1] || pad[2] || pad[3]) add(to, "_p%lldx%lldx%lldx%lld", L(pad[0]), L(pad[1]), L(pad[2]), L(pad[3]));
    if (groups > 1) add(to, "_g%lld", L(groups));
}

static const conv2d_problem *conv_of(const cnnfast_plan *plan) {
    if (plan->table == &conv2d_table || plan->table == &conv2d_grad_input_table) return &plan->problem.conv;
    if (plan->table == &conv_transpose2d_table) return &plan->problem.transpose.conv;
    if (plan->table == &conv2d_grad_weight_table) return &plan->problem.grad_weight.conv;
    return plan->table == &separable_conv2d_table ? &plan->problem.separable.depthwise : NULL;
}

/* Of an op that knows no images: its sizes as memory has them. */
static bool add_flat(words *to, const cnnfast_plan *plan, int64_t N) {
    const window *g = &plan->g;
    if (plan->table == &elementwise_table) {
        add(to, "x%lld_%s", L(plan->problem.elementwise.count), elementwise[plan->problem.elementwise.kind]);
    } else if (plan->table == &batch_norm_table) {
        const batch_norm_problem *p = &plan->problem.batch_norm;
        add(to, "x%lldx%lldx%lld", L(p->outer), L(p->C), L(p->inner));
    } else if (plan->table == &local_response_norm_table) {
        const local_response_norm_problem *p = &plan->problem.lrn;
        add(to, "x%lldx%lldx%lld_w%lld", L(p->outer), L(p->C), L(p->inner), L(p->before + p->after + 1));
    } else if (plan->table == &softmax_table) {
        const softmax_problem *p = &plan->problem.softmax;
        add(to, "x%lldx%lldx%lld", L(plan->g.K ? N : p->outer), L(p->n), L(p->inner));
    } else if (plan->table == &upsample2d_table) {
        const upsample2d_problem *p = &plan->problem.upsample;
        add(to, "x%lldx%lldx%lldx%lld_s%lldx%lld", L(p->N), L(p->H), L(p->W), L(p->C), L(p->scale[0]), L(p->scale[1]));
    } else if (plan->table == &linear_table) {
        add(to, "x%lldx%lld_y%lldx%lld", L(N), L(g->C), L(N), L(g->K));
    } else {
        return false;
    }
    return true;
}

static void add_images(words *to, const cnnfast_plan *plan, int64_t N) {
    const conv2d_problem *conv = conv_of(plan);
    const window *g = plan->table == &conv2d_grad_weight_table ? &conv->g : &plan->g;
    add(to, "x%lldx%lldx%lldx%lld", L(N), L(g->H), L(g->W), L(g->C));
    add(to, "_y%lldx%lldx%lldx%lld", L(N), L(g->P), L(g->Q), L(g->K));
    if (plan->table != &fused_table) add_window(to, conv ? &conv->g : g, conv ? conv->groups : 1);
    if (plan->table == &pool2d_table) add(to, "_%s", pools[plan->problem.pool.kind]);
    if (plan->table != &fused_table) return;
    const fused_problem *fused = &plan->problem.fused;
    for (int i = 0; i < fused->count; i++) add(to, "%s%s", i ? "+" : "_", fused->stages[i]->table->op);
}

static void print_header(void) { fputs("cnnfast_verbose,op,algorithm,isa,shape,layout,dtype,threads,ms\n", stderr); }

static void print(const char *op, const char *algorithm, int isa, const words *shape, const char *layout, cnnfast_dtype dtype, int threads,
                  double start) {
    static pthread_once_t headed = PTHREAD_ONCE_INIT;
    const double took = now() - start;
    pthread_once(&headed, print_header);
    char line[640]; /* in one write, so that lines of several threads stay whole */
    snprintf(line, sizeof line, "cnnfast_verbose,%s,%s,%s,%s,%s,%s,%d,%.4f\n", op, algorithm, cnnfast_isa_name(isa), shape->text, layout,
             dtypes[dtype], threads, took);
    fputs(line, stderr);
}

void verbose_plan(const cnnfast_plan *plan, int64_t N, int threads, double start) {
    static const char *const layouts[2][2] = {{"NHWC", "NHWC-NCHW"}, {"NCHW-NHWC", "NCHW"}};
    words shape = {.length = 0};
    const bool flat = add_flat(&shape, plan, N);
    if (!flat) add_images(&shape, plan, N);
    print(plan->table->op, plan->row->name, plan->isa, &shape,
          flat ? "flat" : layouts[plan->x_layout == CNNFAST_NCHW][plan->y_layout == CNNFAST_NCHW], plan->in, threads, start);
}

void verbose_flat(const char *op, cnnfast_dtype dtype, int64_t elements, int threads, double start) {
    words shape = {.length = 0};
    add(&shape, "x%lld", L(elements));
    print(op, "only", isa_current(), &shape, "flat", dtype, threads, start);
}
