"""Pictures read at other places: one bilinear sampler for rotations, zooms and translations, each picture's its own.

A place is mixed from its four neighbours; a neighbour outside is another pixel by the fill mode, as in
`scipy.ndimage.map_coordinates`: "reflect" (d c b a | a b c d | d c b a), "wrap" (its "grid-wrap"), "nearest", or
"constant" (its "grid-constant").
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cnnfast.ops.arrays import Array

FILL_MODES: Final = ("reflect", "wrap", "constant", "nearest")
INTERPOLATIONS: Final = ("bilinear", "nearest")
Floats = NDArray[np.float32]
Numbers = NDArray[np.float64]
Places = NDArray[np.intp]


class Sampling(NamedTuple):
    """What each pixel of y takes: weights[k] of pixel indices[k] of all images in a row; -1 is the fill value's."""

    shape: tuple[int, int, int, int]
    indices: tuple[Places, ...]
    weights: tuple[Floats, ...] | None
    """None: all of its one pixel."""


def affine(
    shape: tuple[int, int, int, int], rows: Numbers, columns: Numbers, size: tuple[int, int], fill_mode: str,
    interpolation: str,
) -> Sampling:  # fmt: skip
    """Image n's pixel (p, q) reads at row rows[n] . (p, q, 1) and column columns[n] . (p, q, 1).

    Parameters
    ----------
    shape : of the images, (N, H, W, C)
    rows, columns : (N, 3)
    size : (height, width) of y
    """
    N, H, W, C = shape
    to = N, *size
    places = _along(rows, size), _along(columns, size)
    if interpolation == "nearest":
        h, w = (_inside(np.floor(place + np.float32(0.5)).astype(np.int32), n, fill_mode)
                for place, n in zip(places, (H, W), strict=True))  # fmt: skip
        return Sampling((*to, C), (_flat(h, w, H, W, to),), None)
    low = [np.floor(place) for place in places]
    part = [place - floor for place, floor in zip(places, low, strict=True)]
    at = [floor.astype(np.int32) for floor in low]
    above, left = (_inside(each, n, fill_mode) for each, n in zip(at, (H, W), strict=True))
    below, right = (_inside(each + 1, n, fill_mode) for each, n in zip(at, (H, W), strict=True))
    rest = [1 - each for each in part]
    four = (above, left), (above, right), (below, left), (below, right)
    weights = rest[0] * rest[1], rest[0] * part[1], part[0] * rest[1], part[0] * part[1]
    indices = tuple(_flat(h, w, H, W, to) for h, w in four)
    return Sampling((*to, C), indices, tuple(np.broadcast_to(each, to).ravel() for each in weights))


def sample(x: Array, of: Sampling, fill_value: float) -> Array:
    """The pictures read there, (N, P, Q, C) of x's dtype. A channel at a time: NumPy is slow along short axes."""
    C = of.shape[3]
    y = np.empty(of.shape, x.dtype)
    outside = [indices < 0 if indices.size and indices.min() < 0 else None for indices in of.indices]
    for c in range(C):
        plane = np.ascontiguousarray(x[..., c]).ravel()
        total: Array | None = None
        for k, indices in enumerate(of.indices):
            read = plane.take(indices, mode="clip")
            if outside[k] is not None:
                read[outside[k]] = fill_value
            if of.weights is not None:
                read *= of.weights[k]
            total = read if total is None else np.add(total, read, out=total)
        assert total is not None
        y[..., c] = total.reshape(of.shape[:3])
    return y


def spread(grad: Array, of: Sampling, shape: tuple[int, ...]) -> Array:
    """The gradient of `sample` with respect to x: every pixel is given what was taken of it."""
    grad_input = np.zeros((int(np.prod(shape[:3])), shape[3]), grad.dtype)
    for k, indices in enumerate(of.indices):
        share = grad.reshape(-1, shape[3])
        if of.weights is not None:
            share = share * of.weights[k].reshape(-1, 1)
        inside = indices >= 0
        np.add.at(grad_input, indices[inside], share[inside])
    return grad_input.reshape(shape)


def _along(of: Numbers, size: tuple[int, int]) -> Floats:
    """A place along one axis for each pixel: (N, P, Q), or with a 1 where all along an axis have the same."""
    down, across = (of[:, i : i + 1] * np.arange(size[i] if of[:, i].any() else 1) for i in range(2))
    down += of[:, 2:]
    return np.add(down[:, :, np.newaxis], across[:, np.newaxis]).astype(np.float32)


def _inside(at: NDArray[np.int32], n: int, fill_mode: str) -> NDArray[np.int32]:
    """The pixel along an axis of n for each place; -1 for none."""
    low, high = (at.min(), at.max()) if at.size else (0, 0)
    if low >= 0 and high < n:
        return at
    if fill_mode == "nearest":
        return at.clip(0, n - 1)
    if fill_mode == "constant":
        return np.where((at >= 0) & (at < n), at, np.int32(-1))
    if fill_mode == "wrap":
        return at % np.int32(n)
    if low < -2 * n or high >= 2 * n:
        at = at % np.int32(2 * n)
    at = at ^ (at >> 31)  # below 0 it is -1 - at
    return np.minimum(at, 2 * n - 1 - at)


def _flat(h: NDArray[np.int32], w: NDArray[np.int32], H: int, W: int, shape: tuple[int, int, int]) -> Places:
    """Each pixel's place among those of all images."""
    index = np.empty(shape, np.intp)
    np.add(h.astype(np.intp) * W + (np.arange(shape[0]) * (H * W)).reshape(-1, 1, 1), w, out=index)
    if index.size and (h.min() < 0 or w.min() < 0):
        index[np.broadcast_to((h < 0) | (w < 0), shape)] = -1
    return index.ravel()
