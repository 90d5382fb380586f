"""Ops that say the general case become the ones that say theirs, now that shapes and constants are known."""

from cnnfast.graph.ir import Graph
from cnnfast.graph.specialise import named, respec
from cnnfast.graph.table import TABLE


def simplify(graph: Graph) -> None:
    """Let every row of the table that knows better words for a node say them, until none does."""
    names: dict[str, str] = {}
    waiting, graph.nodes = graph.nodes[::-1], []
    while waiting:
        node = waiting.pop()
        node.inputs = [names.get(value, value) for value in node.inputs]
        known = all(graph.spec(value) is not None for value in node.inputs if value)
        better = TABLE[node.op].simplify if known else None
        before = len(graph.nodes)
        with named(node):
            value = better(graph, node) if better is not None else None
        if value is None:
            assert len(graph.nodes) == before, f"{node.label} was given up, and yet nodes were added"
            graph.nodes.append(node)
            continue
        made, graph.nodes = graph.nodes[before:], graph.nodes[:before]
        for each in made:
            each.name = each.name or node.name or node.outputs[0]
            each.origin = node.origin
        with named(node):
            respec(graph, made)
        names[node.outputs[0]] = names.get(value, value)
        waiting.extend(made[::-1])
    graph.rename(names)
