"""The first and the last convolution of a network change its pictures' layout by themselves."""

from cnnfast.graph.ir import Graph
from cnnfast.graph.passes.layout import TO_FIRST, TO_LAST
from cnnfast.graph.table import CONVS
from cnnfast.ops.options import Layouts, layouts


def fold_transposes(graph: Graph) -> None:
    """Let a convolution read what was to be turned for it alone, and write what was to be turned after it."""
    producers, readers = graph.producers(), graph.readers()
    for node in list(graph.nodes):
        before = producers.get(node.inputs[0]) if node.op in CONVS else None
        if before is not None and before.op == "transpose" and before.attributes["axes"] == TO_LAST:
            given = layouts(node.attributes.get("layout", "NHWC"))
            if readers[node.inputs[0]] == 1 and given.x == "NHWC" and graph.spec(before.inputs[0]) is not None:
                node.inputs[0] = before.inputs[0]
                node.attributes["layout"] = Layouts("NCHW", given.weight, given.y)
        conv = producers.get(node.inputs[0]) if node.op == "transpose" else None
        if conv is not None and conv.op in CONVS and node.attributes["axes"] == TO_FIRST:
            given = layouts(conv.attributes.get("layout", "NHWC"))
            residual = len(conv.inputs) > 3  # it would have to lie as the output does
            if readers[node.inputs[0]] == 1 and given.y == "NHWC" and not residual:
                conv.attributes["layout"] = Layouts(given.x, given.weight, "NCHW")
                conv.outputs = node.outputs
                producers[node.outputs[0]] = conv
                graph.nodes.remove(node)
    graph.prune()
