/* A network's steps: plans that run one after another, over arrays told beforehand. */
#include "cnnfast.h"

size_t cnnfast_steps_workspace_size(const cnnfast_step *steps, int count) {
    size_t most = 0;
    for (int i = 0; i < count; i++) {
        const size_t size = cnnfast_plan_workspace_size(steps[i].plan, steps[i].args.N);
        if (size > most) most = size;
    }
    return most;
}

cnnfast_status cnnfast_steps_run(const cnnfast_step *steps, int count, void *workspace, size_t workspace_size) {
    cnnfast_status status = CNNFAST_OK;
    for (int i = 0; i < count && !status; i++) status = cnnfast_plan_run(steps[i].plan, &steps[i].args, workspace, workspace_size);
    return status;
}
