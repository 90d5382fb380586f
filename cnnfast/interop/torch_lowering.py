"""From a part of an FX graph of aten ops to a graph of ours."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import fx

from cnnfast.graph.ir import Graph
from cnnfast.ops.arrays import Array

Sizes = tuple[int, ...]
Symbols = dict[Any, int]
"""What the symbols of a graph's shapes stand for."""


class Unsupported(Exception):
    """What is left to torch, and why."""


class Value(NamedTuple):
    """A tensor as the rules of ops see it.

    shape : its sizes, symbols among them: `Lowering.integer` gives what they stand for
    fixed : it is a parameter or made of parameters alone, so its numbers are known before the network runs
    """

    name: str
    shape: tuple[Any, ...]
    fixed: bool

    @property
    def rank(self) -> int:
        return len(self.shape)


Rule = Callable[..., str | list[str]]
"""rule(lowering, *the op's arguments): adds nodes; the name of the op's output, or of its first outputs."""
RULES: dict[Any, Rule] = {}


def rule(*targets: Any) -> Callable[[Rule], Rule]:
    """The decorator of the rule of some aten ops."""

    def put(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(targets, function))
        return function

    return put


class Lowering:
    """A graph of ours in the making.

    Parameters
    ----------
    symbols : what the symbols of the shapes stand for

    Attributes
    ----------
    used : those symbols that the graph depends on: it serves all shapes in which they stand for the same
    """

    def __init__(self, symbols: Symbols) -> None:
        self.graph = Graph([], [])
        self.used: set[Any] = set()
        self._symbols = symbols
        self._values: dict[fx.Node, Any] = {}
        self._out: Any = None

    def put(self, node: fx.Node, name: str, fixed: bool) -> None:
        """Let a node of the FX graph be a value that is there."""
        self._values[node] = Value(name, tuple(node.meta["val"].shape), fixed)

    def run(self, node: fx.Node) -> None:
        """Lower a node.

        Raises
        ------
        Unsupported : torch has to run it
        """
        if is_getitem(node):
            parts = self._values[node.args[0]]
            if not isinstance(parts, list) or not node.args[1] < len(parts):
                raise Unsupported("only its first output is supported")
            self._values[node] = parts[node.args[1]]
            return
        if node.target not in RULES:
            raise Unsupported("the op is not known")
        for each in (node, *node.all_input_nodes):
            _check(each.meta.get("val"))
        self._out = first(node.meta["val"])
        inputs = [self._values[each] for each in node.all_input_nodes if each in self._values]
        given = fx.map_arg((node.args, dict(node.kwargs)), self._argument)
        result = RULES[node.target](self, *given[0], **given[1])
        fixed = bool(inputs) and all(isinstance(each, Value) and each.fixed for each in inputs)
        if isinstance(result, list):
            outs = node.meta["val"]
            self._values[node] = [
                Value(name, tuple(out.shape), fixed) for name, out in zip(result, outs, strict=False)
            ]
        else:
            self._values[node] = Value(result, tuple(self._out.shape), fixed)

    def value(self, node: fx.Node) -> Value:
        """What was made of a node."""
        found: Value = self._values[node]
        return found

    def _argument(self, node: fx.Node) -> Any:
        return self._values[node] if node in self._values else node.meta["val"]

    def add(self, op: str, inputs: Iterable[Value | str], **attributes: Any) -> str:
        """A node of our graph; its output's name."""
        names = [each.name if isinstance(each, Value) else each for each in inputs]
        return self.graph.add(op, names, **attributes)

    def number(self, value: Any) -> str:
        """A constant of one number."""
        if isinstance(value, bool | int | float):
            return self.graph.constant(np.float32(value))
        raise Unsupported(f"it takes the number {value}, which is not known before")

    def constant(self, array: Array) -> str:
        return self.graph.constant(array)

    def integer(self, value: Any) -> int:
        """A number that nodes are made with: what it stands for now."""
        if not isinstance(value, int):
            self.used |= symbols_of(value)
        return evaluate(value, self._symbols)

    def reshape(self, x: Value | str, shape: Sequence[Any] | None = None) -> str:
        """x in another shape: by default the output's of the node that is lowered. One size may stay open."""
        wanted = list(self._out.shape if shape is None else shape)
        vary = [i for i, size in enumerate(wanted) if not isinstance(size, int) and symbols_of(size)]
        sizes = tuple(-1 if vary[:1] == [i] else self.integer(size) for i, size in enumerate(wanted))
        return self.add("reshape", [x], shape=sizes, keep_zeros=True)

    @property
    def out_shape(self) -> tuple[Any, ...]:
        """The shape of the output of the node that is lowered."""
        return tuple(self._out.shape)


def symbols_of(size: Any) -> set[Any]:
    """The symbols that a size depends on."""
    return set(size.node.expr.free_symbols) if isinstance(size, torch.SymInt) else set()


def is_getitem(node: fx.Node) -> bool:
    """Whether it is one output of an op of several."""
    return node.op == "call_function" and getattr(node.target, "__name__", "") == "getitem" and len(node.args) == 2


def first(value: Any) -> Any:
    """An op's only or first output."""
    return value[0] if isinstance(value, tuple | list) else value


def evaluate(size: Any, symbols: Mapping[Any, int]) -> int:
    """What a size stands for."""
    if isinstance(size, int):
        return size
    if not isinstance(size, torch.SymInt):
        raise Unsupported(f"it takes {size!r} as a size")
    found = size.node.expr.subs(symbols)
    if not found.is_Integer:
        raise Unsupported(f"the size {size} depends on what is computed")
    return int(found)


def hints(graph: fx.Graph) -> Symbols:
    """What the symbols stand for in the example that a graph was traced with."""
    symbols: Symbols = {}
    for node in graph.nodes:
        value = node.meta.get("val") if node.op == "placeholder" else None
        for size in value.shape if isinstance(value, torch.Tensor) else [value]:
            if isinstance(size, torch.SymInt) and size.node.expr.is_Symbol:
                hint = size.node.hint
                symbols[size.node.expr] = 2 if hint is None else int(hint)
    return symbols


def _check(value: Any) -> None:
    """That a node's tensors are the engine's: float32 in plain memory."""
    x = first(value)
    if isinstance(x, torch.SymInt | int):
        return
    if not isinstance(x, torch.Tensor):
        raise Unsupported(f"it works on {type(x).__name__}")
    if x.device.type != "cpu" or x.layout is not torch.strided:
        raise Unsupported(f"its tensors are on {x.device}, {x.layout}")
    if x.dtype is not torch.float32:
        raise Unsupported(f"its tensors are {str(x.dtype).removeprefix('torch.')}")
    if any(isinstance(size, int) and size == 0 for size in x.shape[1:]):
        raise Unsupported("its tensors are empty")
