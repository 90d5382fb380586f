/* An unpooling as its kernel sees it. One tile row is an image: indices may point anywhere in it. */
#ifndef CNNFAST_MAX_UNPOOL2D_PROBLEM_H
#define CNNFAST_MAX_UNPOOL2D_PROBLEM_H

#include "kernel.h"

typedef struct {
    window g; /* H x W x C values are scattered over P x Q */
} max_unpool2d_problem;

#endif
