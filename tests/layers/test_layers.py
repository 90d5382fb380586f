"""Every layer: its shape rule, its forward and its plan agree, and its values are those of something independent."""

import math
from typing import Any

import numpy as np
import pytest

from cnnfast import layers
from cnnfast.backends import reference
from cnnfast.graph.ir import Graph, Spec
from cnnfast.graph.network import Network
from cnnfast.layers import (
    ELU,
    Activation,
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
from cnnfast.layers.activations import NAMED

pytestmark = pytest.mark.usefixtures("strict")

PICTURE = (2, 9, 8, 4)
CASES: list[tuple[Any, tuple[int, ...]]] = [
    (Conv1D(3, 4, strides=2, padding="same", dilation_rate=1, activation="relu"), (2, 11, 4)),
    (Conv1D(3, 3, dilation_rate=2), (2, 11, 4)), (Conv1D(3, 3, dilation_rate=2, padding="causal"), (2, 11, 4)),
    (Conv2D(6, 3), PICTURE), (Conv2D(6, (3, 2), strides=2, padding="same", groups=2, activation="tanh"), PICTURE),
    (Conv2D(6, 3, padding=((0, 1), (2, 0)), use_bias=False, activation="elu"), PICTURE),
    (Conv2D(6, 1, activation="log_softmax"), PICTURE),
    (Conv2D(6, 3, dilation_rate=2, activation="softmax"), PICTURE),
    (Conv1D(3, 3, activation="softmax"), (2, 11, 4)), (Conv3D(3, 2, activation=np.tanh), (2, 5, 6, 7, 2)),
    (Conv3D(3, 2, strides=(1, 2, 1), padding="same"), (2, 5, 6, 7, 2)), (Conv3D(3, 3), (2, 5, 6, 7, 2)),
    (DepthwiseConv2D(3, strides=2, padding="same", depth_multiplier=2, activation="relu6"), PICTURE),
    (SeparableConv2D(5, 3, padding="same", depth_multiplier=2, activation="mish"), PICTURE),
    (Conv2DTranspose(3, 2, strides=2), PICTURE), (Conv2DTranspose(3, 3, strides=2, padding="same"), PICTURE),
    (Conv2DTranspose(3, 1, strides=3), PICTURE), (Conv2DTranspose(3, 4, strides=2, padding=1), PICTURE),
    (MaxPooling2D(), PICTURE), (MaxPooling2D(3, strides=2, padding="same"), PICTURE),
    (MaxPooling2D(2, ceil_mode=True), PICTURE), (AveragePooling2D(3, strides=1, padding="same"), PICTURE),
    (MinPooling2D((3, 2), 2), PICTURE), (GlobalAveragePooling2D(), PICTURE),
    (GlobalMaxPooling2D(keepdims=True), PICTURE),
    (layers.AdaptiveAveragePooling2D((4, 3)), PICTURE),
    (Dense(7, activation="gelu"), (2, 5)), (Dense(7, activation="softplus", use_bias=False), (2, 3, 5)),
    (Flatten(), PICTURE), (Reshape((-1, 4, 4)), PICTURE), (Dropout(0.5), PICTURE),
    (layers.RandomFlip(), PICTURE), (layers.RandomRotation(0.1), PICTURE), (layers.RandomZoom(0.1), PICTURE),
    (layers.RandomTranslation(0.1, 0.1), PICTURE), (layers.RandomCrop(6, 7), PICTURE),
    (layers.RandomCrop(5, 3), PICTURE), (layers.RandomContrast(0.1), PICTURE),
    (Activation("hard_sigmoid"), PICTURE), (Activation("linear"), PICTURE), (Activation(np.abs), PICTURE),
    (ReLU(), PICTURE), (ReLU(max_value=6.0), PICTURE), (ReLU(negative_slope=0.1), PICTURE), (LeakyReLU(), PICTURE),
    (PReLU("glorot_uniform"), PICTURE), (PReLU("ones", shared_axes=(1, 2)), PICTURE), (ELU(0.5), PICTURE),
    (Softmax(), PICTURE), (Softmax(axis=1), PICTURE),
    (BatchNormalization(), PICTURE), (BatchNormalization(scale=False, center=False), (2, 5)),
    (LocalResponseNormalization(3), PICTURE),
    (ZeroPadding2D(), PICTURE), (ZeroPadding2D(((0, 1), (2, 3))), PICTURE), (Cropping2D(((1, 2), (0, 3))), PICTURE),
    (UpSampling2D(), PICTURE), (UpSampling2D((1, 3), interpolation="bilinear"), PICTURE),
]  # fmt: skip


def name(case: Any) -> str:
    return type(case).__name__ if isinstance(case, layers.Layer) else ""


@pytest.mark.parametrize(("layer", "shape"), CASES, ids=name)
def test_shape_forward_and_plan_agree(layer: Any, shape: tuple[int, ...], rng: np.random.Generator) -> None:
    x = rng.standard_normal(shape, np.float32)
    expected = layer.ready((None, *shape[1:]))
    y = layer(x)
    assert (None, *y.shape[1:]) == expected
    assert y.dtype == np.float32
    assert len(y) == 2
    graph = Graph(["x"], [])
    graph.outputs = [layer.nodes(graph, ["x"], [(1, *shape[1:])])]
    (run,) = Network(graph).executable({"x": Spec.of(x)}).run([x])
    np.testing.assert_array_equal(run, y)
    assert layer.count_params() == sum(weight.size for weight in layer.get_weights())
    unknown = layer.compute_output_shape((None, *(None for _ in shape[1:-1]), shape[-1]))
    assert len(unknown) == len(expected)
    assert all(a in (None, b) for a, b in zip(unknown, expected, strict=True)), "a size that is not known is None"


def test_every_layer_is_in_the_cases() -> None:
    tested = {type(layer).__name__ for layer, _ in CASES} | {"Add", "Multiply", "Concatenate"}
    assert tested == set(layers.__all__) - {"Input", "InputLayer", "Layer"}


def randomise(layer: Any, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
    """The layer with random weights, statistics too."""
    layer.ready(shape)
    layer.set_weights([np.abs(rng.standard_normal(weight.shape)) + 0.1 for weight in layer.weights])
    return layer


def test_a_convolution_is_the_oracles(rng: np.random.Generator) -> None:
    """TensorFlow's SAME at 9x8, kernel 3, stride 2: (1, 1) rows and (0, 1) columns."""
    layer = randomise(Conv2D(6, 3, strides=2, padding="same", activation="relu"), PICTURE, rng)
    x = rng.standard_normal(PICTURE, np.float32)
    kernel, bias = layer.get_weights()
    expected = reference.conv2d(x, kernel, bias, stride=(2, 2), padding=((1, 1), (0, 1)), activation=("relu", 0.0))
    np.testing.assert_allclose(layer(x), expected, rtol=1e-5, atol=1e-5)


def test_a_causal_convolution_reads_nothing_later(rng: np.random.Generator) -> None:
    layer = randomise(Conv1D(2, 3, dilation_rate=2, padding="causal"), (None, 9, 2), rng)
    x = rng.standard_normal((1, 9, 2), np.float32)
    later = x.copy()
    later[:, 5:] += 1
    np.testing.assert_array_equal(layer(x)[:, :5], layer(later)[:, :5])
    kernel, bias = layer.get_weights()
    np.testing.assert_allclose(layer(x)[0, 0], x[0, 0].astype(float) @ kernel[2] + bias, rtol=1e-5)


def test_a_dense_layer_is_a_matrix_product(rng: np.random.Generator) -> None:
    layer = randomise(Dense(3), (None, 5), rng)
    kernel, bias = layer.get_weights()
    x = rng.standard_normal((4, 5), np.float32)
    np.testing.assert_allclose(layer(x), x.astype(float) @ kernel + bias, rtol=1e-5)


def test_batch_normalization_is_its_formula(rng: np.random.Generator) -> None:
    layer = randomise(BatchNormalization(), PICTURE, rng)
    gamma, beta, mean, variance = layer.get_weights()
    x = rng.standard_normal(PICTURE, np.float32)
    expected = (x.astype(float) - mean) / np.sqrt(variance + 1e-3) * gamma + beta
    np.testing.assert_allclose(layer(x), expected, rtol=1e-5, atol=1e-5)
    assert [weight.name for weight in layer.trainable_weights] == ["gamma", "beta"]


def test_same_average_pooling_leaves_the_padding_out() -> None:
    ones = np.ones((1, 3, 3, 1), np.float32)
    assert (AveragePooling2D(2, strides=2, padding="same")(ones) == 1).all()


def test_leaky_slopes_are_keras_own() -> None:
    x = np.array([[-1.0]], np.float32)
    assert LeakyReLU()(x).item() == np.float32(-0.3)
    assert Activation("leaky_relu")(x).item() == np.float32(-0.2)


def test_merges(rng: np.random.Generator) -> None:
    a, b, c = (rng.standard_normal((2, 3, 3, 4), np.float32) for _ in range(3))
    np.testing.assert_array_equal(Add()([a, b, c]), a + b + c)
    np.testing.assert_array_equal(Multiply()([a, b]), a * b)
    np.testing.assert_array_equal(Multiply()([a, b[:, :1, :1]]), a * b[:, :1, :1])
    np.testing.assert_array_equal(Concatenate()([a, b, c]), np.concatenate([a, b, c], axis=-1))
    assert Concatenate(axis=1).compute_output_shape((None, 2, 3), (None, None, 3)) == (None, None, 3)


@pytest.mark.parametrize("activation", sorted(NAMED))
def test_an_activation_within_a_layer_is_the_one_after_it(activation: str, rng: np.random.Generator) -> None:
    x = rng.standard_normal((2, 5, 5, 3), np.float32) * 3
    within, plain = Conv2D(4, 3, activation=activation), Conv2D(4, 3)
    within.ready(x.shape), plain.ready(x.shape)
    within.set_weights(plain.get_weights())
    np.testing.assert_allclose(within(x), Activation(activation)(plain(x)), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("shape", [(3, 3, 16, 32), (400, 120), (5, 5, 1, 6)])
@pytest.mark.parametrize(
    ("initializer", "scale", "fans"),
    [("glorot_uniform", 1, 2), ("glorot_normal", 1, 2), ("he_uniform", 2, 1), ("he_normal", 2, 1)],
)
def test_initial_weights_have_the_papers_variance(
    initializer: str, scale: int, fans: int, shape: tuple[int, ...]
) -> None:
    window = math.prod(shape[:-2])
    fan = window * (shape[-2] + shape[-1]) / 2 if fans == 2 else window * shape[-2]
    draw = layers.initializers.get("kernel_initializer", initializer)
    values = np.stack([draw(shape, np.random.default_rng(seed)) for seed in range(100)])
    assert values.dtype == np.float32
    assert values.var() == pytest.approx(scale / fan, rel=0.05)
    assert abs(values.mean()) < 0.05 * values.std()
    furthest = math.sqrt(3) if "uniform" in initializer else 2 / layers.initializers.TRUNCATED
    assert np.abs(values).max() <= furthest * math.sqrt(scale / fan) * (1 + 1e-6)


def test_a_seeded_initializer_draws_the_same_whatever_was_drawn_before() -> None:
    seeded = layers.initializers.HeNormal(seed=3)
    first, second = (Dense(4, kernel_initializer=seeded) for _ in range(2))
    first.ready((None, 5)), second.ready((None, 5))
    np.testing.assert_array_equal(first.get_weights()[0], second.get_weights()[0])


BAD: list[tuple[Any, str]] = [
    (lambda: Conv2D(0, 3), "filters must be >= 1, got 0"),
    (lambda: Conv2D(4, (3, 3, 3)), r"kernel_size must be an integer or \(height, width\)"),
    (lambda: Conv2D(4, 3, padding="full"), 'padding must be "valid", "same" or integers'),
    (lambda: Conv1D(4, 3, padding="full"), 'padding must be one of "valid", "same"'),
    (lambda: Conv2D(5, 3, groups=2), "groups must divide filters 5, got 2"),
    (lambda: Conv2D(4, 3, groups=2).ready((None, 8, 8, 3)), r"conv2d \(Conv2D\): groups must divide the input's 3"),
    (lambda: Conv2D(4, 3, activation="rellu"), 'activation must be one of "linear", "relu"'),
    (lambda: Conv2D(4, 3, kernel_initializer="he").ready((None, 8, 8, 3)), "kernel_initializer must be one of"),
    (lambda: Conv2D(4, 3, data_format="channels_first"), 'data_format must be "channels_last"'),
    (lambda: Conv2D(4, 3, colour="red"), "Conv2D has no argument 'colour'"),
    (lambda: Conv2D(4, 3, input_shape=(28, 0, 1)), "input_shape must be >= 1, got 0"),
    (lambda: Conv2D(4, 3, name=7), "name must be a string, got 7"),
    (lambda: Conv2D(4, 3).ready((None, 28, 28)), r"must have 4 dimensions \(N, H, W, C\), got shape \(None, 28, 28\)"),
    (lambda: Conv2D(4, 3, name="first").ready((None, 2, 9, 1)), r"first \(Conv2D\): weight must fit the padded input"),
    (lambda: MaxPooling2D(3).ready((None, 2, 9, 1)), r"max_pooling2d \(MaxPooling2D\): kernel_size must fit"),
    (lambda: Dense(4).ready((None, None)), r"dense \(Dense\): its input's axis -1 must be known"),
    (lambda: Reshape((3, 5)).ready((None, 16)), "does not hold the 16 numbers"),
    (lambda: Reshape((-1, 5)).ready((None, 16)), "does not hold the 16 numbers"),
    (lambda: Dropout(1.5), "rate must be from 0 to 1, got 1.5"),
    (lambda: ReLU(max_value=3), "max_value must be None or 6, got 3"),
    (lambda: Cropping2D(4).ready((None, 8, 8, 1)), "cropping must leave a pixel"),
    (lambda: BatchNormalization(axis=1).ready((None, 8, 8, 3)), "axis must be the last"),
    (lambda: PReLU(shared_axes=(1,)).ready((None, 8, 8, 3)), r"shared_axes must be \(1, 2\)"),
    (lambda: Add()([np.ones(3)]), r"add \(Add\): it needs a list of two inputs or more, got 1"),
    (lambda: Add().ready((None, 3), (None, 4)), r"its inputs must have one shape, got \(None, 3\) and \(None, 4\)"),
    (lambda: Concatenate().ready((None, 3, 3), (None, 4, 3)), "must agree but along axis 2"),
    (lambda: Concatenate(axis=0).ready((None, 3), (None, 3)), "but the batch's, got 0"),
    (lambda: Dense(3).set_weights([]), "build it first"),
    (lambda: Dense(3).count_params(), "build it first"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "words"), BAD, ids=[words for _, words in BAD])
def test_bad_arguments(call: Any, words: str) -> None:
    with pytest.raises((ValueError, TypeError), match=words):
        call()


def test_weights_are_for_so_many_channels() -> None:
    layer = Conv2D(4, 3)
    with pytest.raises(ValueError, match="weight must fit"):
        layer.ready((None, 2, 2, 1))
    assert not layer.weights
    assert layer.ready((None, 8, 8, 3)) == (None, 6, 6, 4)
    assert layer.ready((None, 9, 9, 3)) == (None, 7, 7, 4)
    with pytest.raises(ValueError, match=r"conv2d \(Conv2D\): its weights are for inputs of 3 channels, got shape"):
        layer.ready((None, 8, 8, 4))
    with pytest.raises(ValueError, match="its weights are for inputs of 3 channels"):
        layer(np.zeros((1, 8, 8, 4), np.float32))


def test_weights_are_set_all_or_none() -> None:
    layer = Dense(3)
    layer.ready((None, 2))
    before = layer.get_weights()
    with pytest.raises(ValueError, match=r"dense \(Dense\): the values of bias must have shape \(3,\), got \(4,\)"):
        layer.set_weights([np.ones((2, 3)), np.ones(4)])
    with pytest.raises(ValueError, match="weights must be 2 arrays, got 1"):
        layer.set_weights([np.ones((2, 3))])
    with pytest.raises(TypeError, match="must be numbers"):
        layer.set_weights([np.ones((2, 3)), np.array(["a", "b", "c"])])
    np.testing.assert_array_equal(layer.get_weights()[0], before[0])
    with pytest.raises(ValueError, match="read-only"):
        layer.kernel.values[0] = 1
    mine = np.ones((2, 3), np.float32)
    layer.set_weights([mine, np.zeros(3)])
    mine[:] = 7
    assert (layer.get_weights()[0] == 1).all()
