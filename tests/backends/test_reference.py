"""The oracle against closed forms and brute force: what judges everything else is judged here."""

import math
from itertools import product
from typing import Any

import numpy as np
import pytest

from cnnfast.backends import reference

RNG = np.random.default_rng(7)


def brute_conv2d(x: np.ndarray, w: np.ndarray, stride: int, pad: int, dilation: int) -> np.ndarray:
    """Seven nested loops, one image: not the oracle's vectorised taps."""
    (H, W, C), (R, S, _, K) = x.shape, w.shape
    P = (H + 2 * pad - dilation * (R - 1) - 1) // stride + 1
    Q = (W + 2 * pad - dilation * (S - 1) - 1) // stride + 1
    y = np.zeros((P, Q, K))
    for p, q, k, r, s, c in product(range(P), range(Q), range(K), range(R), range(S), range(C)):
        h, v = p * stride + r * dilation - pad, q * stride + s * dilation - pad
        if 0 <= h < H and 0 <= v < W:
            y[p, q, k] += x[h, v, c] * w[r, s, c, k]
    return y


@pytest.mark.parametrize(("stride", "pad", "dilation"), [(1, 0, 1), (2, 1, 1), (1, 2, 2), (3, 4, 1)])
def test_conv2d_is_its_sum(stride: int, pad: int, dilation: int) -> None:
    x, w = RNG.integers(-9, 9, (7, 6, 2)), RNG.integers(-9, 9, (3, 2, 2, 3))
    sides = ((pad, pad), (pad, pad))
    for kind in (np.int64, np.float64):
        y = reference.conv2d(
            x[None].astype(kind), w.astype(kind), stride=(stride,) * 2, padding=sides, dilation=(dilation,) * 2
        )
        assert y.dtype == kind
        assert np.array_equal(y[0], brute_conv2d(x, w, stride, pad, dilation))


def test_integers_are_exact_beyond_float64() -> None:
    x = np.full((1, 1, 1, 3), 2**53 + 1)
    assert reference.conv2d(x, np.array([1, 1, -1]).reshape(1, 1, 3, 1)).item() == 2**53 + 1
    assert reference.max_pool2d(x, kernel_size=(1, 1), stride=(1, 1)).ravel().tolist() == [2**53 + 1] * 3


def test_layouts_agree() -> None:
    x, w = RNG.normal(size=(2, 6, 5, 4)), RNG.normal(size=(3, 2, 2, 6))
    options: dict[str, Any] = {"stride": (2, 1), "padding": ((1, 0), (2, 1)), "groups": 2}
    y = reference.conv2d(x, w, **options)
    nchw = reference.conv2d(x.transpose(0, 3, 1, 2), w.transpose(3, 2, 0, 1), layout="NCHW", **options)
    assert np.array_equal(nchw.transpose(0, 2, 3, 1), y)


def test_depthwise_is_grouped() -> None:
    """Channel c gives the outputs c*multiplier + m."""
    x, w = RNG.integers(-9, 9, (2, 5, 6, 3)), RNG.integers(-9, 9, (3, 2, 3, 2))
    grouped = reference.conv2d(x, w.reshape(3, 2, 1, 6), groups=3)
    assert np.array_equal(reference.depthwise_conv2d(x, w), grouped)
    nchw = reference.depthwise_conv2d(
        x.transpose(0, 3, 1, 2), w.reshape(3, 2, 6)[np.newaxis].transpose(3, 0, 1, 2), layout="NCHW"
    )
    assert np.array_equal(nchw.transpose(0, 2, 3, 1), grouped)


def test_separable_is_one_full_convolution() -> None:
    """Without a bias between, the product of the two weights is a conv2d."""
    x, dw, pw = (RNG.integers(-5, 5, shape) for shape in ((1, 5, 5, 3), (3, 3, 3, 2), (1, 1, 6, 4)))
    full = np.einsum("rscm,cmk->rsck", dw, pw[0, 0].reshape(3, 2, 4))
    assert np.array_equal(reference.separable_conv2d(x, dw, pw), reference.conv2d(x, full))


def test_transposed_is_the_adjoint() -> None:
    """<conv2d(x, w), y> = <x, conv_transpose2d(y, w)>, which defines it."""
    w = RNG.integers(-9, 9, (3, 2, 2, 6))
    options: dict[str, Any] = {"stride": (2, 3), "padding": ((1, 0), (2, 1)), "dilation": (2, 1), "groups": 2}
    x = RNG.integers(-9, 9, (1, 9, 10, 4))
    forward = reference.conv2d(x, w, **options)
    y = RNG.integers(-9, 9, forward.shape)
    needed = [
        x.shape[1 + i] - ((y.shape[1 + i] - 1) * options["stride"][i] + options["dilation"][i] * (w.shape[i] - 1) + 1)
        + sum(options["padding"][i])
        for i in range(2)
    ]  # fmt: skip
    assert needed[0] > 0
    back = reference.conv_transpose2d(y, w, output_padding=(needed[0], needed[1]), **options)
    assert back.shape == x.shape
    assert (forward * y).sum() == (x * back).sum()


def test_padding_modes_are_np_pad() -> None:
    x, w = RNG.normal(size=(1, 5, 4, 1)), np.ones((1, 1, 1, 1))
    for mode, name in {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}.items():
        y = reference.conv2d(x, w, padding=((2, 1), (0, 3)), padding_mode=mode)
        assert np.array_equal(y, np.pad(x, ((0, 0), (2, 1), (0, 3), (0, 0)), mode=name))  # type: ignore[call-overload]


def test_zero_padding_times_an_infinite_weight_is_nan() -> None:
    y = reference.conv2d(np.ones((1, 1, 1, 1)), np.full((3, 3, 1, 1), np.inf), padding=((1, 1), (1, 1)))
    assert np.isnan(y).all()


def test_epilogue_order() -> None:
    """activation(conv + bias + residual)."""
    x = np.full((1, 1, 1, 1), 2.0)
    y = reference.conv2d(x, np.full((1, 1, 1, 1), 3.0), np.array([-10.0]), np.full((1, 1, 1, 1), 5.0),
                         activation=("relu", 0.0))  # fmt: skip
    assert y.item() == 1.0


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("relu", -2.0, 0.0), ("relu6", 7.0, 6.0), ("leaky_relu", -2.0, -0.2), ("sigmoid", 0.0, 0.5),
        ("sigmoid", -1000.0, 0.0), ("tanh", 0.5, math.tanh(0.5)), ("gelu", 1.0, 0.8413447460685429),
        ("gelu", -10.0, -7.619853024160527e-23), ("silu", 1.0, 0.7310585786300049), ("hardswish", 1.0, 4 / 6),
        ("hardswish", -4.0, 0.0), (None, -3.0, -3.0),
    ],
)  # fmt: skip
def test_activations(name: str | None, value: float, expected: float) -> None:
    assert reference.activate(np.array([value]), (name, 0.1)).item() == pytest.approx(expected, rel=2e-14, abs=0)
    assert np.isnan(reference.activate(np.array([np.nan]), (name, 0.1))).all()


@pytest.mark.parametrize(
    ("name", "below", "above"),
    [("relu", 0, math.inf), ("relu6", 0, 6), ("leaky_relu", -math.inf, math.inf), ("sigmoid", 0, 1), ("tanh", -1, 1),
     ("gelu", 0, math.inf), ("silu", 0, math.inf), ("hardswish", 0, math.inf)],
)  # fmt: skip
def test_activations_at_infinity(name: str, below: float, above: float) -> None:
    assert reference.activate(np.array([-math.inf, math.inf]), (name, 0.1)).tolist() == [below, above]


def test_max_lets_nan_win_and_knows_where() -> None:
    x = np.array([[1, np.nan, 5], [np.nan, 2, 3]]).reshape(1, 2, 3, 1)
    y, index = reference.max_pool2d(x, kernel_size=(2, 2), stride=(1, 1), return_indices=True)
    assert np.isnan(y).all()
    assert index.ravel().tolist() == [1, 1]
    low = np.full((1, 2, 2, 1), -np.inf)
    y, index = reference.max_pool2d(
        low, kernel_size=(2, 2), stride=(2, 2), padding=((1, 1), (1, 1)), return_indices=True
    )
    assert np.isneginf(y).all()
    assert index.ravel().tolist() == [0, 1, 2, 3]
    assert np.isnan(reference.min_pool2d(x, kernel_size=(2, 2), stride=(1, 1))).all()


def test_a_negative_input_is_not_beaten_by_padding() -> None:
    x = np.full((1, 3, 3, 1), -5.0)
    options: dict[str, Any] = {"kernel_size": (3, 3), "stride": (1, 1), "padding": ((1, 1), (1, 1))}
    assert (reference.max_pool2d(x, **options) == -5).all()
    assert (reference.min_pool2d(-x, **options) == 5).all()


def test_ceil_mode_drops_the_window_in_the_padding() -> None:
    """Size 3, kernel 2, stride 2, padding 1: a third window would start at 3, behind the input."""
    x = np.arange(3.0).reshape(1, 3, 1, 1)
    options: dict[str, Any] = {"kernel_size": (2, 1), "stride": (2, 1), "padding": ((1, 1), (0, 0)), "ceil_mode": True}
    assert reference.max_pool2d(x, **options).ravel().tolist() == [0, 2]


def test_average_divisors() -> None:
    """Of ones: inside / (inside + padding), the ceil_mode overhang never counted."""
    x = np.ones((1, 4, 1, 1))
    options: dict[str, Any] = {
        "kernel_size": (3, 1), "stride": (2, 1), "padding": ((1, 0), (0, 0)), "ceil_mode": True,
    }  # fmt: skip
    assert reference.avg_pool2d(x, **options).ravel().tolist() == [2 / 3, 1.0]
    options["padding"] = ((1, 1), (0, 0))
    assert reference.avg_pool2d(x, **options).ravel().tolist() == [2 / 3, 1.0, 0.5]
    assert reference.avg_pool2d(x, count_include_pad=False, **options).ravel().tolist() == [1.0, 1.0, 1.0]


def test_lp_is_a_norm() -> None:
    x = np.array([3.0, -4.0]).reshape(1, 1, 2, 1)
    for p, expected in ((1.0, 7.0), (2.0, 5.0), (3.0, 91 ** (1 / 3))):
        y = reference.lp_pool2d(x, norm_type=p, kernel_size=(1, 2), stride=(1, 2))
        assert y.item() == pytest.approx(expected, rel=1e-15)


def test_adaptive_windows_cover_the_input() -> None:
    x = np.arange(5.0).reshape(1, 5, 1, 1)
    assert reference.adaptive_avg_pool2d(x, output_size=(3, 1)).ravel().tolist() == [0.5, 2.0, 3.5]
    y, index = reference.adaptive_max_pool2d(x, output_size=(3, 1), return_indices=True)
    assert y.ravel().tolist() == index.ravel().tolist() == [1, 3, 4]
    assert reference.global_avg_pool2d(x).tolist() == [[[[2.0]]]]
    assert reference.global_max_pool2d(x).tolist() == [[[[4.0]]]]


def test_empty_batches() -> None:
    x, w = np.zeros((0, 4, 4, 2)), np.ones((3, 3, 2, 2))
    window: dict[str, Any] = {"kernel_size": (2, 2), "stride": (2, 2)}
    assert reference.conv2d(x, w).shape == reference.depthwise_conv2d(x, w)[..., :2].shape == (0, 2, 2, 2)
    assert reference.conv_transpose2d(x, w).shape == (0, 6, 6, 2)
    pools = [getattr(reference, f"{kind}_pool2d")(x, **window) for kind in ("max", "min", "avg")]
    pools += [reference.lp_pool2d(x, norm_type=2.0, **window), reference.adaptive_avg_pool2d(x, output_size=(2, 2))]
    pools += reference.adaptive_max_pool2d(x, output_size=(2, 2), return_indices=True)
    assert {y.shape for y in pools} == {(0, 2, 2, 2)}
    assert reference.max_unpool2d(pools[0], np.zeros((0, 2, 2, 2), int), output_size=(4, 4)).shape == x.shape
    assert reference.global_avg_pool2d(x).shape == (0, 1, 1, 2)


def test_unpool_undoes_max_pool() -> None:
    x = RNG.permutation(96).reshape(2, 4, 4, 3)
    y, index = reference.max_pool2d(x, kernel_size=(2, 2), stride=(2, 2), return_indices=True)
    back = reference.max_unpool2d(y, index, output_size=(4, 4))
    assert back[back != 0].size == np.count_nonzero(y)
    assert np.array_equal(back[back != 0], x[back != 0])
