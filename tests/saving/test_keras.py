"""Keras 3's own files, and ours in Keras: the same predictions. Needs keras, and torch or jax for its backend."""

import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnnfast import Model, load_model, models

BACKENDS = [name for name in ("torch", "jax") if importlib.util.find_spec(name)]
if not BACKENDS:
    pytest.skip('pip install "keras>=3" torch, or jax', allow_module_level=True)
os.environ.setdefault("KERAS_BACKEND", BACKENDS[0])
keras = pytest.importorskip("keras", reason='pip install "keras>=3"')

APPLICATIONS: dict[str, Any] = {
    "VGG16": models.VGG16, "ResNet50": lambda: models.ResNet50(form="keras"), "MobileNetV2": models.MobileNetV2,
}  # fmt: skip
LAST = {"VGG16": 1, "ResNet50": 0.02, "MobileNetV2": 5}
"""By what the last layer's weights are scaled, so that the predictions of random features are of several sizes."""


@pytest.fixture(params=APPLICATIONS)
def theirs(request: pytest.FixtureRequest) -> Any:
    """An application of Keras', with weights, biases and statistics that are drawn."""
    keras.utils.set_random_seed(3)
    model = getattr(keras.applications, request.param)(weights=None)
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            C = layer.gamma.shape[0]
            layer.set_weights([rng.uniform(0.5, 1.5, C), rng.normal(0, 0.1, C), rng.normal(0, 0.1, C),
                               rng.uniform(0.5, 1.5, C)])  # fmt: skip
        elif len(layer.get_weights()) == 2:
            kernel, bias = layer.get_weights()
            layer.set_weights([kernel * 2**0.5, rng.normal(0, 0.1, bias.shape)])
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([kernel * LAST[request.param], bias])
    model.ours = APPLICATIONS[request.param]
    return model


def agree(ours: Model, theirs: Any) -> None:
    x = np.random.default_rng(1).standard_normal((2, 224, 224, 3)).astype(np.float32)
    features = keras.Model(theirs.inputs, theirs.layers[-2].output).predict(x, verbose=0)
    assert features.std() > 0.1 * np.abs(features).mean(), "not the same everywhere"
    maps = Model(ours.inputs, ours.layers[-2].output).predict(x)
    np.testing.assert_allclose(maps, features, atol=1e-5 * np.abs(features).max(), rtol=0)
    expected = theirs.predict(x, verbose=0)
    assert 2 / 1000 < expected.max() < 0.9, "neither the same for every class, nor one class alone"
    np.testing.assert_allclose(ours.predict(x), expected, rtol=2e-4, atol=1e-7)


def test_weights_of_keras(theirs: Any, tmp_path: Path) -> None:
    theirs.save_weights(tmp_path / "theirs.weights.h5")
    ours = theirs.ours()
    assert ours.count_params() == theirs.count_params()
    ours.load_weights(tmp_path / "theirs.weights.h5")
    agree(ours, theirs)
    for weights in theirs.weights:
        weights.assign(np.zeros(weights.shape))
    ours.save_weights(tmp_path / "ours.weights.h5")
    theirs.load_weights(tmp_path / "ours.weights.h5")
    agree(ours, theirs)


def test_whole_models_of_keras(theirs: Any, tmp_path: Path) -> None:
    theirs.save(tmp_path / "theirs.keras")
    ours = load_model(tmp_path / "theirs.keras")
    assert [layer.name for layer in ours.layers] == [each.name for each in theirs.layers][-len(ours.layers) :]
    agree(ours, theirs)
    for weights in theirs.weights:
        weights.assign(np.zeros(weights.shape))
    ours.save_weights(tmp_path / "ours.weights.h5")
    theirs.load_weights(tmp_path / "ours.weights.h5")
    agree(ours, theirs)
    ours.save(tmp_path / "ours.keras")
    agree(ours, keras.models.load_model(tmp_path / "ours.keras"))


def every_layer() -> Any:
    """A network of Keras' with each layer that both have, and with a network within."""
    L = keras.layers
    x = inputs = keras.Input((8, 8, 3))
    for layer in (
        L.Conv2D(4, 3, name="c", kernel_regularizer="l2"), L.BatchNormalization(), L.ReLU(6.0),
        L.SeparableConv2D(4, 3, padding="same", activation="relu6"),
    ):  # fmt: skip
        x = layer(x)
    x = L.Concatenate()([L.Add()([x, x]), L.Multiply()([x, x]), x])
    slopes = L.PReLU(shared_axes=[1, 2])
    within = keras.Sequential([L.Input((5, 5, 8)), L.Conv2D(5, 1), L.Dropout(0.2), slopes], name="w")
    for layer in (
        L.DepthwiseConv2D(3, depth_multiplier=2, activation="gelu"), L.Activation("silu"), L.LeakyReLU(), L.ELU(0.5),
        L.Conv2DTranspose(8, 2, kernel_initializer=keras.initializers.HeNormal(seed=1)), L.UpSampling2D(2),
        L.ZeroPadding2D(1), L.Cropping2D(1), L.AveragePooling2D(2), within, L.MaxPooling2D(2, strides=1),
        L.GlobalAveragePooling2D(), L.Reshape((5, 1)), L.Flatten(), L.Dense(4), L.Softmax(),
    ):  # fmt: skip
        x = layer(x)
    model = keras.Model(inputs, x)
    rng = np.random.default_rng(2)
    model.set_weights([rng.uniform(0.1, 0.6, weight.shape) for weight in model.weights])
    return model


@pytest.mark.parametrize("compiled", [False, True])
def test_every_layer(compiled: bool, tmp_path: Path) -> None:
    theirs = every_layer()
    if compiled:
        theirs.compile("adam", "mse")
        theirs.fit(np.zeros((2, 8, 8, 3)), np.zeros((2, 4)), verbose=0)
    theirs.save(tmp_path / "a.keras")
    ours = load_model(tmp_path / "a.keras")
    x = np.random.default_rng(1).standard_normal((3, 8, 8, 3)).astype(np.float32)
    np.testing.assert_allclose(ours.predict(x), theirs.predict(x, verbose=0), rtol=1e-4, atol=1e-6)
    assert ours.get_layer("c").kernel.regularizer.l2 == 0.01
    ours.save(tmp_path / "b.keras")
    back = keras.models.load_model(tmp_path / "b.keras")
    np.testing.assert_allclose(back.predict(x, verbose=0), theirs.predict(x, verbose=0), rtol=1e-5, atol=1e-7)


def test_code_is_refused(tmp_path: Path) -> None:
    code, active = keras.layers.Lambda(lambda x: x * 2, name="l"), keras.layers.Dense(2, lambda x: x, name="d")
    for layer, words in ((code, r"l \(Lambda\) holds code"), (active, r"d \(Dense\): activation must")):
        keras.Sequential([keras.Input((3,)), layer]).save(tmp_path / "a.keras")
        with pytest.raises(ValueError, match=words):
            load_model(tmp_path / "a.keras")
    x = keras.Input((3,))
    keras.Model(x, x * 2).save(tmp_path / "a.keras")
    with pytest.raises(ValueError, match=r"\(Multiply\) must be a layer of Keras or cnnfast"):
        load_model(tmp_path / "a.keras")
