/* A network's steps: plans that run one after another, over arrays told beforehand. */
#include "cache.h"
#include "plan.h"

size_t cnnfast_steps_workspace_size(const cnnfast_step *steps, int count) {
    size_t most = 0;
    for (int i = 0; i < count; i++) {
        const size_t size = cnnfast_plan_workspace_size(steps[i].plan, steps[i].args.N);
        if (size > most) most = size;
    }
    return most;
}

/* Of x and y, that some cores' second levels of cache hold. */
static const size_t SECOND_LEVELS = 2 << 20;

/* What a run passes over. Where the caches do not hold it, each step finds in memory what it reads and writes, but for what the one
 * before it has just left in the second level. */
static size_t bytes_of(const cnnfast_step *steps, int count) {
    size_t sum = 0;
    for (int i = 0; i < count; i++) {
        const cnnfast_plan *plan = steps[i].plan;
        sum = size_add(sum, plan_bytes(&plan->g, steps[i].args.N, dtype_size(plan->in), dtype_size(plan->out)));
        sum = size_add(sum, plan->kernel->packed_size(&plan->problem));
    }
    return sum;
}

cnnfast_status cnnfast_steps_run(const cnnfast_step *steps, int count, void *workspace, size_t workspace_size) {
    const size_t near = bytes_of(steps, count) > cache_share() ? SECOND_LEVELS : cache_near();
    cnnfast_status status = CNNFAST_OK;
    for (int i = 0; i < count && !status; i++) status = plan_run(steps[i].plan, &steps[i].args, workspace, workspace_size, near);
    return status;
}
