"""MNIST from a local file, in each of its forms, and scikit-learn's digits."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnnfast.backends import reference
from cnnfast.datasets import digits, mnist

ARRAYS = {
    "x_train": np.arange(3 * 784, dtype=np.uint8).reshape(3, 28, 28), "y_train": np.array([5, 0, 4], np.uint8),
    "x_test": np.full((2, 28, 28), 9, np.uint8), "y_test": np.array([7, 2], np.uint8),
}  # fmt: skip


def write_idx(folder: Path, packed: bool = False) -> None:
    for name, file in zip(ARRAYS, mnist.IDX, strict=True):
        array = ARRAYS[name]
        data = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()
        (folder / f"{file}{'.gz' * packed}").write_bytes(gzip.compress(data) if packed else data)


def check(loaded: Any) -> None:
    (x_train, y_train), (x_test, y_test) = loaded
    for name, array in zip(ARRAYS, (x_train, y_train, x_test, y_test), strict=True):
        np.testing.assert_array_equal(array, ARRAYS[name])


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own, and no file in the current folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


@pytest.mark.parametrize("folder", [".cnnfast/datasets", ".keras/datasets", "here"])
def test_keras_file(home: Path, folder: str) -> None:
    (home / folder).mkdir(parents=True, exist_ok=True)
    np.savez(home / folder / "mnist.npz", **ARRAYS)
    check(mnist.load_data())


@pytest.mark.parametrize("packed", [False, True])
def test_idx_files(home: Path, packed: bool) -> None:
    (home / ".cnnfast/datasets").mkdir(parents=True)
    write_idx(home / ".cnnfast/datasets", packed)
    check(mnist.load_data())
    check(mnist.load_data(str(home / ".cnnfast/datasets")))


def test_without_a_file_it_says_where_to_put_one(home: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"put Keras' mnist\.npz") as caught:
        mnist.load_data()
    assert str(home / ".cnnfast/datasets") in str(caught.value)
    with pytest.raises(FileNotFoundError, match=r"no MNIST at /nowhere\.npz:"):
        mnist.load_data("/nowhere.npz")


def test_files_that_are_not_what_they_say(tmp_path: Path) -> None:
    file = tmp_path / "bad.npz"
    np.savez(file, **{**ARRAYS, "x_train": ARRAYS["x_train"][:, :27]})
    with pytest.raises(ValueError, match=r"must hold \(n, 28, 28\)"):
        mnist.load_data(str(file))
    np.savez(file, x_train=ARRAYS["x_train"])
    with pytest.raises(ValueError, match=r"must be an \.npz with the arrays"):
        mnist.load_data(str(file))
    np.savez(file, **{**ARRAYS, "y_test": np.array([{}, {}], object)})
    with pytest.raises(ValueError, match="allow_pickle"):
        mnist.load_data(str(file))
    write_idx(tmp_path)
    truncated = tmp_path / mnist.IDX[0]
    truncated.write_bytes(truncated.read_bytes()[:-1])
    with pytest.raises(ValueError, match="must be an idx file"):
        mnist.load_data(str(tmp_path))
    truncated.write_bytes(b"\0\0")
    with pytest.raises(ValueError, match="must be an idx file"):
        mnist.load_data(str(tmp_path))


def test_digits() -> None:
    pytest.importorskip("sklearn", reason='pip install "cnnfast[datasets]"')
    (x_train, y_train), (x_test, y_test) = digits.load_data()
    assert x_train.shape == (1437, 8, 8)
    assert x_test.shape == (360, 8, 8)
    assert y_train.shape == (1437,)
    assert sorted(set(y_test)) == list(range(10))
    assert x_train.dtype == np.uint8
    assert x_train.max() == 16


def test_digits_without_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ImportError, match="pip install"):
        digits.load_data()


def test_a_seed_draws_which_digits_are_held_out() -> None:
    pytest.importorskip("sklearn", reason='pip install "cnnfast[datasets]"')
    (x_train, y_train), (x_test, y_test) = digits.load_data(seed=3)
    again, other = digits.load_data(seed=3), digits.load_data(seed=4)
    assert (again[1][0] == x_test).all()
    assert (other[1][0] != x_test).any()
    every = [*zip(x_train, y_train, strict=True), *zip(x_test, y_test, strict=True)]
    known = [both for pair in digits.load_data() for both in zip(*pair, strict=True)]
    assert sorted((x.tobytes(), y) for x, y in every) == sorted((x.tobytes(), y) for x, y in known)
    with pytest.raises(ValueError, match="seed must be >= 0"):
        digits.load_data(seed=-1)


def test_digits_as_pictures() -> None:
    x = np.random.default_rng(1).integers(0, 17, (3, 8, 8))
    pictures = digits.as_pictures(x)
    wanted = reference.upsample2d(
        x[..., np.newaxis] / 16, scale_factor=(4, 4), mode="bilinear", align_corners=False, layout="NHWC"
    )
    np.testing.assert_allclose(pictures, wanted, atol=1e-6)
    assert pictures.dtype == np.float32
    with pytest.raises(ValueError, match=r"x must have shape \(n, 8, 8\), got \(8, 8\)"):
        digits.as_pictures(x[0])
