"""From a graph whose shapes are known to a program: steps that are ready to run, and where their values lie."""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np

from cnnfast.graph.ir import Graph, Node, Spec
from cnnfast.graph.slices import Slices, write_slices
from cnnfast.graph.specialise import named
from cnnfast.graph.steps import Step
from cnnfast.graph.table import TABLE, VIEWS, Ready, given_inputs
from cnnfast.ops import fused
from cnnfast.ops.arrays import Array
from cnnfast.ops.linear import LinearPlan
from cnnfast.ops.plan import Plan

FLOAT32 = np.dtype(np.float32)

KEPT = 4
"""Of one op's plans for images of one size: its inputs' sizes vary where the first axis is not the batch."""
Name = TypeVar("Name", str, int)
Key = tuple[str, str, Hashable]
"""Of what a node is made ready as: its origin, op, and inputs' sizes without the batch."""


class Plans:
    """What was made ready before for images of one size: it runs any batch.

    An op keeps its plans for the last few sizes of what comes to it.

    packed : the plans whose packed weights others may share, by origin and algorithm: for images of whatever size
    """

    def __init__(self, packed: dict[Hashable, Plan | LinearPlan]) -> None:
        self._ready: dict[Key, Ready] = {}
        self._packed = packed

    def get(self, key: Key) -> Ready | None:
        return self._ready.get(key)

    def put(self, key: Key, ready: Ready) -> None:
        self._ready[key] = ready
        mine = [each for each in self._ready if each[:2] == key[:2]]
        if len(mine) > KEPT:
            del self._ready[mine[0]]
        run = ready.run
        if isinstance(run, Plan | LinearPlan):
            first = self._packed.setdefault((*key[:2], run.algorithm), run)
            if type(first) is type(run) and first is not run:
                run.share(first)  # type: ignore[arg-type]


class Program(NamedTuple):
    """A network as steps over named values.

    roots : the value whose memory each placed value is: itself, or the one it is a view of. A value without a root is
        what a step gives, whatever it is: its shape or dtype is not float32's of a known shape.
    slices : the values that are some channels of their root
    """

    steps: tuple[Step, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    specs: dict[str, Spec]
    roots: dict[str, str]
    slices: Slices
    constants: dict[str, Array]


def lower(graph: Graph, plans: Plans, consume: bool = False) -> Program:
    """The program of a specialised graph; `plans` holds what was planned before, and takes what is planned now.

    consume : drop each of the graph's constants as soon as what reads it is ready without it
    """
    roots = {name: name for name in graph.inputs if graph.specs[name].dtype == FLOAT32}
    nodes: list[Node] = []
    for node in graph.nodes:
        source, target = node.inputs[0] if node.inputs else "", node.outputs[0]
        if node.op in VIEWS and source in roots:
            roots[target] = roots[source]
            continue
        if _writes(graph, node):
            roots[target] = target
        nodes.append(node)
    steps: list[Step] = []
    left = graph.readers()
    for node in nodes:
        steps.append(_step(graph, node, plans))
        left.subtract(node.inputs)
        for value in node.inputs if consume else ():
            if not left[value] and value not in steps[-1].sources:
                graph.constants.pop(value, None)
    joined, slices = write_slices(_joined(steps, roots, graph.outputs), graph, roots, graph.outputs)
    _reuse_residuals(joined, graph, roots, slices)
    read = {value for step in joined for value in step.sources} | set(graph.outputs)
    constants = {name: np.require(array, None, ["C", "A"]) for name, array in graph.constants.items() if name in read}
    return Program(
        tuple(joined), tuple(graph.inputs), tuple(graph.outputs), dict(graph.specs), roots, slices, constants
    )


def _writes(graph: Graph, node: Node) -> bool:
    """Whether it writes an array that is there before it runs."""
    spec = graph.specs.get(node.outputs[0])
    return TABLE[node.op].into and len(node.outputs) == 1 and spec is not None and spec.dtype == FLOAT32


def _step(graph: Graph, node: Node, plans: Plans) -> Step:
    row, into = TABLE[node.op], _writes(graph, node)
    given = list(given_inputs(graph, node))
    known = all(given[i] is not None for i, value in enumerate(node.inputs) if value)
    ready = None
    if row.plan is not None and into and known:
        sizes = tuple(each and (each.spec.shape[1:] if each.array is None else None) for each in given)
        key = (node.origin, node.op, sizes)
        ready = plans.get(key) if node.origin else None
        if ready is None:
            with named(node):
                ready = row.plan(node, given)
            if ready is not None and node.origin:
                plans.put(key, ready)
    if ready is None:
        run = partial(_run, row.run, node.attributes, tuple(bool(value) for value in node.inputs), node)
        reads = tuple(i for i, value in enumerate(node.inputs) if value)
        ready = Ready(run, reads)
    sources = tuple(node.inputs[i] for i in ready.reads)
    return Step(ready.run, sources, tuple(node.outputs), into, (node,))


def _run(
    run: Any, attributes: dict[str, Any], present: tuple[bool, ...], node: Node, *arrays: Array, **out: Any
) -> Any:
    """A row of the table on arrays: what is left out of its inputs is None."""
    given = iter(arrays)
    with named(node):
        return run(*(next(given) if there else None for there in present), **attributes, **out)


def _joined(steps: Sequence[Step], roots: dict[str, str], outputs: Sequence[str]) -> list[Step]:
    """The steps, those that are faster as one plan joined: each is all that reads the one before. The last may read a
    residual as well."""
    reads = Counter(roots.get(value, value) for value in (*(each for step in steps for each in step.sources), *outputs))
    result: list[Step] = []
    i = 0
    while i < len(steps):
        end = i + 1
        while end < len(steps) and len(steps[end - 1].sources) == 1 and _follows(steps[end], steps[end - 1], reads):
            end += 1
        found = fused.join([step.run for step in steps[i:end]])
        run, count = found or (steps[i].run, 1)
        first, last = steps[i], steps[i + count - 1]
        sources = first.sources if count == 1 else (*first.sources, *last.sources[1:])
        nodes = tuple(node for step in steps[i : i + count] for node in step.nodes)
        result.append(Step(run, sources, last.targets, last.into, nodes))
        i += count
    return result


def _reuse_residuals(steps: Sequence[Step], graph: Graph, roots: dict[str, str], slices: Slices) -> None:
    """Let a step write where the residual lies that it alone still reads: it reads each number before it writes it."""
    fixed = {roots.get(value, value) for value in (*graph.inputs, *graph.outputs)}
    last = {roots.get(value, value): step for step in steps for value in step.sources}
    for step in steps:
        if len(step.sources) != 2 or not hasattr(step.run, "step") or step.targets[0] in slices:
            continue
        (x, residual), y = (roots.get(value) for value in step.sources), step.targets[0]
        if residual is None or residual in fixed or roots[y] in fixed or x == residual or last[residual] is not step:
            continue
        was = roots[y]
        for value, root in roots.items():
            if root == was:
                roots[value] = residual
        if was in last:
            last[residual] = last[was]


def _follows(step: Step, before: Step, reads: Counter[str]) -> bool:
    return step.sources[:1] == before.targets and reads[before.targets[0]] == 1 and before.into


def lay_out(program: Program, apart: set[str]) -> tuple[dict[str, int], int]:
    """Where in one arena each root lies, but for those `apart`: an offset in bytes; and the arena's bytes."""
    lives: dict[str, tuple[int, int]] = {}
    for i, step in enumerate(program.steps):
        for value in (*step.targets, *step.sources):
            root = program.roots.get(value)
            if root is not None and root not in apart:
                lives[root] = (lives.get(root, (i, i))[0], i)
    size = {root: -(-program.specs[root].size * 4 // 64) * 64 for root in lives}
    return arrange(lives, size)


def arrange(lives: Mapping[Name, tuple[int, int]], size: Mapping[Name, int]) -> tuple[dict[Name, int], int]:
    """Where each value lies that lives from one step to another, and how large it all is.

    The largest come first, each at the lowest place that no other takes while it lives: greedy by size, as in
    Pisarchyk and Lee, "Efficient memory management for deep neural net inference", arXiv:2001.03288, section 4.2.
    """
    places: dict[Name, int] = {}
    for name in sorted(lives, key=lambda each: (-size[each], lives[each])):
        first, last = lives[name]
        taken = sorted(
            (places[each], places[each] + size[each])
            for each in places
            if lives[each][0] <= last and first <= lives[each][1]
        )
        at = 0
        for start, end in taken:
            if at + size[name] <= start:
                break
            at = max(at, end)
        places[name] = at
    return places, max((places[name] + size[name] for name in places), default=0)
