/* An optimizer's step over elements [begin, end) of its arrays: cnnfast_update of cnnfast.h, a vector at a time. */
#ifndef CNNFAST_UPDATE_STEP_H
#define CNNFAST_UPDATE_STEP_H

#include "kernel.h"

#define DECLARE_UPDATE(type, isa)                                                                                                 \
    void cnnfast_update_step_##type##_##isa(const cnnfast_update *, void *weight, const void *grad, void *const state[3], int64_t begin, \
                                            int64_t end);

#endif
