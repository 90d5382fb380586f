def plan_fused(x_shape, *stages, dtype, layout="NHWC", algorithm=None, max_workspace=0):
    """`stages` are plans, at most 8, each of which reads what the one before it gives."""
    cdef Plan plan = Plan(), stage
    cdef cnnfast_fused d
    cdef const cnnfast_plan *plans[8]
    cdef int i
    for i, stage in enumerate(stages[:8]):
        plans[i] = stage.plan
    plan.stages = stages
    d.stages = plans
    d.count = len(stages)
    d.algorithm = name_of(plan, algorithm)
    d.N = x_shape[0]
    d.max_workspace = max_workspace
    return plan.made(cnnfast_fused_plan(&plan.plan, &d))
