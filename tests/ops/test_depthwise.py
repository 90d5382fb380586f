"""The depthwise row: windows, dilations, lines along rows and down columns, and large images, against the oracle."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import cnnfast
from cnnfast.backends import reference

MODES = ("zeros", "reflect", "replicate", "circular")
# Every split of a row of taps into 9, 7, 5, 3 and 1, and windows whose taps lie in one column.
KERNELS = [(3, 3), (5, 5), (7, 7), (2, 4), (1, 9), (9, 1), (31, 1), (1, 1), (11, 8), (13, 31)]


def small_integers(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Their sums are exact, so that results compare bit by bit."""
    return rng.integers(-4, 5, shape).astype(np.float64)


def check(
    rng: np.random.Generator, shape: tuple[int, ...], kernel: tuple[int, int], dtype: Any = np.float32, **how: Any
) -> None:
    x, weight = (small_integers(rng, *size).astype(dtype) for size in (shape, (*kernel, shape[3], 1)))
    bias = small_integers(rng, shape[3]).astype(dtype)
    expected = reference.depthwise_conv2d(x, weight, bias, **how)
    residual = small_integers(rng, *expected.shape).astype(dtype)
    y = cnnfast.depthwise_conv2d(x, weight, bias, algorithm="depthwise", residual=residual, **how)
    assert y.dtype == dtype
    assert np.array_equal(y, expected + residual)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kernel", KERNELS)
def test_windows(rng: np.random.Generator, kernel: tuple[int, int], dtype: type) -> None:
    """Dilation 1 to 3 and stride 1 to 3, alone and together, borders narrower and wider than a tile."""
    pad = tuple((r // 2, (r + 1) // 2) for r in kernel)
    for i, mode in enumerate(MODES):
        for stride, dilation in (
            ((1, 1), (1, 1)),
            ((1, 1), (2, 2)),
            ((2, 2), (1, 1)),
            ((2, 1), (2, 3)),
            ((2, 1), (2, 1)),
            ((3, 2), (1, 2)),
        ):
            size = [max(16 + i, (r - 1) * d + 2) for r, d in zip(kernel, dilation, strict=True)]
            check(
                rng, (2, *size, 19 + 16 * i), kernel, dtype,
                stride=stride, dilation=dilation, padding=pad, padding_mode=mode,
            )  # fmt: skip


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("activation", [None, "relu", "relu6", ("leaky_relu", 0.5)])
@pytest.mark.parametrize("kernel", [(3, 3), (5, 5)])
def test_first_vector_ends_at_a_cache_line_of_y(
    rng: np.random.Generator, past_line: Callable[..., np.ndarray], kernel: tuple[int, int], activation: Any
) -> None:
    """Weights are then read from between vectors; more channels than a block."""
    x = small_integers(rng, 1, 9, 10, 320).astype(np.float32)
    weight = small_integers(rng, *kernel, 320, 1).astype(np.float32)
    residual = small_integers(rng, *x.shape).astype(np.float32)
    how: dict[str, Any] = {"padding": 1 if kernel == (3, 3) else 2, "activation": activation}
    plan = cnnfast.plan_depthwise_conv2d(x.shape, weight, algorithm="depthwise", **how)
    pad = (how["padding"],) * 2
    sums = reference.depthwise_conv2d(x, weight, padding=(pad, pad)) + residual
    expected = reference.activate(sums, activation if isinstance(activation, tuple) else (activation, 0.0))
    for offset in range(0, 64, 12):
        y = past_line(x.shape, offset)
        assert np.array_equal(plan(x, residual=residual, out=y), expected), offset


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize(("kernel", "dilation"), [((3, 3), 1), ((3, 3), 2), ((1, 7), 1), ((7, 1), 1)])
def test_more_than_the_caches_hold(
    rng: np.random.Generator, past_line: Callable[..., np.ndarray], kernel: tuple[int, int], dilation: int
) -> None:
    """Bands of rows, and stores past the caches: a plan for a batch that no cache holds, run with a smaller one."""
    x = small_integers(rng, 2, 61, 50, 48).astype(np.float32)
    weight = small_integers(rng, *kernel, 48, 1).astype(np.float32)
    pad = tuple((dilation * (r // 2),) * 2 for r in kernel)
    how: dict[str, Any] = {"padding": pad, "dilation": (dilation, dilation), "activation": "relu6"}
    plan = cnnfast.plan_depthwise_conv2d((2000, *x.shape[1:]), weight, algorithm="depthwise", **how)
    y = plan(x, out=past_line(x.shape, 0))  # whole vectors of it are whole cache lines
    assert np.array_equal(
        y, np.clip(reference.depthwise_conv2d(x, weight, padding=pad, dilation=(dilation, dilation)), 0, 6)
    )


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("channels", [1024, 2048])
@pytest.mark.parametrize("kernel", [(3, 3), (1, 5), (5, 1)])
def test_pixels_that_would_collide(rng: np.random.Generator, kernel: tuple[int, int], channels: int) -> None:
    """A multiple of 4 KB apart: copied closer together."""
    check(rng, (1, 7, 8, channels), kernel, padding=((1, 1), (2, 1)), padding_mode="replicate")
    check(rng, (1, 7, 8, channels // 2), kernel, np.float64, padding=((1, 1), (2, 1)), stride=(2, 1))
