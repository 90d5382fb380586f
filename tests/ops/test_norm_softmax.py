"""batch_norm, local_response_norm, softmax, log_softmax: values, layouts, bits, special values."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import cnnfast
from cnnfast.backends import native, reference

FLOATS = [np.float32, np.float64]


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    isa, threads = native.isa(), native.get_num_threads()
    yield
    native.set_isa(isa)
    native.set_num_threads(threads)


def half_ulp(dtype: Any) -> float:
    return float(np.finfo(dtype).eps) / 2 * (1 if dtype == np.float32 else 2)  # the float64 oracle errs as well


@pytest.mark.parametrize("isa", native.isas())
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("activation", [None, "relu", "silu"])
@pytest.mark.parametrize("C", [1, 3, 16, 17, 40, 100])
def test_batch_norm(C: int, activation: Any, dtype: Any, isa: str, rng: Any) -> None:
    native.set_isa(isa)
    x = (rng.standard_normal((3, 5, 7, C)) + 2).astype(dtype)
    mean, weight, bias = (rng.standard_normal(C).astype(dtype) for _ in range(3))
    var = rng.random(C).astype(dtype)
    right = reference.batch_norm(x, mean, var, weight, bias, eps=1e-3)
    size = np.abs(reference.batch_norm(x, mean, var, weight, eps=1e-3)) + np.abs(bias)
    bound = 4 * half_ulp(dtype) * size
    expected = reference.activate(right, (activation, 0.0))
    y = cnnfast.batch_norm(x, mean, var, weight, bias, eps=1e-3, activation=activation)
    assert y.dtype == dtype
    assert (np.abs(y - expected) <= 1.1 * bound + 8 * half_ulp(dtype) * np.abs(expected)).all()
    turned = np.ascontiguousarray(np.moveaxis(x, -1, 1))
    other = cnnfast.batch_norm(turned, mean, var, weight, bias, eps=1e-3, layout="NCHW", activation=activation)
    assert np.array_equal(np.moveaxis(other, 1, -1), y)


@pytest.mark.parametrize("shape", [(2, 5), (2, 6, 5), (2, 3, 2, 2, 5), (0, 3, 3, 5)])
def test_batch_norm_of_any_rank(shape: tuple[int, ...], rng: Any, torch: Any) -> None:
    x, mean, var = rng.standard_normal(shape), rng.standard_normal(5), rng.random(5)
    y = cnnfast.batch_norm(x, mean, var)
    np.testing.assert_allclose(y, reference.batch_norm(x, mean, var), rtol=1e-12, atol=1e-13)
    turned = np.moveaxis(x, -1, 1)
    theirs = torch.nn.functional.batch_norm(*map(torch.from_numpy, (turned.copy(), mean, var))).numpy()
    np.testing.assert_allclose(cnnfast.batch_norm(turned, mean, var, layout="NCHW"), theirs, rtol=1e-11, atol=1e-12)


def test_batch_norm_keeps_digits_near_a_large_mean() -> None:
    """x - mean is exact there, which a folded scale and shift would have lost."""
    x = np.float32(1e6) + np.arange(8, dtype=np.float32).reshape(8, 1)
    y = cnnfast.batch_norm(x, np.array([1e6]), np.array([1.0]), eps=0.0)
    assert np.array_equal(y.ravel(), np.arange(8))


@pytest.mark.parametrize("isa", native.isas())
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("size", "beta"), [(5, 0.75), (1, 0.5), (2, 1.0), (4, 0.6), (99, 0.75)])
@pytest.mark.parametrize("C", [1, 3, 16, 37])
def test_local_response_norm(C: int, size: int, beta: float, dtype: Any, isa: str, rng: Any) -> None:
    native.set_isa(isa)
    x = (rng.standard_normal((2, 3, 5, C)) * 5).astype(dtype)
    right = reference.local_response_norm(x, size=size, alpha=0.1, beta=beta, k=2.0)
    y = cnnfast.local_response_norm(x, size, 0.1, beta, 2.0)
    window = min(size, 2 * C)
    assert (np.abs(y - right) <= (beta * (window + 4) + 4) * 2 * half_ulp(dtype) * np.abs(right)).all()
    turned = np.ascontiguousarray(np.moveaxis(x, -1, 1))
    other = cnnfast.local_response_norm(turned, size, 0.1, beta, 2.0, layout="NCHW")
    assert np.array_equal(np.moveaxis(other, 1, -1), y)


@pytest.mark.parametrize("size", [1, 2, 5, 8])
def test_local_response_norm_is_torchs(size: int, torch: Any, rng: Any) -> None:
    x = rng.standard_normal((2, 7, 3, 4))
    theirs = torch.nn.functional.local_response_norm(torch.from_numpy(x), size, 0.1, 0.75, 2.0).numpy()
    np.testing.assert_allclose(cnnfast.local_response_norm(x, size, 0.1, 0.75, 2.0, layout="NCHW"), theirs, rtol=1e-12)


@pytest.mark.parametrize("isa", native.isas())
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    ("shape", "axis"),
    [((1,), 0), ((10,), -1), ((7, 1), 1), ((5, 1003), 1), ((2, 5000), -1), ((21, 50), 0), ((3, 21, 6, 7), 1),
     ((2, 70, 130), -2), ((2, 200_000), 1), ((0, 5), 1), ((2, 3, 0), 1)],
)  # fmt: skip
def test_softmax(shape: tuple[int, ...], axis: int, dtype: Any, isa: str, rng: Any) -> None:
    native.set_isa(isa)
    x = (rng.standard_normal(shape) * 8).astype(dtype)
    unit = 2 * half_ulp(dtype)
    n = shape[axis]
    right, logs = (reference.softmax(x, axis=axis), reference.log_softmax(x, axis=axis)) if x.size else (x, x)
    y, log_y = cnnfast.softmax(x, axis), cnnfast.log_softmax(x, axis)
    assert y.shape == log_y.shape == shape
    slack = 0 if dtype == np.float32 else 60  # the oracle's difference x - max is rounded
    terms = min(n, 68) + n / 64
    assert (np.abs(y - right) <= ((terms / 2 + 4 + slack) * unit) * right + 1e-45).all()
    assert (np.abs(log_y - logs) <= (terms / 2 + 4) * unit * (1 + np.abs(logs))).all()
    if x.size:
        assert np.allclose(y.sum(axis=axis), 1, rtol=0, atol=1e-5 if dtype == np.float32 else 1e-13)


@pytest.mark.parametrize("axis", [0, 1])
def test_softmax_same_bits(axis: int, rng: Any) -> None:
    x = (rng.standard_normal((301, 1203)) * 5).astype(np.float32)
    for op in (cnnfast.softmax, cnnfast.log_softmax):
        whole = op(x, axis)
        for threads in (1, 2, 3):
            native.set_num_threads(threads)
            assert np.array_equal(op(x, axis), whole)
        alone = op(x[3:4], 1) if axis == 1 else op(x[:, 3:4], 0)
        assert np.array_equal(alone, whole[3:4] if axis == 1 else whole[:, 3:4]) or axis == 0
        for isa in native.isas():
            if isa != "baseline":
                native.set_isa(isa)
                assert np.array_equal(op(x, axis), whole), isa


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("n", [2, 5, 40])
def test_softmax_special_values(n: int, axis: int) -> None:
    def over(line: np.ndarray) -> np.ndarray:
        x = np.stack([line, np.zeros(n, np.float32)])
        return cnnfast.softmax(x if axis else x.T, axis)[0] if axis else cnnfast.softmax(x.T, 0)[:, 0]

    ordinary = np.linspace(-2, 2, n, dtype=np.float32)
    for bad in (np.nan, np.inf):
        line = ordinary.copy()
        line[n - 1] = bad
        assert np.isnan(over(line)).all()
    assert np.isnan(over(np.full(n, -np.inf, np.float32))).all()
    line = ordinary.copy()
    line[0] = -np.inf
    y = over(line)
    assert y[0] == 0
    np.testing.assert_allclose(y[1:], reference.softmax(ordinary[1:]), rtol=1e-6)
    assert over(np.where(np.arange(n) == 1, 3e38, -3e38).astype(np.float32)).tolist() == [
        float(i == 1) for i in range(n)
    ]


def test_softmax_larger_than_the_caches(rng: Any) -> None:
    x = rng.standard_normal((9001, 1003), dtype=np.float32)
    few = slice(4000, 4003)
    assert np.array_equal(cnnfast.softmax(x)[few], cnnfast.softmax(x[few]))
    tall = x.reshape(1, 1003, 9001)
    assert np.allclose(cnnfast.softmax(tall, 1)[..., few], reference.softmax(tall[..., few], axis=1), rtol=1e-5, atol=0)
