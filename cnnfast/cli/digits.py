"""`cnnfast run lenet5`: pictures of digits, classified by the weights that come with the package."""

from pathlib import Path

import numpy as np

from cnnfast.cli.pictures import opened
from cnnfast.datasets.digits import SIZE, WHITE, as_pictures
from cnnfast.datasets.folders import eight_bits
from cnnfast.models import LeNet5
from cnnfast.ops.arrays import Array

INK = 0.5


def classify(paths: list[Path]) -> Array:
    """Each picture's probabilities of the ten digits, (n, 10)."""
    if not paths:
        raise ValueError("lenet5 needs pictures of digits: --input digit.png")
    found: Array = LeNet5(weights="digits").predict(as_pictures(np.stack([digit(path) for path in paths])))
    return found


def digit(path: Path) -> Array:
    """The one digit of a picture, dark on light or light on dark, as the 8x8 squares that UCI's digits are.

    Their strokes were cut out and scaled to the square's height, and each square counts the strokes' pixels.
    """
    with opened(path) as image:
        shown = eight_bits(image)
        if "A" in shown.getbands() or "transparency" in shown.info:  # ink on nothing is ink on paper
            rgba = np.asarray(shown.convert("RGBA"), np.float32)
            grey = 1 - rgba[..., 3] / 255 * (1 - rgba[..., :3].mean(axis=-1) / 255)
        else:
            grey = np.asarray(shown.convert("L"), np.float32) / 255
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    if np.median(border) > INK:
        grey = 1 - grey
    strokes = grey > INK * grey.max()
    rows, columns = np.flatnonzero(strokes.any(axis=1)), np.flatnonzero(strokes.any(axis=0))
    if not grey.max() or rows.size < SIZE:
        raise ValueError(f"{path} must hold a digit at least {SIZE} pixels high")
    cut = strokes[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    spare = max(0, len(cut) - cut.shape[1])
    square = np.pad(cut, ((0, 0), (spare // 2, spare - spare // 2))).astype(np.float64)
    return _means(_means(square, 0), 1) * WHITE


def _means(x: Array, axis: int) -> Array:
    """SIZE means along an axis, of equal parts of it, which may begin and end within a pixel."""
    sums = np.concatenate([np.zeros_like(x.take([0], axis)), x.cumsum(axis)], axis)
    ends = np.linspace(0, x.shape[axis], SIZE + 1)
    whole = np.minimum(ends.astype(int), x.shape[axis] - 1)
    shape = [-1 if i == axis else 1 for i in range(x.ndim)]
    at = sums.take(whole, axis) + x.take(whole, axis) * (ends - whole).reshape(shape)
    means: Array = np.diff(at, axis=axis) * (SIZE / x.shape[axis])
    return means
