"""The only output-size and padding arithmetic in Python. One axis at a time; `axis` is "height" or "width".

Letters: N H W C input, P Q K output, R S kernel. The convolution rules are those of Dumoulin and Visin, "A guide to
convolution arithmetic for deep learning", arXiv:1603.07285.
"""

from collections.abc import Sequence

from cnnfast.ops.checks import Pair, Sides, SidesOrSame

AXES = ("height", "width")
NO_PADDING: Sides = ((0, 0), (0, 0))


def split(shape: Sequence[int], layout: str) -> tuple[int, int, int, int]:
    """(N, H, W, C) of a shape in the layout's order."""
    if layout == "NHWC":
        N, H, W, C = shape
    else:
        N, C, H, W = shape
    return N, H, W, C


def join(N: int, H: int, W: int, C: int, layout: str) -> tuple[int, int, int, int]:
    """A shape in the layout's order."""
    return (N, H, W, C) if layout == "NHWC" else (N, C, H, W)


def dilated(kernel: int, dilation: int) -> int:
    """Pixels from a dilated kernel's first tap to its last, both counted."""
    return dilation * (kernel - 1) + 1


def same_padding(size: int, kernel: int, stride: int, dilation: int = 1) -> Pair:
    """(before, after) such that ceil(size / stride) windows fit; an odd pixel goes after, as in TensorFlow.

    >>> same_padding(28, 3, 1), same_padding(28, 3, 2)
    ((1, 1), (0, 1))
    """
    count = -(size // -stride)
    total = max((count - 1) * stride + dilated(kernel, dilation) - size, 0)
    return total // 2, total - total // 2


def conv_size(size: int, kernel: int, stride: int = 1, padding: Pair = (0, 0), dilation: int = 1,
              axis: str = "height", name: str = "weight") -> int:  # fmt: skip
    """floor((size + before + after - dilated kernel) / stride) + 1; `name`: the argument that says the kernel's size.

    >>> conv_size(28, 3, stride=2, padding=(0, 1))
    14
    """
    room = size + sum(padding) - dilated(kernel, dilation)
    if room < 0:
        raise _too_large(name, size, kernel, padding, dilation, axis)
    return room // stride + 1


def conv_transpose_size(size: int, kernel: int, stride: int = 1, padding: Pair = (0, 0), output_padding: int = 0,
                        dilation: int = 1, axis: str = "height") -> int:  # fmt: skip
    """(size - 1) * stride + dilated kernel + output_padding - before - after.

    >>> conv_transpose_size(28, 2, stride=2)
    56
    """
    if output_padding >= stride:
        raise ValueError(f"output_padding must be < stride, got {output_padding} with stride {stride} along the {axis}")
    full = (size - 1) * stride + dilated(kernel, dilation) + output_padding
    if full - sum(padding) < 1:
        raise ValueError(f"padding must leave an output, got {padding} of {full} along the {axis}")
    return full - sum(padding)


def transpose_same_padding(kernel: int, stride: int, dilation: int = 1) -> tuple[Pair, int]:
    """((before, after), output_padding) that make a transposed convolution's output size * stride: the transpose of the
    "same" convolution of that size, as in TensorFlow."""
    spare = dilated(kernel, dilation) - stride
    return (max(spare, 0) // 2, max(spare, 0) - max(spare, 0) // 2), max(-spare, 0)


def pool_size(size: int, kernel: int, stride: int = 1, padding: Pair = (0, 0), dilation: int = 1,
              ceil_mode: bool = False, axis: str = "height") -> int:  # fmt: skip
    """How many windows a pool has along one axis.

    Without ceil_mode as conv_size. With it the division rounds up, so the last window may run past the end, but one
    that would start behind the input is dropped (torch's rule). One window at least must fit whole (torch lets
    ceil_mode cut the only one). A window all of whose taps fall into the padding is an error.

    >>> pool_size(5, 2, stride=2), pool_size(5, 2, stride=2, ceil_mode=True)
    (2, 3)
    """
    room = size + sum(padding) - dilated(kernel, dilation)
    if room < 0:
        raise _too_large("kernel_size", size, kernel, padding, dilation, axis)
    count = (room + (stride - 1 if ceil_mode else 0)) // stride + 1
    if ceil_mode and (count - 1) * stride >= size + padding[0]:
        count -= 1
    _refuse_empty_windows(count, size, stride, padding[0], dilation, axis)
    return count


def _refuse_empty_windows(count: int, size: int, stride: int, before: int, dilation: int, axis: str) -> None:
    """A window that starts in the padding may step over the whole input where the dilation is larger than that."""
    start, end = -before, min(0, -before + (count - 1) * stride + 1)
    while dilation > size and start < end:
        tap = start % dilation  # the window's first tap that is not in the padding before the input
        if tap >= size:
            raise ValueError(
                f"every pooling window must meet the input: with padding {before} and dilation {dilation} one steps "
                f"over the whole {axis} of {size}"
            )
        start += -((size - tap) // -stride) * stride


def check_pool_padding(padding: Sides, kernel: Pair) -> None:
    """A pool's padding is at most half its window, as in torch: more would give windows of padding alone."""
    for sides, k, axis in zip(padding, kernel, AXES, strict=True):
        if max(sides) > k // 2:
            raise ValueError(
                f"padding of a pool must be <= half of kernel_size, got {max(sides)} with kernel_size {k} "
                f"along the {axis}"
            )


def check_padding_mode(mode: str, padding: Sides, size: Pair) -> None:
    """reflect needs padding < size and circular padding <= size: beyond that they would have to repeat themselves."""
    if mode not in ("reflect", "circular"):
        return
    for sides, n, axis in zip(padding, size, AXES, strict=True):
        limit = n - 1 if mode == "reflect" else n
        if max(sides) > limit:
            raise ValueError(f'padding must be <= {limit} for padding_mode "{mode}" with {axis} {n}, got {max(sides)}')


def unpool_size(size: int, kernel: int, stride: int, padding: int, axis: str = "height") -> int:
    """The size a floor-mode pool without a remainder came from: (size - 1) * stride - 2 * padding + kernel."""
    result = (size - 1) * stride - 2 * padding + kernel
    if result < 1:
        raise ValueError(f"padding must leave an output, got {padding} along the {axis}")
    return result


def resolve(padding: SidesOrSame, size: Pair, kernel: Pair, stride: Pair, dilation: Pair) -> Sides:
    """Padding per side, "same" worked out."""
    if padding != "same":
        return padding
    top, left = (same_padding(size[i], kernel[i], stride[i], dilation[i]) for i in range(2))
    return top, left


def _too_large(name: str, size: int, kernel: int, padding: Pair, dilation: int, axis: str) -> ValueError:
    return ValueError(
        f"{name} must fit the padded input: its {axis} is {dilated(kernel, dilation)} (size {kernel}, dilation "
        f"{dilation}), the input's is {size + sum(padding)} ({size} and padding {padding})"
    )
