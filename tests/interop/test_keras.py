"""Keras' layers computed by cnnfast, held to Keras' own: values, gradients, files, training.

Under the backend that is set, or else torch or jax; the other one has a process of its own (`test_other_backend`).
"""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cnnfast

NEEDS = {"torch": "torch==2.13.0", "jax": "jax"}
BACKENDS = [name for name in NEEDS if importlib.util.find_spec(name)]
if not BACKENDS:
    pytest.skip("a backend for Keras: pip install keras torch==2.13.0, or jax", allow_module_level=True)
os.environ.setdefault("KERAS_BACKEND", BACKENDS[0])
keras = pytest.importorskip("keras", reason="layers to be like: pip install keras")
if keras.backend.backend() not in BACKENDS:
    pytest.skip('the layers need KERAS_BACKEND="torch" or "jax"', allow_module_level=True)

import cnnfast.interop.keras as ours

L = keras.layers
BACKEND = keras.backend.backend()
LAYERS: dict[str, Callable[[], Any]] = {
    "conv": lambda: L.Conv2D(5, 3),
    "conv, same, stride 2": lambda: L.Conv2D(5, (3, 2), strides=2, padding="same", activation="relu"),
    "conv, dilated, groups": lambda: L.Conv2D(6, 3, dilation_rate=2, groups=2, padding="same", use_bias=False),
    "conv, gelu": lambda: L.Conv2D(5, 3, activation="gelu"),
    "conv, leaky": lambda: L.Conv2D(5, 3, activation="leaky_relu"),
    "conv, an activation of Keras' alone": lambda: L.Conv2D(5, 3, activation="softsign"),
    "depthwise": lambda: L.DepthwiseConv2D(3, depth_multiplier=2, padding="same", activation="relu6"),
    "depthwise, stride 2": lambda: L.DepthwiseConv2D(3, strides=2),
    "separable": lambda: L.SeparableConv2D(6, 3, strides=2, padding="same", depth_multiplier=2, activation="silu"),
    "transposed": lambda: L.Conv2DTranspose(5, 3, strides=2, padding="same", activation="relu"),
    "transposed, valid": lambda: L.Conv2DTranspose(5, (4, 2), strides=(1, 3)),
    "transposed, output_padding": lambda: L.Conv2DTranspose(5, 3, strides=2, output_padding=1),
    "transposed, same, output_padding": lambda: L.Conv2DTranspose(5, 3, strides=2, padding="same", output_padding=0),
    "transposed, dilated": lambda: L.Conv2DTranspose(5, 3, dilation_rate=2, padding="same"),
    "max": lambda: L.MaxPooling2D(3, strides=2, padding="same"),
    "max, valid": lambda: L.MaxPooling2D(2),
    "average": lambda: L.AveragePooling2D(3, strides=(2, 1), padding="same"),
    "average, valid": lambda: L.AveragePooling2D((2, 3), strides=1),
    "dense": lambda: L.Dense(7, activation="tanh"),
}  # fmt: skip


def pair(make: Callable[[], Any], shape: tuple[int, ...]) -> tuple[Any, Any]:
    """A layer of Keras' and its twin with the same weights, which are drawn."""
    theirs = make()
    twin = ours.TWINS[type(theirs)].from_config(theirs.get_config())
    assert type(twin).__module__ == "cnnfast.interop.keras"
    rng = np.random.default_rng(1)
    for layer in (theirs, twin):
        layer.build(shape)
    theirs.set_weights([rng.uniform(-0.5, 0.5, weight.shape) for weight in theirs.get_weights()])
    twin.set_weights(theirs.get_weights())
    return theirs, twin


def gradients(layer: Any, x: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    """Of a weighted sum of the outputs: the input's, then the weights'."""
    scale = np.random.default_rng(2).standard_normal(tuple(layer.compute_output_shape(x.shape))).astype(np.float32)
    if BACKEND == "torch":
        import torch

        given = torch.tensor(x, requires_grad=True)
        layer.zero_grad()
        (layer(given) * torch.from_numpy(scale)).sum().backward()
        return [each.numpy() for each in (given.grad, *(weight.value.grad for weight in layer.trainable_variables))]
    import jax

    def loss(given: Any, weights: Any) -> Any:
        return (layer.stateless_call(weights, [], given)[0] * scale).sum()

    found, weights = jax.grad(loss, (0, 1))(x, [weight.value for weight in layer.trainable_variables])
    return [np.asarray(each) for each in (found, *weights)]


@pytest.mark.parametrize("name", LAYERS)
def test_values_and_gradients(name: str, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    x = rng.standard_normal((2, 11, 12, 4)).astype(np.float32)
    theirs, twin = pair(LAYERS[name], x.shape)
    expected, changes = keras.ops.convert_to_numpy(theirs(x)), gradients(theirs, x)
    if name != "transposed, same, output_padding":  # where Keras computes it
        for module in ("conv2d", "depthwise_conv2d", "conv2d_transpose", "max_pool", "average_pool", "matmul", "conv"):
            if hasattr(keras.src.ops, module):
                monkeypatch.setattr(keras.src.ops, module, None)
    found = keras.ops.convert_to_numpy(twin(x))
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    for change, wanted in zip(gradients(twin, x), changes, strict=True):
        np.testing.assert_allclose(change, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", LAYERS)
def test_channels_first(name: str, rng: np.random.Generator) -> None:
    x = rng.standard_normal((2, 4, 11, 12)).astype(np.float32)
    last = LAYERS[name]()
    if not hasattr(last, "data_format"):
        pytest.skip("a dense layer has no data_format")
    given = {**last.get_config(), "data_format": "channels_first"}
    twin = ours.TWINS[type(last)].from_config(given)
    twin.build(x.shape)
    last.build((2, 11, 12, 4))
    rng = np.random.default_rng(1)
    last.set_weights([rng.uniform(-0.5, 0.5, weight.shape) for weight in last.get_weights()])
    twin.set_weights(last.get_weights())
    expected = keras.ops.convert_to_numpy(last(x.transpose(0, 2, 3, 1))).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(twin(x)), expected, rtol=1e-4, atol=1e-5)


def test_same_average_pools() -> None:
    """Means of what lies in the picture, where one side is padded more too; Keras under torch repeats its edge."""
    x = np.arange(12, dtype=np.float32).reshape(1, 2, 6, 1)
    y = keras.ops.convert_to_numpy(ours.AveragePooling2D(3, strides=2, padding="same")(x))
    assert y.ravel().tolist() == [x[0, :, i : i + 3].mean() for i in (0, 2, 4)]


def network() -> Any:
    """Every layer that has a twin, one within another model, and some that have none."""
    keras.utils.set_random_seed(5)
    within = keras.Sequential([keras.Input((8, 8, 8)), L.DepthwiseConv2D(3, padding="same"), L.ReLU()], name="within")
    x = inputs = keras.Input((16, 16, 3))
    x = L.BatchNormalization()(L.Conv2D(8, 3, padding="same", activation="relu", kernel_regularizer="l2")(x))
    y = within(L.MaxPooling2D(2)(x))
    y = L.Add()([y, L.SeparableConv2D(8, 3, padding="same")(y)])
    y = L.AveragePooling2D(2)(L.Conv2DTranspose(4, 2, strides=2)(y))
    return keras.Model(inputs, L.Dense(3, activation="softmax", name="head")(L.Flatten()(L.Dropout(0.2)(y))))


def test_convert(rng: np.random.Generator) -> None:
    model = network()
    made = ours.convert(model)
    x = rng.standard_normal((4, 16, 16, 3)).astype(np.float32)
    assert [layer.name for layer in made.layers[1:]] == [layer.name for layer in model.layers[1:]]
    kinds = [type(layer).__module__ for layer in made.layers]
    assert kinds.count("cnnfast.interop.keras") == 6
    assert type(made.get_layer("within").layers[0]) is ours.DepthwiseConv2D
    np.testing.assert_allclose(made.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-4, atol=1e-6)
    made.layers[1].kernel.assign(made.layers[1].kernel * 2)  # what was packed is packed anew
    assert np.abs(made.predict(x, verbose=0) - model.predict(x, verbose=0)).max() > 1e-3
    with pytest.raises(TypeError, match=r"model must be a keras\.Model"):
        ours.convert(L.Conv2D(1, 1))


def test_the_same_training(rng: np.random.Generator) -> None:
    """Losses of a few steps, in float32: the same to rounding."""
    x, y = rng.standard_normal((64, 16, 16, 3)).astype(np.float32), rng.integers(0, 3, 64)
    losses = []
    for make in (network, lambda: ours.convert(network())):
        model = make()
        model.layers[-2].seed_generator = None
        model = keras.models.clone_model(model, clone_function=_without_dropout)
        model.set_weights(make().get_weights())
        model.compile(keras.optimizers.SGD(0.01), "sparse_categorical_crossentropy")
        losses.append(model.fit(x, y, batch_size=16, epochs=3, shuffle=False, verbose=0).history["loss"])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)
    assert losses[1][-1] < losses[1][0]


def _without_dropout(layer: Any) -> Any:
    if isinstance(layer, L.Dropout):
        return L.Dropout(0.0, name=layer.name)
    return type(layer).from_config(layer.get_config())


def test_files(tmp_path: Path, rng: np.random.Generator) -> None:
    """Saved and loaded by Keras; and loaded by cnnfast itself, before `convert` and after."""
    model = network()
    made, x = ours.convert(model), rng.standard_normal((4, 16, 16, 3)).astype(np.float32)
    made.save(tmp_path / "made.keras")
    back = keras.models.load_model(tmp_path / "made.keras")
    assert [type(layer) for layer in back.layers] == [type(layer) for layer in made.layers]
    expected = made.predict(x, verbose=0)
    np.testing.assert_array_equal(back.predict(x, verbose=0), expected)
    model.save(tmp_path / "model.keras")
    alone = cnnfast.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(alone.predict(x), expected, rtol=1e-4, atol=1e-6)
    assert cnnfast.load_model(tmp_path / "made.keras").predict(x).tobytes() == alone.predict(x).tobytes()
    made.save_weights(tmp_path / "made.weights.h5")
    model.load_weights(tmp_path / "made.weights.h5")


def test_what_cnnfast_does_not_take() -> None:
    """float16 is Keras' to compute, in the twins too."""
    x = np.ones((1, 6, 6, 2), np.float16)
    layer = ours.Conv2D(3, 3, dtype="float16", kernel_initializer="ones")
    y = keras.ops.convert_to_numpy(layer(x))
    assert y.dtype == np.float16
    assert (y == 18).all()


def test_other_backend() -> None:
    """This file again under the other backend: KERAS_BACKEND is the process's."""
    others = [name for name in BACKENDS if name != BACKEND]
    if not others or "OTHER_KERAS_BACKEND" in os.environ:
        pytest.skip(f"a second backend: pip install {' '.join(NEEDS[name] for name in NEEDS if name not in BACKENDS)}")
    environment = os.environ | {"KERAS_BACKEND": others[0], "OTHER_KERAS_BACKEND": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib", __file__],
        env=environment, capture_output=True, text=True, timeout=300, cwd=Path(__file__).parents[1],
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]


def test_other_backends_are_refused() -> None:
    command = [sys.executable, "-P", "-c", "import cnnfast.interop.keras"]
    done = subprocess.run(command, env=os.environ | {"KERAS_BACKEND": "numpy"}, capture_output=True, text=True)
    assert 'needs the backend "torch" or "jax", got "numpy"' in done.stderr
