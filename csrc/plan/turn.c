/* A plan for tensors that lie otherwise: the kernels see NHWC whatever the plan's layout, so only the border changes. */
#include "plan.h"

#include <stdlib.h>
#include <string.h>

/* A pool's windows are the plan's own. */
static bool copy_spans(cnnfast_plan *plan) {
    const size_t size = (size_t)(plan->g.P + plan->g.Q) * sizeof *plan->spans;
    span *spans = malloc(size);
    if (!spans) return false;
    memcpy(spans, plan->spans, size);
    plan->spans = spans;
    plan->problem.pool.rows = spans, plan->problem.pool.cols = spans + plan->g.P;
    return true;
}

cnnfast_status cnnfast_plan_turned(cnnfast_plan **to, const cnnfast_plan *from, unsigned tensors) {
    *to = NULL;
    const bool x = tensors & CNNFAST_INPUT, y = tensors & CNNFAST_OUTPUT;
    if (!tensors || tensors & ~(unsigned)(CNNFAST_INPUT | CNNFAST_OUTPUT)) return CNNFAST_INVALID_PARAM;
    if ((x && from->x_layout != CNNFAST_NCHW) || (y && from->y_layout != CNNFAST_NCHW)) return CNNFAST_UNSUPPORTED;
    cnnfast_plan *plan = malloc(sizeof *plan);
    if (!plan) return CNNFAST_OUT_OF_MEMORY;
    *plan = *from;
    if (x) plan->x_layout = CNNFAST_NHWC;
    if (y) plan->y_layout = CNNFAST_NHWC;
    if (plan->spans && !copy_spans(plan)) {
        free(plan);
        return CNNFAST_OUT_OF_MEMORY;
    }
    if (plan->packing) plan->packing->plans++;
    *to = plan;
    return CNNFAST_OK;
}
