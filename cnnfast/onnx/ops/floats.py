"""What ops of floats share: narrow ones are computed as float32, and float32 and float64 go to the engine."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from cnnfast.graph.ir import Graph, Node
from cnnfast.ops.arrays import Array
from cnnfast.ops.signatures import FLOATS

Simplify = Callable[[Graph, Node], str | None]


def widened(x: Array) -> Array:
    """x as float32 where it is a narrower float, or none."""
    return x if x.dtype in FLOATS else x.astype(np.float32)


def in_floats(run: Callable[..., Array]) -> Callable[..., Array]:
    """The decorator of an op that computes float32 or float64: others go through float32, and are rounded back."""

    @wraps(run)
    def wide(x: Array, *rest: Array | None, **attributes: Any) -> Array:
        given = [each if each is None else widened(each) for each in rest]
        y: Array = np.asarray(run(widened(x), *given, **attributes))
        return y.astype(x.dtype, copy=False)

    return wide


def is_floats(graph: Graph, *values: str) -> bool:
    """Whether the engine has each value's dtype."""
    specs = [graph.spec(value) for value in values]
    return all(spec is not None and spec.dtype in FLOATS for spec in specs)


def floats_become(name: str, attributes: Callable[..., dict[str, Any] | None] | None = None) -> Simplify:
    """A `simplify`: of floats it is the op `name`; attributes(**ONNX's) gives its own, or None where it is not."""

    def better(graph: Graph, node: Node) -> str | None:
        if not is_floats(graph, node.inputs[0]):
            return None
        fixed = attributes(**node.attributes) if attributes is not None else {}
        return None if fixed is None else graph.add(name, node.inputs, node.name, **fixed)

    return better
