"""Pictures from files."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image


def opened(path: Path) -> "Image":
    """A picture, by Pillow."""
    try:
        from PIL import Image
    except ImportError:
        raise ImportError("pictures need the extra cli: pip install 'cnnfast[cli]'") from None
    return Image.open(path)
