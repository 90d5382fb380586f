/* What a kernel is, for every op.
 *
 * Kernels see NHWC and one of four element types (f32, f64, i32, i64); the plan converts what differs. They are
 * single-threaded, allocate nothing and know neither Python nor OpenMP: a plan gives them a valid problem, its packed
 * weights, a tile of the output and a workspace.
 *
 * One source file a kernel, csrc/kernels/<op>/<name>.c, compiled once per ISA and element type, defines
 *     const kernel SYMBOL(<op>_<name>) = {...};
 * and one row of csrc/kernels/<op>/table.inc names it.
 */
#ifndef CNNFAST_KERNEL_H
#define CNNFAST_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cnnfast.h"
#include "size.h"

/* Of functions that are called once a plan: small rather than fast, for the library's size. */
#define ONCE_A_PLAN __attribute__((cold))

/* A window sliding over an image: the geometry every op here shares. */
typedef struct {
    int64_t H, W, C, P, Q, K, R, S;
    int64_t stride[2], dilation[2];
    int64_t pad[4]; /* top, bottom, left, right */
} window;

typedef struct {
    cnnfast_activation activation;
    double alpha;
} epilogue;

/* The part of the output one call computes: rows [row0, row1) of the N*P there are over the batch, and columns
 * [col0, col1) of the kernel's `columns`, a kernel's own unit of output channels. */
typedef struct {
    int64_t row0, row1, col0, col1;
} tile;

typedef struct {
    const void *x, *residual; /* residual may be NULL, or y itself; its pixels lie as y's do */
    void *y;
    int64_t y_step; /* elements from a pixel of y to the next: K, or more where y is some channels of wider pixels */
    int64_t *indices;
    bool far;    /* what is read and written is too large to wait in the last level of cache: worth asking for ahead of time */
    bool stream; /* y is larger than the last level of cache: stored past it, it leaves other data there */
} tensors;

/* How a kernel wants its work cut. */
typedef struct {
    int64_t rows_per_image; /* units an image's output is cut into, row0 and row1 count them; 0: its P rows */
    int64_t strip_rows; /* where units follow each other in strips of so many rows of the output, each of as many units; else 0 */
    int64_t columns;    /* units of output channels that different threads may take */
    int64_t block_rows; /* at most so many rows a call: what fits the caches, and well under 100 ms */
    int64_t tile_pixels, tile_channels; /* the micro-kernel's registers, for explain(); 0 where it has none */
    bool streams;       /* it stores past the caches itself where y lies at a cache line and tensors.stream says so */
    size_t workspace;   /* bytes a call needs, SIZE_OVERFLOW where that cannot be had */
    double flops;       /* of an image's products, where they are not as many as the definition's; 0: they are */
} grain;

typedef struct kernel {
    bool (*accepts)(const void *problem);
    /* Microseconds on a nominal core (kernels/common/cost.h). A function of the problem alone, so that the choice is
     * the same on every machine: it may not look at LANES, TILE_M or anything of the ISA. */
    double (*cost)(const void *problem, int64_t N);
    grain (*grain)(const void *problem);
    size_t (*packed_size)(const void *problem);
    void (*pack)(const void *problem, const void *weight, const void *bias, void *packed);
    void (*run)(const void *problem, const void *packed, const tensors *, tile, void *workspace);
    /* Optional, where packing takes long: what pack does, for columns [col0, col1) alone, so that threads may share it. */
    void (*pack_columns)(const void *problem, const void *weight, const void *bias, void *packed, int64_t col0, int64_t col1);
} kernel;

#endif
