"""A graph for inputs of known shapes: what can be computed beforehand is, and every shape that can be known is."""

import math
from collections.abc import Mapping

import numpy as np

from cnnfast.graph import table
from cnnfast.graph.ir import Graph, Node, Spec
from cnnfast.ops import arrays

SHARE = 4
"""Constants may take that part of the machine's memory, those aside that the graph came with."""


def specialise(graph: Graph, specs: Mapping[str, Spec]) -> Graph:
    """A copy of the graph for inputs of these specs.

    Raises
    ------
    ValueError, TypeError : a node does not take the shapes that come to it; the message names it
    MemoryError : a value is larger than the machine's memory, or what can be computed beforehand than a share of it
    """
    known = graph.copy()
    budget = arrays.memory() // SHARE
    known.specs = {name: specs[name] for name in known.inputs}
    nodes, known.nodes = known.nodes, []
    for node in nodes:
        node.origin = node.outputs[0]
        with named(node):
            made = _fold(known, node, budget)
            if made is not None:
                budget -= made
                continue
            found = table.infer(known, node)
        known.nodes.append(node)
        if found is not None:
            known.specs.update((value, spec) for value, spec in zip(node.outputs, found, strict=False) if value)
    return known


def respec(graph: Graph, nodes: list[Node]) -> None:
    """Note the specs of what nodes give that a pass has added."""
    for node in nodes:
        found = table.infer(graph, node)
        assert found is not None, node.label
        graph.specs.update((value, spec) for value, spec in zip(node.outputs, found, strict=False) if value)


def _fold(graph: Graph, node: Node, budget: int) -> int | None:
    """Make constants of a node's outputs where nothing of it waits for a run: their bytes; else None."""
    row, specs = table.TABLE[node.op], [graph.spec(value) for value in node.inputs]
    if row.known is not None and None not in specs:
        results: tuple[object, ...] = (row.known(*specs, **node.attributes),)
        graph.sized = True
    elif all(not value or value in graph.constants for value in node.inputs):
        if row.spec is not None or row.pointwise:
            found = table.infer(graph, node) or []
            _within(budget, sum(math.prod(spec.shape) * spec.dtype.itemsize for spec in found))
        results = table.evaluate(node, [graph.constants.get(value) for value in node.inputs])
    else:
        return None
    made = {value: np.asarray(each) for value, each in zip(node.outputs, results, strict=False) if value}
    size = sum(array.nbytes for array in made.values())
    _within(budget, size)
    graph.constants.update(made)
    return size


def _within(budget: int, size: int) -> None:
    if size > budget:
        raise MemoryError(f"its {size} bytes of constants are more than the {budget} that are left for such")


class named:
    """Errors raised within say which node they are of."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ValueError | TypeError | LookupError | ArithmeticError | MemoryError):
            sort = next((kind for kind in (TypeError, MemoryError) if isinstance(error, kind)), ValueError)
            raise sort(f"{self._node.label}: {error}") from error
