"""The arithmetic of shapes against what it stands for: windows counted one by one."""

from itertools import product

import pytest

from cnnfast.ops import shapes


def windows(size: int, kernel: int, stride: int, before: int, after: int, dilation: int) -> list[list[int]]:
    """Positions of each window's taps; all windows that end inside the padded input."""
    reach = dilation * (kernel - 1)
    starts = range(-before, size + after - reach, stride)
    return [[start + tap * dilation for tap in range(kernel)] for start in starts]


def test_conv_size_counts_windows() -> None:
    for size, kernel, stride, before, after, dilation in product(
        range(1, 7), range(1, 5), range(1, 4), range(3), range(3), (1, 2)
    ):
        expected = len(windows(size, kernel, stride, before, after, dilation))
        if expected:
            assert shapes.conv_size(size, kernel, stride, (before, after), dilation) == expected
        else:
            with pytest.raises(ValueError, match="weight must fit the padded input"):
                shapes.conv_size(size, kernel, stride, (before, after), dilation)


def test_pool_size_counts_windows_that_meet_the_input() -> None:
    refused = 0
    for size, kernel, stride, before, after, dilation, ceil_mode in product(
        range(1, 7), range(1, 5), range(1, 4), range(3), range(3), (1, 2, 4, 5), (False, True)
    ):
        if max(before, after) > kernel // 2:
            continue
        expected = windows(size, kernel, stride, before, after, dilation)
        if expected and ceil_mode and (size + before + after - dilation * (kernel - 1) - 1) % stride:
            start = expected[-1][0] + stride
            if start < size:  # else it would be dropped: it starts behind the input
                expected.append([start + tap * dilation for tap in range(kernel)])
        arguments = (size, kernel, stride, (before, after), dilation, ceil_mode)
        if expected and all(any(0 <= tap < size for tap in window) for window in expected):
            assert shapes.pool_size(*arguments) == len(expected)
        else:
            refused += bool(expected)
            with pytest.raises(ValueError, match=r"every pooling window must meet|kernel_size must fit"):
                shapes.pool_size(*arguments)
    assert refused  # some windows did step over the input


def test_a_window_that_steps_over_the_input_is_found_quickly() -> None:
    huge = 2**30
    with pytest.raises(ValueError, match="steps over"):
        shapes.pool_size(huge - 1, 2, 1, (1, 1), huge)
    assert shapes.pool_size(huge, 2, 1, (1, 1), huge) == 2


def test_same_is_tensorflows() -> None:
    """ceil(size / stride) windows; the odd pixel after; no more than needed."""
    for size, kernel, stride, dilation in product(range(1, 12), range(1, 6), range(1, 5), (1, 2, 3)):
        before, after = shapes.same_padding(size, kernel, stride, dilation)
        assert after - before in (0, 1)
        assert shapes.conv_size(size, kernel, stride, (before, after), dilation) == -(size // -stride)
        if after:
            reach = (-(size // -stride) - 1) * stride + shapes.dilated(kernel, dilation)
            assert size + before + after == reach


@pytest.mark.parametrize(("size", "kernel", "stride", "expected"), [(28, 3, 2, (0, 1)), (28, 3, 1, (1, 1)),
                                                                    (5, 2, 1, (0, 1)), (4, 1, 2, (0, 0))])  # fmt: skip
def test_same_examples(size: int, kernel: int, stride: int, expected: tuple[int, int]) -> None:
    assert shapes.same_padding(size, kernel, stride) == expected


def test_transposed_inverts_conv() -> None:
    for size, kernel, stride, pad, dilation in product(range(1, 9), range(1, 4), range(1, 4), range(2), (1, 2)):
        if size + 2 * pad < shapes.dilated(kernel, dilation):
            continue
        y = shapes.conv_size(size, kernel, stride, (pad, pad), dilation)
        rest = (size + 2 * pad - shapes.dilated(kernel, dilation)) % stride
        assert shapes.conv_transpose_size(y, kernel, stride, (pad, pad), rest, dilation) == size


def test_transposed_same_multiplies_by_the_stride() -> None:
    for size, kernel, stride, dilation in product(range(1, 6), range(1, 6), range(1, 5), (1, 2)):
        sides, extra = shapes.transpose_same_padding(kernel, stride, dilation)
        assert shapes.conv_transpose_size(size, kernel, stride, sides, extra, dilation) == size * stride
        if not extra:  # the transpose of the "same" convolution of that size
            assert sides == shapes.same_padding(size * stride, kernel, stride, dilation)


def test_split_and_join() -> None:
    assert shapes.split((2, 3, 4, 5), "NHWC") == (2, 3, 4, 5)
    assert shapes.split((2, 5, 3, 4), "NCHW") == (2, 3, 4, 5)
    for layout in ("NHWC", "NCHW"):
        assert shapes.split(shapes.join(2, 3, 4, 5, layout), layout) == (2, 3, 4, 5)
