cdef cnnfast_conv2d describe(x_shape, weight_shape, dtype, layouts, stride, padding, dilation, groups, padding_mode, activation,
                             alpha, max_abs_input=0, max_workspace=0, transposed=False) except *:
    """All but the algorithm, whose name the plan keeps."""
    cdef cnnfast_conv2d d
    d.dtype = DTYPES[dtype]
    layout, of_x, _, of_weight = layouts
    d.layout = LAYOUTS[layout]
    d.other_layout = others(layouts)
    d.algorithm = NULL
    d.N, d.H, d.W, d.C = nhwc(x_shape, of_x or layout)
    if (of_weight or layout) == "NHWC":
        d.R, d.S, inner, outer = weight_shape
    else:
        outer, inner, d.R, d.S = weight_shape
    d.groups = groups
    d.K = inner * groups if transposed else outer
    pair(stride, d.stride)
    pair(dilation, d.dilation)
    quad(padding, d.pad)
    d.padding_mode = PADDING_MODES[padding_mode]
    d.activation = ACTIVATIONS[activation]
    d.alpha = alpha
    d.max_abs_input = max_abs_input
    d.max_workspace = max_workspace
    d.precision = CNNFAST_DEFAULT
    d.once = False
    return d


def plan_conv2d(x_shape, weight, bias, *, dtype, layout="NHWC", stride=(1, 1), padding=(0, 0, 0, 0), dilation=(1, 1),
                groups=1, padding_mode="zeros", activation=None, alpha=0.01, algorithm=None, max_abs_input=0,
                max_workspace=0, precision="default", once=False, input_layout=None, output_layout=None, weight_layout=None):
    cdef Plan plan = Plan()
    layouts = layout, input_layout, output_layout, weight_layout
    cdef cnnfast_conv2d d = describe(x_shape, weight.shape, dtype, layouts, stride, padding, dilation, groups, padding_mode,
                                     activation, alpha, max_abs_input, max_workspace)
    d.algorithm = name_of(plan, algorithm)
    d.precision = PRECISIONS[precision]
    d.once = once
    cdef const void *w = address(weight, dtype)
    cdef const void *b = address(bias, dtype)
    cdef cnnfast_status status
    with nogil:
        status = cnnfast_conv2d_plan(&plan.plan, &d, w, b)
    return plan.made(status)


def plan_conv_transpose2d(x_shape, weight, bias, *, dtype, layout="NHWC", stride=(1, 1), padding=(0, 0, 0, 0),
                          output_padding=(0, 0), dilation=(1, 1), groups=1, activation=None, alpha=0.01, algorithm=None,
                          max_abs_input=0, max_workspace=0, input_layout=None, output_layout=None, weight_layout=None):
    cdef Plan plan = Plan()
    cdef cnnfast_conv_transpose2d d
    layouts = layout, input_layout, output_layout, weight_layout
    d.conv = describe(x_shape, weight.shape, dtype, layouts, stride, padding, dilation, groups, "zeros", activation, alpha,
                      max_abs_input, max_workspace, True)
    d.conv.algorithm = name_of(plan, algorithm)
    pair(output_padding, d.output_padding)
    cdef const void *w = address(weight, dtype)
    cdef const void *b = address(bias, dtype)
    cdef cnnfast_status status
    with nogil:
        status = cnnfast_conv_transpose2d_plan(&plan.plan, &d, w, b)
    return plan.made(status)


def plan_separable_conv2d(x_shape, depthwise_weight, depthwise_bias, pointwise_weight, bias, *, dtype, layout="NHWC",
                          stride=(1, 1), padding=(0, 0, 0, 0), dilation=(1, 1), padding_mode="zeros",
                          depthwise_activation=None, depthwise_alpha=0.01, activation=None, alpha=0.01, algorithm=None,
                          max_workspace=0):
    cdef Plan plan = Plan()
    cdef cnnfast_separable_conv2d d
    d.depthwise = describe(x_shape, depthwise_weight.shape, dtype, (layout, None, None, None), stride, padding, dilation,
                           nhwc(x_shape, layout)[3], padding_mode, depthwise_activation, depthwise_alpha, 0, max_workspace)
    d.depthwise.algorithm = name_of(plan, algorithm)
    if layout == "NHWC":
        _, _, d.depthwise.K, d.K = pointwise_weight.shape
    else:
        d.K, d.depthwise.K, _, _ = pointwise_weight.shape
    d.activation = ACTIVATIONS[activation]
    d.alpha = alpha
    cdef const void *dw = address(depthwise_weight, dtype)
    cdef const void *db = address(depthwise_bias, dtype)
    cdef const void *pw = address(pointwise_weight, dtype)
    cdef const void *b = address(bias, dtype)
    cdef cnnfast_status status
    with nogil:
        status = cnnfast_separable_conv2d_plan(&plan.plan, &d, dw, db, pw, b)
    return plan.made(status)
