"""Pictures in folders, one for each class: Keras' image_dataset_from_directory."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cnnfast.datasets.batches import Batch, Dataset
from cnnfast.layers.initializers import next_seed
from cnnfast.ops import checks
from cnnfast.ops.arrays import Array

EXTENSIONS = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
MODES = {"rgb": ("RGB", 3), "grayscale": ("L", 1), "rgba": ("RGBA", 4)}
INTERPOLATIONS = {"nearest": 0, "lanczos3": 1, "bilinear": 2, "bicubic": 3, "box": 4}
"""Pillow's numbers. Where a picture is made smaller, all but nearest weigh every pixel of it."""
LABELS = ("int", "categorical", "binary", None)


class Pictures(NamedTuple):
    """How a picture becomes an array."""

    mode: str
    channels: int
    size: tuple[int, int]
    resample: int

    def read(self, path: str) -> Array:
        """(H, W, C), 0 to 255."""
        from PIL import Image

        try:
            with Image.open(path) as image:
                height, width = self.size
                resized = eight_bits(image).convert(self.mode).resize((width, height), Image.Resampling(self.resample))
                return np.asarray(resized, np.float32).reshape(height, width, self.channels)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise ValueError(f"{path} is no picture that Pillow reads: {error}") from error


def eight_bits(image: Any) -> Any:
    """A Pillow image of 16-bit greys as one of their high bytes; Pillow's own conversion cuts them off at 255."""
    from PIL import Image

    if not image.mode.startswith("I;16"):
        return image
    return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))


def image_dataset_from_directory(
    directory: str | os.PathLike[str], labels: str | Sequence[int] | None = "inferred", label_mode: str | None = "int",
    class_names: Sequence[str] | None = None, color_mode: str = "rgb", batch_size: int = 32,
    image_size: tuple[int, int] = (256, 256), shuffle: bool = True, seed: int | None = None,
    validation_split: float | None = None, subset: str | None = None, interpolation: str = "bilinear",
) -> Any:  # fmt: skip
    """Batches of the pictures in a folder: x (N, H, W, C) float32, 0 to 255, and y. Reading them needs Pillow.

    Parameters
    ----------
    directory : with a folder for each class, in which pictures lie at any depth
    labels : "inferred" from the folders; an integer for each picture, in the order of their paths; or None
    label_mode : "int": y (N,) int32. "categorical": (N, classes) float32. "binary": (N, 1) float32, of two classes.
        None: as with labels None, y is x's place in the order of the paths, (N,) int64
    class_names : the folders in the order in which they are counted, by default that of their names
    color_mode : "rgb", "grayscale" or "rgba"
    batch_size : of every batch but the last
    image_size : (height, width) that all are brought to
    shuffle : a new order each epoch; False keeps that of the paths
    seed : of the orders, and of the split
    validation_split : the share, between 0 and 1, that is kept for validation. Which pictures these are depends on the
        seed alone, so give both halves the same one; Keras takes the last ones where shuffle is False
    subset : "training", "validation", or "both" for the two of them as a tuple; with a validation_split only
    interpolation : "nearest", "bilinear", "bicubic", "box" or "lanczos3": Pillow's, which smooths what it makes smaller

    Returns
    -------
    A Dataset with `class_names` and `file_paths`; two of them with subset "both"

    Raises
    ------
    ImportError : Pillow is not installed
    FileNotFoundError, NotADirectoryError : directory is not there
    ValueError, TypeError : an argument is not as it must be, or there are no pictures; while it is iterated over, a
        file that is no picture, which is named
    """
    try:
        import PIL  # noqa: F401
    except ImportError as error:
        raise ImportError('image_dataset_from_directory needs Pillow: pip install "cnnfast[cli]"') from error
    mode, channels = MODES[checks.choice("color_mode", color_mode, MODES)]
    resample = INTERPOLATIONS[checks.choice("interpolation", interpolation, INTERPOLATIONS)]
    height, width = checks.pair("image_size", image_size, minimum=1)
    pictures = Pictures(mode, channels, (height, width), resample)
    if label_mode not in LABELS:
        raise ValueError(f"label_mode must be one of {', '.join(map(repr, LABELS))}, got {label_mode!r}")
    names, paths, y = _labelled(Path(directory), labels, class_names, label_mode)
    share, subset = _share(validation_split, subset, shuffle, seed)
    seed = next_seed() if seed is None and shuffle else seed or 0
    training, validation = split(len(paths), share, seed)

    def dataset(rows: Array) -> Dataset:
        def read(batch: Array) -> Batch:
            return np.stack([pictures.read(paths[i]) for i in rows[batch]]), y[rows[batch]]

        made = Dataset.of(len(rows), read, batch_size, shuffle=shuffle, seed=seed)
        made.class_names, made.file_paths = list(names), [paths[i] for i in rows]
        return made

    chosen = {"training": [training], "validation": [validation], "both": [training, validation], None: [training]}
    made = tuple(dataset(rows) for rows in chosen[subset])
    return made if len(made) > 1 else made[0]


def split(count: int, share: float, seed: int) -> tuple[Array, Array]:
    """Which of `count` examples are for training, and which for validation: by the seed alone, each in its order.

    >>> training, validation = split(10, 0.2, seed=1)
    >>> len(training), len(validation), sorted([*training, *validation]) == list(range(10))
    (8, 2, True)
    """
    order = np.random.default_rng((seed, count)).permutation(count)
    kept = count - int(count * share)
    return np.sort(order[:kept]), np.sort(order[kept:])


def _share(split: float | None, subset: str | None, shuffle: bool, seed: int | None) -> tuple[float, str | None]:
    if (split is None) != (subset is None):
        raise ValueError(f"validation_split and subset must be given together, got {split!r} and {subset!r}")
    if split is None:
        return 0.0, None
    share = checks.number("validation_split", split)
    if not 0 < share < 1:
        raise ValueError(f"validation_split must be between 0 and 1, got {split!r}")
    if shuffle and seed is None and subset != "both":
        raise ValueError("seed must be given with a validation_split, so that training and validation share no picture")
    return share, checks.choice("subset", subset, ("training", "validation", "both"))


def _labelled(
    folder: Path, labels: Any, class_names: Sequence[str] | None, label_mode: str | None
) -> tuple[list[str], list[str], Array]:
    """The classes, the pictures' paths, and y."""
    if isinstance(labels, str) and labels == "inferred":
        names = sorted(each.name for each in os.scandir(folder) if each.is_dir() and not each.name.startswith("."))
        if class_names is not None:
            if sorted(class_names) != names:
                raise ValueError(f"class_names must be {', '.join(names)} in some order, got {', '.join(class_names)}")
            names = list(class_names)
        found = [(path, i) for i, name in enumerate(names) for path in _pictures(folder / name)]
        paths, numbers = [path for path, _ in found], np.array([i for _, i in found], np.int32)
    else:
        names, paths = list(class_names or ()), _pictures(folder)
        if labels is None:
            label_mode = None
        numbers = np.zeros(len(paths), np.int32) if labels is None else np.asarray(labels)
        if numbers.shape != (len(paths),) or numbers.dtype.kind not in "iu" or (len(numbers) and numbers.min() < 0):
            raise ValueError(f'labels must be "inferred", None or {len(paths)} integers >= 0, got {str(labels)[:80]}')
    if not paths:
        raise ValueError(f"directory must hold pictures ({', '.join(EXTENSIONS)}), {folder} has none")
    return names, paths, _targets(numbers, max(len(names), int(numbers.max()) + 1), label_mode)


def _pictures(folder: Path) -> list[str]:
    """Their paths, in order."""
    os.stat(folder)
    if not folder.is_dir():
        raise NotADirectoryError(f"directory must be a folder, got {folder}")
    found = [
        os.path.join(root, name)
        for root, _, files in os.walk(folder)
        for name in files
        if name.lower().endswith(EXTENSIONS)
    ]
    return sorted(found)


def _targets(labels: Array, classes: int, label_mode: str | None) -> Array:
    if label_mode is None:
        return np.arange(len(labels))
    if label_mode == "int":
        return labels.astype(np.int32)
    if label_mode == "binary":
        if classes != 2:
            raise ValueError(f'label_mode "binary" must have two classes, got {classes}')
        return labels.astype(np.float32)[:, np.newaxis]
    return np.eye(classes, dtype=np.float32)[labels]
