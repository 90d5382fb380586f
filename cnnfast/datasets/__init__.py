"""Small data that works offline: a photograph that comes along, `digits` and `mnist` that read what you have.

The sources and licences of what comes along are in the README beside this file.
"""

from importlib.resources import as_file, files

import numpy as np
from numpy.typing import NDArray

from cnnfast.datasets import digits, mnist

__all__ = ["digits", "mnist", "photograph"]


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
