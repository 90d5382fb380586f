def plan_conv2d_grad_input(x_shape, weight, *, dtype, layout="NHWC", stride=(1, 1), padding=(0, 0, 0, 0), dilation=(1, 1),
                           groups=1, algorithm=None, max_workspace=0, precision="default", once=False, input_layout=None,
                           output_layout=None, weight_layout=None):
    cdef Plan plan = Plan()
    layouts = layout, input_layout, output_layout, weight_layout
    cdef cnnfast_conv2d d = describe(x_shape, weight.shape, dtype, layouts, stride, padding, dilation, groups, "zeros", None,
                                     0.0, 0, max_workspace)
    d.algorithm = name_of(plan, algorithm)
    d.precision = PRECISIONS[precision]
    d.once = once
    cdef const void *w = address(weight, dtype)
    cdef cnnfast_status status
    with nogil:
        status = cnnfast_conv2d_grad_input_plan(&plan.plan, &d, w)
    return plan.made(status)
