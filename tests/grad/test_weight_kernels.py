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
from cnnfast.verification.expected_winograd import interpolation

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


def run(
    x: Any, grad_output: Any, told: Any, algorithm: str | None = None, precision: str = "strict"
) -> tuple[Any, Any]:
    _, K, kernel, _, _, _, groups = told
    weight, bias = np.full((*kernel, x.shape[3] // groups, K), np.nan, x.dtype), np.full(K, np.nan, x.dtype)
    assert native.run_conv2d_grad_weight(x, grad_output, weight, bias, *told, algorithm, precision)
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
        assert native.run_conv2d_grad_weight(x, grad_output, weight, None, *told, None, "strict")
        np.testing.assert_array_equal(weight, oracle.conv2d_weight(grad_output, x, **asked))
        assert np.isnan(np.concatenate([wall[:128], wall[-128:]])).all()


def test_nan_goes_where_it_is_met(rng: np.random.Generator) -> None:
    x, grad_output, told, asked = made(PROBLEMS[0], rng)
    x[1, 4, 4, 3] = np.nan
    weight, _ = run(x, grad_output, told)
    np.testing.assert_array_equal(np.isnan(weight), np.isnan(oracle.conv2d_weight(grad_output, x, **asked)))


# ragged tiles, tails of channels and filters, borders, several images in a chunk, several chunks, blocks of tiles
WINOGRAD: list[Any] = [
    ((1, 4, 4, 1), 1, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
    ((2, 9, 10, 16), 32, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
    ((3, 7, 7, 29), 49, (3, 3), (1, 1), ((0, 2), (2, 0)), (1, 1), 1),
    ((1, 3, 3, 5), 6, (3, 3), (1, 1), ((2, 2), (0, 0)), (1, 1), 1),
    ((2, 14, 13, 130), 17, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
    ((30, 14, 14, 8), 24, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
    ((3, 60, 61, 16), 24, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
    ((1, 5, 1500, 3), 4, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
]


def winograd(x: Any, grad_output: Any, told: Any) -> tuple[Any, Any]:
    return run(x, grad_output, told, "winograd", "default")


def winograd_bound(x: Any, grad_output: Any, asked: Any, u: float) -> Any:
    """|G^T| (sum of |A||grad_output||A^T| * |B^T||x||B|) |G|, times gamma of the steps on the way. The tiles are those
    of a chunk that begins with an image; others see some of the same pixels, so the bound is doubled."""
    bt, g, at = (np.abs(each) for each in interpolation(4, 3))
    (top, bottom), (left, right) = asked["padding"]
    N, P, Q, K = grad_output.shape
    down, across = -(-P // 4), -(-Q // 4)
    gradient = np.pad(np.abs(grad_output.astype("d")), ((0, 0), (0, 4 * down - P), (0, 4 * across - Q), (0, 0)))
    image = np.pad(np.abs(x.astype("d")), ((0, 0), (top, bottom + 4), (left, right + 4), (0, 0)))
    size = np.zeros((6, 6, x.shape[3], K))
    for i in range(down):
        for j in range(across):
            rows, cols = slice(4 * i, 4 * i + 4), slice(4 * j, 4 * j + 4)
            U = np.einsum("ia,nabk,jb->nijk", at.T, gradient[:, rows, cols], at.T)
            window = image[:, 4 * i : 4 * i + 6, 4 * j : 4 * j + 6]
            size += np.einsum("ia,nabc,jb,nijk->ijck", bt, window, bt, U)
    size = 2 * np.einsum("ri,ijck,sj->rsck", g.T, size, g.T)
    n = 4 * 6 + 2 * 4 + N * down * across + 8
    return n * u / (1 - n * u) * size


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("problem", WINOGRAD, ids=str)
def test_winograd_is_within_its_bound(isa: str, problem: Any, dtype: str, rng: np.random.Generator) -> None:
    x, grad_output, told, asked = made(problem, rng, dtype=dtype)
    weight, bias = winograd(x, grad_output, told)
    error = np.abs(weight - oracle.conv2d_weight(grad_output, x, **asked))
    assert (error <= winograd_bound(x, grad_output, asked, 2.0**-24 if dtype == "float32" else 2.0**-52)).all()
    np.testing.assert_allclose(bias, oracle.bias(grad_output), rtol=1e-4, atol=1e-3 if dtype == "float32" else 1e-11)
    size = oracle.conv2d_weight(np.abs(grad_output), np.abs(x), **asked)
    assert (error <= 200 * np.finfo(dtype).eps * size.max()).all(), "far above what random data gives"


def test_winograd_errs_no_more_than_chains(rng: np.random.Generator) -> None:
    """docs/performance.md says so of normal data; precision's default allows 2.5 times as much."""
    x, grad_output, told, asked = made(((16, 28, 28, 64), 64, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1), rng)
    expected = oracle.conv2d_weight(grad_output, x, **asked)
    rows = [run(x, grad_output, told, row, "default")[0] for row in ("direct", "winograd")]
    rms = [np.sqrt(np.mean((weight - expected) ** 2)) for weight in rows]
    assert rms[1] <= 1.2 * rms[0]


@pytest.mark.parametrize("problem", WINOGRAD, ids=str)
def test_winograd_has_the_same_bits_for_any_threads(
    isa: str, problem: Any, threads: None, rng: np.random.Generator
) -> None:
    x, grad_output, told, _ = made(problem, rng)
    native.set_num_threads(1)
    expected = winograd(x, grad_output, told)
    for count in (2, 3, 5):
        native.set_num_threads(count)
        for a, b in zip(winograd(x, grad_output, told), expected, strict=True):
            np.testing.assert_array_equal(a, b)


def test_winograd_touches_nothing_outside(isa: str, rng: np.random.Generator) -> None:
    for problem in WINOGRAD:
        x, grad_output, told, _ = made(problem, rng)
        shapes = x.shape, grad_output.shape, (3, 3, x.shape[3], told[1])
        walls = [np.full(math.prod(shape) + 256, np.nan, np.float32) for shape in shapes]
        inner = [wall[128:-128].reshape(shape) for wall, shape in zip(walls, shapes, strict=True)]
        inner[0][...], inner[1][...] = x, grad_output
        assert native.run_conv2d_grad_weight(*inner, None, *told, "winograd")
        np.testing.assert_array_equal(inner[2], winograd(x, grad_output, told)[0])
        assert all(np.isnan(np.concatenate([wall[:128], wall[-128:]])).all() for wall in walls)


def test_strict_leaves_winograd_out(rng: np.random.Generator) -> None:
    x, grad_output, told, _ = made(WINOGRAD[1], rng)
    with pytest.raises(ValueError):  # noqa: PT011 (the backend's own; users cannot name a row here)
        run(x, grad_output, told, "winograd")
    chain = cnnfast.grad.conv2d_weight(grad_output, x, 3, padding=1, precision="strict")
    np.testing.assert_array_equal(chain, run(x, grad_output, told, "direct")[0])
    default = cnnfast.grad.conv2d_weight(grad_output, x, 3, padding=1)
    np.testing.assert_array_equal(default, winograd(x, grad_output, told)[0])


# one channel: tails of rows and filters, borders, dilation, several blocks of rows, images and chunks
SINGLE: list[Any] = [
    ((3, 32, 32, 1), 6, (5, 5), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    ((2, 9, 10, 1), 17, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
    ((2, 12, 50, 1), 3, (2, 5), (1, 1), ((3, 0), (0, 3)), (2, 4), 1),
    ((1, 1, 3, 1), 1, (1, 3), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    ((2, 3, 2, 1), 7, (5, 5), (1, 1), ((4, 4), (9, 4)), (1, 1), 1),
    ((9, 40, 39, 1), 8, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("problem", SINGLE, ids=str)
def test_single_is_right(isa: str, problem: Any, dtype: str, threads: None, rng: np.random.Generator) -> None:
    """Exact on integers, within a chain's bound else; the same bits for any threads, and nothing is read beyond."""
    x, grad_output, told, asked = made(problem, rng, whole=True, dtype=dtype)
    weight, bias = run(x, grad_output, told, "single", "default")
    np.testing.assert_array_equal(weight, oracle.conv2d_weight(grad_output, x, **asked))
    np.testing.assert_array_equal(bias, oracle.bias(grad_output))
    x, grad_output, _, _ = made(problem, rng, dtype=dtype)
    walls = [np.full(each.size + 256, np.nan, dtype) for each in (x, grad_output)]
    inner = [wall[128:-128].reshape(each.shape) for wall, each in zip(walls, (x, grad_output), strict=True)]
    inner[0][...], inner[1][...] = x, grad_output
    native.set_num_threads(1)
    weight, bias = run(*inner, told, "single", "default")
    size = oracle.conv2d_weight(np.abs(grad_output), np.abs(x), **asked)
    n, u = min(CHUNK, grad_output[..., 0].size) + 16, np.finfo(dtype).eps  # twice a rounding: the oracle errs too
    assert (np.abs(weight - oracle.conv2d_weight(grad_output, x, **asked)) <= n * u * size).all()
    for count in (2, 3, 16):
        native.set_num_threads(count)
        for a, b in zip(run(x, grad_output, told, "single", "default"), (weight, bias), strict=True):
            np.testing.assert_array_equal(a, b)
