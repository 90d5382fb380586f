"""The way back through every layer: finite differences in float64, which the ops run in as well."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import cnnfast
from cnnfast import Input, Model, Sequential
from cnnfast.layers import (
    ELU,
    Activation,
    AdaptiveAveragePooling2D,
    Add,
    AveragePooling2D,
    BatchNormalization,
    Concatenate,
    Conv1D,
    Conv2D,
    Conv2DTranspose,
    Conv3D,
    Cropping2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    Flatten,
    GlobalAveragePooling2D,
    GlobalMaxPooling2D,
    Layer,
    LeakyReLU,
    LocalResponseNormalization,
    MaxPooling2D,
    MinPooling2D,
    Multiply,
    PReLU,
    ReLU,
    Reshape,
    SeparableConv2D,
    Softmax,
    UpSampling2D,
    ZeroPadding2D,
)
from cnnfast.layers.weight import Weight

STEP = 1e-5
TOLERANCE = 1e-5
"""Relative to the largest element. Central differences err by STEP**2; a weight, which is float32, moves by 1e-3, where
activations bend: by 1e-6 of it."""

PICTURE = ((2, 5, 6, 3),)
ACTIVATIONS = (
    "relu", "relu6", "leaky_relu", "sigmoid", "tanh", "gelu", "silu", "hard_silu", "elu", "selu", "mish", "softplus",
    "hard_sigmoid", "softmax", "log_softmax",
)  # fmt: skip

CASES: list[tuple[Callable[[], Layer], tuple[tuple[int, ...], ...]]] = [
    (lambda: Conv2D(4, 3), PICTURE),
    (lambda: Conv2D(4, 3, strides=2, padding="same", use_bias=False), PICTURE),
    (lambda: Conv2D(6, (2, 3), padding=((0, 1), (2, 0)), dilation_rate=2, groups=3), PICTURE),
    *((lambda name=name: Conv2D(4, 2, activation=name), PICTURE) for name in ACTIVATIONS),  # type: ignore[misc]
    (lambda: Conv1D(4, 3, padding="causal", dilation_rate=2, activation="tanh"), ((2, 7, 3),)),
    (lambda: Conv1D(4, 3, strides=2, padding="same"), ((2, 7, 3),)),
    (lambda: Conv3D(4, 2, activation="tanh"), ((1, 3, 4, 5, 2),)),
    (lambda: Conv3D(4, 3, strides=2, padding="same"), ((1, 3, 4, 5, 2),)),
    (lambda: Conv2DTranspose(4, 3, strides=2, activation="tanh"), PICTURE),
    (lambda: Conv2DTranspose(4, 3, strides=2, padding="same"), PICTURE),
    (lambda: Conv2DTranspose(2, 2, strides=3), PICTURE),
    (lambda: DepthwiseConv2D(3, strides=2, padding="same", activation="relu6"), PICTURE),
    (lambda: DepthwiseConv2D(3, depth_multiplier=2, activation="gelu"), PICTURE),
    (lambda: SeparableConv2D(4, 3, padding="same", depth_multiplier=2, activation="sigmoid"), PICTURE),
    (lambda: SeparableConv2D(4, 3, use_bias=False), PICTURE),
    (lambda: Dense(4, activation="tanh"), ((3, 5),)),
    (lambda: Dense(4, activation="softmax"), ((3, 5),)),
    (lambda: Dense(4, use_bias=False), ((2, 3, 5),)),
    (lambda: BatchNormalization(), PICTURE),
    (lambda: BatchNormalization(center=False, scale=False), ((4, 3),)),
    (lambda: LocalResponseNormalization(3, alpha=0.5), PICTURE),
    *((lambda name=name: Activation(name), ((3, 4),)) for name in (*ACTIVATIONS, "linear")),  # type: ignore[misc]
    (lambda: ReLU(max_value=6), PICTURE),
    (lambda: ReLU(negative_slope=0.5), PICTURE),
    (lambda: LeakyReLU(0.25), PICTURE),
    (lambda: PReLU("glorot_uniform", (1, 2)), PICTURE),
    (lambda: ELU(0.5), PICTURE),
    (lambda: Softmax(1), PICTURE),
    (lambda: MaxPooling2D(2), PICTURE),
    (lambda: MaxPooling2D(3, strides=2, padding="same"), PICTURE),
    (lambda: MinPooling2D(2, strides=1), PICTURE),
    (lambda: AveragePooling2D(2, ceil_mode=True), PICTURE),
    (lambda: AveragePooling2D(3, strides=2, padding="same"), PICTURE),
    (lambda: AdaptiveAveragePooling2D((2, 4)), PICTURE),
    (lambda: GlobalAveragePooling2D(), PICTURE),
    (lambda: GlobalAveragePooling2D(keepdims=True), PICTURE),
    (lambda: GlobalMaxPooling2D(), PICTURE),
    (lambda: GlobalMaxPooling2D(keepdims=True), PICTURE),
    (lambda: ZeroPadding2D(((0, 1), (2, 0))), PICTURE),
    (lambda: Cropping2D(((0, 1), (2, 0))), PICTURE),
    (lambda: UpSampling2D((2, 3)), PICTURE),
    (lambda: UpSampling2D(2, interpolation="bilinear"), PICTURE),
    (lambda: Flatten(), PICTURE),
    (lambda: Reshape((6, -1)), PICTURE),
    (lambda: Dropout(0.5), PICTURE),
    (lambda: Add(), (PICTURE[0], PICTURE[0], (2, 1, 1, 3))),
    (lambda: Multiply(), (PICTURE[0], PICTURE[0], (2, 1, 1, 3))),
    (lambda: Concatenate(), (PICTURE[0], (2, 5, 6, 1))),
    (lambda: Concatenate(axis=1), (PICTURE[0], (2, 2, 6, 3))),
]


def built(make: Callable[[], Layer], shapes: tuple[tuple[int, ...], ...]) -> Layer:
    cnnfast.set_random_seed(7)
    layer = make()
    layer.ready(*shapes)
    rng = np.random.default_rng(1)
    for weight in layer.weights:
        weight.assign(rng.uniform(0.3, 1.5, weight.shape) if weight.name == "moving_variance" else
                      weight.values + rng.normal(0, 0.3, weight.shape))  # fmt: skip
    return layer


def differences(value: Callable[[], float], move: Callable[[Any, float], float], indices: Any) -> np.ndarray:
    """The slope of value() along each element: move(i, step) moves one, and tells where it is."""
    slopes = []
    for i in indices:
        after, high = move(i, 1.0), value()
        before, low = move(i, -1.0), value()
        move(i, 0.0)
        slopes.append((high - low) / (after - before))
    return np.array(slopes)


def assert_close(found: np.ndarray, expected: np.ndarray, what: str, tolerance: float = TOLERANCE) -> None:
    error = np.abs(found.ravel() - expected).max() / max(np.abs(expected).max(), 1e-30)
    assert error < tolerance, f"{what}: relative error {error:.2g}"


@pytest.mark.parametrize(("make", "shapes"), CASES, ids=[str(i) for i in range(len(CASES))])
@pytest.mark.parametrize("training", [False, True])
def test_gradients(make: Any, shapes: Any, training: bool) -> None:
    layer = built(make, shapes)
    if isinstance(layer, Dropout) and training:
        pytest.skip("draws anew each time: see test_dropout")
    rng = np.random.default_rng(3)
    inputs = [rng.normal(0, 1, shape) for shape in shapes]
    y, backprop = layer.forward(*inputs, training=training)
    if not training:
        np.testing.assert_allclose(y, layer.call(*inputs), rtol=1e-12, atol=1e-12)
    grad_output = rng.normal(0, 1, y.shape)
    found = backprop(grad_output)
    grads = [weight.grad for weight in layer.trainable_weights]

    def value() -> float:
        return float((layer.forward(*inputs, training=training)[0] * grad_output).sum())

    for x, grad in zip(inputs, found if len(inputs) > 1 else [found], strict=True):
        kept = x.copy()

        def move(i: Any, way: float, x: np.ndarray = x, kept: np.ndarray = kept) -> float:
            x[i] = kept[i] + way * STEP
            return float(x[i])

        assert grad.dtype == np.float64
        assert grad.shape == x.shape
        assert_close(grad, differences(value, move, np.ndindex(x.shape)), "input")
    for weight, grad in zip(layer.trainable_weights, grads, strict=True):
        assert grad is not None
        assert grad.shape == weight.shape
        values = weight.values.copy()

        def shift(i: Any, way: float, weight: Weight = weight, values: np.ndarray = values) -> float:
            moved = values.copy()
            moved[i] += np.float32(way * 1e-3)
            weight.assign(moved)
            return float(moved[i])

        assert_close(grad, differences(value, shift, np.ndindex(weight.shape)), weight.name)


@pytest.mark.parametrize(("make", "shapes"), CASES, ids=[str(i) for i in range(len(CASES))])
def test_what_nobody_asks_for_is_not_computed(make: Any, shapes: Any) -> None:
    layer = built(make, shapes)
    layer.trainable = False
    inputs = [np.random.default_rng(3).normal(0, 1, shape).astype(np.float32) for shape in shapes]
    before = layer.get_weights()
    y, backprop = layer.forward(*inputs, training=True)
    assert backprop(np.ones_like(y), inputs=False) is None
    backprop(np.ones_like(y))
    assert [weight.grad for weight in layer.weights] == [None] * len(before)
    assert all((a == b).all() for a, b in zip(before, layer.get_weights(), strict=True))
    if not isinstance(layer, Dropout):
        np.testing.assert_allclose(y, layer.call(*inputs), rtol=1e-5, atol=1e-6)


def test_gradients_add_up() -> None:
    layer = built(lambda: Conv2D(4, 3), PICTURE)
    x = np.random.default_rng(0).normal(0, 1, PICTURE[0]).astype(np.float32)
    y, backprop = layer.forward(x)
    backprop(np.ones_like(y))
    once = [weight.grad for weight in layer.weights]
    backprop(np.ones_like(y))
    for weight, grad in zip(layer.weights, once, strict=True):
        assert grad is not None
        assert weight.grad is not None
        np.testing.assert_array_equal(weight.grad, 2 * grad)


def test_a_way_back_keeps_the_weights_it_went_with() -> None:
    layer = built(lambda: Dense(4), ((3, 5),))
    x = np.ones((3, 5), np.float32)
    kernel = layer.get_weights()[0]
    y, backprop = layer.forward(x)
    with layer.weights[0].changing() as values:
        values += 1
    np.testing.assert_allclose(backprop(np.ones_like(y)), np.ones((3, 4)) @ kernel.T, rtol=1e-5, atol=1e-6)


def test_batch_normalization_moves_its_statistics() -> None:
    layer = built(lambda: BatchNormalization(momentum=0.75), PICTURE)
    x = np.random.default_rng(0).normal(2, 3, PICTURE[0]).astype(np.float32)
    mean, var = (weight.values.copy() for weight in layer.weights[2:])
    version = layer.version
    layer.forward(x, training=True)
    np.testing.assert_allclose(layer.weights[2].values, mean * 0.75 + x.mean((0, 1, 2)) * 0.25, rtol=1e-5)
    np.testing.assert_allclose(layer.weights[3].values, var * 0.75 + x.var((0, 1, 2)) * 0.25, rtol=1e-5)
    assert layer.version > version


def test_dropout() -> None:
    x = np.ones((100, 100), np.float32)
    one, two = Dropout(0.25, seed=3), Dropout(0.25, seed=3)
    y, backprop = one.forward(x, training=True)
    assert abs((y == 0).mean() - 0.25) < 0.02
    assert set(np.unique(y)) == {0, np.float32(4 / 3)}
    np.testing.assert_array_equal(backprop(x), y)
    np.testing.assert_array_equal(two(x, training=True), y)
    assert (two(x, training=True) != y).any()
    np.testing.assert_array_equal(one(x), x)
    assert (Dropout(1.0)(x, training=True) == 0).all()


def test_a_function_of_the_users_has_no_gradient() -> None:
    layer, x = Conv2D(2, 3, activation=lambda x: x), np.zeros(PICTURE[0], np.float32)
    layer(x)
    y, backprop = layer.forward(x, training=True)
    with pytest.raises(ValueError, match="activation must be one whose gradient is known"):
        backprop(y)
    with pytest.raises(NotImplementedError, match="does not define forward"):
        Layer().forward(np.zeros(1))


def skips() -> Model:
    """A value that is read three times, a layer that is called twice, a model in a model."""
    x = Input((4, 4, 3))
    shared = Conv2D(3, 3, padding="same", activation="tanh")
    y = shared(shared(x))
    within = Sequential([Conv2D(3, 1, use_bias=False, input_shape=(4, 4, 3)), BatchNormalization(), Activation("tanh")])
    z = Add()([y, x, within(y)])
    return Model(x, GlobalAveragePooling2D()(Concatenate()([z, y])))


@pytest.mark.parametrize("training", [False, True])
def test_a_network(training: bool) -> None:
    model = built(skips, ((None, 4, 4, 3),))  # type: ignore[arg-type]
    rng = np.random.default_rng(3)
    x = rng.normal(0, 1, (2, 4, 4, 3))
    y, backprop = model.forward(x, training=training)
    grad_output = rng.normal(0, 1, y.shape)
    grad = backprop(grad_output)

    def value() -> float:
        return float((model.forward(x, training=training)[0] * grad_output).sum())

    kept = x.copy()

    def move(i: Any, way: float) -> float:
        x[i] = kept[i] + way * STEP
        return float(x[i])

    assert_close(grad, differences(value, move, np.ndindex(x.shape)), "input")
    for weight in model.trainable_weights:
        values, found = weight.values.copy(), weight.grad
        assert found is not None

        def shift(i: Any, way: float, weight: Weight = weight, values: np.ndarray = values) -> float:
            moved = values.copy()
            moved[i] += np.float32(way * 1e-3)
            weight.assign(moved)
            return float(moved[i])

        assert_close(found, differences(value, shift, np.ndindex(weight.shape)), weight.name, 1e-4)
    if not training:
        np.testing.assert_allclose(y, model.call(x), rtol=1e-12)


def test_a_network_computes_what_is_asked_for() -> None:
    asked: list[tuple[str, bool]] = []

    class Watched(Conv2D):
        def forward(self, x: Any, training: bool = False) -> Any:
            y, back = super().forward(x, training)

            def backprop(grad_output: Any, inputs: bool = True, of_logits: bool = False) -> Any:
                asked.append((self.name, inputs))
                return back(grad_output, inputs)

            return y, backprop

    x = Input((4, 4, 3))
    first, second, third = (Watched(3, 1, name=name) for name in "abc")
    model = Model(x, third(second(first(x))))
    first.trainable = False
    y, backprop = model.forward(np.ones((1, 4, 4, 3), np.float32), training=True)
    backprop(np.ones_like(y), inputs=False)
    assert asked == [("c", True), ("b", False)]
    assert first.weights[0].grad is None
    assert second.weights[0].grad is not None
    asked.clear()
    assert backprop(np.ones_like(y)).shape == (1, 4, 4, 3)
    assert asked == [("c", True), ("b", True), ("a", True)]
    with pytest.raises(ValueError, match="grad_output must have the output's shape"):
        backprop(np.ones((1, 4, 4, 2), np.float32))


@pytest.mark.parametrize("after", [ReLU, lambda: ReLU(max_value=6), lambda: Activation("relu")])
@pytest.mark.parametrize("training", [False, True])
def test_a_normalisation_and_the_rectifier_after_it_run_as_one(after: Any, training: bool) -> None:
    x = np.random.default_rng(0).normal(0, 4, (2, 4, 4, 3)).astype(np.float32)
    model = Sequential([BatchNormalization(input_shape=(4, 4, 3)), after()])
    assert len(model.course.steps) == 1
    norm, rectifier = model.layers
    y, backprop = model.forward(x, training=training)
    grad = backprop(np.ones_like(y))
    grads = [weight.grad for weight in model.trainable_weights]
    for weight in model.weights:
        weight.grad = None
    norm.moving_mean.assign(np.zeros(3))  # type: ignore[attr-defined]
    norm.moving_variance.assign(np.ones(3))  # type: ignore[attr-defined]
    between, first = norm.forward(x, training=training)
    apart, second = rectifier.forward(between, training=training)
    np.testing.assert_allclose(y, apart, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(grad, first(second(np.ones_like(y))), rtol=1e-5, atol=1e-6)
    for one, weight in zip(grads, model.trainable_weights, strict=True):
        np.testing.assert_allclose(one, weight.grad, rtol=1e-5, atol=1e-5)


def test_inference_within_a_training() -> None:
    x = Input((4, 4, 3))
    norm = BatchNormalization()
    model = Model(x, norm(x, training=False))
    before = norm.get_weights()
    values = np.random.default_rng(0).normal(3, 2, (2, 4, 4, 3)).astype(np.float32)
    y, _ = model.forward(values, training=True)
    np.testing.assert_allclose(y, norm(values), rtol=1e-6)
    assert all((a == b).all() for a, b in zip(before, norm.get_weights(), strict=True))
    model.trainable = False
    assert not norm.trainable


def test_a_sum_and_the_rectifier_after_it_run_as_one() -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.normal(0, 1, (2, 4, 4, 3)).astype(np.float32) for _ in range(2))
    x, z = Input((4, 4, 3)), Input((4, 4, 3))
    model = Model([x, z], ReLU()(Add()([x, z])))
    assert len(model.course.steps) == 1
    y, backprop = model.forward(a, b, training=True)
    np.testing.assert_array_equal(y, np.maximum(a + b, 0))
    for grad in backprop(np.ones_like(y)):
        np.testing.assert_array_equal(grad, (a + b > 0).astype(np.float32))
