"""Runs of a network that are faster as one: what is joined, what is not, and that no bit changes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import cnnfast
from cnnfast import Input, Model, Sequential
from cnnfast.layers import Activation, Add, AveragePooling2D, Conv2D, DepthwiseConv2D, Flatten, MaxPooling2D
from cnnfast.ops import fused


def inverted_residual() -> Model:
    x = Input((56, 56, 24))
    y = Conv2D(144, 1, activation="relu6")(x)
    y = DepthwiseConv2D(3, padding="same", activation="relu6")(y)
    return Model(x, Add()([x, Conv2D(24, 1)(y)]))


def stem() -> Sequential:
    return Sequential([
        Input((224, 224, 3)), Conv2D(64, 7, strides=2, padding=3, activation="relu"), MaxPooling2D(3, 2, padding=1),
    ])  # fmt: skip


def lenet() -> Sequential:
    return Sequential([Input((28, 28, 1)), Conv2D(32, 3, activation="relu"), AveragePooling2D(2), Flatten()])


def pooled_twice() -> Model:
    x = Input((112, 112, 3))
    y = Conv2D(32, 3, activation="relu")(x)
    return Model(x, [MaxPooling2D(2)(y), MaxPooling2D(3)(y)])


def shown_between() -> Model:
    x = Input((112, 112, 3))
    y = Conv2D(32, 3, activation="relu")(x)
    return Model(x, [y, MaxPooling2D(2)(y)])


def activated_between() -> Sequential:
    return Sequential([Input((112, 112, 3)), Conv2D(32, 3), Activation(np.tanh), MaxPooling2D(2)])


@pytest.mark.parametrize(
    ("network", "apart", "together"),
    [(inverted_residual, 3, 1), (stem, 2, 1), (lenet, 2, 1), (pooled_twice, 3, 3), (shown_between, 2, 2),
     (activated_between, 3, 3)],
)  # fmt: skip
def test_what_is_joined(
    network: Callable[[], Model], apart: int, together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = network()
    shape = (2, *model.inputs[0].shape[1:])
    joined = model.plan(shape)
    monkeypatch.setattr(fused, "join", lambda runs: None)
    alone = model.plan(shape)
    assert f" {together} runs" in repr(joined)
    assert f" {apart} runs" in repr(alone)
    x = np.random.default_rng(5).standard_normal(shape).astype(np.float32)
    for a, b in zip(listed(joined(x)), listed(alone(x)), strict=True):
        assert np.array_equal(a, b)
    assert np.array_equal(listed(joined(x[:1]))[0], listed(alone(x[:1]))[0])


def listed(y: Any) -> list[np.ndarray]:
    return y if isinstance(y, list) else [y]


def test_a_limit_that_only_single_runs_stay_within() -> None:
    model = Sequential([Input((112, 112, 64)), Conv2D(64, 3, padding="same"), MaxPooling2D(2)])
    x = np.ones((1, 112, 112, 64), np.float32)
    right = model.plan(x.shape)(x)
    cnnfast.set_max_workspace(300_000)
    try:
        y = model.plan(x.shape)(x)
    finally:
        cnnfast.set_max_workspace(None)
    assert np.allclose(y, right, atol=1e-3)
