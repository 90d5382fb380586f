"""Pictures in folders: what is read, how it is labelled, and splits without a picture in both."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnnfast.datasets import image_dataset_from_directory

Image = pytest.importorskip("PIL.Image", reason='pip install "cnnfast[cli]"')

CLASSES = {"cat": 7, "ant": 5, "bee": 8}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture's colour tells its class (red) and its number (green); some lie deeper, some are no pictures."""
    root = tmp_path_factory.mktemp("pictures")
    for i, (name, count) in enumerate(CLASSES.items()):
        for n in range(count):
            path = root / name / ("deep" if n == 3 else "") / f"{n}.{'PNG' if n else 'bmp'}"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (9, 6), (10 * i, n, 200)).save(path)
        (root / name / "notes.txt").write_text("no picture")
    (root / "readme.txt").touch()
    (root / ".hidden").mkdir()
    return root


def seen(data: Any) -> list[tuple[int, int, int]]:
    """(class by the colour, number by the colour, label) of each."""
    return [(int(x[0, 0, 0]) // 10, int(x[0, 0, 1]), int(label)) for xs, ys in data
            for x, label in zip(xs, ys, strict=True)]  # fmt: skip


def test_classes_are_the_folders(folder: Path) -> None:
    data = image_dataset_from_directory(folder, image_size=(4, 5), batch_size=6, shuffle=False)
    assert data.class_names == ["ant", "bee", "cat"]
    assert len(data) == 4
    assert len(data.file_paths) == 20
    x, y = next(iter(data))
    assert (x.shape, x.dtype, y.shape, y.dtype) == ((6, 4, 5, 3), np.float32, (6,), np.int32)
    theirs = {"cat": 0, "ant": 1, "bee": 2}
    assert {(label, colour) for colour, _, label in seen(data)} == {(0, theirs["ant"]), (1, theirs["bee"]), (2, 0)}
    assert [label for _, _, label in seen(data)] == sorted(label for _, _, label in seen(data))
    assert sorted(n for colour, n, _ in seen(data) if colour == 0) == list(range(7))
    other = image_dataset_from_directory(folder, class_names=["cat", "ant", "bee"], image_size=(4, 5))
    assert all(colour == label for colour, _, label in seen(other))


@pytest.mark.parametrize("shuffle", [True, False])
def test_a_split_has_no_picture_twice(folder: Path, shuffle: bool) -> None:
    def half(subset: str, seed: int = 3) -> Any:
        return image_dataset_from_directory(
            folder, image_size=(2, 2), validation_split=0.25, subset=subset, seed=seed, shuffle=shuffle
        )

    training, validation = half("training"), half("validation")
    assert len(training.file_paths) == 15
    assert len(validation.file_paths) == 5
    assert {*training.file_paths, *validation.file_paths} == {*image_dataset_from_directory(folder).file_paths}
    assert {*seen(training)}.isdisjoint(seen(validation))
    assert {label for _, _, label in seen(validation)} != {2}, "not the last class alone"
    both = half("both")
    assert [each.file_paths for each in both] == [training.file_paths, validation.file_paths]
    assert seen(half("training")) == seen(half("training"))
    assert half("validation", 4).file_paths != validation.file_paths


def test_epochs_are_shuffled_by_the_seed(folder: Path) -> None:
    data, same = (image_dataset_from_directory(folder, image_size=(2, 2), seed=1).prefetch() for _ in range(2))
    epochs = [seen(data), seen(data)]
    assert epochs[0] != epochs[1]
    assert sorted(epochs[0]) == sorted(epochs[1])
    assert [seen(same), seen(same)] == epochs


def test_labels(folder: Path) -> None:
    def one(**settings: Any) -> Any:
        return next(iter(image_dataset_from_directory(folder, image_size=(2, 2), shuffle=False, **settings)))[1]

    np.testing.assert_array_equal(one(label_mode="categorical"), np.eye(3)[one()])
    np.testing.assert_array_equal(one(labels=list(range(20))), range(20))
    np.testing.assert_array_equal(one(labels=[0, 1] * 10, label_mode="binary"), np.array([[0, 1] * 10]).T)
    np.testing.assert_array_equal(one(labels=None), range(20))
    np.testing.assert_array_equal(one(label_mode=None), range(20))


def test_pictures_are_resized_and_coloured(tmp_path: Path) -> None:
    values = np.arange(8 * 6 * 3, dtype=np.uint8).reshape(8, 6, 3)
    Image.fromarray(values).save(tmp_path / "a.png")

    def one(**settings: Any) -> Any:
        return next(iter(image_dataset_from_directory(tmp_path, labels=None, **settings)))[0][0]

    np.testing.assert_array_equal(one(image_size=(8, 6)), values)
    np.testing.assert_array_equal(one(image_size=(16, 12), interpolation="nearest"), values.repeat(2, 0).repeat(2, 1))
    mean = values.reshape(4, 2, 3, 2, 3).mean((1, 3))
    np.testing.assert_allclose(one(image_size=(4, 3), interpolation="box"), mean, atol=0.51)
    grey = values @ [0.299, 0.587, 0.114]
    np.testing.assert_allclose(one(image_size=(8, 6), color_mode="grayscale")[..., 0], grey, atol=1)
    assert one(image_size=(8, 6), color_mode="rgba")[0, 0].tolist() == [0, 1, 2, 255]


REFUSED: list[tuple[dict[str, Any], str]] = [
    (dict(label_mode="binary"), "must have two classes, got 3"), (dict(label_mode="one"), "label_mode must be one of"),
    (dict(class_names=["cat", "dog", "bee"]), "class_names must be ant, bee, cat in some order"),
    (dict(labels=[1, 2]), "labels must be .* 20 integers"), (dict(labels=[-1] * 20), "labels must be"),
    (dict(labels="guess"), "labels must be"), (dict(color_mode="cmyk"), "color_mode must be one of"),
    (dict(interpolation="area"), "interpolation must be one of"), (dict(image_size=(0, 3)), "image_size must be >= 1"),
    (dict(validation_split=0.2), "must be given together"), (dict(subset="training"), "must be given together"),
    (dict(validation_split=0.2, subset="training"), "seed must be given"),
    (dict(validation_split=1.0, subset="both"), "must be between 0 and 1"),
    (dict(validation_split=0.2, subset="test", seed=1), "subset must be one of"),
    (dict(batch_size=0), "batch_size must be >= 1"),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "words"), REFUSED)
def test_what_is_refused(folder: Path, settings: dict[str, Any], words: str) -> None:
    with pytest.raises((ValueError, TypeError), match=words):
        image_dataset_from_directory(folder, **settings)


def test_folders_that_are_none(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        image_dataset_from_directory(tmp_path / "none")
    with pytest.raises(NotADirectoryError):
        image_dataset_from_directory(folder / "readme.txt")
    with pytest.raises(ValueError, match="has none"):
        image_dataset_from_directory(tmp_path)


@pytest.mark.parametrize("ahead", [False, True])
def test_a_broken_picture_is_named(tmp_path: Path, ahead: bool) -> None:
    (tmp_path / "a").mkdir()
    Image.new("RGB", (30, 30), (1, 2, 3)).save(tmp_path / "a" / "b.png")
    whole = (tmp_path / "a" / "b.png").read_bytes()
    for data in (b"", b"no picture", whole[: len(whole) // 2]):
        (tmp_path / "a" / "b.png").write_bytes(data)
        pictures = image_dataset_from_directory(tmp_path)
        with pytest.raises(ValueError, match=r"b\.png is no picture that Pillow reads"):
            list(pictures.prefetch() if ahead else pictures)


def test_without_pillow(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match=r'pip install "cnnfast\[cli\]"'):
        image_dataset_from_directory(folder)
