"""Whole networks on the simulator's device, against the same networks on the CPU."""

from typing import Any

import numpy as np
import pytest

toolchain = pytest.importorskip(
    "cnnfast.backends.cuda.toolchain", reason='pip install "cnnfast[cuda]"', exc_type=ImportError
)
if not toolchain.SIMULATED:
    pytest.skip("the simulator runs where NUMBA_ENABLE_CUDASIM=1 is set", allow_module_level=True)

import device_arrays

import cnnfast
from cnnfast.graph.ir import Graph
from cnnfast.network_plan import NetworkPlan

RNG = np.random.default_rng(11)


def on_device(plan: Any, *inputs: np.ndarray) -> Any:
    found = plan(*(device_arrays.OnDevice(each) for each in inputs))
    return device_arrays.numpy_of(found)


def test_convolutions_pools_and_dense_layers() -> None:
    layers = cnnfast.layers
    steps = (
        layers.Conv2D(6, 5, activation="tanh"), layers.AveragePooling2D(), layers.Conv2D(8, 3, activation="relu"),
        layers.MaxPooling2D(), layers.Flatten(), layers.Dense(12, activation="relu"), layers.Dense(10),
    )  # fmt: skip
    model = cnnfast.Sequential([layers.Input((14, 14, 1)), *steps])
    x = RNG.normal(size=(2, 14, 14, 1)).astype(np.float32)
    plan = model.plan(x.shape)
    for batch in (2, 1, 2):
        assert np.allclose(on_device(plan, x[:batch]), plan(x[:batch]), rtol=1e-4, atol=1e-5)


def residual_net() -> Any:
    """A block of ResNet's, twice as wide at half the size, and a head."""
    layers = cnnfast.layers
    inputs = layers.Input((8, 8, 3))
    x = layers.Activation("relu")(layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same")(inputs)))
    y = layers.Activation("relu")(layers.BatchNormalization()(layers.Conv2D(8, 3, 2, padding="same")(x)))
    y = layers.BatchNormalization()(layers.Conv2D(8, 3, padding="same")(y))
    x = layers.Activation("relu")(layers.Add()([y, layers.Conv2D(8, 1, 2)(x)]))
    x = layers.Concatenate()([layers.DepthwiseConv2D(3, padding="same")(x), x])
    return cnnfast.Model(inputs, layers.Dense(5, activation="softmax")(layers.GlobalAveragePooling2D()(x)))


def test_a_residual_block() -> None:
    model = residual_net()
    model.set_weights([RNG.uniform(0.1, 0.9, weight.shape).astype(np.float32) for weight in model.get_weights()])
    x = RNG.normal(size=(3, 8, 8, 3)).astype(np.float32)
    plan = model.plan(x.shape)
    assert np.allclose(on_device(plan, x), plan(x), rtol=1e-4, atol=1e-5)


def test_views_need_no_kernel_and_are_read_where_they_lie() -> None:
    graph = Graph(["x"], [])
    part = graph.add("slice", ["x"], axes=(1, 2), starts=(1, 2), stops=(6, 6), steps=(1, 2))
    turned = graph.add("transpose", [part], axes=(0, 2, 1, 3))
    active = graph.add("relu", [graph.add("transpose", [turned], axes=(0, 3, 2, 1))])
    graph.outputs = [graph.add("flatten", [graph.add("transpose", [active], axes=(0, 2, 1, 3))])]
    x = RNG.normal(size=(2, 6, 7, 2)).astype(np.float32)
    plan = NetworkPlan(graph, [x.shape])
    y = on_device(plan, x)
    assert y.shape == (2, 20)
    assert np.array_equal(y, plan(x))
