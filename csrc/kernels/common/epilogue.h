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

/* Every activation is in it, so it stands in the library once for each element type and ISA. */
void SYMBOL(epilogue_run)(const epilogue *, real *y, int64_t count);

#endif
