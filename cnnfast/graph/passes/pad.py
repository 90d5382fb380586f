"""A border of a convolution's input is the convolution's own padding."""

from cnnfast.graph.ir import Graph, Node

MODES = {"constant": "zeros", "reflect": "reflect", "replicate": "replicate", "circular": "circular"}
"""What a convolution calls each mode of pad2d."""
PADDED = ("conv2d", "depthwise_conv2d")


def fold_pad(graph: Graph) -> None:
    """Let convolutions pad by themselves. A zero border before a max pool stays: that pool's own padding is -inf."""
    readers, producers = graph.readers(), graph.producers()
    for node in graph.nodes:
        pad = producers.get(node.inputs[0]) if node.op in PADDED else None
        if pad is not None and pad.op == "pad2d" and readers[node.inputs[0]] == 1 and _fits(node, pad):
            sides = node.attributes.get("padding", 0)
            own = ((sides, sides), (sides, sides)) if isinstance(sides, int) else sides
            border = pad.attributes["padding"]
            node.attributes["padding"] = tuple((a[0] + b[0], a[1] + b[1]) for a, b in zip(own, border, strict=True))
            node.attributes["padding_mode"] = MODES[pad.attributes.get("mode", "constant")]
            node.inputs[0] = pad.inputs[0]
    graph.prune()


def _fits(node: Node, pad: Node) -> bool:
    sides, mode = node.attributes.get("padding", 0), pad.attributes.get("mode", "constant")
    if isinstance(sides, str) or pad.attributes.get("layout", "NHWC") != node.attributes.get("layout", "NHWC"):
        return False
    none = sides == 0 or (not isinstance(sides, int) and all(pair == (0, 0) for pair in map(tuple, sides)))
    if mode == "constant":
        return not pad.attributes.get("value", 0.0) and (
            none or node.attributes.get("padding_mode", "zeros") == "zeros"
        )
    return none
