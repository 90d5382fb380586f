"""Resize and Upsample: one axis after the other, each output a weighted sum of inputs along it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnfast.graph.ir import Graph, Node, Spec
from cnnfast.onnx.registry import onnx_op
from cnnfast.ops.arrays import Array

COORDINATES = (
    "align_corners", "asymmetric", "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "tf_crop_and_resize",
    "tf_half_pixel_for_nn",
)  # fmt: skip
OPSET_10 = "floor where it grows, ceil where it shrinks"
ROUNDED: dict[str, Callable[[Array], Array]] = {
    "round_prefer_floor": lambda x: np.ceil(x - 0.5), "round_prefer_ceil": lambda x: np.floor(x + 0.5),
    "floor": np.floor, "ceil": np.ceil, OPSET_10: np.floor,
}  # fmt: skip
POLICIES = ("stretch", "not_larger", "not_smaller")


@dataclass(frozen=True)
class Way:
    """How to resize; ONNX's words."""

    mode: str = "nearest"
    coordinates: str = "half_pixel"
    nearest_mode: str = "round_prefer_floor"
    cubic_coeff_a: float = -0.75
    antialias: int = 0
    exclude_outside: int = 0
    extrapolation_value: float = 0.0


@dataclass(frozen=True)
class Axis:
    """One axis: its sizes, their quotient as given, and the part of the input that is wanted, from 0 to 1."""

    size: int
    wanted: int
    scale: float
    start: float = 0.0
    end: float = 1.0


def _origin(axis: Axis, way: Way) -> Array:
    """Where in the input each output lies."""
    p, length = np.arange(axis.wanted, dtype=np.float64), axis.scale * axis.size
    if way.coordinates == "align_corners":
        return p * ((axis.size - 1) / (length - 1)) if length != 1 else p * 0
    if way.coordinates == "asymmetric":
        return p / axis.scale
    if way.coordinates == "tf_half_pixel_for_nn":
        return (p + 0.5) / axis.scale
    if way.coordinates == "tf_crop_and_resize":
        last = axis.size - 1
        if length == 1:
            return p * 0 + (axis.start + axis.end) * last / 2
        return axis.start * last + p * ((axis.end - axis.start) * last / (length - 1))
    if way.coordinates == "pytorch_half_pixel" and length == 1:
        return p * 0
    x: Array = (p + 0.5) / axis.scale - 0.5
    return x + axis.size / 2 * (1 - axis.wanted / length) if way.coordinates == "half_pixel_symmetric" else x


def _weights(x: Array, axis: Axis, way: Way) -> tuple[Array, Array]:
    """Of each output at x: the inputs it is made of, and how much of each. Both (outputs, taps)."""
    if way.mode == "nearest":
        rounded = np.ceil(x) if way.nearest_mode == OPSET_10 and axis.scale < 1 else ROUNDED[way.nearest_mode](x)
        near = np.clip(rounded, 0, axis.size - 1).astype(np.int64)
        return near[:, None], np.ones((len(near), 1))
    base = np.ceil(x) - 1  # ONNX's reference counts a place on a pixel to the interval before it
    narrow = min(axis.scale, 1.0) if way.antialias else 1.0
    reach = 1 if way.mode == "linear" else 2
    first = math.floor(-reach / narrow) + 1
    offsets = np.arange(first, 2 - first)
    distance = np.abs(offsets - (x - base)[:, None]) * narrow
    weights = np.maximum(1 - distance, 0) if way.mode == "linear" else _cubic(distance, way.cubic_coeff_a)
    taps = base[:, None].astype(np.int64) + offsets
    if way.exclude_outside:
        weights = np.where((taps < 0) | (taps >= axis.size), 0, weights)
    if way.exclude_outside or way.antialias:
        weights = weights / weights.sum(axis=1, keepdims=True)
    return np.clip(taps, 0, axis.size - 1), weights


def _cubic(distance: Array, a: float) -> Array:
    """Keys, "Cubic convolution interpolation for digital image processing", 1981, equation 15 with its a free."""
    d = distance
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    return np.where(d <= 1, near, np.where(d < 2, ((a * d - 5 * a) * d + 8 * a) * d - 4 * a, 0.0))


def _resized(x: Array, axes: dict[int, Axis], way: Way) -> Array:
    kind = x.dtype if x.dtype.kind == "f" or way.mode == "nearest" else np.dtype(np.float64)
    y: Any = x.astype(kind)
    for at, axis in axes.items():
        if axis.size == axis.wanted and math.isclose(axis.scale, 1) and (axis.start, axis.end) == (0, 1):
            continue
        if axis.wanted == 0:
            return np.zeros(_spec(Spec.of(x), axes).shape, x.dtype)
        places = _origin(axis, way)
        taps, weights = _weights(places, axis, way)
        along = (-1, *(1,) * (x.ndim - 1 - at))
        if way.mode == "nearest":
            y = y.take(taps[:, 0], at)
        else:
            y = sum(y.take(taps[:, i], at) * weights[:, i].astype(kind).reshape(along) for i in range(taps.shape[1]))
        if way.coordinates == "tf_crop_and_resize":
            outside = ((places < 0) | (places > axis.size - 1)).reshape(along)
            y = np.where(outside, kind.type(way.extrapolation_value), y)
    if y.dtype != x.dtype:
        limits = np.iinfo(x.dtype)
        y = np.clip(y, limits.min, limits.max).astype(x.dtype)
    return np.asarray(y)


def _axes(x: tuple[int, ...], roi: Array | None, scales: Array | None, sizes: Array | None, which: Sequence[int] | None,
          policy: str = "stretch") -> dict[int, Axis]:  # fmt: skip
    """The axes to resize. `scales`, `sizes` and `roi` tell of those in `which`, by default of all."""
    rank = len(x)
    chosen = list(range(rank)) if which is None else [int(axis) % rank for axis in which]
    given = [each for each in (scales, sizes) if each is not None and each.size]
    if len(given) != 1 or given[0].shape != (len(chosen),):
        raise ValueError(f"either scales or sizes must be given, {len(chosen)} numbers, got {scales} and {sizes}")
    if sizes is not None and sizes.size:
        wanted = [int(size) for size in sizes]
        factors = [size / x[axis] for axis, size in zip(chosen, wanted, strict=True)]
        if policy != "stretch":
            factors = [min(factors) if policy == "not_larger" else max(factors)] * len(chosen)
            wanted = [int(factors[0] * x[axis] + 0.5) for axis in chosen]
    else:
        factors = [float(scale) for scale in given[0]]
        wanted = [math.floor(factor * x[axis]) for axis, factor in zip(chosen, factors, strict=True)]
    if min(factors, default=1) <= 0 or min(wanted, default=0) < 0 or not all(map(math.isfinite, factors)):
        raise ValueError(f"scales must be > 0 and sizes >= 0, got {factors} and {wanted}")
    parts = [0.0] * len(chosen) + [1.0] * len(chosen) if roi is None or not roi.size else [float(each) for each in roi]
    if len(parts) != 2 * len(chosen):
        raise ValueError(f"roi must hold {2 * len(chosen)} numbers, got {len(parts)}")
    return {
        axis: Axis(x[axis], wanted[i], factors[i], parts[i], parts[len(chosen) + i]) for i, axis in enumerate(chosen)
    }


def _spec(x: Spec, axes: dict[int, Axis]) -> Spec:
    return Spec(tuple(axes[i].wanted if i in axes else size for i, size in enumerate(x.shape)), x.dtype)


def _better(graph: Graph, node: Node, axes: dict[int, Axis], way: Way) -> str | None:
    """upsample2d, where every output is made of the same inputs."""
    x = graph.spec(node.inputs[0])
    if x is None or len(x.shape) != 4 or x.dtype.kind != "f" or x.dtype.itemsize < 4 or way.antialias:
        return None
    factors = []
    for at in range(4):
        axis = axes.get(at, Axis(x.shape[at], x.shape[at], 1.0))
        factor = axis.wanted // axis.size if axis.size else 0
        if factor < 1 or axis.wanted != factor * axis.size or axis.scale != factor or (at < 2 and factor != 1):
            return None
        if way.mode == "nearest":
            taps = _weights(_origin(axis, way), axis, way)[0][:, 0]
            if way.coordinates == "tf_crop_and_resize" or not np.array_equal(taps, np.arange(axis.wanted) // factor):
                return None
        factors.append(factor)
    corners = way.coordinates == "align_corners"
    same = corners or way.coordinates in ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel")
    if way.mode == "cubic" or (way.mode == "linear" and (way.exclude_outside or not same)):
        return None
    settings: dict[str, Any] = {"mode": "nearest"}
    if way.mode == "linear":
        settings = {"mode": "bilinear", "align_corners": corners}
    return graph.add(
        "upsample2d", node.inputs[:1], node.name, scale_factor=tuple(factors[2:]), layout="NCHW", **settings
    )  # fmt: skip


def _way(attributes: dict[str, Any]) -> Way:
    """The attributes of an op; those that cannot be are refused."""
    words = dict(attributes)
    policy = words.pop("keep_aspect_ratio_policy", "stretch")
    words.pop("axes", None)
    coordinates = words.pop("coordinate_transformation_mode", "half_pixel")
    way = Way(coordinates=coordinates, **words)
    for name, value, choices in (
        ("mode", way.mode, ("nearest", "linear", "cubic")), ("nearest_mode", way.nearest_mode, tuple(ROUNDED)),
        ("coordinate_transformation_mode", coordinates, COORDINATES), ("keep_aspect_ratio_policy", policy, POLICIES),
    ):  # fmt: skip
        if value not in choices:
            raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}")
    if way.antialias and way.mode == "nearest":
        raise ValueError("antialias must be 0 with mode nearest")
    return way


def _better_resize(graph: Graph, node: Node) -> str | None:
    x = graph.spec(node.inputs[0])
    names = [*node.inputs[1:], "", "", ""][:3]
    if x is None or any(name and name not in graph.constants for name in names):
        return None
    roi, scales, sizes = (graph.constants.get(name) for name in names)
    policy = node.attributes.get("keep_aspect_ratio_policy", "stretch")
    axes = _axes(x.shape, roi, scales, sizes, node.attributes.get("axes"), policy)
    return _better(graph, node, axes, _way(node.attributes))


def _resize_spec(
    x: Spec, roi: Array | None = None, scales: Array | None = None, sizes: Array | None = None, **attributes: Any
) -> Spec:
    policy = attributes.get("keep_aspect_ratio_policy", "stretch")
    return _spec(x, _axes(x.shape, roi, scales, sizes, attributes.get("axes"), policy))


@onnx_op("Resize", since=11, needs=(1, 2, 3), spec=_resize_spec, simplify=_better_resize, check=_way)
def resize(
    x: Array, roi: Array | None = None, scales: Array | None = None, sizes: Array | None = None, *,
    mode: str = "nearest", coordinate_transformation_mode: str = "half_pixel", nearest_mode: str = "round_prefer_floor",
    cubic_coeff_a: float = -0.75, exclude_outside: int = 0, extrapolation_value: float = 0.0, antialias: int = 0,
    axes: Sequence[int] | None = None, keep_aspect_ratio_policy: str = "stretch",
) -> Array:  # fmt: skip
    way = Way(
        mode, coordinate_transformation_mode, nearest_mode, cubic_coeff_a, antialias, exclude_outside,
        extrapolation_value,
    )  # fmt: skip
    return _resized(x, _axes(x.shape, roi, scales, sizes, axes, keep_aspect_ratio_policy), way)


def _old(attributes: dict[str, Any]) -> Way:
    """What Resize did before it could choose, and Upsample always."""
    mode = attributes.get("mode", "nearest")
    return _way({"mode": mode, "coordinate_transformation_mode": "asymmetric", "nearest_mode": OPSET_10})


def _better_scaled(graph: Graph, node: Node) -> str | None:
    x = graph.spec(node.inputs[0])
    scales = graph.constants.get(node.inputs[1]) if len(node.inputs) > 1 else np.asarray(node.attributes["scales"])
    if x is None or scales is None:
        return None
    return _better(graph, node, _axes(x.shape, None, scales, None, None), _old(node.attributes))


def _scaled_spec(x: Spec, scales: Any, **attributes: Any) -> Spec:
    return _spec(x, _axes(x.shape, None, np.asarray(scales), None, None))


@onnx_op("Resize", since=10, needs=(1,), spec=_scaled_spec, simplify=_better_scaled, check=_old)
@onnx_op("Upsample", since=9, needs=(1,), spec=_scaled_spec, simplify=_better_scaled, check=_old)
def upsample(x: Array, scales: Array, *, mode: str = "nearest") -> Array:
    return _resized(x, _axes(x.shape, None, scales, None, None), _old({"mode": mode}))


@onnx_op("Upsample", since=7, spec=_scaled_spec, simplify=_better_scaled, check=_old)
def upsample_7(x: Array, *, scales: Sequence[float], mode: str = "nearest") -> Array:
    return _resized(x, _axes(x.shape, None, np.asarray(scales), None, None), _old({"mode": mode}))
