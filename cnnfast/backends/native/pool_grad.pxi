def plan_pool2d_grad(input_shape, *, dtype, kind, layout="NHWC", kernel_size=(1, 1), stride=(1, 1), padding=(0, 0, 0, 0),
                     dilation=(1, 1), ceil_mode=False, count_include_pad=True, output_size=None):
    """input_shape is that of the pool's input, which the plan gives; it is run on the gradient of the pool's output."""
    cdef Plan plan = Plan()
    cdef cnnfast_pool2d d
    d.dtype = DTYPES[dtype]
    d.layout = LAYOUTS[layout]
    d.other_layout = 0
    d.algorithm = NULL
    d.kind = POOLS[kind]
    d.N, d.H, d.W, d.C = nhwc(input_shape, layout)
    d.R, d.S = kernel_size
    pair(stride, d.stride)
    pair(dilation, d.dilation)
    quad(padding, d.pad)
    d.ceil_mode = ceil_mode
    d.count_include_pad = count_include_pad
    d.norm = 1
    pair(output_size or (0, 0), d.output_size)
    d.with_indices = False
    d.max_workspace = 0
    cdef cnnfast_status status
    with nogil:
        status = cnnfast_pool2d_grad_plan(&plan.plan, &d)
    plan.made(status)
    if kind == "max":
        plan.index_shape = plan.x_shape
        plan.reads_indices = True
    return plan


def plan_upsample2d_grad(input_shape, scale, bint bilinear, bint align_corners, *, dtype, layout="NHWC"):
    """input_shape is that of upsample2d's input, which the plan gives; it is run on the gradient of its output."""
    cdef Plan plan = Plan()
    cdef cnnfast_upsample2d d
    d.dtype = DTYPES[dtype]
    d.N, d.H, d.W, d.C = nhwc(input_shape, layout)
    pair(scale, d.scale)
    d.bilinear, d.align_corners = bilinear, align_corners
    return plan.made(cnnfast_upsample2d_grad_plan(&plan.plan, &d, LAYOUTS[layout]))
