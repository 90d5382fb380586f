"""Features on disk: the bits of the full forward, computed once for one network and its data, and never half a file."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnnfast import Input, Model, Sequential
from cnnfast.datasets import Dataset, cached_features
from cnnfast.layers import BatchNormalization, Conv2D, Dense, Flatten, GlobalAveragePooling2D, MaxPooling2D, ReLU
from cnnfast.models import MobileNetV2
from cnnfast.network_plan import NetworkPlan

X = np.random.default_rng(0).random((21, 8, 8, 3), np.float32)


def base() -> Model:
    return Sequential(
        [Input((8, 8, 3)), Conv2D(16, 3, padding="same", kernel_initializer="ones"), BatchNormalization(), ReLU(),
         MaxPooling2D(2)], "base",
    )  # fmt: skip


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pictures each run of a network took."""
    found: list[int] = []
    call = NetworkPlan.__call__

    def counted(self: NetworkPlan, *inputs: Any, **keywords: Any) -> Any:
        found.append(len(inputs[0]))
        return call(self, *inputs, **keywords)

    monkeypatch.setattr(NetworkPlan, "__call__", counted)
    return found


def test_computed_once_with_the_bits_of_predict(tmp_path: Path, runs: list[int]) -> None:
    model = base()
    first = cached_features(model, X, tmp_path / "new" / "folder", batch_size=8)
    assert runs == [8, 8, 5]
    np.testing.assert_array_equal(first, base().predict(X, 8))
    assert first.dtype == np.float32
    assert isinstance(first, np.memmap)
    assert not first.flags.writeable
    runs.clear()
    np.testing.assert_array_equal(cached_features(base(), X, tmp_path / "new" / "folder", batch_size=8), first)
    assert runs == []
    assert [each.suffix for each in (tmp_path / "new" / "folder").iterdir()] == [".npy"]


def test_a_head_on_features_is_the_whole_network(tmp_path: Path) -> None:
    """MobileNetV2 without its top, and a head: the bits of both as one network."""
    frozen = MobileNetV2(include_top=False, input_shape=(64, 64, 3))
    head = Sequential([Input(frozen.output_shape[1:]), GlobalAveragePooling2D(), Dense(5, "softmax")], "head")
    whole = Model(frozen.inputs, head(frozen.outputs[0]))
    x = np.random.default_rng(1).random((6, 64, 64, 3), np.float32)
    features = cached_features(frozen, x, tmp_path, batch_size=4)
    np.testing.assert_array_equal(head.predict(features, 4), whole.predict(x, 4))


def test_other_weights_data_batches_and_layers_have_files_of_their_own(tmp_path: Path, runs: list[int]) -> None:
    model = base()
    cached_features(model, X, tmp_path)
    model.layers[0].set_weights([np.full((3, 3, 3, 16), 2.0), np.zeros(16)])
    changed = X.copy()
    changed[20, 7, 7, 2] += 1
    strided = Sequential([Input((8, 8, 3)), Conv2D(16, 3, 2, padding="same", kernel_initializer="ones")], "base")
    for n, (other, x, size) in enumerate(
        [(model, X, 32), (base(), changed, 32), (base(), X[::-1], 32), (base(), X, 7), (base(), X[:20], 32),
         (strided, X, 32), (base(), X.astype(np.float64), 32)], 2,
    ):  # fmt: skip
        runs.clear()
        features = cached_features(other, x, tmp_path, size)
        assert runs
        assert len(list(tmp_path.iterdir())) == n
        np.testing.assert_array_equal(features, other.predict(x, size))


def test_datasets(tmp_path: Path) -> None:
    y = np.arange(21)
    expected = base().predict(X, 4)
    for name, x in {
        "pairs": Dataset(X, y, 4), "ahead": Dataset(X, y, 4).prefetch(), "list": [list(each) for each in X.tolist()],
        "mapped": Dataset(X, y, 4).map(lambda x, y: (x, y)),
    }.items():  # fmt: skip
        np.testing.assert_array_equal(cached_features(base(), x, tmp_path / name, 4), expected)

    class Pictures:
        """Batches without labels."""

        def __iter__(self) -> Any:
            return iter([X[:4], X[4:]])

    assert cached_features(base(), Pictures(), tmp_path / "x").shape == expected.shape
    with pytest.raises(ValueError, match="the same batches in the same order"):
        cached_features(base(), Dataset(X, y, 4, shuffle=True), tmp_path / "shuffled")
    assert list((tmp_path / "shuffled").iterdir()) == []
    with pytest.raises(TypeError, match="iterated over twice, got an iterator"):
        cached_features(base(), iter(Dataset(X, y)), tmp_path)


def test_a_damaged_file_is_computed_again(tmp_path: Path, runs: list[int]) -> None:
    expected = np.array(cached_features(base(), X, tmp_path))
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    for data in (b"", b"\x93NUMPY", whole[:-1], whole[: len(whole) // 2]):
        file.write_bytes(data)
        runs.clear()
        np.testing.assert_array_equal(cached_features(base(), X, tmp_path), expected)
        assert runs
    assert file.read_bytes() == whole


def test_an_error_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="takes inputs of shape"):
        cached_features(base(), np.zeros((2, 9, 9, 3)), tmp_path)
    with pytest.raises(TypeError, match="x must hold batches of numbers"):
        cached_features(base(), np.zeros((2, 8, 8, 3), complex), tmp_path)
    assert list(tmp_path.iterdir()) == []
    x = Input((4,))
    with pytest.raises(ValueError, match="one input and one output"):
        cached_features(Model(x, [Dense(1)(x), Dense(2)(x)]), np.zeros((1, 4)), tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        cached_features(base(), X, tmp_path / "file")


def test_no_pictures(tmp_path: Path) -> None:
    assert cached_features(base(), X[:0], tmp_path).shape == (0, 4, 4, 16)
    assert cached_features(Sequential([Input((3,)), Flatten()]), np.zeros((0, 3)), os.fspath(tmp_path)).shape == (0, 3)
