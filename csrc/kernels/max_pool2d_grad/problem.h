/* The way back of a maximum as its kernel sees it. One tile row is an image: indices may point anywhere in it. */
#ifndef CNNFAST_MAX_POOL2D_GRAD_PROBLEM_H
#define CNNFAST_MAX_POOL2D_GRAD_PROBLEM_H

#include "kernel.h"

typedef struct {
    window g; /* H x W x C gradients are added up in P x Q */
} max_pool2d_grad_problem;

#endif
