"""The row `narrow`: few filters over many channels, against the chain in float64, its bits, and who takes it."""

from itertools import product
from typing import Any

import numpy as np
import pytest

import cnnfast
from cnnfast.backends import native

ROW = "narrow"


@pytest.mark.parametrize("filters", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_edge(filters: int, dtype: Any, rng: np.random.Generator) -> None:
    """Whole tiles and parts of one, whole vectors of channels, parts of one, and parts of 16."""
    for channels, width in product([8, 11, 16, 23, 48, 61], [3, 8, 12, 29]):
        x, weight = rng.standard_normal((2, 5, width, channels)), rng.standard_normal((3, 2, channels, filters))
        bias = rng.standard_normal(filters)
        right = cnnfast.conv2d(x, weight, bias, algorithm="direct")
        y = cnnfast.conv2d(x.astype(dtype), weight.astype(dtype), bias.astype(dtype), algorithm=ROW)
        assert np.abs(y - right).max() < (1e-12 if dtype is np.float64 else 1e-4)


@pytest.mark.parametrize(
    "settings",
    [
        {"stride": 2},
        {"stride": (1, 3), "padding": 1},
        {"dilation": 2, "padding": 2},
        {"dilation": (1, 3), "stride": 2, "padding": "same"},
        {"padding": 1, "padding_mode": "reflect"},
        {"padding": 1, "padding_mode": "circular"},
        {"padding": 1, "padding_mode": "replicate"},
        {"padding": 1, "activation": "relu6"},
        {"padding": 1, "activation": "tanh"},
        {"padding": 1, "layout": "NCHW"},
    ],
)
@pytest.mark.parametrize("with_residual", [False, True])
def test_windows_and_epilogue(settings: dict[str, Any], with_residual: bool, rng: np.random.Generator) -> None:
    first = settings.get("layout") == "NCHW"
    x, weight = 3 * rng.standard_normal((2, 14, 30, 19)), rng.standard_normal((3, 3, 19, 3))
    if first:
        x, weight = x.transpose(0, 3, 1, 2), weight.transpose(3, 2, 0, 1)
    right = cnnfast.conv2d(x, weight, algorithm="direct", **settings)
    residual = rng.standard_normal(right.shape) if with_residual else None
    right = cnnfast.conv2d(x, weight, residual=residual, algorithm="direct", **settings)
    assert np.abs(cnnfast.conv2d(x, weight, residual=residual, algorithm=ROW, **settings) - right).max() < 1e-11


def test_channels_of_wider_pixels(rng: np.random.Generator) -> None:
    """The others are left as they are."""
    x, weight = rng.standard_normal((1, 9, 21, 16), np.float32), rng.standard_normal((3, 3, 16, 3), np.float32)
    plan = cnnfast.plan_conv2d(x.shape, weight, padding=1, activation="relu", algorithm=ROW)
    wide = rng.standard_normal((1, 9, 21, 8), np.float32)
    before = wide.copy()
    plan(x, out=wide[..., 2:5])
    assert np.array_equal(wide[..., 2:5], plan(x))
    assert np.array_equal(wide[..., [0, 1, 5, 6, 7]], before[..., [0, 1, 5, 6, 7]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_sum_on_every_isa_and_thread(dtype: Any, rng: np.random.Generator) -> None:
    x = rng.standard_normal((2, 17, 23, 37)).astype(dtype)
    weight = rng.standard_normal((3, 3, 37, 5)).astype(dtype)
    isa, threads, found = native.isa(), cnnfast.get_num_threads(), []
    try:
        for name, count in product([each for each in native.isas() if each != "baseline"], [1, 2, 5]):
            native.set_isa(name)
            cnnfast.set_num_threads(count)
            found.append(cnnfast.conv2d(x, weight, padding=1, algorithm=ROW))
    finally:
        native.set_isa(isa)
        cnnfast.set_num_threads(threads)
    assert all(np.array_equal(each, found[0]) for each in found)


@pytest.mark.parametrize("channels", [8, 64])
def test_error_beside_direct(channels: int, rng: np.random.Generator) -> None:
    """Root mean square, on normal data: sixteen short chains err less than a long one."""
    x = rng.standard_normal((1, 40, 40, channels), np.float32)
    weight = rng.standard_normal((3, 3, channels, 3), np.float32)
    right = cnnfast.conv2d(x.astype(np.float64), weight.astype(np.float64), algorithm="direct")
    mine, direct = (
        np.sqrt(np.mean((cnnfast.conv2d(x, weight, algorithm=each) - right) ** 2)) for each in (ROW, "direct")
    )
    assert mine < direct


def test_who_takes_it() -> None:
    def chosen(shape: tuple[int, ...], weight: tuple[int, ...], **settings: Any) -> str:
        return cnnfast.plan_conv2d(shape, np.ones(weight, np.float32), **settings).algorithm

    assert chosen((1, 128, 128, 64), (3, 3, 64, 3), padding=1) == ROW  # the last layer of a network that makes pictures
    assert chosen((1, 32, 32, 512), (3, 3, 512, 1), padding=1) == ROW  # a discriminator's
    assert chosen((1, 128, 128, 64), (3, 3, 64, 3), padding=1, precision="strict") == "direct"
    assert chosen((1, 128, 128, 64), (3, 3, 64, 16), padding=1) != ROW
    assert chosen((1, 128, 128, 64), (1, 1, 64, 2)) == "direct"
    for shape, weight, settings in (
        ((1, 8, 8, 7), (3, 3, 7, 2), {}),
        ((1, 8, 8, 16), (3, 3, 16, 7), {}),
        ((1, 8, 8, 16), (3, 3, 8, 2), {"groups": 2}),
        ((1, 8, 8, 16), (3, 3, 16, 2), {"precision": "strict"}),
    ):
        with pytest.raises(ValueError, match="narrow"):
            cnnfast.plan_conv2d(shape, np.ones(weight, np.float32), algorithm=ROW, **settings)
