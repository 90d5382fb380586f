"""The one representation of a whole network: nodes between named values, some of which are constants."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from cnnfast.ops.arrays import Array

Shape = tuple[int, ...]


class Spec(NamedTuple):
    """What is known of an array before it is there."""

    shape: Shape
    dtype: np.dtype[Any]

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @staticmethod
    def of(array: Any) -> "Spec":
        return Spec(array.shape, array.dtype)


@dataclass(eq=False)
class Node:
    """One op: a row of `graph.table.TABLE`.

    inputs : names of values; "" where an optional one is left out
    outputs : names of the values it gives; "" where one is not wanted
    attributes : the op's keywords
    name : what users call it
    origin : the value that it was made for in the graph before the passes: of one network the same for every size
    """

    op: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any] = field(default_factory=dict)
    name: str = ""
    origin: str = ""

    @property
    def label(self) -> str:
        """How errors call it: `conv1 (conv2d)`."""
        return f"{self.name or self.outputs[0]} ({self.op})"


@dataclass(eq=False)
class Graph:
    """Nodes in an order in which they can run.

    inputs, outputs : names of values
    constants : the values known from the start
    specs : of those values whose shape is known; constants are not among them
    sized : constants may have been computed from the inputs' shapes
    """

    inputs: list[str]
    outputs: list[str]
    nodes: list[Node] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)
    specs: dict[str, Spec] = field(default_factory=dict)
    sized: bool = False
    _count: int = 0

    def fresh(self, hint: str) -> str:
        """A name that no value has."""
        self._count += 1
        return f"{hint}:{self._count}"

    def keep_clear_of(self, names: Iterable[str]) -> None:
        """Let `fresh` give none of these names of a file, which may end in a number as well: "conv:1"."""
        ends = (name.rpartition(":")[2] for name in names if ":" in name)
        self._count = max((int(end) for end in ends if end.isdecimal() and len(end) < 20), default=self._count)

    def constant(self, array: Any, hint: str = "constant") -> str:
        """Add a constant; its name."""
        name = self.fresh(hint)
        self.constants[name] = np.asarray(array)
        return name

    def add(self, op: str, inputs: Iterable[str], name: str = "", output: str = "", **attributes: Any) -> str:
        """Add a node of one output; that output's name."""
        given = output or self.fresh(name or op)
        self.nodes.append(Node(op, list(inputs), [given], attributes, name))
        return given

    def spec(self, value: str) -> Spec | None:
        """What is known of a value."""
        if value in self.constants:
            return Spec.of(self.constants[value])
        return self.specs.get(value)

    def readers(self) -> Counter[str]:
        """How often each value is read, by nodes and as an output."""
        return Counter(value for value in (*(each for node in self.nodes for each in node.inputs), *self.outputs))

    def producers(self) -> dict[str, Node]:
        """The node that gives each value."""
        return {value: node for node in self.nodes for value in node.outputs if value}

    def rename(self, names: Mapping[str, str]) -> None:
        """Let every reader of a key read its value instead."""
        if not names:
            return

        def final(name: str) -> str:
            while name in names:
                name = names[name]
            return name

        for node in self.nodes:
            node.inputs = [final(each) for each in node.inputs]
        self.outputs = [final(each) for each in self.outputs]

    def prune(self) -> None:
        """Drop the nodes and constants that nothing reads."""
        wanted = set(self.outputs)
        kept: list[Node] = []
        for node in reversed(self.nodes):
            if wanted.intersection(node.outputs):
                kept.append(node)
                wanted.update(node.inputs)
        self.nodes = kept[::-1]
        self.constants = {name: array for name, array in self.constants.items() if name in wanted}

    def copy(self) -> "Graph":
        """A graph that can be changed while this one stays; the constants' arrays are shared."""
        nodes = [
            Node(node.op, list(node.inputs), list(node.outputs), dict(node.attributes), node.name, node.origin)
            for node in self.nodes
        ]  # fmt: skip
        known = dict(self.constants), dict(self.specs), self.sized
        return Graph(list(self.inputs), list(self.outputs), nodes, *known, self._count)
