"""Parts of arrays, and borders around them: Slice, Split, Pad."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cnnfast.graph.ir import Graph, Node, Spec
from cnnfast.graph.ops.arrays import crop
from cnnfast.onnx.ops.floats import is_floats
from cnnfast.onnx.ops.reductions import axes_of
from cnnfast.onnx.registry import one_of, onnx_op
from cnnfast.ops.arrays import Array

Ints = Sequence[int]
Numbers = Ints | Array


def _axis(axis: int, rank: int) -> int:
    return axes_of([axis], rank)[0]


def _bounds(shape: tuple[int, ...], starts: Numbers, ends: Numbers, axes: Numbers | None = None,
            steps: Numbers | None = None) -> dict[str, Any]:  # fmt: skip
    """What `crop` is told."""
    first, last = (np.asarray(each).reshape(-1).tolist() for each in (starts, ends))
    along = axes_of(list(range(len(first))) if axes is None else axes, len(shape))
    stride = [1] * len(first) if steps is None else np.asarray(steps).reshape(-1).tolist()
    if not len(first) == len(last) == len(along) == len(stride):
        raise ValueError(f"starts, ends, axes and steps must be as many, got {first}, {last}, {along} and {stride}")
    if 0 in stride:
        raise ValueError(f"steps must not be 0, got {stride}")
    found = [_clamped(shape[axis], *each) for axis, *each in zip(along, first, last, stride, strict=True)]
    clamped = {"starts": tuple(start for start, _ in found), "stops": tuple(stop for _, stop in found)}
    return {"axes": along, **clamped, "steps": tuple(stride)}


def _clamped(size: int, start: int, stop: int, step: int) -> tuple[int, int | None]:
    """As Python clamps them, but that backwards a start before the first is the first."""
    first, last = (each + size if each < 0 else each for each in (start, stop))
    if step > 0:
        return min(max(first, 0), size), min(max(last, 0), size)
    return min(max(first, 0), size - 1), None if last < 0 else min(last, size - 1)


def _better_slice(graph: Graph, node: Node) -> str | None:
    x, rest = graph.spec(node.inputs[0]), node.inputs[1:]
    if x is None or any(value and value not in graph.constants for value in rest):
        return None
    bounds = _bounds(x.shape, *(graph.constants.get(value) for value in rest), **node.attributes)  # type: ignore[arg-type]
    return graph.add("slice", node.inputs[:1], node.name, **bounds)


@onnx_op("Slice", simplify=_better_slice)
def slice_1(x: Array, *, starts: Ints, ends: Ints, axes: Ints | None = None) -> Any:
    return crop(x, **_bounds(x.shape, starts, ends, axes))


@onnx_op("Slice", since=10, needs=(1, 2, 3, 4), simplify=_better_slice)
def slice_10(x: Array, starts: Array, ends: Array, axes: Array | None = None, steps: Array | None = None) -> Any:
    return crop(x, **_bounds(x.shape, starts, ends, axes, steps))


def _parts(size: int, split: Numbers | None, count: int) -> list[int]:
    """How long each part is; the last is what is left."""
    if split is None:
        each = -(-size // count)
        return [max(0, min(each, size - i * each)) for i in range(count)]
    found = [int(part) for part in np.asarray(split).reshape(-1)]
    if any(part < 0 for part in found) or sum(found) != size or len(found) < count:
        raise ValueError(f"split must be {count} sizes >= 0 that sum to {size}, got {found}")
    return found


def _split(x: Array, axis: int, split: Numbers | None, count: int) -> tuple[Array, ...]:
    ends = np.cumsum(_parts(x.shape[_axis(axis, x.ndim)], split, count))
    return tuple(np.split(x, ends[:-1], _axis(axis, x.ndim)))


def _better_split(graph: Graph, node: Node) -> str | None:
    """Each part is a slice."""
    x, options = graph.spec(node.inputs[0]), node.attributes
    given = node.inputs[1] if len(node.inputs) > 1 else ""
    if x is None or (given and given not in graph.constants) or not node.outputs[0]:
        return None
    at = _axis(options.get("axis", 0), len(x.shape))
    split = graph.constants[given] if given else options.get("split")
    parts = _parts(x.shape[at], split, len(node.outputs))
    start, first = 0, ""
    for part, output in zip(parts, node.outputs, strict=False):
        if output:
            made = graph.add("slice", node.inputs[:1], f"{node.name or node.outputs[0]}/{start}",
                             "" if output == node.outputs[0] else output,
                             axes=(at,), starts=(start,), stops=(start + part,), steps=(1,))  # fmt: skip
            first = first or made
        start += part
    return first


@onnx_op("Split", since=2, simplify=_better_split)
def split_2(x: Array, *, axis: int = 0, split: Ints | None = None, n_outputs: int = 1) -> tuple[Array, ...]:
    return _split(x, axis, split, n_outputs)


@onnx_op("Split", since=13, needs=(1,), simplify=_better_split)
def split_13(x: Array, split: Array | None = None, *, axis: int = 0, num_outputs: int | None = None,
             n_outputs: int = 1) -> tuple[Array, ...]:  # fmt: skip
    if num_outputs is not None and num_outputs != n_outputs:
        raise ValueError(f"num_outputs must be the {n_outputs} that the node has, got {num_outputs}")
    return _split(x, axis, split, n_outputs)


MODES = {"constant": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}
"""ONNX's modes of Pad -> pad2d's."""


def _sides(rank: int, pads: Numbers, axes: Numbers | None = None) -> list[tuple[int, int]]:
    """(before, after) of every axis; negative ones cut."""
    along = axes_of(axes, rank)
    numbers = [int(each) for each in np.asarray(pads).reshape(-1)]
    if len(numbers) != 2 * len(along):
        raise ValueError(f"pads must have {2 * len(along)} numbers, got {numbers}")
    sides = [(0, 0)] * rank
    for i, axis in enumerate(along):
        sides[axis] = numbers[i], numbers[i + len(along)]
    return sides


def _padded(x: Array, sides: list[tuple[int, int]], mode: str, value: Any) -> Array:
    cuts = tuple(slice(max(0, -a), max(0, -a, n - max(0, -b))) for (a, b), n in zip(sides, x.shape, strict=True))
    borders = [(max(0, a), max(0, b)) for a, b in sides]
    if mode == "constant":
        return np.pad(x[cuts], borders, constant_values=value)
    return np.pad(x[cuts], borders, mode=mode)  # type: ignore[call-overload,no-any-return]


def _pad_spec(x: Spec, pads: Numbers | None = None, value: Any = None, axes: Array | None = None,
              **attributes: Any) -> Spec:  # fmt: skip
    sides = _sides(len(x.shape), attributes["pads"] if pads is None else pads, axes)
    sizes = tuple(a + n + b for (a, b), n in zip(sides, x.shape, strict=True))
    if any(min(a, 0) + n + min(b, 0) < 0 for (a, b), n in zip(sides, x.shape, strict=True)):
        raise ValueError(f"pads must cut no more than there is of each axis of {x.shape}, got {sides}")
    return Spec(sizes, x.dtype)


_check_mode = one_of("mode", *MODES)


def _better_pad(graph: Graph, node: Node) -> str | None:
    """A border of pictures' height and width."""
    spec, options = graph.spec(node.inputs[0]), node.attributes
    if spec is None or len(spec.shape) != 4 or not spec.size or not is_floats(graph, node.inputs[0]):
        return None
    given = [*node.inputs[1:], "", "", ""][:3]
    if any(value and value not in graph.constants for value in given):
        return None
    pads, value, axes = (graph.constants.get(each) for each in given)
    fill = options.get("value", 0.0) if value is None or not value.size else float(value.reshape(-1)[0])
    mode = options.get("mode", "constant")
    sides = _sides(4, options["pads"] if pads is None else pads, axes)
    if sides[:2] != [(0, 0)] * 2 or any(side < 0 for pair in sides for side in pair):
        return None
    room = {"reflect": -1, "wrap": 0}.get(mode, max(map(max, sides)))
    if any(side > size + room for pair, size in zip(sides[2:], spec.shape[2:], strict=True) for side in pair):
        return None
    settings: dict[str, Any] = {"padding": tuple(sides[2:]), "mode": MODES[mode], "value": fill}
    return graph.add("pad2d", node.inputs[:1], node.name, **settings, layout="NCHW")


@onnx_op("Pad", since=2, spec=_pad_spec, check=_check_mode, simplify=_better_pad)
def pad_2(x: Array, *, pads: Ints, mode: str = "constant", value: float = 0.0) -> Array:
    _pad_spec(Spec.of(x), pads)
    return _padded(x, _sides(x.ndim, pads), mode, value)


@onnx_op("Pad", since=11, needs=(1, 3), spec=_pad_spec, check=_check_mode, simplify=_better_pad)
def pad_11(x: Array, pads: Array, value: Array | None = None, axes: Array | None = None, *,
           mode: str = "constant") -> Array:  # fmt: skip
    _pad_spec(Spec.of(x), pads, None, axes)
    fill = x.dtype.type(0) if value is None or not value.size else value.reshape(-1)[0]
    return _padded(x, _sides(x.ndim, pads, axes), mode, fill)
