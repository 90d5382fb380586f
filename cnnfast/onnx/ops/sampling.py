"""Reading pictures between their pixels: GridSample, AffineGrid, RoiAlign, DeformConv."""

import itertools
from collections.abc import Sequence

import numpy as np

from cnnfast.graph.ir import Spec
from cnnfast.onnx.ops.windows import Ints, each, sides
from cnnfast.onnx.registry import onnx_op
from cnnfast.ops.arrays import Array

Numbers = Sequence[int] | None
PADDINGS = ("zeros", "border", "reflection")


def _read(x: Array, places: Sequence[Array]) -> Array:
    """x (N, C, *sizes) at whole places (N, *there): (N, C, *there); 0 outside."""
    sizes = x.shape[2:]
    inside = np.logical_and.reduce([(at >= 0) & (at < size) for at, size in zip(places, sizes, strict=True)])
    clipped = [np.clip(at, 0, size - 1) for at, size in zip(places, sizes, strict=True)]
    flat = np.ravel_multi_index(tuple(clipped), sizes) if sizes else np.zeros(inside.shape, np.int64)
    rows = x.reshape(*x.shape[:2], -1)
    found = np.take_along_axis(rows, flat.reshape(len(x), 1, -1), axis=2)
    return np.where(inside.reshape(len(x), 1, -1), found, 0).reshape(*x.shape[:2], *inside.shape[1:])


def _reflected(at: Array, low: float, high: float) -> Array:
    """Folded back between low and high, as often as it takes."""
    length = high - low
    if length <= 0:
        return np.full_like(at, low)
    beyond = np.abs(at - low)
    turns, rest = np.floor(beyond / length), beyond % length
    folded = np.where(turns % 2 == 0, low + rest, high - rest)
    return np.where((at >= low) & (at <= high), at, folded)


def _bounded(at: Array, size: int, padding_mode: str, align_corners: bool) -> Array:
    if padding_mode == "border":
        return np.clip(at, 0, size - 1)
    if padding_mode == "reflection":
        return _reflected(at, *((0.0, size - 1.0) if align_corners else (-0.5, size - 0.5)))
    return at


def _keys(t: Array) -> list[Array]:
    """Weights of the pixels at -1, 0, 1, 2 for a place t: Keys' cubic convolution, 1981, with a = -0.75."""
    a = -0.75
    ends = [((a * d - 5 * a) * d + 8 * a) * d - 4 * a for d in (t + 1, 2 - t)]
    middle = [((a + 2) * d - (a + 3)) * d * d + 1 for d in (t, 1 - t)]
    return [ends[0], *middle, ends[1]]


def _between(
    x: Array, at: Sequence[Array], cubic: bool = False, padding_mode: str = "zeros", align_corners: bool = False
) -> Array:
    """x between its pixels: (N, C, *there) of places (N, *there) along each axis."""
    low = [np.floor(each) for each in at]
    parts = [each - base for each, base in zip(at, low, strict=True)]
    weights = [_keys(t) if cubic else [1 - t, t] for t in parts]
    before = 1 if cubic else 0
    y = np.zeros((*x.shape[:2], *at[0].shape[1:]), x.dtype)
    for corner in itertools.product(range(len(weights[0])), repeat=len(at)):
        weight = np.ones_like(at[0])
        places = []
        for i, tap in enumerate(corner):
            weight = weight * weights[i][tap]
            place = _bounded(low[i] + (tap - before), x.shape[2 + i], padding_mode, align_corners)
            places.append(place.astype(np.int64))
        y += _read(x, places) * weight[:, None].astype(x.dtype)
    return y


def _check_grid(attributes: dict[str, object]) -> None:
    mode, padding_mode = attributes.get("mode", "linear"), attributes.get("padding_mode", "zeros")
    if mode not in ("linear", "bilinear", "nearest", "cubic", "bicubic"):
        raise ValueError(f"mode must be linear, nearest or cubic, got {mode!r}")
    if padding_mode not in PADDINGS:
        raise ValueError(f"padding_mode must be one of {', '.join(PADDINGS)}, got {padding_mode!r}")


@onnx_op("GridSample", since=16, check=_check_grid, spec=lambda x, grid, **attributes: Spec(
    (*x.shape[:2], *grid.shape[1:-1]), x.dtype))  # fmt: skip
def grid_sample(
    x: Array, grid: Array, *, mode: str = "linear", padding_mode: str = "zeros", align_corners: int = 0,
) -> Array:  # fmt: skip
    sizes, corners, cubic = x.shape[2:], bool(align_corners), mode in ("cubic", "bicubic")
    if grid.shape[-1] != len(sizes) or grid.ndim != x.ndim or len(grid) != len(x):
        raise ValueError(f"grid must hold {len(sizes)} numbers an output of {len(x)} pictures, got shape {grid.shape}")
    at = []
    for i, size in enumerate(sizes):
        place = grid[..., -1 - i]  # x comes first in the grid, the last axis of a picture
        place = (place + 1) / 2 * (size - 1) if corners else ((place + 1) * size - 1) / 2
        place = np.rint(place) if mode == "nearest" else place
        at.append(place if cubic else _bounded(place, size, padding_mode, corners))
    if mode == "nearest":
        return _read(x, [np.rint(place).astype(np.int64) for place in at])
    return _between(x, at, cubic, padding_mode, corners)


@onnx_op("AffineGrid", since=20, needs=(1,), spec=lambda theta, size, **attributes: Spec(
    (theta.shape[0], *(int(each) for each in size[2:]), len(size) - 2), theta.dtype))  # fmt: skip
def affine_grid(theta: Array, size: Array, *, align_corners: int = 0) -> Array:
    sizes = [int(each) for each in size[2:]]
    lines = [
        np.linspace(-1, 1, count) if align_corners else (np.arange(count) * 2 + 1) / count - 1 for count in sizes
    ]
    places = np.meshgrid(*lines, indexing="ij")[::-1]
    points = np.stack([*places, np.ones(sizes)], axis=-1)
    grid: Array = np.einsum("nij,...j->n...i", theta.astype(np.float64), points).astype(theta.dtype)
    return grid


def _roi_spec(
    x: Spec, rois: Spec, *others: Spec, output_height: int = 1, output_width: int = 1, **rest: object
) -> Spec:
    return Spec((rois.shape[0], x.shape[1], output_height, output_width), x.dtype)


@onnx_op("RoiAlign", since=16, spec=_roi_spec)
def roi_align(
    x: Array, rois: Array, pictures: Array, *, mode: str = "avg", output_height: int = 1, output_width: int = 1,
    sampling_ratio: int = 0, spatial_scale: float = 1.0, coordinate_transformation_mode: str = "half_pixel",
) -> Array:  # fmt: skip
    half = coordinate_transformation_mode == "half_pixel"
    if mode not in ("avg", "max") or not (half or coordinate_transformation_mode == "output_half_pixel"):
        raise ValueError(f"mode must be avg or max of half_pixel, got {mode!r} of {coordinate_transformation_mode!r}")
    if sampling_ratio < 0:
        raise ValueError(f"sampling_ratio must be >= 0, got {sampling_ratio}")
    if len(pictures) != len(rois) or (pictures.size and (pictures.min() < 0 or pictures.max() >= len(x))):
        raise ValueError(f"batch_indices must tell one of {len(x)} pictures for each roi, got {pictures}")
    y = np.zeros((len(rois), x.shape[1], output_height, output_width), x.dtype)
    for i, (roi, picture) in enumerate(zip(rois.astype(np.float64), pictures, strict=True)):
        start, end = (roi[:2][::-1] * spatial_scale - half / 2, roi[2:][::-1] * spatial_scale - half / 2)
        size = end - start if half else np.maximum(end - start, 1)
        step = size / (output_height, output_width)
        counts = [sampling_ratio or max(int(np.ceil(each)), 0) for each in step]
        lines = [
            start[axis] + (np.arange(bins * count) + 0.5) * step[axis] / count if count else np.zeros(0)
            for axis, (bins, count) in enumerate(zip((output_height, output_width), counts, strict=True))
        ]
        if all(counts):
            y[i] = _bins(x[picture], lines, (output_height, counts[0], output_width, counts[1]), mode)
    return y


def _bins(x: Array, lines: Sequence[Array], shape: Ints, mode: str) -> Array:
    """x (C, H, W) at the crossings of lines, brought together to (C, output_height, output_width)."""
    low, part, inside = [], [], []
    for line, size in zip(lines, x.shape[1:], strict=True):
        inside.append((line >= -1) & (line <= size))
        at = np.clip(line, 0, size - 1)
        low.append(np.minimum(at.astype(np.int64), max(size - 2, 0)))
        part.append(at - low[-1])
    there = inside[0][:, None] & inside[1]
    samples = []
    for down, right in itertools.product((0, 1), repeat=2):
        rows = np.minimum(low[0] + down, x.shape[1] - 1)
        columns = np.minimum(low[1] + right, x.shape[2] - 1)
        weight = (part[0] if down else 1 - part[0])[:, None] * (part[1] if right else 1 - part[1])
        samples.append(x[:, rows[:, None], columns] * (weight * there).astype(x.dtype))
    if mode == "avg":
        mean: Array = np.sum(samples, axis=0).reshape(-1, *shape).mean(axis=(2, 4))
        return mean
    largest: Array = np.max(samples, axis=0).reshape(-1, *shape).max(axis=(2, 4))
    return largest


@onnx_op("RoiAlign", since=10, spec=_roi_spec)
def roi_align_10(
    x: Array, rois: Array, pictures: Array, *, mode: str = "avg", output_height: int = 1, output_width: int = 1,
    sampling_ratio: int = 0, spatial_scale: float = 1.0,
) -> Array:  # fmt: skip
    y: Array = roi_align(
        x, rois, pictures, mode=mode, output_height=output_height, output_width=output_width,
        sampling_ratio=sampling_ratio, spatial_scale=spatial_scale, coordinate_transformation_mode="output_half_pixel",
    )  # fmt: skip
    return y


@onnx_op("DeformConv", since=19, spec=lambda x, weight, offset, *rest, **attributes: Spec(
    (x.shape[0], weight.shape[0], *offset.shape[2:]), x.dtype))  # fmt: skip
def deform_conv(
    x: Array, weight: Array, offset: Array, bias: Array | None = None, mask: Array | None = None, *,
    dilations: Numbers = None, group: int = 1, kernel_shape: Numbers = None, offset_group: int = 1,
    pads: Numbers = None, strides: Numbers = None,
) -> Array:  # fmt: skip
    rank = x.ndim - 2
    N, C, K, kernel, there = len(x), x.shape[1], len(weight), weight.shape[2:], offset.shape[2:]
    step, spread = each(strides, rank, "strides"), each(dilations, rank, "dilations")
    padding = sides("NOTSET", pads, x.shape[2:], kernel, step, spread)
    taps = int(np.prod(kernel))
    fits = weight.shape[1] * group == C and offset_group * taps * rank == offset.shape[1]
    if not fits or K % group or C % offset_group:
        raise ValueError(f"W and offset do not fit X {x.shape} in {group} groups: {weight.shape}, {offset.shape}")
    moved = offset.reshape(N, offset_group, taps, rank, *there)
    amount = None if mask is None else mask.reshape(N, offset_group, taps, *there)
    parts = x.reshape(N * offset_group, C // offset_group, *x.shape[2:])
    columns = np.empty((N, C, taps, *there), x.dtype)
    for i, tap in enumerate(np.ndindex(*kernel)):
        at = []
        for axis in range(rank):
            line = np.arange(there[axis]) * step[axis] - padding[axis][0] + tap[axis] * spread[axis]
            shift = moved[:, :, i, axis].reshape(-1, *there).astype(np.float64)
            at.append(shift + line.reshape(-1, *(1,) * (rank - 1 - axis)))
        values = _between(parts, at).reshape(N, offset_group, C // offset_group, *there)
        values = values if amount is None else values * amount[:, :, i][:, :, None]
        columns[:, :, i] = values.reshape(N, C, *there)
    rows = weight.reshape(group, K // group, -1)
    y: Array = np.matmul(rows, columns.reshape(N, group, rows.shape[2], -1)).reshape(N, K, *there)
    return y if bias is None else y + bias.reshape(-1, *(1,) * rank)
