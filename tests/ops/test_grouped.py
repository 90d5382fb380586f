"""Vectors of several groups: odd counts against the oracle, bits against direct's."""

from typing import Any

import numpy as np
import pytest

import cnnfast
from cnnfast.backends import native, reference

MODES = ("zeros", "reflect", "replicate", "circular")


def small_integers(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Their sums are exact, so that results compare bit by bit."""
    return rng.integers(-4, 5, shape).astype(np.float64)


def check(
    rng: np.random.Generator, groups: int, Cg: int, Kg: int, kernel: tuple[int, int], dtype: type, **how: Any
) -> None:
    R, S = kernel
    x = small_integers(rng, 2, 9, 17, groups * Cg).astype(dtype)
    weight = small_integers(rng, R, S, Cg, groups * Kg).astype(dtype)
    bias = small_integers(rng, groups * Kg).astype(dtype)
    name = "depthwise" if Cg == Kg == 1 else "grouped"
    y = cnnfast.conv2d(x, weight, bias, groups=groups, algorithm=name, **how)
    expected = reference.conv2d(x, weight, bias, groups=groups, **how)
    assert y.dtype == dtype
    assert np.array_equal(y, expected)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("Kg", range(1, 17))
@pytest.mark.parametrize("Cg", [1, 2, 3, 4, 5, 7, 8, 11, 12, 16, 19])
def test_channels_a_group(rng: np.random.Generator, dtype: type, Cg: int, Kg: int) -> None:
    check(rng, 2 + (Cg + 3 * Kg) % 9, Cg, Kg, (3, 3), dtype, padding=((1, 1), (1, 1)), stride=(1, 1), dilation=(1, 1))


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("Cg", "Kg"), [(1, 1), (1, 3), (4, 4), (3, 2), (6, 20)])
def test_windows(rng: np.random.Generator, mode: str, Cg: int, Kg: int) -> None:
    """Every remainder of three taps, phases of the dilation, rows and columns of padding."""
    for S in range(1, 9):
        stride, dilation = (1 + S % 2, 1 + S % 4), (1 + S // 3, 1 + S % 3)
        padding = ((4, 5), (8, 7)) if mode != "zeros" or S % 2 else ((0, 2), (3, 2))
        for groups in (3, 21):
            check(
                rng, groups, Cg, Kg, (1 + S % 5, S), np.float32,
                stride=stride, dilation=dilation, padding=padding, padding_mode=mode,
            )  # fmt: skip


@pytest.mark.usefixtures("isa")
def test_skipped_padding_keeps_every_bit(rng: np.random.Generator) -> None:
    """Zeros' signs, where products vanish, and the NaN that an infinite weight makes of a zero."""
    for groups, Cg, Kg in ((20, 1, 1), (5, 1, 4), (6, 4, 4), (3, 9, 9)):
        x = np.abs(rng.standard_normal((1, 5, 6, groups * Cg))).astype(np.float32) * np.float32(1e-30)
        x[rng.random(x.shape) < 0.4] = 0
        weight = (rng.standard_normal((9, 11, Cg, groups * Kg)) * 1e-30).astype(np.float32)
        weight[..., ::3], weight[..., 1::3] = np.abs(weight[..., ::3]), -np.abs(weight[..., 1::3])
        weight[1, 2, :, 3] = np.inf
        bias = np.full(groups * Kg, -0.0, np.float32)
        how: dict[str, Any] = {"groups": groups, "padding": ((7, 7), (9, 8))}
        own = "depthwise" if Cg == Kg == 1 else "grouped"
        y, direct = (cnnfast.conv2d(x, weight, bias, algorithm=name, **how) for name in (own, "direct"))
        assert np.isnan(y).any()
        if native.isa() != "baseline":  # without FMA a product that vanishes is a zero before it is added
            assert np.signbit(y[y == 0]).any()
        assert not np.signbit(y[y == 0]).all()
        np.testing.assert_array_equal(y, direct)
        finite = ~np.isnan(y)
        assert np.array_equal(np.signbit(y[finite]), np.signbit(direct[finite]))


@pytest.mark.parametrize(
    ("groups", "Cg", "Kg", "kernel", "name"),
    [
        (32, 4, 4, 3, "grouped"), (32, 8, 8, 3, "grouped"), (64, 1, 2, 3, "grouped"), (64, 1, 1, 7, "depthwise"),
        (64, 1, 1, 3, "depthwise"), (32, 16, 16, 3, "direct"), (2, 64, 64, 3, "direct"),
    ],
)  # fmt: skip
def test_auto(groups: int, Cg: int, Kg: int, kernel: int, name: str) -> None:
    weight = np.ones((kernel, kernel, Cg, groups * Kg), np.float32)
    plan = cnnfast.plan_conv2d((1, 28, 28, groups * Cg), weight, groups=groups, padding=kernel // 2, precision="strict")
    assert plan.explain().algorithm == name
