"""Plans whose input, weights and output lie in layouts of their own: the bits of one layout throughout."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import cnnfast
from cnnfast.ops.options import Layouts
from cnnfast.ops.pool_plan import plan_pool2d

X = (2, 9, 12, 6)
MIXED = [Layouts(*each) for each in itertools.product(("NHWC", "NCHW"), repeat=3)]


def images(array: Any, layout: str) -> Any:
    """An NHWC array in this layout."""
    return array if layout == "NHWC" else np.ascontiguousarray(array.transpose(0, 3, 1, 2))


def filters(weight: Any, layout: str) -> Any:
    """(R, S, C, K) as (K, C, R, S)."""
    return weight if layout == "NHWC" else np.ascontiguousarray(weight.transpose(3, 2, 0, 1))


def depthwise_filters(weight: Any, layout: str) -> Any:
    return filters(weight.reshape(*weight.shape[:2], 1, -1), layout) if layout == "NCHW" else weight


Case = tuple[Callable[..., Any], tuple[int, ...], str, dict[str, Any], Callable[[Any, str], Any]]
CASES: dict[str, Case] = {
    "conv2d": (cnnfast.plan_conv2d, (3, 3, 6, 5), "float32", {"padding": 1, "activation": "relu"}, filters),
    "conv2d of float64": (cnnfast.plan_conv2d, (3, 2, 6, 5), "float64", {"stride": 2}, filters),
    "conv2d of groups": (cnnfast.plan_conv2d, (3, 3, 3, 4), "float32", {"groups": 2}, filters),
    "conv2d of integers": (cnnfast.plan_conv2d, (3, 3, 6, 5), "int8", {"padding": 1}, filters),
    "conv2d to one channel": (cnnfast.plan_conv2d, (1, 1, 6, 1), "float32", {}, filters),
    "depthwise": (cnnfast.plan_depthwise_conv2d, (3, 3, 6, 2), "float32", {"padding": "same"}, depthwise_filters),
    "transposed": (cnnfast.plan_conv_transpose2d, (3, 2, 4, 6), "float32", {"stride": 2}, filters),
}


def numbers(shape: tuple[int, ...], dtype: str) -> Any:
    random = np.random.default_rng(3)
    values = random.integers(-5, 6, shape) if dtype == "int8" else random.standard_normal(shape)
    return values.astype(dtype)


@pytest.mark.parametrize("layouts", MIXED, ids="-".join)
@pytest.mark.parametrize("case", CASES)
def test_convolution(case: str, layouts: Layouts) -> None:
    make, weight_shape, dtype, options, turned = CASES[case]
    x, weight = numbers(X, dtype), numbers(weight_shape, dtype)
    plain = make(X, weight, **options)
    residual = numbers(plain.output_shape(), dtype) if dtype != "int8" else None
    expected = images(plain(x, residual), layouts.y)

    plan = make(images(x, layouts.x).shape, turned(weight, layouts.weight), layout=layouts, **options)
    assert plan.output_shape() == expected.shape
    added = None if residual is None else images(residual, layouts.y)
    out = np.empty_like(expected)
    assert plan(images(x, layouts.x), added, out) is out
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("layouts", MIXED[::2], ids="-".join)
@pytest.mark.parametrize("op", ["max_pool2d", "avg_pool2d", "min_pool2d"])
def test_pool(op: str, layouts: Layouts) -> None:
    x = numbers(X, "float32")
    expected = images(getattr(cnnfast, op)(x, 3, 2, padding=1), layouts.y)
    plan = plan_pool2d(op, images(x, layouts.x).shape, 3, 2, padding=1, layout=layouts)
    np.testing.assert_array_equal(plan(images(x, layouts.x)), expected)


def test_a_network_of_images_that_come_as_nchw() -> None:
    """NCHW in, NHWC between, NCHW out: stages of a chain, and of one fused plan."""
    x = numbers((1, 3, 16, 20), "float32")
    w = numbers((3, 3, 3, 8), "float32")
    conv = cnnfast.plan_conv2d(x.shape, w, padding=1, layout=Layouts("NCHW", "NHWC", "NHWC"))
    pool = plan_pool2d("max_pool2d", conv.output_shape(), 2, layout=Layouts("NHWC", "NHWC", "NCHW"))
    expected = cnnfast.max_pool2d(cnnfast.conv2d(x.transpose(0, 2, 3, 1), w, padding=1, algorithm=conv.algorithm), 2)
    np.testing.assert_array_equal(pool(conv(x)), expected.transpose(0, 3, 1, 2))


def test_other_ops_have_one_layout() -> None:
    with pytest.raises(TypeError, match="layout must be"):
        cnnfast.plan_separable_conv2d(
            (1, 6, 8, 8), np.ones((3, 3, 6, 1), np.float32), np.ones((1, 1, 6, 4), np.float32),
            layout=Layouts("NCHW", "NHWC", "NHWC"),
        )  # fmt: skip
    with pytest.raises(ValueError, match="layout must be"):
        cnnfast.plan_conv2d(X, np.ones((3, 3, 6, 1), np.float32), layout=Layouts("NCWH", "NHWC", "NHWC"))
    with pytest.raises(TypeError, match="layout must be"):
        cnnfast.plan_conv2d(X, np.ones((3, 3, 6, 1), np.float32), layout=("NHWC", "NHWC", "NHWC"))  # type: ignore[arg-type]
