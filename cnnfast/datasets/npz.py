"""Data in an .npz file of NumPy."""

import os
from typing import Any

import numpy as np

from cnnfast.datasets.batches import Dataset


def npz_dataset(
    path: str | os.PathLike[str], x: str = "x_train", y: str = "y_train", batch_size: int = 32, **settings: Any
) -> Dataset:
    """Batches of two arrays of an .npz file. Objects in it are never unpickled.

    Parameters
    ----------
    path : of the file
    x, y : the arrays' names
    batch_size, settings : see Dataset

    Returns
    -------
    A Dataset

    Raises
    ------
    OSError : the file cannot be read
    ValueError, TypeError : it is damaged, has no such arrays, or they do not belong together

    Examples
    --------
    >>> import numpy as np, tempfile
    >>> from cnnfast.datasets import npz_dataset
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.savez(f"{folder}/data.npz", x_train=np.zeros((5, 8, 8, 1)), y_train=np.arange(5))
    ...     data = npz_dataset(f"{folder}/data.npz", batch_size=4)
    >>> len(data)
    2
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            pictures, labels = file[x], file[y]
    except (OSError, MemoryError):
        raise
    except Exception as error:  # of a damaged file NumPy, zipfile, zlib and tokenize raise what they happen on
        raise ValueError(f"{path} must be an .npz with the arrays {x} and {y}: {error}") from error
    return Dataset(pictures, labels, batch_size, **settings)
