"""A network on parts of a picture that give the same as the whole: where to cut, and what runs on each part.

A part comes with pixels of its neighbours on both sides, as many as its outputs read; where no neighbour is, the
network pads as it does the whole picture. What the false edges spoil lies in outputs that are not its own, and is
dropped.
"""

import math
import threading
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

from cnnfast.graph.executable import Executable
from cnnfast.graph.ir import Graph, Shape, Spec
from cnnfast.graph.lower import Plans, lower
from cnnfast.graph.network import improved
from cnnfast.graph.reaches import Place, axes_of, bounds
from cnnfast.graph.receptive_field import Field, Walk
from cnnfast.graph.specialise import specialise
from cnnfast.graph.table import CONVS
from cnnfast.ops import options
from cnnfast.ops.arrays import Array
from cnnfast.ops.linear import LinearPlan
from cnnfast.ops.plan import Plan

PROXY = 512
"""Shapes are worked out for a picture that is about as large, and leaves the same remainders."""
KEPT = 9
"""For how many sizes of part the network stays ready: corners, edges and the middle."""


class Cut(NamedTuple):
    """One axis of a picture in parts.

    inputs : their sizes
    before, after : how many pixels each borrows of its neighbours
    outputs : how many outputs are each part's own
    skips : how many of the outputs of its run come before them
    """

    inputs: tuple[int, ...]
    before: int
    after: int
    outputs: tuple[int, ...]
    skips: tuple[int, ...]


def cut(field: Field, size: int, count: int, wanted: Sequence[int]) -> Cut:
    """Parts of about the wanted sizes.

    They begin at multiples of the field's period, so that each layer's windows stand where they stand in the whole; and
    what runs is longer or shorter than the whole by such a multiple, so that sizes which meet in the whole meet here.

    >>> cut(Field(2, 1, -1, 2, 4, 2), 11, 6, (5, 6))
    Cut(inputs=(4, 7), before=2, after=1, outputs=(2, 4), skips=(0, 1))
    """
    period, each = field.period, field.outputs
    shift = round((period - field.first - field.until - 1) / (2 * period))  # borrow about as much of both sides
    before = -(max(0, -period * shift - min(field.first, 0)) // -period) * period
    after = max(0, period * (shift - 1) + field.until + 1)
    after += (size - after) % period
    least = max(before, after, 1)

    def first_output(at: int) -> int:
        return each * (at // period + shift)

    ends = [0]
    for at in (period * round(end / period) for end in accumulate(wanted)):
        if ends[-1] + least <= at <= size - least and max(0, first_output(ends[-1])) < first_output(at) < count:
            ends.append(at)
    owned = [0, *map(first_output, ends[1:]), count]
    starts = [max(0, at - before) for at in ends]
    return Cut(
        tuple(b - a for a, b in pairwise([*ends, size])), before, after, tuple(b - a for a, b in pairwise(owned)),
        tuple(first - each * (start // period) for first, start in zip(owned, starts, strict=False)),
    )  # fmt: skip


class Pieces:
    """A network for parts of a picture. Any number of threads may call it; pickled, it leaves its plans behind.

    Attributes
    ----------
    fields : along the height and the width
    output_shape, dtype : of the whole picture's output, for a batch of one
    axes, output_axes : where the height and the width lie
    """

    def __init__(self, graph: Graph, x: Spec, layout: str = "NHWC", precision: str = "default") -> None:
        """
        Raises
        ------
        ValueError : an op reads more than a window; the message names it
        """
        self.axes = axes_of(layout)
        known, walk, self.fields = _analysed(graph, x, layout)
        (self._input,), (y,) = graph.inputs, known.outputs
        small, found = known.specs[self._input].shape, known.specs[y]
        self.output_axes, self.dtype, shape = walk.axes[y], found.dtype, list(found.shape)
        for axis, at, field in zip(self.axes, self.output_axes, self.fields, strict=True):
            shape[at] += (x.shape[axis] - small[axis]) // field.period * field.outputs
        self.output_shape: Shape = tuple(shape)
        self._graph = _with_precision(_fixed(known, walk), options.precision(precision))
        self._begin()

    def _begin(self) -> None:
        self._packed: dict[Hashable, Plan | LinearPlan] = {}
        self._ready: OrderedDict[Spec, Executable] = OrderedDict()
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_packed", "_ready", "_lock")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._begin()

    def __call__(self, part: Array) -> Array:
        """The network's output for a part and what it borrows."""
        y: Array = self._executable(Spec.of(part)).run([part])[0]
        return y

    def _executable(self, spec: Spec) -> Executable:
        with self._lock:
            found = self._ready.pop(spec, None)
            if found is None:
                graph = specialise(self._graph, {self._input: spec})
                found = Executable(lower(graph, Plans(self._packed)))
            self._ready[spec] = found
            if len(self._ready) > KEPT:
                self._ready.popitem(last=False)
        return found


def _analysed(graph: Graph, x: Spec, layout: str) -> tuple[Graph, Walk, tuple[Field, Field]]:
    """The improved graph for a picture that may be smaller, and what its outputs read."""
    (name,), axes = graph.inputs, axes_of(layout)
    whole = (1, *x.shape[1:])
    size, step = PROXY, 64
    while True:
        shape = tuple(
            min(n, size + (n - size) % step) if axis in axes else n for axis, n in enumerate(whole)
        )  # fmt: skip
        try:
            known = improved(graph, {name: Spec(shape, x.dtype)})
        except ValueError:
            if shape == whole:
                raise
            size *= 2  # too small for the network, perhaps
            continue
        if known.sized and shape != whole:  # its constants are computed from the picture's size
            size = max(whole)
            continue
        walk = Walk(known, layout)
        fields = walk.field(0), walk.field(1)
        period = math.lcm(*(field.period for field in fields))
        if step % period == 0 or shape == whole:
            return known, walk, fields
        step = math.lcm(step, period)


def _fixed(graph: Graph, walk: Walk) -> Graph:
    """The same network where no crop depends on the picture's size; "same" does on what strides leave of it alone."""
    made = graph.copy()
    for node in made.nodes:
        if node.op == "slice" and node.outputs[0] in walk.axes:
            place = Place(graph, node, walk.axes)
            for axis, start, rest, _ in bounds(place):
                if axis in place.axes:
                    _cut_sides(node.attributes, axis, start, -rest or None)
    made.specs.clear()
    return made


def _cut_sides(attributes: dict[str, Any], axis: int, start: int, stop: int | None) -> None:
    i = [each % 4 for each in attributes["axes"]].index(axis)
    for name, value in (("starts", start), ("stops", stop)):
        old: Sequence[Any] = attributes[name]
        attributes[name] = (*old[:i], value, *old[i + 1 :])


def _with_precision(graph: Graph, precision: str) -> Graph:
    for node in graph.nodes:
        if node.op in (*CONVS, "separable_conv2d") and node.attributes.get("precision", "default") == "default":
            node.attributes["precision"] = precision
    return graph
