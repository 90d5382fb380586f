"""linear and its plan: the chain's bits (conv2d's 1x1 is the same chain), the bound, every way to call it."""

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


def pointwise(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, activation: Any = None) -> np.ndarray:
    """The same by a 1x1 convolution."""
    images = x.reshape(-1, 1, 1, x.shape[-1])
    y = cnnfast.conv2d(images, weight.T[np.newaxis, np.newaxis], bias, activation=activation)
    return y.reshape(*x.shape[:-1], -1)


@pytest.mark.parametrize("isa", native.isas())
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("N", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 29, 100])
def test_values_and_bits(N: int, dtype: Any, isa: str, rng: Any) -> None:
    native.set_isa(isa)
    for C, K in ((1, 1), (3, 17), (65, 130), (300, 33), (9000, 5)):
        x, weight = rng.standard_normal((N, C)).astype(dtype), rng.standard_normal((K, C)).astype(dtype)
        bias = rng.standard_normal(K).astype(dtype)
        y = cnnfast.linear(x, weight, bias)
        size = np.abs(x.astype(float)) @ np.abs(weight.astype(float)).T + np.abs(bias)
        u = np.finfo(dtype).eps / 2 * (1 if dtype == np.float32 else 2)
        assert (np.abs(y - reference.linear(x, weight, bias)) <= 8 * np.sqrt(C + 1) * u * size).all()
        assert np.array_equal(y, pointwise(x, weight, bias))
        for threads in (2, 3):
            native.set_num_threads(threads)
            assert np.array_equal(cnnfast.linear(x, weight, bias), y)
        assert np.array_equal(cnnfast.linear(x[N // 2], weight, bias), y[N // 2])


def test_exact_integers(rng: Any) -> None:
    x, weight = rng.integers(-9, 9, (20, 500)), rng.integers(-9, 9, (30, 500))
    y = cnnfast.linear(x.astype(np.float32), weight.astype(np.float32))
    assert np.array_equal(y, x @ weight.T)


@pytest.mark.parametrize("activation", [None, "relu", "gelu", "tanh", ("leaky_relu", 0.5), ("elu", 0.5), "mish"])
def test_activation(activation: Any, rng: Any) -> None:
    x, weight = rng.standard_normal((5, 40), dtype=np.float32), rng.standard_normal((19, 40), dtype=np.float32)
    assert np.array_equal(cnnfast.linear(x, weight, activation=activation), pointwise(x, weight, None, activation))


@pytest.mark.parametrize("shape", [(4,), (1, 4), (2, 3, 4), (0, 4), (2, 0, 3, 4)])
def test_any_leading_dimensions(shape: tuple[int, ...], rng: Any) -> None:
    x, weight, bias = rng.standard_normal(shape), rng.standard_normal((3, 4)), rng.standard_normal(3)
    y = cnnfast.linear(x, weight, bias)
    assert y.shape == (*shape[:-1], 3)
    np.testing.assert_allclose(y, reference.linear(x, weight, bias), rtol=1e-12, atol=1e-13)


def test_plan(rng: Any) -> None:
    weight, bias = rng.standard_normal((30, 200), dtype=np.float32), rng.standard_normal(30)
    plan = cnnfast.plan_linear((1, 200), weight, bias, activation="relu")
    expected = [cnnfast.linear(rng.standard_normal((n, 200), dtype=np.float32), weight, bias) for n in (1, 7)]
    kept = weight.copy()
    weight[:] = 0  # the plan has its own copy
    for n in (1, 7):
        x = rng.standard_normal((n, 200), dtype=np.float32)
        right = cnnfast.linear(x, kept, bias, activation="relu")
        out = np.empty((n, 30), np.float32)
        assert plan(x, out=out) is out
        assert np.array_equal(out, right)
        assert np.array_equal(plan(x), right)
        assert np.array_equal(plan(np.asfortranarray(x)), right)
        strided = np.zeros((n, 60), np.float32)[:, ::2]
        assert plan(x, out=strided) is strided
        assert np.array_equal(strided, right)
    assert expected[0].shape == plan.output_shape(1) == plan.output_shape()
    assert (plan.input_shape, plan.dtype) == ((1, 200), np.float32)
    assert "linear" in str(plan.explain())
    assert plan.explain().flops == 2 * 200 * 30
    assert "linear" in repr(plan)


def test_torch_agrees(torch: Any, rng: Any) -> None:
    x, weight, bias = rng.standard_normal((6, 50)), rng.standard_normal((7, 50)), rng.standard_normal(7)
    theirs = torch.nn.functional.linear(*map(torch.from_numpy, (x, weight, bias))).numpy()
    np.testing.assert_allclose(cnnfast.linear(x, weight, bias), theirs, rtol=1e-12, atol=1e-13)


def test_nan_and_infinity_stay_in_their_outputs() -> None:
    x, weight = np.ones((3, 20), np.float32), np.ones((40, 20), np.float32)
    x[1, 5], weight[7, 3] = np.nan, np.inf
    y = cnnfast.linear(x, weight)
    assert np.array_equal(np.isnan(y), np.arange(3)[:, np.newaxis] == np.full(40, 1))
    assert np.isinf(y[[0, 2], 7]).all()
