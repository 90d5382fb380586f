"""A convolution of as many groups as channels is a depthwise one."""

from cnnfast.graph.ir import Graph


def to_depthwise(graph: Graph) -> None:
    """Name it so: then it can be joined with the 1x1 convolutions around it."""
    for node in graph.nodes:
        groups, weight = (
            node.attributes.get("groups", 1),
            graph.constants.get(node.inputs[1]) if node.op == "conv2d" else None,
        )
        x = graph.spec(node.inputs[0])
        if weight is None or x is None or groups == 1 or node.attributes.get("layout", "NHWC") != "NHWC":
            continue
        if groups == x.shape[-1]:
            R, S, _, filters = weight.shape
            node.op = "depthwise_conv2d"
            node.inputs[1] = graph.constant(weight.reshape(R, S, groups, filters // groups), node.inputs[1])
            del node.attributes["groups"]
