#include "epilogue.h"

void SYMBOL(epilogue_run)(const epilogue *e, real *y, int64_t count) {
    if (e->activation == CNNFAST_NONE) return;
    for (int64_t i = 0; i < count; i += LANES) {
        const int n = (int)min64(LANES, count - i);
        v_store_n(y + i, v_activation(v_load_n(y + i, n), e->activation, (real)e->alpha), n);
    }
}
