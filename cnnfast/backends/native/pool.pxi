def plan_pool2d(x_shape, *, dtype, layout="NHWC", kind="max", kernel_size=(1, 1), stride=(1, 1), padding=(0, 0, 0, 0),
                dilation=(1, 1), ceil_mode=False, count_include_pad=True, norm_type=2.0, output_size=None,
                return_indices=False, algorithm=None, max_workspace=0, input_layout=None, output_layout=None):
    cdef Plan plan = Plan()
    cdef cnnfast_pool2d d
    d.dtype = DTYPES[dtype]
    d.layout = LAYOUTS[layout]
    d.other_layout = others((layout, input_layout, output_layout, None))
    d.algorithm = name_of(plan, algorithm)
    d.kind = POOLS[kind]
    d.N, d.H, d.W, d.C = nhwc(x_shape, input_layout or layout)
    d.R, d.S = kernel_size
    pair(stride, d.stride)
    pair(dilation, d.dilation)
    quad(padding, d.pad)
    d.ceil_mode = ceil_mode
    d.count_include_pad = count_include_pad
    d.norm = norm_type
    pair(output_size or (0, 0), d.output_size)
    d.with_indices = return_indices
    d.max_workspace = max_workspace
    cdef cnnfast_status status
    with nogil:
        status = cnnfast_pool2d_plan(&plan.plan, &d)
    plan.made(status)
    if return_indices:
        plan.index_shape = plan.y_shape
    return plan


def plan_max_unpool2d(x_shape, output_size, *, dtype, layout="NHWC", max_workspace=0):
    cdef Plan plan = Plan()
    cdef cnnfast_max_unpool2d d
    d.dtype = DTYPES[dtype]
    d.layout = LAYOUTS[layout]
    d.N, d.H, d.W, d.C = nhwc(x_shape, layout)
    d.P, d.Q = output_size
    d.max_workspace = max_workspace
    cdef cnnfast_status status
    with nogil:
        status = cnnfast_max_unpool2d_plan(&plan.plan, &d)
    plan.made(status)
    plan.index_shape = plan.x_shape
    plan.reads_indices = True
    return plan
