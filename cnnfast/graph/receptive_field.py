"""Which pixels of a network's input its outputs read, computed from the graph.

Araujo, Norris and Sim, "Computing receptive fields of convolutional neural networks", Distill 2019,
doi:10.23915/distill.00021; here with the ways up as well, and for both axes.
"""

import math
from dataclasses import dataclass
from fractions import Fraction

from cnnfast.graph.ir import Graph, Node
from cnnfast.graph.reaches import Place, Reaches, Span, axes_of, reaches_of
from cnnfast.graph.specialise import named
from cnnfast.ops.checks import Pair


@dataclass(frozen=True)
class Field:
    """One axis of a network: its outputs U*m ... U*m + U - 1 read the inputs T*m + first ... T*m + last, for every m.

    Attributes
    ----------
    period : T, by which a cut of the input keeps every layer's windows where they are
    outputs : U, how many outputs that is
    first, last : of the outputs of m = 0; below 0 lies padding
    size : how many inputs one output reads
    until : the inputs up to T*m + until must be there for the outputs to be: crops may need more than is read
    """

    period: int
    outputs: int
    first: int
    last: int
    size: int
    until: int

    @property
    def stride(self) -> Fraction:
        """From the field of one output to the next's."""
        return Fraction(self.period, self.outputs)


def receptive_field(graph: Graph, layout: str = "NHWC") -> tuple[Field, Field]:
    """The fields, along the height and the width, of the only output in the only input.

    Parameters
    ----------
    graph : one whose shapes are known (`specialise`), of a picture to a picture
    layout : the input's

    Raises
    ------
    ValueError : an op reads more than a window, or is not known to read no more; the message names it

    Examples
    --------
    >>> from cnnfast.graph.ir import Graph, Spec
    >>> from cnnfast.graph.specialise import specialise
    >>> import numpy as np
    >>> graph = Graph(["x"], ["y"])
    >>> halved = graph.add("max_pool2d", ["x"], kernel_size=2)
    >>> _ = graph.add("max_pool2d", [halved], output="y", kernel_size=3, stride=1)
    >>> field, _ = receptive_field(specialise(graph, {"x": Spec((1, 8, 8, 3), np.dtype(np.float32))}))
    >>> field.size, field.stride, (field.first, field.last)
    (6, Fraction(2, 1), (0, 5))
    """
    walk = Walk(graph, layout)
    return walk.field(0), walk.field(1)


class Walk:
    """The graph from its input to its output: for each picture on the way its axes, and its pixels' distance.

    axes : where a value's height and width lie
    scales : for each axis, of each value, how many pixels of the input lie from one of its own to the next
    """

    def __init__(self, graph: Graph, layout: str) -> None:
        if len(graph.inputs) != 1 or len(graph.outputs) != 1:
            raise ValueError(f"it must have one input and one output, got {graph.inputs} and {graph.outputs}")
        ((self._x,), (self._y,)) = graph.inputs, graph.outputs
        self.graph = graph
        self.axes: dict[str, Pair] = {self._x: axes_of(layout)}
        self.scales: list[dict[str, Fraction]] = [{self._x: Fraction(1)}, {self._x: Fraction(1)}]
        self._steps: list[tuple[str, dict[str, Reaches]]] = []
        for node in graph.nodes:
            with named(node):
                self._go(node)
        if self._y not in self.axes:
            raise ValueError(f"it must make a picture of its input, and {self._y!r} is none")

    def _go(self, node: Node) -> None:
        pictures = [value for value in dict.fromkeys(node.inputs) if value in self.axes]
        if any(value and value not in self.axes and value not in self.graph.constants for value in node.inputs):
            raise ValueError("it reads what is no picture")
        if not pictures:
            return
        if any(node.outputs[1:]):
            raise ValueError("it gives more than one picture")
        place, target = Place(self.graph, node, self.axes), node.outputs[0]
        reaches = reaches_of(place)
        self.axes[target] = place.target or place.axes
        for axis, scales in enumerate(self.scales):
            found = {scales[value] * Fraction(way[axis].step, way[axis].per) for value, way in reaches.items()}
            if len(found) > 1:
                raise ValueError(f"its pictures' pixels must be equally far apart, got {sorted(map(str, found))}")
            scales[target] = found.pop()
        self._steps.append((target, reaches))

    def field(self, axis: int) -> Field:
        """Of the output in the input, along the height or the width."""
        scales = self.scales[axis]
        period = math.lcm(*(scale.numerator for scale in scales.values()))
        outputs = int(period / scales[self._y])
        each = [self.back(axis, Span(p, p)) or Span(0, -1) for p in range(outputs)]
        first, last = min(span.first for span in each), max(span.last for span in each)
        there = self.back(axis, Span(0, outputs - 1), there=True) or Span(first, last)
        return Field(
            period, outputs, first, last, max(span.last - span.first + 1 for span in each), max(last, there.last)
        )

    def back(self, axis: int, outputs: Span, there: bool = False) -> Span | None:
        """What some of the outputs read of the input, or what must be `there` for them; None where that is nothing."""
        spans = {self._y: outputs}
        for target, reaches in reversed(self._steps):
            for value, way in reaches.items() if target in spans else ():
                span = way[axis].back(spans[target], there)
                if span is not None:
                    known = spans.get(value, span)
                    spans[value] = Span(min(known.first, span.first), max(known.last, span.last))
        return spans.get(self._x)
