"""The ops a graph can hold: how each runs on arrays, what shape it gives, and what makes it ready to run often."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from cnnfast.graph.ir import Graph, Node, Spec
from cnnfast.ops import arrays as memory
from cnnfast.ops.arrays import Array

Runner = Callable[..., Any]
"""y = run(*arrays, out=None), or without `out` where the row says so."""


class Ready(NamedTuple):
    """A node made ready to run often: run(*those of its inputs, out=None)."""

    run: Runner
    reads: tuple[int, ...] = (0,)


class Planner(Protocol):
    """Makes a node ready for inputs of known shapes; None where it cannot, and the node runs as it is."""

    def __call__(self, node: Node, inputs: "Sequence[Given | None]") -> Ready | None: ...


@dataclass(frozen=True)
class Given:
    """An input of a node: what is known of it, and its array where that is a constant."""

    spec: Spec
    array: Array | None = None


@dataclass(frozen=True)
class Row:
    """One op.

    run : run(*arrays, **attributes) -> an array, or a tuple of them; an input left out is None
    spec : spec(*specs, **attributes) -> the output's Spec, or a list of them. By default the op runs on zeros of the
        inputs' shapes, with the inputs that are constants as they are: right wherever values other than those of
        `needs` do not matter.
    needs : which inputs' values the shape depends on: known before it runs only where these are constants
    values : the shape depends on the values of inputs that are never constants (NonMaxSuppression): never known
    known : known(*specs, **attributes) -> the output, of ops that look at no number: a constant once shapes are known
    pointwise : element by element, its inputs repeated as NumPy does: the order of the axes does not matter
    into : run takes `out`
    plan : makes it ready to run often
    simplify : simplify(graph, node) -> the node in better words, now that shapes and constants are known, or None:
        a name of a value added to the graph that stands for its only output
    """

    run: Callable[..., Any]
    spec: Callable[..., Any] | None = None
    needs: tuple[int, ...] = ()
    values: bool = False
    known: Callable[..., Any] | None = None
    pointwise: bool = False
    into: bool = False
    plan: Planner | None = None
    simplify: "Callable[[Graph, Node], str | None] | None" = None


TABLE: dict[str, Row] = {}

CONVS = ("conv2d", "depthwise_conv2d", "conv_transpose2d")
"""The rows that add a residual, their fourth input, and whose pictures may lie in a layout of their own."""
VIEWS = ("reshape", "flatten")
"""The rows that give their input's own numbers in another shape, and so need not run."""


def op(name: str, **settings: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The decorator that puts a function into the table as the op `name`; `settings` are the row's."""

    def put(run: Callable[..., Any]) -> Callable[..., Any]:
        if name in TABLE:
            raise ValueError(f"op {name} is in the table already")
        TABLE[name] = Row(run, **settings)
        return run

    return put


def same(x: Spec, *others: Any, **attributes: Any) -> Spec:
    """The rule of ops that keep their first input's shape and dtype."""
    return x


def evaluate(node: Node, arrays: Sequence[Any]) -> tuple[Any, ...]:
    """Run a node once, on arrays."""
    given = TABLE[node.op].run(*arrays, **node.attributes)
    return given if isinstance(given, tuple) else (given,)


def infer(graph: Graph, node: Node) -> list[Spec] | None:
    """The specs of a node's outputs, or None where they depend on what is not known yet.

    Raises
    ------
    MemoryError : an output is larger than the machine's memory
    """
    found = _infer(graph, node)
    for spec, value in zip(found or (), node.outputs, strict=False):
        memory.check_fits(f"value {value!r}", spec.shape, spec.dtype)
    if found is not None and any(node.outputs[len(found) :]):
        raise ValueError(f"it gives {len(found)} outputs, got names for {len(node.outputs)}")
    return found


def _infer(graph: Graph, node: Node) -> list[Spec] | None:
    row = TABLE[node.op]
    if row.values:
        return None
    specs: list[Any] = []
    for i, value in enumerate(node.inputs):
        if value and i in row.needs and value not in graph.constants:
            return None
        spec = graph.spec(value) if value else None
        if value and spec is None:
            return None
        specs.append(spec)
    if row.spec is None:
        return _infer_pointwise(node, specs) if row.pointwise else _infer_by_running(graph, node, specs)
    if row.needs:
        given = [graph.constants.get(value) if i in row.needs else specs[i] for i, value in enumerate(node.inputs)]
        found = row.spec(*given, **node.attributes)
    else:
        found = row.spec(*specs, **node.attributes)
    return list(found) if isinstance(found, list) else [found]


def _infer_pointwise(node: Node, specs: Sequence[Spec | None]) -> list[Spec]:
    """By running on one element of each: the whole may be more than there is memory for."""
    ones = [None if spec is None else np.zeros((1,) * len(spec.shape), spec.dtype) for spec in specs]
    shape = np.broadcast_shapes(*(spec.shape for spec in specs if spec is not None))
    with np.errstate(all="ignore"):
        return [Spec(shape, np.asarray(each).dtype) for each in evaluate(node, ones)]


def _infer_by_running(graph: Graph, node: Node, specs: Sequence[Spec | None]) -> list[Spec]:
    arrays = [
        None if spec is None else graph.constants.get(value, np.broadcast_to(np.zeros((), spec.dtype), spec.shape))
        for value, spec in zip(node.inputs, specs, strict=True)
    ]
    with np.errstate(all="ignore"):
        return [Spec.of(np.asarray(each)) for each in evaluate(node, arrays)]


def given_inputs(graph: Graph, node: Node) -> Iterator[Given | None]:
    """What is known of each input of a node; None where one is left out."""
    for value in node.inputs:
        spec = graph.spec(value) if value else None
        yield None if spec is None else Given(spec, graph.constants.get(value))
