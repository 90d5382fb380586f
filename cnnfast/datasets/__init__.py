"""Data to train with: batches of arrays, of an .npz, of pictures in folders; and small data that works offline.

>>> import numpy as np
>>> from cnnfast.datasets import Dataset
>>> for x, y in Dataset(np.zeros((64, 8, 8, 1)), np.zeros(64), batch_size=32, shuffle=True, seed=1).prefetch():
...     assert x.shape == (32, 8, 8, 1)

The sources and licences of what comes along are in the README beside this file.
"""

from importlib.resources import as_file, files

import numpy as np
from numpy.typing import NDArray

from cnnfast.datasets import digits, mnist
from cnnfast.datasets.batches import Dataset
from cnnfast.datasets.features import cached_features
from cnnfast.datasets.folders import image_dataset_from_directory
from cnnfast.datasets.npz import npz_dataset

__all__ = [
    "Dataset",
    "cached_features",
    "digits",
    "image_dataset_from_directory",
    "mnist",
    "npz_dataset",
    "photograph",
]


def photograph() -> NDArray[np.uint8]:
    """A real photograph to try filters on: a cup of coffee, (320, 480, 3), uint8, RGB, 0 to 255.

    Photograph by Rachel Michetti, CC0. Reading it needs Pillow.

    Raises:
        ImportError: Pillow is not installed.

    >>> from cnnfast.datasets import photograph
    >>> photograph().shape
    (320, 480, 3)
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError('photograph() needs Pillow: pip install "cnnfast[cli]"') from error
    with as_file(files(__package__) / "coffee.jpg") as path, Image.open(path) as image:
        return np.array(image.convert("RGB"), dtype=np.uint8)
