/* grad_output times an activation's derivative, over elements [begin, end); count is not read. */
#ifndef CNNFAST_ACTIVATION_GRAD_DERIVATIVES_H
#define CNNFAST_ACTIVATION_GRAD_DERIVATIVES_H

#include "kernel.h"

#define DECLARE_ACTIVATION_GRAD(type, isa)                                                                                        \
    void cnnfast_activation_grad_##type##_##isa(cnnfast_activation, double alpha, const void *grad, const void *values, void *to, \
                                                int64_t begin, int64_t end, bool stream);

#endif
