"""Concatenations along the channels without a pass over memory: what gives a part writes it where it will lie."""

from collections import Counter
from collections.abc import Mapping, Sequence

from cnnfast.graph.ir import Graph, Node, Shape
from cnnfast.graph.steps import Step
from cnnfast.ops.options import layouts
from cnnfast.ops.plan import Plan
from cnnfast.ops.pool_plan import plan_pool2d

Slices = dict[str, tuple[int, int]]
"""The channels of their root that values are."""


def write_slices(
    steps: Sequence[Step], graph: Graph, roots: dict[str, str], outputs: Sequence[str]
) -> tuple[list[Step], Slices]:
    """The steps without the concatenations that can go, and what is a slice now, whose roots are told.

    A part goes straight to its place where a plan gives it and nothing else reads it; the others are copied there.
    """
    reads = Counter(roots.get(value, value) for value in (*(each for step in steps for each in step.sources), *outputs))
    givers = {step.targets[0]: step for step in steps}
    slices: Slices = {}
    result: list[Step] = []
    for step in steps:
        if not _can_go(step, graph, roots, outputs):
            result.append(step)
            continue
        target, (node,), start = step.targets[0], step.nodes, 0
        for value in step.sources:
            shape = graph.specs[value].shape
            part = value
            if not _writes_slices(givers.get(value), roots, reads) or value in slices:
                part = f"{target}[{start}:{start + shape[-1]}]"
                graph.specs[part] = graph.specs[value]
                result.append(_copy(value, part, shape, node))
            roots[part], slices[part] = target, (start, start + shape[-1])
            start += shape[-1]
    return result, slices


def _can_go(step: Step, graph: Graph, roots: Mapping[str, str], outputs: Sequence[str]) -> bool:
    node, target = step.nodes[0], step.targets[0]
    if node.op != "concatenate" or roots.get(target) != target or any(roots.get(value) == target for value in outputs):
        return False
    shape = graph.specs[target].shape
    if len(shape) != 4 or node.attributes["axis"] not in (-1, 3):
        return False
    return all(value in roots and all(graph.specs[value].shape) for value in step.sources)


def _writes_slices(step: Step | None, roots: Mapping[str, str], reads: Counter[str]) -> bool:
    if step is None or not isinstance(step.run, Plan) or step.nodes[-1].op == "transpose":
        return False
    if layouts(step.nodes[-1].attributes.get("layout", "NHWC")).y != "NHWC":
        return False
    value = step.targets[0]
    return roots[value] == value and reads[value] == 1


def _copy(value: str, part: str, shape: Shape, node: Node) -> Step:
    """A copy of a value to its slice: a pool of one pixel, which is a step of the engine's as the others are."""
    return Step(plan_pool2d("max_pool2d", shape, 1), (value,), (part,), True, (node,))  # type: ignore[arg-type]
