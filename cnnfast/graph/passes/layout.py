"""Pictures with their channels last, from the first op on pictures to the last: that is how the kernels read them."""

from collections.abc import Sequence

import numpy as np

from cnnfast.graph.ir import Graph, Node, Spec
from cnnfast.graph.specialise import respec
from cnnfast.graph.table import TABLE

TO_LAST, TO_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)
FILTERS_LAST = {
    "conv2d": (2, 3, 1, 0), "depthwise_conv2d": (2, 3, 0, 1), "conv_transpose2d": (2, 3, 1, 0),
}  # fmt: skip
"""How the weights of convolutions move with them."""
BY_AXIS = ("concatenate", "softmax", "log_softmax", "slice")
"""Ops that work along an axis told by their attribute `axis`, or `axes`, whichever that is."""


def to_channels_last(graph: Graph) -> None:
    """Turn every op with layout "NCHW" into one with "NHWC", and with them what works on either.

    A value gets its other order only where somebody asks for it, so that transposes meet and vanish by themselves.
    """
    _Rewriter(graph).run()


class _Rewriter:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes, graph.nodes = graph.nodes, []
        self.last: dict[str, str] = {}  # channels first -> channels last
        self.waiting: set[str] = set()  # values whose channels-first order nobody has asked for yet

    def run(self) -> None:
        for node in self.nodes:
            if node.attributes.get("layout") == "NCHW" and self._is_picture(node.inputs[0]):
                self._turn(node)
            elif self._follows(node):
                self._along(node)
            elif node.op == "transpose" and node.attributes["axes"] == TO_LAST and node.inputs[0] in self.last:
                self._keep(Node("identity", [self.last[node.inputs[0]]], node.outputs, {}, node.name))
            elif node.op == "transpose" and node.attributes["axes"] == TO_FIRST and self._is_picture(node.inputs[0]):
                self.last[node.outputs[0]] = self._first(node.inputs[0])
                self.waiting.add(node.outputs[0])
            else:
                node.inputs = [self._first(value) for value in node.inputs]
                self._keep(node)
        for value in self.graph.outputs:
            self._first(value)

    def _is_picture(self, value: str) -> bool:
        spec = self.graph.spec(value)
        return spec is not None and len(spec.shape) == 4

    def _follows(self, node: Node) -> bool:
        """Whether a node takes either order, has an input with channels last, and no other input forbids it."""
        if not (TABLE[node.op].pointwise or node.op in BY_AXIS) or not any(value in self.last for value in node.inputs):
            return False
        return all(
            self._is_picture(value) or (TABLE[node.op].pointwise and self._repeats(value))
            for value in node.inputs
            if value
        )

    def _repeats(self, value: str) -> bool:
        """Whether it is a constant that can be told with four axes."""
        constant = self.graph.constants.get(value)
        return constant is not None and constant.ndim <= 4

    def _turn(self, node: Node) -> None:
        x, *rest = node.inputs
        inputs = [self._last(x)]
        for i, value in enumerate(rest, 1):
            if not value:
                inputs.append(value)
            elif i == 1 and node.op in FILTERS_LAST:
                inputs.append(self._moved(value, FILTERS_LAST[node.op]))
            elif self._is_picture(value):
                inputs.append(self._last(value))  # a residual
            else:
                inputs.append(value)
        self._replace(node, inputs, {**node.attributes, "layout": "NHWC"})

    def _along(self, node: Node) -> None:
        attributes = dict(node.attributes)
        if "axes" in attributes:
            attributes["axes"] = tuple(TO_LAST.index(axis) for axis in attributes["axes"])
        elif node.op in BY_AXIS:
            attributes["axis"] = TO_LAST.index(attributes.get("axis", -1) % 4)
        self._replace(node, [self._last(value) if value else value for value in node.inputs], attributes)

    def _replace(self, node: Node, inputs: Sequence[str], attributes: dict[str, object]) -> None:
        """The node with channels last; its outputs' names stay those of their channels-first order."""
        outputs = [value and self.graph.fresh(value) for value in node.outputs]
        made = Node(node.op, list(inputs), outputs, attributes, node.name or node.outputs[0], node.origin)
        self._keep(made)
        for old, new in zip(node.outputs, outputs, strict=True):
            if old:
                x = self.graph.specs[old]
                self.graph.specs[new] = Spec(tuple(x.shape[i] for i in TO_LAST), x.dtype)
                self.last[old] = new
                self.waiting.add(old)

    def _last(self, value: str) -> str:
        """Its channels-last order."""
        if value in self.last:
            return self.last[value]
        constant = self.graph.constants.get(value)
        if constant is not None:
            if constant.ndim == 0:
                return value
            shaped = constant.reshape((1,) * (4 - constant.ndim) + constant.shape)
            self.last[value] = self.graph.constant(np.ascontiguousarray(shaped.transpose(TO_LAST)), value)
        else:
            self.last[value] = self._moved(value, TO_LAST)
        return self.last[value]

    def _first(self, value: str) -> str:
        """The value as it was, made of its channels-last order where it is not there yet."""
        if value in self.waiting:
            self.waiting.remove(value)
            self._keep(Node("transpose", [self.last[value]], [value], {"axes": TO_FIRST}, value))
        return value

    def _moved(self, value: str, axes: tuple[int, ...]) -> str:
        constant = self.graph.constants.get(value)
        if constant is not None:
            return self.graph.constant(constant.transpose(axes), value)
        moved = self.graph.add("transpose", [self._first(value)], value, axes=axes)
        respec(self.graph, [self.graph.nodes[-1]])
        return moved

    def _keep(self, node: Node) -> None:
        self.graph.nodes.append(node)
