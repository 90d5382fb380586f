"""Gradients of add and multiply, broadcast or not."""

from typing import Any

import numpy as np
import pytest

from cnnfast import grad
from cnnfast.backends import reference
from cnnfast.backends.reference import grad as oracle

SHAPES = [
    ((2, 3, 5), (2, 3, 5)), ((2, 3, 4), (4,)), ((4,), (2, 1)), ((2, 1, 4), (3, 1)), ((3, 5), ()), ((2, 1), (1, 3)),
]  # fmt: skip


@pytest.mark.parametrize("op", ["add", "multiply"])
@pytest.mark.parametrize(("left", "right"), SHAPES)
def test_gradients(op: str, left: Any, right: Any, assert_gradient: Any, rng: Any) -> None:
    inputs = {"x": np.asarray(rng.standard_normal(left)), "y": np.asarray(rng.standard_normal(right))}
    g = rng.standard_normal(np.broadcast_shapes(left, right))
    for gradients in (getattr(grad, op)(g, **inputs), getattr(oracle, op)(g, **inputs)):
        for name, gradient in zip("xy", gradients, strict=True):
            assert_gradient(getattr(reference, op), inputs, name, gradient, g)


def test_nothing_is_copied_where_nothing_was_broadcast(rng: Any) -> None:
    g = rng.standard_normal((2, 3))
    assert all(each is g for each in grad.add(g, g, g))
    assert grad.unbroadcast(g, (2, 3)) is g


def test_refused() -> None:
    g = np.ones((2, 3))
    for call, given, error, words in (
        (grad.add, (g, g, np.ones(2)), ValueError, "y must broadcast with x (2, 3)"),
        (grad.multiply, (g[0], g, g), ValueError, "grad_output must have shape (2, 3), got (3,)"),
        (grad.add, (g, g.astype(int), g), TypeError, "x must have a dtype"),
        (grad.unbroadcast, (g, (2,)), ValueError, "shape must broadcast to grad's (2, 3), got (2,)"),
        (grad.unbroadcast, (g, (1, 2, 3)), ValueError, "shape must broadcast"),
    ):
        with pytest.raises(error) as raised:
            call(*given)
        assert words in str(raised.value)
    assert grad.unbroadcast(np.ones((0, 3)), (3,)).tolist() == [0.0] * 3
