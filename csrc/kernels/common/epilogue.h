/* The activation over outputs that were just stored and still lie in L1. */
#ifndef CNNFAST_EPILOGUE_H
#define CNNFAST_EPILOGUE_H

#include "activation.h"
#include "kernel.h"
#include "simd.h"

/* Whether outputs are whole vectors when they are first stored, and then not read again. */
INLINE bool epilogue_streams(const epilogue *e, int64_t channels) {
    return channels % LANES == 0 && e->activation <= CNNFAST_RELU6;
}

INLINE void epilogue_run(const epilogue *e, real *y, int64_t count) {
    if (e->activation == CNNFAST_NONE) return;
    for (int64_t i = 0; i < count; i += LANES) {
        int n = (int)min64(LANES, count - i);
        v_store_n(y + i, v_activation(v_load_n(y + i, n), e->activation, (real)e->alpha), n);
    }
}

#endif
