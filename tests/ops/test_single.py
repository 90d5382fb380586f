"""The row `single`: few filters over one channel. It sums as `direct` does, so its bits are the same."""

from itertools import product
from typing import Any

import numpy as np
import pytest

import cnnfast
from cnnfast.backends import native

ROW = "single"


@pytest.mark.parametrize("filters", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_edge(filters: int, dtype: Any, rng: np.random.Generator) -> None:
    """Whole tiles and parts of one, whole vectors and parts of one; blocks of a few rows, and of one image's."""
    for width, height in product([2, 3, 9, 17, 33, 65, 200], [3, 4, 40]):
        x, weight = rng.standard_normal((2, height, width, 1)), rng.standard_normal((3, 2, 1, filters))
        x, weight, bias = x.astype(dtype), weight.astype(dtype), rng.standard_normal(filters).astype(dtype)
        y = cnnfast.conv2d(x, weight, bias, algorithm=ROW)
        assert np.array_equal(y, cnnfast.conv2d(x, weight, bias, algorithm="direct"))


@pytest.mark.parametrize(
    "settings",
    [
        {"stride": (2, 1)},
        {"stride": (3, 1), "padding": 1, "dilation": (1, 2)},
        {"dilation": 2, "padding": 2},
        {"dilation": (1, 3), "padding": "same"},
        {"padding": 1, "padding_mode": "reflect"},
        {"padding": 1, "padding_mode": "circular"},
        {"padding": 1, "padding_mode": "replicate"},
        {"padding": 1, "activation": "relu"},
        {"padding": 1, "activation": "relu6"},
        {"padding": 1, "activation": "tanh"},
        {"padding": 1, "layout": "NCHW"},
        {"padding": 1, "precision": "strict"},
    ],
)
@pytest.mark.parametrize("with_residual", [False, True])
def test_windows_and_epilogue(settings: dict[str, Any], with_residual: bool, rng: np.random.Generator) -> None:
    first = settings.get("layout") == "NCHW"
    x, weight = 3 * rng.standard_normal((2, 14, 30, 1), np.float32), rng.standard_normal((3, 3, 1, 5), np.float32)
    if first:
        x, weight = x.transpose(0, 3, 1, 2), weight.transpose(3, 2, 0, 1)
    right = cnnfast.conv2d(x, weight, algorithm="direct", **settings)
    residual = rng.standard_normal(right.shape, np.float32) if with_residual else None
    right = cnnfast.conv2d(x, weight, residual=residual, algorithm="direct", **settings)
    assert np.array_equal(cnnfast.conv2d(x, weight, residual=residual, algorithm=ROW, **settings), right)


@pytest.mark.parametrize("activation", ["relu", "silu"])
def test_channels_of_wider_pixels(activation: Any, rng: np.random.Generator) -> None:
    """The others are left as they are."""
    x, weight = rng.standard_normal((1, 9, 21, 1), np.float32), rng.standard_normal((3, 3, 1, 3), np.float32)
    plan = cnnfast.plan_conv2d(x.shape, weight, padding=1, activation=activation, algorithm=ROW)
    wide = rng.standard_normal((1, 9, 21, 8), np.float32)
    before = wide.copy()
    plan(x, out=wide[..., 2:5])
    assert np.array_equal(wide[..., 2:5], plan(x))
    assert np.array_equal(wide[..., [0, 1, 5, 6, 7]], before[..., [0, 1, 5, 6, 7]])


def test_what_is_not_a_number_stays_in_its_windows(rng: np.random.Generator) -> None:
    x, weight = rng.standard_normal((1, 12, 40, 1), np.float32), rng.standard_normal((3, 3, 1, 2), np.float32)
    x[0, 5, 16], x[0, 11, 39] = np.nan, np.inf
    y = cnnfast.conv2d(x, weight, padding=1, algorithm=ROW)
    assert np.array_equal(y, cnnfast.conv2d(x, weight, padding=1, algorithm="direct"), equal_nan=True)
    assert np.isfinite(y).all(-1).sum() == 12 * 40 - 9 - 4


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_sum_on_every_isa_and_thread(dtype: Any, rng: np.random.Generator) -> None:
    x, weight = rng.standard_normal((3, 17, 23, 1)).astype(dtype), rng.standard_normal((5, 5, 1, 6)).astype(dtype)
    isa, threads, found = native.isa(), cnnfast.get_num_threads(), []
    try:
        for name, count in product([each for each in native.isas() if each != "baseline"], [1, 2, 5]):
            native.set_isa(name)
            cnnfast.set_num_threads(count)
            found.append(cnnfast.conv2d(x, weight, padding=2, algorithm=ROW))
    finally:
        native.set_isa(isa)
        cnnfast.set_num_threads(threads)
    assert all(np.array_equal(each, found[0]) for each in found)


def test_who_takes_it() -> None:
    def chosen(shape: tuple[int, ...], weight: tuple[int, ...], **settings: Any) -> str:
        return cnnfast.plan_conv2d(shape, np.ones(weight, np.float32), **settings).algorithm

    assert chosen((64, 32, 32, 1), (5, 5, 1, 6)) == ROW  # LeNet-5's first layer
    assert chosen((1, 224, 224, 1), (3, 3, 1, 1), padding=1) == ROW  # a filter of a grey picture
    assert chosen((64, 28, 28, 1), (3, 3, 1, 32), padding=1) != ROW
    for shape, weight, settings in (
        ((1, 8, 8, 2), (3, 3, 2, 2), {}),
        ((1, 8, 8, 1), (3, 3, 1, 7), {}),
        ((1, 8, 8, 1), (3, 3, 1, 2), {"stride": 2}),
        ((1, 8, 8, 1), (1, 1, 1, 2), {}),
    ):
        with pytest.raises(ValueError, match="single"):
            cnnfast.plan_conv2d(shape, np.ones(weight, np.float32), algorithm=ROW, **settings)
