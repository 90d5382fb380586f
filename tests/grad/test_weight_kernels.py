"""The kernels behind conv2d_weight: every row, ISA and kind of problem against the oracle; bits, bounds and chunks."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import cnnfast
import cnnfast.backends.reference.grad as oracle
import cnnfast.grad
from cnnfast.backends import native

CHUNK = 4096
ROWS = native.algorithms("conv2d_grad_weight")

# x_shape, K, kernel, stride, padding, dilation, groups: tails of every tile, taps wholly in the padding, borders, bands
PROBLEMS: list[Any] = [
    ((2, 9, 10, 16), 32, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
    ((3, 7, 7, 29), 49, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
    ((2, 12, 11, 3), 17, (7, 7), (2, 2), ((3, 3), (3, 3)), (1, 1), 1),
    ((2, 14, 14, 6), 16, (5, 5), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    ((1, 20, 9, 1), 5, (3, 2), (1, 3), ((2, 0), (0, 1)), (1, 1), 1),
    ((1, 3, 300, 2), 33, (2, 3), (1, 1), ((0, 1), (1, 1)), (1, 1), 1),
    ((2, 8, 9, 20), 12, (3, 3), (2, 1), ((2, 2), (4, 4)), (3, 2), 1),
    ((4, 5, 6, 70), 35, (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    ((3, 9, 9, 70), 35, (1, 1), (2, 2), ((0, 0), (0, 0)), (1, 1), 1),
    ((1, 2, 2, 4), 3, (3, 3), (1, 1), ((5, 5), (5, 5)), (1, 1), 1),
    ((2, 8, 9, 18), 36, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 2),
    ((2, 8, 9, 24), 24, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 6),
    ((2, 9, 8, 64), 64, (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1), 16),
    ((1, 8, 9, 15), 30, (3, 5), (1, 2), ((1, 1), (2, 2)), (2, 1), 5),
    ((2, 7, 8, 6), 48, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 6),
    ((2, 9, 10, 37), 37, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 37),
    ((2, 9, 10, 32), 32, (3, 3), (2, 2), ((0, 1), (0, 1)), (1, 1), 32),
    ((2, 2, 1, 32), 32, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 32),
    ((2, 5, 9, 48), 48, (3, 3), (2, 1), ((0, 1), (0, 0)), (1, 1), 48),
    ((1, 4, 11, 33), 33, (3, 3), (1, 2), ((1, 0), (1, 0)), (1, 1), 33),
    ((1, 13, 12, 19), 19, (5, 5), (1, 1), ((2, 2), (2, 2)), (1, 1), 19),
    ((1, 12, 14, 17), 17, (2, 9), (1, 2), ((1, 1), (4, 4)), (2, 1), 17),
    ((1, 4, 4, 16), 16, (3, 3), (1, 1), ((4, 4), (4, 4)), (2, 2), 16),
]


@pytest.fixture
def threads() -> Iterator[None]:
    before = native.get_num_threads()
    yield
    native.set_num_threads(before)


def made(problem: Any, rng: np.random.Generator, whole: bool = False, dtype: str = "float32") -> tuple[Any, ...]:
    """x, grad_output, and what the backend and the oracle are told."""
    x_shape, K, kernel, stride, padding, dilation, groups = problem
    P, Q = (
        (x_shape[1 + i] + sum(padding[i]) - dilation[i] * (kernel[i] - 1) - 1) // stride[i] + 1 for i in range(2)
    )
    shapes = x_shape, (x_shape[0], P, Q, K)
    draw = rng.integers(-4, 5, size=shapes[0]), rng.integers(-4, 5, size=shapes[1])
    x, grad_output = (
        (each if whole else rng.standard_normal(shape)).astype(dtype) for each, shape in zip(draw, shapes, strict=True)
    )
    told = (x_shape, K, kernel, stride, (*padding[0], *padding[1]), dilation, groups)
    asked = {"kernel_size": kernel, "stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return x, grad_output, told, asked


def run(x: Any, grad_output: Any, told: Any, algorithm: str | None = None) -> tuple[Any, Any]:
    _, K, kernel, _, _, _, groups = told
    weight, bias = np.full((*kernel, x.shape[3] // groups, K), np.nan, x.dtype), np.full(K, np.nan, x.dtype)
    assert native.run_conv2d_grad_weight(x, grad_output, weight, bias, *told, algorithm)
    return weight, bias


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_every_row_is_exact_on_integers(isa: str, problem: Any, dtype: str, rng: np.random.Generator) -> None:
    x, grad_output, told, asked = made(problem, rng, whole=True, dtype=dtype)
    expected = oracle.conv2d_weight(grad_output, x, **asked)
    took = []
    for row in (None, *ROWS):
        try:
            weight, bias = run(x, grad_output, told, row)
        except ValueError:
            continue
        took.append(row)
        np.testing.assert_array_equal(weight, expected, err_msg=str(row))
        np.testing.assert_array_equal(bias, oracle.bias(grad_output))
    assert {None, "direct", "plain"} <= set(took)


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_every_row_has_the_same_bits(isa: str, problem: Any, rng: np.random.Generator) -> None:
    x, grad_output, told, _ = made(problem, rng)
    expected = run(x, grad_output, told, "plain")
    for row in ROWS:
        try:
            found = run(x, grad_output, told, row)
        except ValueError:
            continue
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_array_equal(a, b, err_msg=row)


# several chunks; a row longer than a chunk; an odd number of chunks
MANY: list[Any] = [
    ((3, 60, 61, 16), 24, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
    ((1, 3, 9000, 1), 3, (1, 3), (1, 1), ((0, 0), (1, 1)), (1, 1), 1),
    ((5, 64, 64, 8), 8, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 8),
    ((7, 64, 64, 16), 16, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 4),
    ((5, 64, 64, 3), 8, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
    ((9, 64, 64, 160), 160, (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
]


@pytest.mark.parametrize("problem", MANY, ids=str)
def test_threads_and_rows_do_not_change_bits(isa: str, problem: Any, threads: None, rng: np.random.Generator) -> None:
    x, grad_output, told, _ = made(problem, rng)
    native.set_num_threads(1)
    expected = run(x, grad_output, told)
    for count in (2, 3, 5, 16):
        native.set_num_threads(count)
        for a, b in zip(run(x, grad_output, told), expected, strict=True):
            np.testing.assert_array_equal(a, b)
    native.set_num_threads(4)
    if x.size < 200_000:
        for a, b in zip(run(x, grad_output, told, "plain"), expected, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("limit", [1, 1 << 20])
def test_a_limit_of_memory_changes_no_bit(limit: int, threads: None, rng: np.random.Generator) -> None:
    x, grad_output, told, _ = made(MANY[0], rng)
    expected = run(x, grad_output, told)
    native.set_max_workspace(limit)
    try:
        for a, b in zip(run(x, grad_output, told, None if limit > 1 else "plain"), expected, strict=True):
            np.testing.assert_array_equal(a, b)
    finally:
        native.set_max_workspace(0)


@pytest.mark.parametrize("problem", MANY, ids=str)
@pytest.mark.parametrize("shift", [0.0, 3.0])
def test_the_error_is_bounded(problem: Any, shift: float, rng: np.random.Generator) -> None:
    x, grad_output, told, asked = made(problem, rng)
    x, grad_output = x + np.float32(shift), grad_output + np.float32(shift)
    pixels = math.prod(grad_output.shape[:3])
    chunks = -(-pixels // CHUNK) + 1
    n, u = min(pixels, CHUNK) + math.ceil(math.log2(chunks)) + 1, 2.0**-24
    gamma = n * u / (1 - n * u)
    weight, bias = run(x, grad_output, told)
    size = oracle.conv2d_weight(np.abs(grad_output), np.abs(x), **asked)
    error = np.abs(weight - oracle.conv2d_weight(grad_output, x, **asked))
    assert (error <= gamma * size).all()
    assert (error <= 8 * np.sqrt(n) * u * size).all(), "far above what random data gives"
    bias_error = np.abs(bias - oracle.bias(grad_output))
    assert (bias_error <= gamma * oracle.bias(np.abs(grad_output))).all()


def test_a_long_sum_needs_its_chunks() -> None:
    """2^24 + 1 is no float32: one chain of ones would stop there; the tree does not."""
    x, grad_output = np.ones((1, 1, 2**22 * 5, 1), np.float32), np.ones((1, 1, 2**22 * 5, 1), np.float32)
    bias = np.empty(1, np.float32)
    assert cnnfast.grad.conv2d_weight(grad_output, x, 1, grad_bias=bias).item() == bias.item() == 2**22 * 5


def test_the_bias_comes_along(rng: np.random.Generator) -> None:
    x, grad_output = rng.standard_normal((2, 6, 7, 8)), rng.standard_normal((2, 6, 7, 8))
    for layout in ("NHWC", "NCHW"):
        bias = np.full(8 if layout == "NHWC" else 6, np.nan)
        cnnfast.grad.conv2d_weight(grad_output, x, 1, layout=layout, grad_bias=bias)
        np.testing.assert_allclose(bias, oracle.bias(grad_output, layout=layout), rtol=1e-12)
    bias = np.full(8, np.nan)
    cnnfast.grad.depthwise_conv2d_weight(grad_output, x, 3, padding=1, grad_bias=bias)
    np.testing.assert_allclose(bias, oracle.bias(grad_output), rtol=1e-12)
    cnnfast.grad.conv2d_weight(grad_output[:0], x[:0], 1, grad_bias=bias)
    assert (bias == 0).all()


@pytest.mark.parametrize(
    ("bias", "error", "message"),
    [
        ([1.0] * 8, TypeError, "grad_bias must be a numpy.ndarray"),
        (np.ones(7), ValueError, r"grad_bias must have shape \(8,\)"),
        (np.ones(8, np.float32), ValueError, "grad_bias must have shape"),
        (np.ones(16)[::2], ValueError, "grad_bias must be contiguous"),
    ],
)
def test_bad_bias(bias: Any, error: type[Exception], message: str) -> None:
    out = np.full((1, 1, 8, 8), 7.0)
    with pytest.raises(error, match=message):
        cnnfast.grad.conv2d_weight(np.ones((2, 6, 7, 8)), np.ones((2, 6, 7, 8)), 1, grad_bias=bias, out=out)
    assert (out == 7).all()


def test_nothing_outside_is_touched(isa: str, rng: np.random.Generator) -> None:
    """NaN lies on both sides of every array, and is neither read nor written."""
    for problem in PROBLEMS:
        x, grad_output, told, asked = made(problem, rng, whole=True)
        walled = []
        for each in (x, grad_output, np.empty((*asked["kernel_size"], x.shape[3] // asked["groups"], told[1]), "f4")):
            wall = np.full(each.size + 256, np.nan, np.float32)
            inner = wall[128:-128].reshape(each.shape)
            inner[...] = each
            walled.append((wall, inner))
        (_, x), (_, grad_output), (wall, weight) = walled
        assert native.run_conv2d_grad_weight(x, grad_output, weight, None, *told)
        np.testing.assert_array_equal(weight, oracle.conv2d_weight(grad_output, x, **asked))
        assert np.isnan(np.concatenate([wall[:128], wall[-128:]])).all()


def test_nan_goes_where_it_is_met(rng: np.random.Generator) -> None:
    x, grad_output, told, asked = made(PROBLEMS[0], rng)
    x[1, 4, 4, 3] = np.nan
    weight, _ = run(x, grad_output, told)
    np.testing.assert_array_equal(np.isnan(weight), np.isnan(oracle.conv2d_weight(grad_output, x, **asked)))
