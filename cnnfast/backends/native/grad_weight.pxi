def run_conv2d_grad_weight(x, grad_output, grad_weight, grad_bias, x_shape, int64_t filters, kernel_size, stride, padding,
                           dilation, int64_t groups, algorithm=None, precision="default"):
    """NHWC; x_shape is (N, H, W, C), N not 0; padding (top, bottom, left, right). grad_bias may be None."""
    cdef flat_buffers buffers
    cdef cnnfast_conv2d d
    cdef cnnfast_status status
    buffers.count = 0
    if not (flat_take(&buffers, grad_weight, True) and flat_take(&buffers, grad_bias, True) and flat_take(&buffers, x, False)
            and flat_take(&buffers, grad_output, False)):
        return False
    if flat_overlaps(&buffers, 0) or (grad_bias is not None and flat_overlaps(&buffers, 1)):
        flat_release(&buffers)
        return False
    name = None if algorithm is None else algorithm.encode()
    memset(&d, 0, sizeof(d))
    d.dtype = buffers.dtype
    d.algorithm = NULL if name is None else <const char *>(<bytes>name)
    d.precision = PRECISIONS[precision]
    d.N, d.H, d.W, d.C = x_shape
    d.K, d.groups = filters, groups
    d.R, d.S = kernel_size
    pair(stride, d.stride)
    pair(dilation, d.dilation)
    quad(padding, d.pad)
    with nogil:
        status = cnnfast_conv2d_grad_weight_run(&d, buffers.data[2], buffers.data[3], buffers.data[0], buffers.data[1])
    flat_release(&buffers)
    check(status)
    return True
