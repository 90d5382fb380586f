"""y as some channels of a wider array: every row of every table writes those, with its own bits, and no others."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import cnnfast
from cnnfast.backends import native
from cnnfast.ops import chain
from cnnfast.ops.pool_plan import plan_pool2d

POISON = np.float32(-777.25)


def floats(shape: tuple[int, ...], seed: int = 1) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


X = (2, 9, 12, 24)
Case = tuple[Callable[..., Any], tuple[int, ...], tuple[Any, ...], dict[str, Any]]
CASES: dict[str, Case] = {
    "3x3": (cnnfast.plan_conv2d, X, (floats((3, 3, 24, 40)),), {"padding": 1, "activation": "relu"}),
    "3x3, whole vectors": (cnnfast.plan_conv2d, X, (floats((3, 3, 24, 32)),), {"padding": 1}),
    "3x3, a long activation": (cnnfast.plan_conv2d, X, (floats((3, 3, 24, 20)),), {"padding": 1, "activation": "silu"}),
    "3x3 dilated": (cnnfast.plan_conv2d, X, (floats((3, 3, 24, 16)),), {"padding": 2, "dilation": 2}),
    "1x1": (cnnfast.plan_conv2d, X, (floats((1, 1, 24, 40)),), {}),
    "1x1 stride 2": (cnnfast.plan_conv2d, X, (floats((1, 1, 24, 40)),), {"stride": 2, "activation": "mish"}),
    "5x5": (cnnfast.plan_conv2d, X, (floats((5, 5, 24, 9)),), {"padding": 2}),
    "7x7 of 3 channels": (cnnfast.plan_conv2d, (1, 21, 23, 3), (floats((7, 7, 3, 64)),), {"padding": 3, "stride": 2}),
    "3x3 of 3 channels": (
        cnnfast.plan_conv2d, (2, 12, 14, 3), (floats((3, 3, 3, 40)),), {"padding": 1, "activation": "gelu"},
    ),
    "to 5 channels": (cnnfast.plan_conv2d, (2, 12, 14, 1), (floats((5, 5, 1, 5)),), {"activation": "tanh"}),
    "1x3": (cnnfast.plan_conv2d, X, (floats((1, 3, 24, 7)),), {}),
    "11x11": (cnnfast.plan_conv2d, X, (floats((11, 11, 24, 8)),), {"padding": 5}),
    "groups": (cnnfast.plan_conv2d, X, (floats((3, 3, 4, 24)),), {"padding": 1, "groups": 6, "activation": "elu"}),
    "depthwise": (cnnfast.plan_depthwise_conv2d, X, (floats((3, 3, 24, 1)),), {"padding": 1, "activation": "silu"}),
    "depthwise stride 2": (cnnfast.plan_depthwise_conv2d, X, (floats((3, 3, 24, 1)),), {"stride": 2}),
    "depthwise 5x5": (cnnfast.plan_depthwise_conv2d, X, (floats((5, 5, 24, 1)),), {"activation": "relu6"}),
    "depthwise multiplied": (cnnfast.plan_depthwise_conv2d, X, (floats((3, 3, 24, 2)),), {"padding": 1}),
    "depthwise, wide": (cnnfast.plan_depthwise_conv2d, (1, 9, 8, 256), (floats((3, 3, 256, 1)),), {"padding": 1}),
    "transposed": (
        cnnfast.plan_conv_transpose2d, X, (floats((3, 3, 20, 24)),), {"stride": 2, "activation": "sigmoid"},
    ),
    "transposed 2x2": (cnnfast.plan_conv_transpose2d, X, (floats((2, 2, 16, 24)),), {"stride": 2}),
    "separable": (
        cnnfast.plan_separable_conv2d, X, (floats((3, 3, 24, 1)), floats((1, 1, 24, 40))), {"padding": 1},
    ),
    "inverted residual": (
        cnnfast.plan_inverted_residual2d, X, (floats((1, 1, 24, 48)), floats((3, 3, 48, 1)), floats((1, 1, 48, 24))),
        {"padding": 1},
    ),
    "conv and pool": (cnnfast.plan_conv2d_max_pool2d, X, (floats((3, 3, 24, 16)),), {"pool_size": 2}),
}  # fmt: skip


def rows() -> Iterator[Any]:
    for name, (make, shape, weights, options) in CASES.items():
        for row in make(shape, *weights, **options).explain().candidates:
            if row.accepts:
                yield pytest.param(name, row.algorithm, id=f"{name}: {row.algorithm}")


def slices(channels: int) -> Iterator[tuple[int, int]]:
    """(the first channel, how many there are in all)"""
    yield 0, channels + 1
    yield 5, channels + 8
    yield 16, 16 * ((channels + 15) // 16) + 32  # where a vector may lie as y's do


def check(plan: Any, x: Any, residual: Any) -> None:
    expected = plan(x, residual)
    *outer, channels = expected.shape
    for first, wide in slices(channels):
        whole = np.full((*outer, wide), POISON)
        y = whole[..., first : first + channels]
        assert plan.native.run(x, residual, y), "written in place, without a copy"
        np.testing.assert_array_equal(y, expected)
        y[...] = POISON
        assert (whole == POISON).all()

        ends = (x,) if residual is None else (x, residual)
        step = (plan.native, len(x), 0, None if residual is None else 1, y)
        chain.Run([step], [end.shape for end in ends])(ends)
        np.testing.assert_array_equal(y, expected)
        if residual is not None:
            y[...] = residual
            chain.Run([(plan.native, len(x), 0, 1, 1)], [x.shape, y.shape])((x, y))
            np.testing.assert_array_equal(y, expected)
        y[...] = POISON
        assert (whole == POISON).all()


@pytest.mark.parametrize(("name", "row"), list(rows()))
@pytest.mark.parametrize("adding", [False, True])
def test_convolution(name: str, row: str, adding: bool) -> None:
    make, shape, weights, options = CASES[name]
    plan = make(shape, *weights, **options, algorithm=row)
    if adding and name == "conv and pool":
        pytest.skip("it adds none")
    check(plan, floats(shape), floats(plan.output_shape(), 2) if adding else None)


@pytest.mark.parametrize("op", ["max_pool2d", "min_pool2d", "avg_pool2d"])
@pytest.mark.parametrize("channels", [3, 8, 24, 64, 300])
@pytest.mark.parametrize("window", [(2, 2), (3, 2), (3, 1), (5, 1)])
def test_pool(op: str, channels: int, window: tuple[int, int]) -> None:
    x = floats((2, 9, 12, channels))
    check(plan_pool2d(op, x.shape, *window, padding=window[0] // 2 if window[0] > 2 else 0), x, None)
    x[:, ::3, ::2] = np.nan
    check(plan_pool2d(op, x.shape, *window), x, None)


@pytest.mark.parametrize("dtype", ["float64", "int32", "int8"])
def test_other_dtypes(dtype: str) -> None:
    x = np.arange(2 * 5 * 6 * 4).reshape(2, 5, 6, 4).astype(dtype) % 7
    plan = cnnfast.plan_conv2d(x.shape, np.ones((2, 2, 4, 6), dtype), dtype=dtype)
    expected = plan(x)
    whole = np.full((*expected.shape[:3], 10), 99, expected.dtype)
    plan(x, out=whole[..., 3:9])
    np.testing.assert_array_equal(whole[..., 3:9], expected)
    assert (whole[..., :3] == 99).all()
    assert (whole[..., 9:] == 99).all()


def test_out_of_the_functions() -> None:
    """`out=` may be a slice of anything: what the backend cannot write goes through a copy, with the same result."""
    x, w = floats((2, 6, 7, 4)), floats((3, 3, 4, 5))
    expected = cnnfast.conv2d(x, w)
    whole = np.full((2, 4, 5, 12), POISON)
    for out in (
        whole[..., 2:7], whole[..., 2:12:2], whole[..., 6:1:-1], np.full((2, 8, 5, 5), POISON)[:, ::2],
        np.full((2, 4, 10, 5), POISON)[:, :, ::2], np.full((4, 4, 5, 5), POISON)[::2],
        np.full((2, 4, 9, 5), POISON)[:, :, :5],
    ):  # fmt: skip
        assert cnnfast.conv2d(x, w, out=out) is out
        np.testing.assert_array_equal(out, expected)
    for filters in (5, 9, 20):  # rows lie 9 apart: less than, as many as, and more than the channels
        turned, w = np.full((2, filters, 4, 9), POISON), floats((3, 3, 4, filters))
        cnnfast.conv2d(x.transpose(0, 3, 1, 2), w.transpose(3, 2, 0, 1), layout="NCHW", out=turned[..., :5])
        np.testing.assert_array_equal(turned[..., :5], cnnfast.conv2d(x, w).transpose(0, 3, 1, 2))
        assert (turned[..., 5:] == POISON).all()
    w = floats((3, 3, 4, 5))
    expected = cnnfast.conv2d(x, w)
    one = np.full((2, 1, 4, 9), POISON)  # one channel of NCHW lies as pixels do: its rows may not be taken for them
    cnnfast.conv2d(x.transpose(0, 3, 1, 2), w[..., :1].transpose(3, 2, 0, 1), layout="NCHW", out=one[..., 2:7])
    np.testing.assert_array_equal(one[..., 2:7], expected[..., :1].transpose(0, 3, 1, 2))
    assert (one[..., :2] == POISON).all()
    assert (one[..., 7:] == POISON).all()


def test_a_pool_with_indices() -> None:
    x = floats((2, 6, 8, 5))
    expected, places = cnnfast.max_pool2d(x, 2, return_indices=True)
    whole = np.full((2, 3, 4, 9), POISON)
    plan = native.plan_pool2d(x.shape, dtype="float32", kernel_size=(2, 2), stride=(2, 2), return_indices=True)
    indices = np.zeros(expected.shape, np.int64)
    assert plan.run(x, None, whole[..., 1:6], indices)
    np.testing.assert_array_equal(whole[..., 1:6], expected)
    np.testing.assert_array_equal(indices, places)
    assert (whole[..., 6:] == POISON).all()
    assert not plan.run(x, None, whole[..., 1:6], np.zeros((2, 3, 4, 9), np.int64)[..., 1:6])


def test_concatenation_in_a_chain() -> None:
    """Two branches write into one array, which a third step reads."""
    x, a, b, c = floats(X), floats((1, 1, 24, 7)), floats((3, 3, 24, 9)), floats((1, 1, 16, 4))
    first, second = cnnfast.plan_conv2d(X, a), cnnfast.plan_conv2d(X, b, padding=1)
    joined = np.empty((*X[:3], 16), np.float32)
    last = cnnfast.plan_conv2d(joined.shape, c)
    y = np.empty((*X[:3], 4), np.float32)
    steps = [
        (first.native, 2, 0, None, joined[..., :7]),
        (second.native, 2, 0, None, joined[..., 7:]),
        (last.native, 2, joined, None, 1),
    ]
    chain.Run(steps, [X, y.shape])((x, y))
    np.testing.assert_array_equal(y, last(np.concatenate([first(x), second(x)], axis=3)))
