"""What the tests of gradients share: the judge."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

STEP = 1e-5
TOLERANCE = 1e-6

Judge = Callable[[Callable[..., Any], Mapping[str, np.ndarray], str, np.ndarray, np.ndarray], None]


@pytest.fixture
def assert_gradient() -> Judge:
    """Gradients against finite differences of the op itself, in float64."""
    return judge


def judge(
    op: Callable[..., Any], inputs: Mapping[str, np.ndarray], name: str, gradient: np.ndarray, grad_output: np.ndarray,
) -> None:  # fmt: skip
    """`gradient` must be that of sum(op(**inputs) * grad_output) with respect to inputs[name], every element of it.

    Central differences; the error is relative to the largest element. Keep inputs away from kinks (ReLU's 0, ties of a
    maximum) by more than STEP.
    """
    x = inputs[name].astype(np.float64)
    assert gradient.shape == x.shape
    expected = np.empty_like(x)
    for i in np.ndindex(x.shape):
        sides = []
        for step in (STEP, -STEP):
            moved = x.copy()
            moved[i] += step
            sides.append(float((op(**{**inputs, name: moved}) * grad_output).sum()))
        expected[i] = (sides[0] - sides[1]) / (2 * STEP)
    error = np.abs(gradient - expected).max() / max(np.abs(expected).max(), 1e-30)
    assert error < TOLERANCE, f"gradient of {name}: relative error {error:.2g}"
