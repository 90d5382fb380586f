"""Ops of detectors and of sub-pixel networks."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from cnnfast.graph.ir import Spec
from cnnfast.onnx.ops.windows import Windows, each, sides
from cnnfast.onnx.registry import onnx_op
from cnnfast.ops.arrays import Array

Numbers = Sequence[int] | None


def _check_mode(attributes: dict[str, Any]) -> None:
    if attributes.get("mode", "DCR") not in ("DCR", "CRD"):
        raise ValueError(f"mode must be DCR or CRD, got {attributes['mode']!r}")


def _deep(x: Spec, *, blocksize: int, mode: str = "DCR") -> Spec:
    N, C, H, W = x.shape
    if blocksize < 1 or C % blocksize**2:
        raise ValueError(f"blocksize must have a square that divides the {C} channels, got {blocksize}")
    return Spec((N, C // blocksize**2, H * blocksize, W * blocksize), x.dtype)


@onnx_op("DepthToSpace", spec=_deep, check=_check_mode)
def depth_to_space(x: Array, *, blocksize: int, mode: str = "DCR") -> Array:
    N, _, H, W = x.shape
    if mode == "DCR":
        blocks = x.reshape(N, blocksize, blocksize, -1, H, W).transpose(0, 3, 4, 1, 5, 2)
    else:
        blocks = x.reshape(N, -1, blocksize, blocksize, H, W).transpose(0, 1, 4, 2, 5, 3)
    return blocks.reshape(_deep(Spec.of(x), blocksize=blocksize).shape)


def _wide(x: Spec, *, blocksize: int, mode: str = "DCR") -> Spec:
    N, C, H, W = x.shape
    if blocksize < 1 or H % blocksize or W % blocksize:
        raise ValueError(f"blocksize must divide height and width {H} x {W}, got {blocksize}")
    return Spec((N, C * blocksize**2, H // blocksize, W // blocksize), x.dtype)


@onnx_op("SpaceToDepth", spec=_wide, check=_check_mode)
def space_to_depth(x: Array, *, blocksize: int, mode: str = "DCR") -> Array:
    N, C, H, W = x.shape
    blocks = x.reshape(N, C, H // blocksize, blocksize, W // blocksize, blocksize)
    order = (0, 3, 5, 1, 2, 4) if mode == "DCR" else (0, 1, 3, 5, 2, 4)
    return blocks.transpose(order).reshape(_wide(Spec.of(x), blocksize=blocksize).shape)


@onnx_op("MaxRoiPool", spec=lambda x, rois, *, pooled_shape, **rest: Spec(
    (rois.shape[0], x.shape[1], *pooled_shape), x.dtype))  # fmt: skip
def max_roi_pool(x: Array, rois: Array, *, pooled_shape: Sequence[int], spatial_scale: float = 1.0) -> Array:
    """Girshick, "Fast R-CNN", ICCV 2015, section 2.1; a bin without pixels is 0."""
    bins = each(pooled_shape, 2, "pooled_shape")
    y = np.zeros((len(rois), x.shape[1], *bins), x.dtype)
    for i, roi in enumerate(rois):
        picture = int(roi[0])
        if not 0 <= picture < len(x):
            raise ValueError(f"rois must tell one of {len(x)} pictures, got {picture}")
        corners = np.floor(roi[1:] * x.dtype.type(spatial_scale) + 0.5).astype(int)
        edges = []
        for axis, count, (start, end) in ((2, bins[0], corners[1::2]), (3, bins[1], corners[0::2])):
            step = max(end - start + 1, 1) / count
            low = np.clip(np.floor(np.arange(count) * step).astype(int) + start, 0, x.shape[axis])
            high = np.clip(np.ceil((np.arange(count) + 1) * step).astype(int) + start, 0, x.shape[axis])
            edges.append(list(zip(low, high, strict=True)))
        for h, (top, bottom) in enumerate(edges[0]):
            for w, (left, right) in enumerate(edges[1]):
                if top < bottom and left < right:
                    y[i, :, h, w] = x[picture, :, top:bottom, left:right].max(axis=(1, 2))
    return y


def _overlaps(corners: Array, box: int, others: Array) -> Array:
    """Intersection over union of a box with others; corners are (y1, x1, y2, x2)."""
    low, high = corners[:, :2], corners[:, 2:]
    both = np.maximum(np.minimum(high[box], high[others]) - np.maximum(low[box], low[others]), 0).prod(axis=1)
    areas = (high - low).prod(axis=1)
    union = areas[box] + areas[others] - both
    proper = (areas[box] > 0) & (areas[others] > 0) & (union > 0)
    return np.where(proper, both / np.where(proper, union, 1), 0)


def _kept(corners: Array, scores: Array, limit: int, overlap: float, least: float | None) -> list[int]:
    """The best boxes of a class, best first, but for those that overlap a better one."""
    order = np.argsort(-scores, kind="stable")
    order = order if least is None else order[scores[order] > least]
    kept: list[int] = []
    while len(order) and len(kept) < limit:
        best, order = int(order[0]), order[1:]
        kept.append(best)
        order = order[_overlaps(corners, best, order) <= overlap]
    return kept


@onnx_op("NonMaxSuppression", since=10, values=True)
def non_max_suppression(
    boxes: Array, scores: Array, max_output_boxes_per_class: Array | None = None, iou_threshold: Array | None = None,
    score_threshold: Array | None = None, *, center_point_box: int = 0,
) -> Array:  # fmt: skip
    if boxes.ndim != 3 or scores.ndim != 3 or boxes.shape[2] != 4 or boxes.shape[:2] != scores.shape[::2]:
        raise ValueError(f"boxes must be (N, M, 4) and scores (N, classes, M), got {boxes.shape} and {scores.shape}")
    first = boxes[..., :2].astype(np.float64)
    second = boxes[..., 2:].astype(np.float64)
    if center_point_box:
        first, second = first - second / 2, first + second / 2
    corners = np.concatenate([np.minimum(first, second), np.maximum(first, second)], axis=2)
    limit = 0 if max_output_boxes_per_class is None else int(max_output_boxes_per_class.item())
    overlap = 0.0 if iou_threshold is None else float(iou_threshold.item())
    least = None if score_threshold is None else float(score_threshold.item())
    found = [
        (picture, kind, box)
        for picture in range(len(boxes))
        for kind in range(scores.shape[1])
        for box in _kept(corners[picture], scores[picture, kind], limit, overlap, least)
    ]
    return np.array(found, np.int64).reshape(-1, 3)


def _col2im_spec(x: Spec, image_shape: Array, block_shape: Array, **attributes: Any) -> Spec:
    return Spec((x.shape[0], x.shape[1] // max(math.prod(map(int, block_shape)), 1), *map(int, image_shape)), x.dtype)


@onnx_op("Col2Im", since=18, needs=(1, 2), spec=_col2im_spec)
def col2im(
    x: Array, image_shape: Array, block_shape: Array, *, dilations: Numbers = None, pads: Numbers = None,
    strides: Numbers = None,
) -> Array:  # fmt: skip
    sizes, kernel = tuple(int(each) for each in image_shape), tuple(int(each) for each in block_shape)
    rank = len(sizes)
    step, spread = each(strides, rank, "strides"), each(dilations, rank, "dilations")
    padding = sides("NOTSET", pads, sizes, kernel, step, spread)
    counts = tuple(
        (sizes[i] + sum(padding[i]) - (kernel[i] - 1) * spread[i] - 1) // step[i] + 1 for i in range(rank)
    )
    windows = Windows(kernel, step, padding, spread, counts)
    columns = x.reshape(len(x), -1, math.prod(kernel), *counts)
    y = np.zeros((*columns.shape[:2], *(size + sum(pair) for size, pair in zip(sizes, padding, strict=True))), x.dtype)
    for i, tap in enumerate(np.ndindex(*kernel)):
        where: Any = np.ix_(*(windows.places(axis, tap[axis]) + padding[axis][0] for axis in range(rank)))
        y[(..., *where)] += columns[:, :, i]
    return y[:, :, *(slice(pair[0], pair[0] + size) for pair, size in zip(padding, sizes, strict=True))]
