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
    model.ours = APPLICATIONS[request.param]
    return model


def agree(ours: Model, theirs: Any) -> None:
    x = np.random.default_rng(1).standard_normal((2, 224, 224, 3)).astype(np.float32)
    expected = theirs.predict(x, verbose=0)
    assert expected.max() > 2 / 1000, "not the same for every class"
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
