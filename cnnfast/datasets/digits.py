"""The 8x8 handwritten digits that come with scikit-learn: a small MNIST that works offline."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cnnfast.ops import arrays, checks
from cnnfast.ops.resize import upsample2d

__all__ = ["as_pictures", "load_data"]

Pair = tuple[NDArray[np.uint8], NDArray[np.uint8]]
TEST = 360
"""The last of the 1797 digits, by writers that the others are not of."""
SIZE, SCALE = 8, 4
WHITE = 16.0


def load_data(seed: int | None = None) -> tuple[Pair, Pair]:
    """(x_train, y_train), (x_test, y_test): pictures (n, 8, 8) of 0 to 16, and digits (n,), uint8.

    1437 digits to train with and 360 to test: by default always the same, the test's by writers that the others are not
    of; with a seed, drawn from all. UCI's "Optical recognition of handwritten digits".

    Raises
    ------
    ImportError : scikit-learn is not installed
    """
    order = slice(None) if seed is None else np.random.default_rng(checks.integer("seed", seed, minimum=0))
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ImportError('digits.load_data() needs scikit-learn: pip install "cnnfast[datasets]"') from error
    bunch = load_digits()
    x, y = bunch.images.astype(np.uint8), bunch.target.astype(np.uint8)
    if isinstance(order, np.random.Generator):
        drawn = order.permutation(len(x))
        x, y = x[drawn], y[drawn]
    return (x[:-TEST], y[:-TEST]), (x[-TEST:], y[-TEST:])


def as_pictures(x: ArrayLike) -> NDArray[np.float32]:
    """Digits (n, 8, 8) of 0 to 16 as LeNet-5 takes them: (n, 32, 32, 1) of 0 to 1, enlarged bilinearly.

    >>> as_pictures(np.zeros((2, 8, 8))).shape
    (2, 32, 32, 1)
    """
    digits = arrays.as_array("x", x)
    if digits.ndim != 3 or digits.shape[1:] != (SIZE, SIZE):
        raise ValueError(f"x must have shape (n, {SIZE}, {SIZE}), got {digits.shape}")
    return upsample2d((digits / np.float32(WHITE)).astype(np.float32)[..., np.newaxis], SCALE, mode="bilinear")
