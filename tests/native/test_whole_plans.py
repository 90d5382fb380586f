"""Plans of ops over a whole batch, for chains: the functions' own bits."""

from typing import Any

import numpy as np
import pytest

import cnnfast
from cnnfast.backends import native
from cnnfast.ops import chain

X = (3, 5, 7, 20)


def floats(shape: tuple[int, ...], seed: int = 1) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def run(plan: Any, x: Any, y: Any, residual: Any = None) -> None:
    ends = (x, y) if residual is None else (x, y, residual)
    chain.Run([(plan, 1, 0, None if residual is None else 2, 1)], [end.shape for end in ends])(ends)


@pytest.mark.parametrize("activation", [None, "relu", "silu"])
@pytest.mark.parametrize("kind", ["add", "multiply"])
@pytest.mark.parametrize("shape", [X, (1, 1), (2, 300, 300, 8)])
def test_elementwise(kind: str, activation: str | None, shape: tuple[int, ...]) -> None:
    x, other, vector = floats(shape), floats(shape, 2), floats(shape[-1:], 3)
    y = np.empty_like(x)
    plan = native.plan_elementwise(kind, x.size, None, dtype="float32", activation=activation)
    run(plan, x, y, other)
    np.testing.assert_array_equal(y, getattr(cnnfast, kind)(x, other, activation=activation))
    run(native.plan_elementwise(kind, x.size, vector, dtype="float32", activation=activation), x, y)
    np.testing.assert_array_equal(y, getattr(cnnfast, kind)(x, vector, activation=activation))
    with pytest.raises(ValueError, match="invalid parameter"):
        run(plan, x, y)


def test_map() -> None:
    x, y = floats(X), np.empty(X, np.float32)
    plan = native.plan_elementwise("map", x.size, None, dtype="float32", activation="tanh")
    run(plan, x, y)
    np.testing.assert_array_equal(y, cnnfast.tanh(x))
    with pytest.raises(ValueError, match="invalid parameter"):
        run(plan, x, y, floats(X))
    wide = np.empty((*X[:3], 40), np.float32)
    with pytest.raises(ValueError, match="does not take"):
        native.Chain(((plan, 1, x, None, wide[..., :20]),), ())


def test_batch_norm() -> None:
    x, y = floats(X), np.empty(X, np.float32)
    mean, var, weight, bias = floats((20,), 2), floats((20,), 3) ** 2, floats((20,), 4), floats((20,), 5)
    plan = native.plan_batch_norm(
        105, 20, 1, mean, var, weight, bias, 1e-5, dtype="float32", activation="leaky_relu", alpha=0.1
    )
    run(plan, x, y)
    expected = cnnfast.batch_norm(x, mean, var, weight, bias, eps=1e-5, activation=("leaky_relu", 0.1))
    np.testing.assert_array_equal(y, expected)


def test_local_response_norm() -> None:
    x, y = floats(X), np.empty(X, np.float32)
    run(native.plan_local_response_norm(105, 20, 1, 5, 1e-4, 0.75, 2.0, dtype="float32"), x, y)
    np.testing.assert_array_equal(y, cnnfast.local_response_norm(x, 5, alpha=1e-4, beta=0.75, k=2.0))


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_upsample(mode: str) -> None:
    x = floats(X)
    expected = cnnfast.upsample2d(x, (2, 3), mode=mode)
    y = np.empty_like(expected)
    run(native.plan_upsample2d(X, (2, 3), mode == "bilinear", False, dtype="float32"), x, y)
    np.testing.assert_array_equal(y, expected)


def test_they_take_one_batch() -> None:
    plan = native.plan_elementwise("map", 6, None, dtype="float32")
    x = np.zeros((2, 6), np.float32)
    with pytest.raises(ValueError, match="invalid shape"):
        native.Chain(((plan, 2, x, None, x.copy()),), ()).run(())
    with pytest.raises(ValueError, match="invalid shape"):
        native.plan_upsample2d((0, 2, 2, 1), (2, 2), False, False, dtype="float32")
