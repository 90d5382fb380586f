"""MNIST's handwritten digits, from a file that you have: nothing is downloaded."""

import gzip
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["load_data"]

Digits = NDArray[np.uint8]
Pair = tuple[Digits, Digits]

FOLDERS = ("~/.cnnfast/datasets", "~/.keras/datasets")
NAMES = ("x_train", "y_train", "x_test", "y_test")
IDX = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def load_data(path: str = "mnist.npz") -> tuple[Pair, Pair]:
    """(x_train, y_train), (x_test, y_test): pictures (n, 28, 28) and digits (n,), uint8, as Keras gives them.

    Parameters
    ----------
    path : an .npz of Keras, or a folder with the four idx files (also as .gz); a relative one is looked for here, in
        ~/.cnnfast/datasets and in ~/.keras/datasets, which may also hold the idx files

    Raises
    ------
    FileNotFoundError : there is none; the message says where to put it
    ValueError : the file is not what it should be
    """
    for place in places(path):
        if place.is_file():
            return _npz(place)
        if place.is_dir() and (files := idx_files(place)):
            train, test = [_idx(file) for file in files[:2]], [_idx(file) for file in files[2:]]
            return _checked(place, dict(zip(NAMES, train + test, strict=True)))
    tried = ", ".join(str(place) for place in places(path))
    raise FileNotFoundError(
        f"no MNIST at {tried}: put Keras' mnist.npz (arrays {', '.join(NAMES)}) or the four files {', '.join(IDX)} "
        f"(.gz or not) into {Path(FOLDERS[0]).expanduser()}, or give their path; nothing is downloaded"
    )


def places(path: str) -> list[Path]:
    """Where a path may lie."""
    given = Path(path).expanduser()
    if given.is_absolute():
        return [given]
    folders = [Path(folder).expanduser() for folder in FOLDERS]
    return [given, *(folder / given for folder in folders), *folders]


def idx_files(folder: Path) -> list[Path] | None:
    """The four files, packed or not; None where one is missing."""
    found = [next((f for f in (folder / name, folder / f"{name}.gz") if f.is_file()), None) for name in IDX]
    files = [file for file in found if file is not None]
    return files if len(files) == len(IDX) else None


def _npz(path: Path) -> tuple[Pair, Pair]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return _checked(path, {name: file[name] for name in NAMES})
    except (KeyError, zipfile.BadZipFile, EOFError) as error:
        raise ValueError(f"{path} must be an .npz with the arrays {', '.join(NAMES)}: {error}") from None


def _idx(path: Path) -> Digits:
    """An idx file of bytes: 0, 0, 8, how many axes, the axes' sizes (4 bytes each, the largest first), the bytes."""
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    axes = data[3] if len(data) > 3 and data[:3] == b"\0\0\x08" else 0
    shape = tuple(int.from_bytes(data[4 + 4 * i : 8 + 4 * i], "big") for i in range(axes))
    values = np.frombuffer(data, np.uint8)[4 + 4 * axes :]
    if not axes or values.size != np.prod(shape, dtype=object):
        raise ValueError(f"{path} must be an idx file of unsigned bytes, got {len(data)} bytes for shape {shape}")
    return values.reshape(shape).copy()


def _checked(path: Path, arrays: dict[str, Digits]) -> tuple[Pair, Pair]:
    for part in ("train", "test"):
        x, y = arrays[f"x_{part}"], arrays[f"y_{part}"]
        if x.dtype != np.uint8 or y.dtype != np.uint8 or x.shape[1:] != (28, 28) or y.shape != x.shape[:1]:
            raise ValueError(
                f"{path} must hold (n, 28, 28) pictures and (n,) digits of uint8, got x_{part} {x.dtype} {x.shape} and "
                f"y_{part} {y.dtype} {y.shape}"
            )
    return (arrays["x_train"], arrays["y_train"]), (arrays["x_test"], arrays["y_test"])
