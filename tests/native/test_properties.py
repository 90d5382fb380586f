"""What holds for every convolution and pool, whatever the oracle says. Small integers, so that it holds to the bit."""

from typing import Any

import numpy as np
import pytest

import cnnfast

ROUNDS = 25
pytestmark = pytest.mark.usefixtures("isa")


@pytest.fixture(params=range(ROUNDS))
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    return np.random.default_rng(request.param)


def integers(rng: np.random.Generator, *shape: int) -> Any:
    return rng.integers(-6, 7, shape).astype(np.float32)


def geometry(rng: np.random.Generator) -> dict[str, Any]:
    pad = rng.integers(0, 3, 4).tolist()
    return {
        "stride": tuple(rng.integers(1, 4, 2).tolist()),
        "padding": ((pad[0], pad[1]), (pad[2], pad[3])),
        "dilation": tuple(rng.integers(1, 3, 2).tolist()),
    }


def sizes(rng: np.random.Generator) -> tuple[int, ...]:
    """N, H, W, C, K: any tail of channels, H and W that a 3x3 of dilation 2 fits."""
    return int(rng.integers(1, 3)), *rng.integers(5, 12, 2).tolist(), *rng.integers(1, 34, 2).tolist()


def test_transposed_convolution_is_the_adjoint(rng: np.random.Generator) -> None:
    """<conv(x), y> = <x, conv_transpose(y)>: with the same weight, whose HWIO is the other's (R, S, K/groups, C)."""
    N, H, W, C, K = sizes(rng)
    settings = geometry(rng)
    x, weight = integers(rng, N, H, W, C), integers(rng, 3, 2, C, K)
    y = cnnfast.conv2d(x, weight, **settings)
    g = integers(rng, *y.shape)
    (top, bottom), (left, right) = settings["padding"]
    reach = [(n - 1) * s + d * (k - 1) + 1 for n, s, d, k in
             zip(y.shape[1:3], settings["stride"], settings["dilation"], (3, 2), strict=True)]  # fmt: skip
    extra = H + top + bottom - reach[0], W + left + right - reach[1]
    back = cnnfast.conv_transpose2d(g, weight, **settings, output_padding=extra)
    assert back.shape == x.shape
    assert np.vdot(y.astype(np.float64), g) == np.vdot(x.astype(np.float64), back)


def test_convolution_is_linear(rng: np.random.Generator) -> None:
    N, H, W, C, K = sizes(rng)
    settings = geometry(rng)
    a, b = integers(rng, N, H, W, C), integers(rng, N, H, W, C)
    weight, bias = integers(rng, 3, 3, C, K), integers(rng, K)
    whole = cnnfast.conv2d(a + 2 * b, weight, bias, **settings)
    assert np.array_equal(
        whole, cnnfast.conv2d(a, weight, bias, **settings) + 2 * cnnfast.conv2d(b, weight, **settings)
    )


def test_groups_are_separate_convolutions(rng: np.random.Generator) -> None:
    N, H, W, C, K = sizes(rng)
    settings = geometry(rng) | {"activation": "relu"}
    x, weight = integers(rng, N, H, W, 2 * C), integers(rng, 3, 3, C, 2 * K)
    halves = [cnnfast.conv2d(x[..., g * C : (g + 1) * C], weight[..., g * K : (g + 1) * K], **settings) for g in (0, 1)]
    assert np.array_equal(cnnfast.conv2d(x, weight, **settings, groups=2), np.concatenate(halves, -1))


def test_depthwise_is_a_grouped_convolution(rng: np.random.Generator) -> None:
    N, H, W, C, _ = sizes(rng)
    settings, multiplier = geometry(rng), int(rng.integers(1, 4))
    x, weight = integers(rng, N, H, W, C), integers(rng, 3, 3, C, multiplier)
    grouped = cnnfast.conv2d(x, weight.reshape(3, 3, 1, C * multiplier), **settings, groups=C)
    assert np.array_equal(cnnfast.depthwise_conv2d(x, weight, **settings), grouped)


def test_separable_is_its_two_steps(rng: np.random.Generator) -> None:
    """On any numbers: the fused kernel's bits are those of the two."""
    N, H, W, C, K = sizes(rng)
    settings = geometry(rng)
    x, depthwise, pointwise = (rng.standard_normal(shape).astype(np.float32)
                               for shape in ((N, H, W, C), (3, 3, C, 2), (1, 1, 2 * C, K)))  # fmt: skip
    ends = {"depthwise_activation": "silu", "activation": "gelu"}
    fused = cnnfast.separable_conv2d(x, depthwise, pointwise, **ends, **settings)
    middle = cnnfast.depthwise_conv2d(x, depthwise, activation="silu", **settings)
    assert np.array_equal(fused, cnnfast.conv2d(middle, pointwise, activation="gelu"))


def test_padding_beforehand_is_padding(rng: np.random.Generator) -> None:
    N, H, W, C, K = sizes(rng)
    settings = geometry(rng)
    x, weight = integers(rng, N, H, W, C), integers(rng, 3, 3, C, K)
    for mode, numpys in {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}.items():
        padded = np.pad(x, ((0, 0), *settings["padding"], (0, 0)), mode=numpys)
        right = cnnfast.conv2d(padded, weight, **settings | {"padding": 0})
        assert np.array_equal(cnnfast.conv2d(x, weight, **settings, padding_mode=mode), right)


def test_minimum_is_the_maximum_turned_over(rng: np.random.Generator) -> None:
    N, H, W, C, _ = sizes(rng)
    x = integers(rng, N, H, W, C)
    settings = {"stride": tuple(rng.integers(1, 4, 2).tolist()), "padding": ((1, 0), (0, 1)), "ceil_mode": True}
    kernel = tuple(rng.integers(2, 5, 2).tolist())
    assert np.array_equal(cnnfast.min_pool2d(x, kernel, **settings), -cnnfast.max_pool2d(-x, kernel, **settings))


def test_pools_agree_where_they_meet(rng: np.random.Generator) -> None:
    N, H, W, C, _ = sizes(rng)
    x = integers(rng, N, 2 * H, 3 * W, C)
    adaptive = cnnfast.adaptive_max_pool2d(x, (H, W), return_indices=True)
    window = cnnfast.max_pool2d(x, (2, 3), return_indices=True)
    assert all(np.array_equal(a, b) for a, b in zip(adaptive, window, strict=True))
    assert np.array_equal(cnnfast.adaptive_avg_pool2d(x, (H, W)), cnnfast.avg_pool2d(x, (2, 3)))
    assert np.array_equal(cnnfast.global_max_pool2d(x)[:, 0, 0], x.max(axis=(1, 2)))
    ones = cnnfast.lp_pool2d(np.abs(x), 1, (2, 3))
    assert np.array_equal(ones, np.round(cnnfast.avg_pool2d(np.abs(x), (2, 3)) * 6))


def test_unpooling_undoes_pooling(rng: np.random.Generator) -> None:
    """What went through a pool comes back to its place, and pooled again it is the same."""
    N, H, W, C, _ = sizes(rng)
    x = np.abs(integers(rng, N, 2 * H, 2 * W, C)) + 1
    y, indices = cnnfast.max_pool2d(x, 2, return_indices=True)
    back = cnnfast.max_unpool2d(y, indices, 2)
    assert np.array_equal(np.where(back, x, 0), back)
    assert np.count_nonzero(back) == y.size
    assert all(np.array_equal(a, b) for a, b in
               zip(cnnfast.max_pool2d(back, 2, return_indices=True), (y, indices), strict=True))  # fmt: skip
