"""Two panels in one tile (csrc/kernels/common/gemm.h) have the bits of each alone, which the oracle tests."""

from typing import Any

import numpy as np
import pytest

import cnnfast

PANEL = {np.float32: 32, np.float64: 16}
"""Channels of a panel, AVX-512; other ISAs' tiles never hold two."""


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("panels", [2, 3, 4, 2.5, 5.25])
@pytest.mark.parametrize(
    ("window", "height", "width", "options"),
    [
        (1, 10, 10, {}),
        (1, 7, 14, {"activation": "relu"}),
        (1, 97, 1, {"activation": "relu6", "algorithm": "im2col"}),
        (1, 30, 11, {"stride": 3, "activation": "gelu"}),
        (3, 19, 13, {"padding": 1, "activation": "gelu"}),
        (3, 40, 27, {"padding": 1, "stride": 2}),
        (5, 13, 12, {"dilation": 2, "padding": "same", "algorithm": "im2col"}),
    ],
)
def test_two_panels_have_the_bits_of_each(
    dtype: Any, panels: float, window: int, height: int, width: int, options: dict[str, Any]
) -> None:
    rng = np.random.default_rng(7)
    channels = int(panels * PANEL[dtype])
    x = rng.standard_normal((2, height, width, 19)).astype(dtype)
    weight = rng.standard_normal((window, window, 19, channels)).astype(dtype)
    bias = rng.standard_normal(channels).astype(dtype)
    options = {"algorithm": "direct", **options}
    residual = rng.standard_normal(cnnfast.conv2d(x, weight, **options).shape).astype(dtype)
    whole = cnnfast.conv2d(x, weight, bias, residual=residual, **options)
    for begin in range(0, channels, PANEL[dtype]):
        own = np.s_[..., begin : begin + PANEL[dtype]]
        beside = np.ascontiguousarray(residual[own])
        alone = cnnfast.conv2d(x, np.ascontiguousarray(weight[own]), bias[own], residual=beside, **options)
        np.testing.assert_array_equal(whole[own], alone)


@pytest.mark.parametrize("groups", [2, 3])
def test_panels_of_one_group_alone(groups: int) -> None:
    rng = np.random.default_rng(8)
    x = rng.standard_normal((1, 12, 12, 8 * groups)).astype(np.float32)
    weight = rng.standard_normal((3, 3, 8, 32 * groups)).astype(np.float32)
    whole = cnnfast.conv2d(x, weight, padding=1, groups=groups, algorithm="direct")
    for i in range(groups):
        inputs, filters = np.s_[..., 8 * i : 8 * i + 8], np.s_[..., 32 * i : 32 * i + 32]
        own = np.ascontiguousarray(x[inputs]), np.ascontiguousarray(weight[filters])
        np.testing.assert_array_equal(whole[filters], cnnfast.conv2d(*own, padding=1, algorithm="direct"))
