def run_upsample2d(x, y, images, scale, bint bilinear, bint align_corners):
    """images is (N, H, W, C), as x lies; y has scale[0]*scale[1] times its elements."""
    cdef flat_buffers buffers
    cdef cnnfast_upsample2d d
    cdef cnnfast_status status
    d.N, d.H, d.W, d.C = images
    pair(scale, d.scale)
    d.bilinear, d.align_corners = bilinear, align_corners
    if not flat_take_pair_scaled(&buffers, x, y, d.scale[0], d.scale[1]):
        return False
    d.dtype = buffers.dtype
    with nogil:
        status = cnnfast_upsample2d_run(&d, buffers.data[0], buffers.data[1])
    flat_release(&buffers)
    check(status)
    return True


def plan_upsample2d(images, scale, bint bilinear, bint align_corners, *, dtype):
    """images is (N, H, W, C)."""
    cdef Plan plan = Plan()
    cdef cnnfast_upsample2d d
    d.dtype = DTYPES[dtype]
    d.N, d.H, d.W, d.C = images
    pair(scale, d.scale)
    d.bilinear, d.align_corners = bilinear, align_corners
    return plan.made(cnnfast_upsample2d_plan(&plan.plan, &d))
