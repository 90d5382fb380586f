"""Datasets in training: the bits of the same arrays, and a network of pictures in folders from beginning to end."""

from pathlib import Path

import numpy as np
import pytest

from cnnfast import Model, Sequential, load_model, set_random_seed
from cnnfast.datasets import Dataset, cached_features, image_dataset_from_directory
from cnnfast.layers import Conv2D, Dense, Flatten, Input


def network() -> Sequential:
    set_random_seed(3)
    model = Sequential([Input((8, 8, 1)), Conv2D(4, 3, activation="relu"), Flatten(), Dense(3, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def test_a_dataset_trains_as_its_arrays_do(rng: np.random.Generator) -> None:
    x, y = rng.random((20, 8, 8, 1), np.float32), rng.integers(0, 3, 20)
    arrays, batches = network(), network()
    first = arrays.fit(x, y, batch_size=8, epochs=3, shuffle=False, verbose=0)
    data = Dataset(x, y, 8).prefetch(2)
    second = batches.fit(data, validation_data=data, epochs=3, verbose=0)
    for a, b in zip(arrays.get_weights(), batches.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert first.history["loss"] == second.history["loss"]
    assert len(second.history["val_accuracy"]) == 3


def test_pictures_in_folders_are_learned(tmp_path: Path) -> None:
    """Dark, grey and bright pictures; then the features of the first layers on disk, for another head."""
    image = pytest.importorskip("PIL.Image", reason='pip install "cnnfast[cli]"')
    noise = np.random.default_rng(0)
    for name, level in (("bright", 200), ("dark", 0), ("grey", 100)):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for i in range(10):
            pixels = noise.integers(level, level + 50, (8, 8), dtype=np.uint8)
            image.fromarray(pixels).save(tmp_path / "pictures" / name / f"{i}.png")
    training, validation = (
        data.map(lambda x, y: (x / 255, y)).prefetch()
        for data in image_dataset_from_directory(
            tmp_path / "pictures", color_mode="grayscale", image_size=(8, 8), batch_size=8, validation_split=0.2,
            subset="both", seed=1,
        )
    )  # fmt: skip
    model = network()
    model.optimizer.learning_rate = 0.01
    model.fit(training, epochs=40, verbose=0)
    assert model.evaluate(validation, verbose=0)[1] >= 5 / 6
    model.save(tmp_path / "m.npz")
    x = np.concatenate([x for x, _ in validation])
    np.testing.assert_array_equal(load_model(tmp_path / "m.npz").predict(x), model.predict(x))
    base = Model(model.inputs, model.layers[1].output)
    before = [weight.values.tobytes() for weight in base.weights]
    x, y = next(iter(training))
    features = cached_features(base, x, tmp_path / "features")
    head = Sequential([Input(features.shape[1:]), Dense(3, activation="softmax")])
    head.compile("sgd", "sparse_categorical_crossentropy")
    head.fit(features, y, epochs=2, verbose=0)
    assert [weight.values.tobytes() for weight in base.weights] == before
