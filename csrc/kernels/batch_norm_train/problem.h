/* Batch normalisation by a batch's own statistics, and its gradient, as their kernels see them: a piece of the batch, of
 * contiguous pixels of C channels each (NHWC: some pixels; NCHW: a plane, C being 1).
 *
 * `repeat` pixels are read as one row of C*repeat columns, so that few channels make whole vectors too; what is left over
 * are the first columns of one row more. A column is a chain of at most 128 numbers, whose sum goes on in double; columns are
 * added up to channels, and pieces to the batch, in their order. None of that depends on threads or the ISA.
 *
 *   moments    means and sums of squared deviations, of a piece
 *   merge      those of so many pixels and of so many more, as those of all: Chan, Golub and LeVeque, "Updating formulae and a
 *              pairwise algorithm for computing sample variances", 1979
 *   sums       the sums of the masked grad_output g, and of g*(x - mean), of a piece
 *   apply      grad_input = scale*g + (slope*(x - mean) + offset), or scale*g alone where slope is NULL
 *
 * g is grad_output where z = (x - mean)*scale + shift, which is what the forward op rounded, lies where relu or relu6 rises.
 * All are single-threaded. `scratch` is batch_norm_scratch() bytes, of a thread.
 */
#ifndef CNNFAST_BATCH_NORM_TRAIN_PROBLEM_H
#define CNNFAST_BATCH_NORM_TRAIN_PROBLEM_H

#include "kernel.h"

typedef struct {
    int64_t C, repeat;
    cnnfast_activation activation;
    bool far;    /* what is read comes from memory */
    bool stream; /* grad_input is larger than the caches */
} batch_norm_piece;

/* C numbers of each. */
typedef struct {
    const void *mean, *scale, *shift, *slope, *offset;
} batch_norm_channels;

/* Two sums of the kernels' type and two of doubles, and the five of batch_norm_channels, a row of each. */
static inline size_t batch_norm_scratch(const batch_norm_piece *p, size_t real_size) {
    const size_t row = size_add(size_mul((size_t)p->C, (size_t)p->repeat), 16);
    return size_align(size_mul(row, 2 * sizeof(double) + 7 * real_size));
}

#define DECLARE_BATCH_NORM_TRAIN(type, isa)                                                                                       \
    void cnnfast_batch_norm_moments_##type##_##isa(const batch_norm_piece *, const void *x, int64_t pixels, double *mean, double *m2, \
                                                   void *scratch);                                                                \
    void cnnfast_batch_norm_merge_##type##_##isa(int64_t C, double seen, double *mean, double *m2, double more, const double *means,  \
                                                 const double *m2s);                                                              \
    void cnnfast_batch_norm_sums_##type##_##isa(const batch_norm_piece *, const batch_norm_channels *, const void *grad,           \
                                                const void *x, int64_t pixels, double *sum, double *sum_x, void *scratch);        \
    void cnnfast_batch_norm_apply_##type##_##isa(const batch_norm_piece *, const batch_norm_channels *, const void *grad,          \
                                                 const void *x, void *to, int64_t pixels, void *scratch);

#endif
