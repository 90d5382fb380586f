"""The 8x8 handwritten digits that come with scikit-learn: a small MNIST that works offline."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["load_data"]

Pair = tuple[NDArray[np.uint8], NDArray[np.uint8]]
TEST = 360
"""The last of the 1797 digits, by writers that the others are not of."""


def load_data() -> tuple[Pair, Pair]:
    """(x_train, y_train), (x_test, y_test): pictures (n, 8, 8) of 0 to 16, and digits (n,), uint8.

    1437 digits to train with and 360 to test, always the same. UCI's "Optical recognition of handwritten digits".

    Raises
    ------
    ImportError : scikit-learn is not installed
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ImportError('digits.load_data() needs scikit-learn: pip install "cnnfast[datasets]"') from error
    bunch = load_digits()
    x, y = bunch.images.astype(np.uint8), bunch.target.astype(np.uint8)
    return (x[:-TEST], y[:-TEST]), (x[-TEST:], y[-TEST:])
