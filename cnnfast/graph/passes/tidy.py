"""What does nothing goes: identities, reshapes to the same shape, transposes of axes of size 1, what nobody reads."""

from cnnfast.graph.ir import Graph, Node, Spec
from cnnfast.graph.table import VIEWS


def tidy(graph: Graph) -> None:
    """Remove the nodes that give their input as it is, and those whose output nobody reads."""
    names: dict[str, str] = {}
    kept: list[Node] = []
    views: dict[str, str] = {}  # of each reshaped value, what it was before
    for node in graph.nodes:
        node.inputs = [names.get(value, value) for value in node.inputs]
        x, y = graph.spec(node.inputs[0]) if node.inputs else None, graph.spec(node.outputs[0])
        if x is not None and y is not None:
            if node.op == "transpose" and moves_nothing(x, node.attributes["axes"]):
                node.op, node.attributes = "reshape", {"shape": y.shape, "keep_zeros": True}
            if node.op in VIEWS:
                node.op, node.attributes = "reshape", {"shape": y.shape, "keep_zeros": True}
                node.inputs = [views.get(node.inputs[0], node.inputs[0])]
                views[node.outputs[0]] = node.inputs[0]
        if _gives_its_input(graph, node):
            names[node.outputs[0]] = node.inputs[0]
        else:
            kept.append(node)
    graph.nodes = kept
    graph.rename(names)
    graph.prune()


def moves_nothing(x: Spec, axes: tuple[int, ...]) -> bool:
    """Whether a transpose leaves the numbers in their order: the axes that move have size 1.

    >>> import numpy as np
    >>> moves_nothing(Spec((2, 1, 5, 5), np.dtype(np.float32)), (0, 2, 3, 1))
    True
    """
    moved = [axis for axis in axes if x.shape[axis] != 1]
    return moved == sorted(moved)


def _gives_its_input(graph: Graph, node: Node) -> bool:
    if node.op == "identity" or (node.op == "concatenate" and len(node.inputs) == 1):
        return True
    x, y = graph.spec(node.inputs[0]) if node.inputs else None, graph.spec(node.outputs[0])
    return node.op in ("reshape", "cast") and x is not None and x == y
