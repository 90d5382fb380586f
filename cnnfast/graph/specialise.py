"""A graph for inputs of known shapes: what can be computed beforehand is, and every shape that can be known is."""

from collections.abc import Mapping

import numpy as np

from cnnfast.graph import table
from cnnfast.graph.ir import Graph, Node, Spec


def specialise(graph: Graph, specs: Mapping[str, Spec]) -> Graph:
    """A copy of the graph for inputs of these specs.

    Raises
    ------
    ValueError, TypeError : a node does not take the shapes that come to it; the message names it
    """
    known = graph.copy()
    known.specs = {name: specs[name] for name in known.inputs}
    nodes, known.nodes = known.nodes, []
    for node in nodes:
        with named(node):
            if _fold(known, node):
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


def _fold(graph: Graph, node: Node) -> bool:
    """Make constants of a node's outputs where nothing of it waits for a run."""
    row, specs = table.TABLE[node.op], [graph.spec(value) for value in node.inputs]
    if row.known is not None and None not in specs:
        results: tuple[object, ...] = (row.known(*specs, **node.attributes),)
    elif all(not value or value in graph.constants for value in node.inputs) and not row.random:
        results = table.evaluate(node, [graph.constants.get(value) for value in node.inputs])
    else:
        return False
    for value, array in zip(node.outputs, results, strict=False):
        if value:
            graph.constants[value] = np.asarray(array)
    return True


class named:
    """Errors raised within say which node they are of."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ValueError | TypeError | IndexError | ArithmeticError):
            sort = TypeError if isinstance(error, TypeError) else ValueError
            raise sort(f"{self._node.label}: {error}") from error
