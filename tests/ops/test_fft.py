"""conv2d's row "fft": closed forms, the oracle, and when it is taken. Random problems are verify's business."""

from typing import Any

import numpy as np
import pytest

import cnnfast
from cnnfast.backends import native, reference

FLOATS = [(np.float32, 1e-6), (np.float64, 1e-15)]


def close(y: np.ndarray, right: np.ndarray, x: np.ndarray, weight: np.ndarray, u: float) -> bool:
    """Within 8*u of the norms, the scale of which a transform errs."""
    scale = np.linalg.norm(x) * np.linalg.norm(weight)
    return bool(y.shape == right.shape and np.abs(y - right).max() <= 8 * u * scale)


@pytest.mark.parametrize(("dtype", "u"), FLOATS)
@pytest.mark.parametrize("tap", [(0, 0), (12, 3), (6, 14)])
def test_a_kernel_of_one_tap_moves_the_image(dtype: Any, u: float, tap: tuple[int, int], rng: Any) -> None:
    x = rng.standard_normal((1, 40, 51, 1)).astype(dtype)
    weight = np.zeros((13, 15, 1, 1), dtype)
    weight[tap] = 1
    y = cnnfast.conv2d(x, weight, algorithm="fft")
    assert close(y, x[:, tap[0] : tap[0] + 28, tap[1] : tap[1] + 37], x, weight, u)


@pytest.mark.parametrize(("dtype", "u"), FLOATS)
def test_a_kernel_of_ones_sums(dtype: Any, u: float, rng: Any) -> None:
    """Against differences of cumulative sums, with another channel's factor each."""
    x = rng.integers(-9, 10, (2, 45, 38, 3)).astype(dtype)
    factors = np.array([[1, 2], [3, -1], [0, 4]], dtype)
    weight = np.broadcast_to(factors, (11, 9, 3, 2))
    sums = np.pad(x.astype(np.float64).cumsum(axis=1).cumsum(axis=2), ((0, 0), (1, 0), (1, 0), (0, 0)))
    boxes = sums[:, 11:, 9:] - sums[:, :-11, 9:] - sums[:, 11:, :-9] + sums[:, :-11, :-9]
    assert close(cnnfast.conv2d(x, weight, algorithm="fft"), boxes @ factors, x, weight, u)


@pytest.mark.parametrize("size", [(4, 3), (5, 7), (33, 33), (1, 40), (40, 1)])
def test_a_kernel_as_large_as_the_image_is_a_dense_layer(size: tuple[int, int], rng: Any) -> None:
    x, weight = rng.standard_normal((3, *size, 5)), rng.standard_normal((*size, 5, 17))
    y = cnnfast.conv2d(x, weight, algorithm="fft")
    assert y.shape == (3, 1, 1, 17)
    assert close(y[:, 0, 0], np.einsum("nhwc,hwck->nk", x, weight), x, weight, 1e-15)


def test_it_says_how_little_it_multiplies() -> None:
    """Four real products for each frequency of half a spectrum, for tiles of some length that cover the output."""
    plan = cnnfast.plan_conv2d((2, 56, 56, 24), np.ones((13, 13, 24, 40), np.float32), padding=6)
    explained = plan.explain()
    (told,) = (row.flops for row in explained.candidates if row.algorithm == "fft")
    lengths = range(14, 513, 2)
    tiles = {length: -(-56 // (length - 12)) for length in lengths}
    possible = {4 * 2 * t * (s // 2 + 1) * tiles[t] * tiles[s] * 2 * 24 * 40 for t in lengths for s in lengths}
    assert told in possible
    assert told < explained.flops / 8


CASES: list[dict[str, Any]] = [
    {}, {"padding": "same"}, {"padding": ((0, 7), (3, 1))}, {"dilation": (2, 3)},
    {"padding": 5, "padding_mode": "reflect"},
    {"padding": ((9, 2), (4, 11)), "padding_mode": "replicate"}, {"padding": 6, "padding_mode": "circular"},
    {"padding": 30}, {"activation": "relu"}, {"layout": "NCHW", "activation": ("leaky_relu", 0.2)},
]  # fmt: skip


@pytest.mark.parametrize("keywords", CASES, ids=str)
@pytest.mark.parametrize("shape", [(23, 29), (64, 13), (31, 70)])
def test_the_oracle(keywords: dict[str, Any], shape: tuple[int, int], rng: Any) -> None:
    R, S = (5, 4) if "dilation" in keywords else (9, 12)
    x, weight, bias = rng.standard_normal((2, *shape, 3)), rng.standard_normal((R, S, 3, 18)), rng.standard_normal(18)
    if keywords.get("layout") == "NCHW":
        x, weight = np.moveaxis(x, -1, 1), np.transpose(weight, (3, 2, 0, 1))
    asked = cnnfast.plan_conv2d(x.shape, weight, bias, algorithm="plain", **keywords)
    exact = asked(x, residual := rng.standard_normal(asked(x).shape))
    y = cnnfast.conv2d(x, weight, bias, residual=residual, algorithm="fft", **keywords)
    assert close(y, exact, x, weight, 1e-15)


@pytest.mark.parametrize(("R", "S"), [(125, 125), (200, 11), (3, 150)])
def test_very_large_kernels(R: int, S: int, rng: Any) -> None:
    x = rng.standard_normal((1, 150, 170, 2)).astype(np.float32)
    weight = rng.standard_normal((R, S, 2, 3)).astype(np.float32)
    sides = ((R // 2, R // 2), (S // 2, S // 2))
    plan = cnnfast.plan_conv2d(x.shape, weight, padding=sides)
    assert plan.explain().algorithm == "fft"
    narrow = x[:, :, :9], tuple((n, n) for n in (R // 2, S // 2))
    right = reference.conv2d(narrow[0], weight, padding=narrow[1])
    y = cnnfast.conv2d(narrow[0], weight, padding=narrow[1], algorithm="fft")
    assert close(y, right, x, weight, 1e-6)
    assert close(
        plan(x)[:, :, -1], cnnfast.conv2d(x, weight, padding=sides, algorithm="direct")[:, :, -1], x, weight, 1e-6
    )


def test_the_same_bits_alone_in_a_batch_and_on_any_number_of_threads(rng: Any) -> None:
    x, weight = rng.standard_normal((5, 50, 47, 20), np.float32), rng.standard_normal((11, 11, 20, 40), np.float32)
    threads = native.get_num_threads()
    try:
        native.set_num_threads(1)
        plan = cnnfast.plan_conv2d((1, *x.shape[1:]), weight, padding=5, algorithm="fft")
        y = plan(x)
        for n in (2, 3, 7):
            native.set_num_threads(n)
            assert np.array_equal(plan(x), y)
            assert np.array_equal(plan(x[3:4]), y[3:4])
    finally:
        native.set_num_threads(threads)


def test_nan_spreads_in_its_image_alone(rng: Any) -> None:
    x, weight = rng.standard_normal((3, 30, 30, 4), np.float32), rng.standard_normal((9, 9, 4, 3), np.float32)
    clean = cnnfast.conv2d(x, weight, padding=4, algorithm="fft")
    x[1, 7, 8, 2] = np.nan
    y = cnnfast.conv2d(x, weight, padding=4, algorithm="fft")
    assert np.array_equal(y[[0, 2]], clean[[0, 2]])
    assert np.isnan(y[1, 3:12, 4:13]).all()


@pytest.mark.parametrize(
    ("size", "C", "K", "R", "keywords", "taken"),
    [
        (56, 64, 64, 33, {}, True), (56, 64, 64, 13, {}, True), (28, 16, 16, 9, {}, True), (256, 1, 8, 31, {}, True),
        (56, 64, 64, 3, {}, False), (56, 64, 64, 1, {}, False), (56, 64, 64, 13, {"stride": 2}, False),
        (56, 64, 64, 13, {"groups": 2}, False), (14, 6, 16, 5, {}, False), (28, 1, 6, 5, {}, False),
        (256, 1, 1, 81, {}, True), (256, 1, 1, 13, {}, False),
        (56, 64, 64, 13, {"max_workspace": 2**23}, False),
    ],
)  # fmt: skip
def test_when_it_is_taken(size: int, C: int, K: int, R: int, keywords: dict[str, Any], taken: bool) -> None:
    weight = np.zeros((R, R, C // keywords.get("groups", 1), K), np.float32)
    explained = cnnfast.plan_conv2d((1, size, size, C), weight, padding=R // 2, **keywords).explain()
    assert (explained.algorithm == "fft") == taken, str(explained)


@pytest.mark.parametrize("keywords", [{"stride": 2}, {"groups": 2}])
def test_what_it_does_not_take(keywords: dict[str, Any], rng: Any) -> None:
    x, weight = rng.standard_normal((1, 20, 20, 4)), rng.standard_normal((7, 7, 4 // keywords.get("groups", 1), 4))
    with pytest.raises(ValueError, match='algorithm "fft" does not take this problem'):
        cnnfast.conv2d(x, weight, algorithm="fft", **keywords)
