"""A network for CUDA devices: the same graph, each node's op called on recorded arrays."""

from collections.abc import Callable, Sequence
from functools import cache, partial
from importlib import import_module
from typing import Any

from cnnfast.graph.ir import Graph, Node, Shape
from cnnfast.graph.lower import FLOAT32, arrange
from cnnfast.graph.specialise import named
from cnnfast.graph.table import CONVS, TABLE, VIEWS
from cnnfast.ops.exchange import exchanged

FILES = (
    "conv", "conv_transpose", "separable", "pool", "adaptive", "linear", "norm", "softmax", "activations", "gates",
    "elementwise", "resize",
)  # fmt: skip
"""Of `cnnfast.ops`, where the ops of a graph are."""
MOST_AXES = 5
"""Of what is copied into a network and out of it."""
STRIDED = ("identity", "transpose", "slice")
"""The rows whose output is their input by other strides, which every kernel reads."""


def program(graph: Graph, number: int) -> Any:
    """The `backends.cuda.program.Program` of a specialised graph, for the CUDA device of this number.

    Raises
    ------
    NotImplementedError : an op has no kernel for devices; the message names it
    """
    from cnnfast.backends.cuda.program import Program  # and Numba's CUDA compiler with it
    from cnnfast.backends.cuda.recording import Recorder

    recorder = Recorder(number)
    values: dict[str, Any] = {}

    def value(name: str) -> Any:
        if name and name not in values:
            values[name] = recorder.constant(graph.constants[name])
        return values[name] if name else None

    for name in (*graph.inputs, *graph.outputs):
        if len(graph.specs[name].shape) > MOST_AXES:
            raise NotImplementedError(f"{name!r} has more than {MOST_AXES} axes: no kernel copies it on a CUDA device")
    for name in graph.inputs:
        _check(name, graph.specs[name].dtype)
        values[name] = recorder.array(graph.specs[name].shape)
    for node in graph.nodes:
        if node.op in VIEWS:
            values[node.outputs[0]] = _reshaped(value(node.inputs[0]), graph.specs[node.outputs[0]].shape)
        elif node.op in STRIDED:
            values[node.outputs[0]] = value(node.inputs[0]).viewed(partial(TABLE[node.op].run, **node.attributes))
        else:
            with named(node):
                found = _run(node, [value(each) for each in node.inputs])
            values.update(zip(node.outputs, found, strict=False))
    return Program(
        recorder, [values[name] for name in graph.inputs], [value(name) for name in graph.outputs], arrange
    )  # fmt: skip


def read(given: Sequence[Any]) -> list[Any]:
    """A network's inputs on a device, all float32 and on the same one."""
    from cnnfast.ops.device import given as door

    first = door.read("x", given[0], ("float32",))
    return [first, *(door.beside("x", each, first) for each in given[1:])]


def _reshaped(x: Any, shape: Shape) -> Any:
    from cnnfast.ops.device import given as door

    return (x if x.contiguous else door.contiguous(door.read("x", x)).owner).reshaped(shape)


def _run(node: Node, arrays: list[Any]) -> tuple[Any, ...]:
    from cnnfast.ops.device.found import Refused
    from cnnfast.ops.device.table import OPS

    if node.op not in OPS:
        raise Refused(node.label)
    if node.op == "concatenate":
        arrays = [arrays]
    residual = {"residual": arrays.pop()} if node.op in CONVS and len(arrays) == 4 else {}
    found = _function(node.op)(*arrays, **residual, **node.attributes)
    return found if isinstance(found, tuple) else (found,)


@cache
def _function(op: str) -> Callable[..., Any]:
    """The op as users call it, for arrays of every kind: a row of the graph's table takes NumPy's alone."""
    modules = (import_module(f"cnnfast.ops.{file}") for file in FILES)
    found: Callable[..., Any] = next(getattr(module, op) for module in modules if hasattr(module, op))
    return exchanged(found, __name__)


def _check(name: str, dtype: Any) -> None:
    if dtype != FLOAT32:
        raise TypeError(f"input {name!r} must be float32 on a CUDA device, got {dtype}")
