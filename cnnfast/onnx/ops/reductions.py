"""Sums, means, extremes and norms over axes. Before opset 18 (ReduceSum: 13) `axes` is an attribute, then an input."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cnnfast.graph.ir import Graph, Node, Spec
from cnnfast.onnx.ops.floats import is_floats, widened
from cnnfast.onnx.registry import onnx_op
from cnnfast.ops.arrays import Array

Axes = tuple[int, ...]
Reduce = Callable[[Array, Axes], Array]
"""y = reduce(x, axes), which keeps the axes, of size 1."""


def axes_of(axes: Sequence[int] | Array | None, rank: int) -> Axes:
    """Axes from a file, as indices from 0; all where they are None."""
    if axes is None:
        return tuple(range(rank))
    given = [int(axis) for axis in np.asarray(axes, np.int64).reshape(-1)]
    if any(not -rank <= axis < rank for axis in given):
        raise ValueError(f"axes must be in [{-rank}, {rank - 1}], got {given}")
    found = tuple(axis % rank for axis in given)
    if len(set(found)) != len(found):
        raise ValueError(f"axes must differ, got {given}")
    return found


def _extreme(function: Any, of_none: Callable[[np.dtype[Any]], Any]) -> Reduce:
    def reduce(x: Array, axes: Axes) -> Array:
        result: Array = function(x, axis=axes, keepdims=True, initial=of_none(x.dtype))
        return result

    return reduce


def _least(dtype: np.dtype[Any]) -> Any:
    return -np.inf if dtype.kind not in "biu" else False if dtype.kind == "b" else np.iinfo(dtype).min


def _most(dtype: np.dtype[Any]) -> Any:
    return np.inf if dtype.kind not in "biu" else True if dtype.kind == "b" else np.iinfo(dtype).max


def _sum(x: Array, axes: Axes) -> Array:
    result: Array = x.sum(axis=axes, keepdims=True, dtype=x.dtype)
    return result


def _mean(x: Array, axes: Axes) -> Array:
    result: Array = x.mean(axis=axes, keepdims=True)
    return result


def _prod(x: Array, axes: Axes) -> Array:
    result: Array = x.prod(axis=axes, keepdims=True, dtype=x.dtype)
    return result


def _log_sum_exp(x: Array, axes: Axes) -> Array:
    """Of x less its largest, so that no exponential overflows."""
    wide = x.astype(np.float64) if x.dtype.kind in "iu" else x
    top = wide.max(axis=axes, keepdims=True, initial=-np.inf)
    top = np.where(np.isfinite(top), top, wide.dtype.type(0))
    return np.log(_sum(np.exp(wide - top), axes)) + top


REDUCTIONS: dict[str, Reduce] = {
    "Sum": _sum,
    "Mean": _mean,
    "Max": _extreme(np.max, _least),
    "Min": _extreme(np.min, _most),
    "Prod": _prod,
    "L1": lambda x, axes: _sum(np.abs(x), axes),
    "L2": lambda x, axes: np.sqrt(_sum(x * x, axes)),
    "SumSquare": lambda x, axes: _sum(x * x, axes),
    "LogSum": lambda x, axes: np.log(_sum(x, axes)),
    "LogSumExp": _log_sum_exp,
}
POOLS = {"Mean": "adaptive_avg_pool2d", "Max": "adaptive_max_pool2d"}
"""Over height and width of pictures they are pools."""


def _reduced(reduce: Reduce, x: Array, axes: Axes, keepdims: int) -> Array:
    wide = widened(x) if x.dtype.kind not in "biu" else x
    with np.errstate(all="ignore"):
        y = reduce(wide, axes).astype(x.dtype)
    return y if keepdims else y.reshape(_shape(x.shape, axes, 0))


def _shape(shape: tuple[int, ...], axes: Axes, keepdims: int) -> tuple[int, ...]:
    return tuple(1 if i in axes else size for i, size in enumerate(shape) if keepdims or i not in axes)


def _chosen(axes: Any, rank: int, noop_with_empty_axes: int) -> Axes:
    empty = axes is None or np.size(axes) == 0
    return () if empty and noop_with_empty_axes else axes_of(None if empty else axes, rank)


def _spec(x: Spec, given: Array | None = None, *, axes: Sequence[int] | None = None, keepdims: int = 1,
          noop_with_empty_axes: int = 0) -> Spec:  # fmt: skip
    chosen = _chosen(axes if given is None else given, len(x.shape), noop_with_empty_axes)
    return Spec(_shape(x.shape, chosen, keepdims), x.dtype)


def _better(name: str) -> Callable[[Graph, Node], str | None]:
    def better(graph: Graph, node: Node) -> str | None:
        spec, options = graph.spec(node.inputs[0]), node.attributes
        given = node.inputs[1] if len(node.inputs) > 1 else ""
        if spec is None or len(spec.shape) != 4 or not spec.size or not is_floats(graph, node.inputs[0]):
            return None
        if given and given not in graph.constants:
            return None
        axes = graph.constants[given] if given else options.get("axes")
        if set(_chosen(axes, 4, options.get("noop_with_empty_axes", 0))) != {2, 3}:
            return None
        y = graph.add(POOLS[name], node.inputs[:1], node.name, output_size=(1, 1), layout="NCHW")
        return y if options.get("keepdims", 1) else graph.add("reshape", [y], node.name, shape=spec.shape[:2])

    return better


def _register(name: str, reduce: Reduce) -> None:
    since = 13 if name == "Sum" else 18
    better = _better(name) if name in POOLS else None

    @onnx_op(f"Reduce{name}", spec=_spec, simplify=better)
    def by_attribute(x: Array, *, axes: Sequence[int] | None = None, keepdims: int = 1) -> Array:
        return _reduced(reduce, x, _chosen(axes, x.ndim, 0), keepdims)

    @onnx_op(f"Reduce{name}", since=since, needs=(1,), spec=_spec, simplify=better)
    def by_input(x: Array, axes: Array | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0) -> Array:
        return _reduced(reduce, x, _chosen(axes, x.ndim, noop_with_empty_axes), keepdims)


for _name, _reduce in REDUCTIONS.items():
    _register(_name, _reduce)
