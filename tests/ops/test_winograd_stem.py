"""The row `winograd_stem`: F(2x2, 3x3) of few channels, against the chain in float64, and its bits."""

from itertools import product
from typing import Any

import numpy as np
import pytest

import cnnfast

ROW = "winograd_stem"


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_every_edge(channels: int, rng: np.random.Generator) -> None:
    """From one output to several strips, odd and even, whole vectors of channels and parts of one."""
    for size, K in product([(3, 3), (4, 3), (5, 9), (17, 16), (6, 300), (7, 1030)], [1, 8, 16, 40]):
        x, weight = rng.standard_normal((2, *size, channels)), rng.standard_normal((3, 3, channels, K))
        bias = rng.standard_normal(K)
        y = cnnfast.conv2d(x, weight, bias, algorithm=ROW)
        assert np.abs(y - cnnfast.conv2d(x, weight, bias, algorithm="direct")).max() < 1e-12


@pytest.mark.parametrize(
    "settings",
    [
        {"padding_mode": "reflect"},
        {"padding_mode": "circular"},
        {"padding_mode": "replicate"},
        {"activation": "relu"},
        {"activation": "relu6"},
        {"activation": "tanh"},
    ],
)
@pytest.mark.parametrize("with_residual", [False, True])
def test_padding_and_epilogue(settings: dict[str, Any], with_residual: bool, rng: np.random.Generator) -> None:
    x, weight = 3 * rng.standard_normal((2, 13, 30, 3)), rng.standard_normal((3, 3, 3, 32))
    residual = rng.standard_normal((2, 13, 30, 32)) if with_residual else None
    y = cnnfast.conv2d(x, weight, padding=1, residual=residual, algorithm=ROW, **settings)
    assert (
        np.abs(y - cnnfast.conv2d(x, weight, padding=1, residual=residual, algorithm="direct", **settings)).max()
        < 1e-12
    )


@pytest.mark.parametrize("channels", [1, 3])
def test_error_beside_direct(channels: int, rng: np.random.Generator) -> None:
    """Root mean square, on normal data."""
    x = rng.standard_normal((1, 60, 60, channels), dtype=np.float32)
    weight = rng.standard_normal((3, 3, channels, 16), dtype=np.float32)
    right = cnnfast.conv2d(x.astype(np.float64), weight.astype(np.float64), algorithm="direct")
    mine, direct = (
        np.sqrt(np.mean((cnnfast.conv2d(x, weight, algorithm=each) - right) ** 2)) for each in (ROW, "direct")
    )
    assert mine <= 2.5 * direct


def test_who_takes_it() -> None:
    def chosen(shape: tuple[int, ...], weight: tuple[int, ...], **settings: Any) -> str:
        return cnnfast.plan_conv2d(shape, np.ones(weight, np.float32), **settings).explain().algorithm

    assert chosen((1, 224, 224, 3), (3, 3, 3, 64), padding=1) == ROW
    assert chosen((1, 28, 28, 1), (3, 3, 1, 32)) == ROW
    assert chosen((1, 224, 224, 3), (3, 3, 3, 64), padding=1, precision="strict") == "direct"
    for weight, settings in [
        ((3, 3, 5, 16), {}),
        ((3, 3, 3, 16), {"stride": 2}),
        ((3, 3, 3, 16), {"dilation": 2}),
        ((5, 5, 3, 16), {}),
        ((3, 3, 1, 15), {"groups": 3}),
    ]:
        with pytest.raises(ValueError, match=rf'"{ROW}" does not take this problem'):
            cnnfast.plan_conv2d(
                (1, 24, 24, weight[2] * settings.get("groups", 1)),
                np.ones(weight, np.float32),
                algorithm=ROW,
                **settings,
            )
