/* Inside a plan. Made in <op>.c: validate -> describe the problem -> plan_choose -> plan_pack; run in run.c. */
#ifndef CNNFAST_PLAN_H
#define CNNFAST_PLAN_H

#include "batch_norm/problem.h"
#include "conv2d/problem.h"
#include "conv2d_grad_input/problem.h"
#include "conv2d_grad_weight/problem.h"
#include "conv_transpose2d/problem.h"
#include "elementwise/problem.h"
#include "isa.h"
#include "kernel.h"
#include "linear/problem.h"
#include "local_response_norm/problem.h"
#include "max_pool2d_grad/problem.h"
#include "max_unpool2d/problem.h"
#include "parallel.h"
#include "pool2d/problem.h"
#include "resample2d/problem.h"
#include "separable_conv2d/problem.h"
#include "softmax/problem.h"
#include "upsample2d/problem.h"

/* The element types kernels are compiled for. 8-bit integers run as i32, wider ones as i64. */
#define FOR_EACH_TYPE(X) X(f32) X(f64) X(i32) X(i64)
#define TYPE_INDEX(name) TYPE_##name,
typedef enum { FOR_EACH_TYPE(TYPE_INDEX) TYPE_COUNT } element_type;

typedef struct {
    const char *name;
    const kernel *kernels[ISA_COUNT][TYPE_COUNT]; /* NULL: this row has no such type */
} table_row;

typedef struct {
    const char *op;
    const table_row *rows; /* up to one whose name is NULL */
} table;

/* Plans run one after another as one (fused.c). A band is so many strips of the last one's output; 0 where a stage's rows
 * cannot be had alone. */
#define MOST_STAGES 8
typedef struct {
    const cnnfast_plan *stages[MOST_STAGES];
    int count;
    int64_t band;
    size_t buffers[MOST_STAGES]; /* bytes of each stage's rows in a band, but of the last's */
} fused_problem;

extern const table conv2d_table, conv_transpose2d_table, separable_conv2d_table, pool2d_table, max_unpool2d_table,
    linear_table, elementwise_table, batch_norm_table, local_response_norm_table, softmax_table, upsample2d_table, fused_table,
    conv2d_grad_input_table, conv2d_grad_weight_table, max_pool2d_grad_table, resample2d_table;

/* Packed weights, which plans may share. */
typedef struct {
    _Atomic int64_t plans;
    size_t size, room; /* bytes of it, and that the memory has */
    void *memory;
} packing;

struct cnnfast_plan {
    const table *table;
    const table_row *row;
    const kernel *kernel;
    int isa;
    element_type type;
    grain grain;
    cnnfast_dtype in, out;
    cnnfast_layout x_layout, y_layout;
    int64_t N;              /* the batch it was made for */
    window g;               /* x is H W C, y is P Q K */
    int64_t rows_per_image; /* P, or 1 where a kernel takes whole images; a grain that counts other units goes before it */
    size_t max_workspace; /* workspace_limit's */
    double flops, weight_elements;
    union {
        conv2d_problem conv;
        conv_transpose2d_problem transpose;
        separable_problem separable;
        pool2d_problem pool;
        max_unpool2d_problem unpool;
        max_pool2d_grad_problem max_pool_grad;
        resample2d_problem resample;
        linear_problem linear;
        elementwise_problem elementwise;
        batch_norm_problem batch_norm;
        local_response_norm_problem lrn;
        softmax_problem softmax;
        upsample2d_problem upsample;
        fused_problem fused;
        grad_weight_problem grad_weight;
    } problem;
    packing *packing; /* NULL where there are no weights */
    void *packed;     /* its memory */
    span *spans; /* pooling's rows, then its columns */
    bool integer, checks_indices;
    int64_t whole; /* rows of an op's whole batch, which is one image here; 0: a plan of images */
};

size_t dtype_size(cnnfast_dtype);
bool dtype_valid(cnnfast_dtype);
element_type dtype_type(cnnfast_dtype);
size_t type_size(element_type);
bool dtype_is_integer(cnnfast_dtype);

/* The layout of a description's tensor; whether `layout` and `other` are valid. */
cnnfast_layout layout_of(cnnfast_layout, unsigned other, cnnfast_tensor);
bool layouts_valid(cnnfast_layout, unsigned other);

/* Allocates a plan of zeros. NULL: out of memory. */
cnnfast_plan *plan_new(const table *, cnnfast_dtype in, cnnfast_dtype out, cnnfast_layout, unsigned other_layout, int64_t N,
                       size_t max_workspace);

/* The lesser of a plan's own max_workspace (0: none) and the process's; no limit is SIZE_OVERFLOW - 1. */
size_t workspace_limit(size_t max_workspace);

/* Bytes that one image takes on its way to a row's kernel and back. */
size_t staging_least(const cnnfast_plan *, const kernel *);

/* The row of fused_table whose stages take all threads each: it has no run of its own. */
extern const kernel fused_in_turn;
/* Bytes of an image's outputs that wait for the next stage then. */
size_t fused_between(const cnnfast_plan *, const kernel *);

/* Takes the row named `algorithm`, or the cheapest that accepts the problem within max_workspace. */
cnnfast_status plan_choose(cnnfast_plan *, const char *algorithm);

/* Packs weights of the plan's element type (integers: given as int64). Counts are elements. */
cnnfast_status plan_pack(cnnfast_plan *, const void *weight, const void *bias);

/* Packs other weights into a convolution's plan that is nobody else's; floats. */
void plan_repack(cnnfast_plan *, const void *weight, const void *bias);
/* And into a gradient's plan, of weights as finite as those it was made of. */
cnnfast_status grad_input_repack(cnnfast_plan *, const cnnfast_conv2d *, const void *weight);
/* What such a plan's choice depends on beside the description: whether its weights are finite; true where that is not asked. */
cnnfast_status grad_input_finite(const cnnfast_conv2d *, const void *weight, bool *finite);

/* Ops that need no plan between calls: the same steps at once, for a plan on the stack whose problem is described. */
void plan_begin(cnnfast_plan *, const table *, cnnfast_dtype);
cnnfast_status plan_run_once(cnnfast_plan *, const void *weight, const tensors *, int64_t rows);

/* One plan less uses them. */
void packing_drop(packing *);

/* Frees the plan unless status is CNNFAST_OK, else hands it over. */
cnnfast_status plan_finish(cnnfast_plan **to, cnnfast_plan *, cnnfast_status);

/* A pool's geometry, and the windows of its P rows and then its Q columns: the caller's to free, also where it fails. */
cnnfast_status pool_windows(const cnnfast_pool2d *, window *, span **);

/* What every window op must hold. */
cnnfast_status check_window(const window *);
cnnfast_status check_tensors(const window *, int64_t N, cnnfast_dtype in, cnnfast_dtype out, size_t weights);
int64_t output_size(int64_t padded, int64_t taps, int64_t dilation, int64_t stride);

/* What every convolution must hold; describes it, but for P, Q and the weights' steps. */
cnnfast_status check_conv2d(const cnnfast_conv2d *, conv2d_problem *);

/* The whole description of a conv2d, and how many weights it has. */
cnnfast_status describe_conv2d(const cnnfast_conv2d *, conv2d_problem *);
size_t conv_weight_count(const conv2d_problem *);
bool all_finite(const void *weight, size_t count, cnnfast_dtype);

/* Integer sums must fit the accumulator whatever x comes: sum|w| * max|x| + |b| <= its largest value for each output.
 * Groups of weights lie `group_step` elements apart, and are told as if C/groups and K/groups were all there is. */
cnnfast_status check_overflow(const cnnfast_conv2d *, const conv2d_problem *, int64_t group_step, const int64_t *weight,
                              const int64_t *bias);

/* Units of an image's output, as tiles count them. */
int64_t image_units(const cnnfast_plan *);
/* Rows of the output that a kernel computes together, 0 where it does not go by rows; how many such strips an image is; and
 * the bytes of a row. */
int64_t strip_of(const cnnfast_plan *);
int64_t strips_of(const cnnfast_plan *);
size_t row_bytes(const cnnfast_plan *);

/* The dtype a convolution of `in` gives: itself, or its accumulator. */
cnnfast_dtype conv_output_dtype(cnnfast_dtype in);

/* import: x as the caller has it (dtype, layout) to NHWC of the plan's element type; export: the way back. */
typedef struct {
    const void *from;
    void *to;
    int64_t N, C, pixels; /* pixels of an image */
    cnnfast_dtype dtype;  /* the caller's side */
    element_type type;    /* the kernels' side */
    bool transpose;       /* the caller's side is NCHW */
} conversion;
void convert_import(const conversion *, int threads, parallel_watch *);
void convert_export(const conversion *, int threads, parallel_watch *);

/* Pixels of C elements to pixels `to_step` elements apart, of one dtype and order. */
void convert_spread(const conversion *, int64_t to_step, int threads, parallel_watch *);

/* Bytes of n images of x and y, elements of so many bytes. */
size_t plan_bytes(const window *, int64_t n, size_t x_size, size_t y_size);

/* cnnfast_plan_run, where x and y of more than `near` bytes come from memory. */
cnnfast_status plan_run(const cnnfast_plan *, const cnnfast_args *, void *workspace, size_t workspace_size, size_t near);

#endif
