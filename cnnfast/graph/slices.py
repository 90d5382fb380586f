"""Concatenations along the channels without a pass over memory: what gives a part writes it where it will lie."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from cnnfast.graph.ir import Graph, Node, Shape, Spec
from cnnfast.graph.steps import Step
from cnnfast.ops import checks
from cnnfast.ops.options import layouts
from cnnfast.ops.plan import Plan
from cnnfast.ops.pool_plan import plan_pool2d

Slices = dict[str, tuple[int, int]]
"""The channels of their root that values are."""


def write_slices(
    steps: Sequence[Step], graph: Graph, roots: dict[str, str], outputs: Sequence[str]
) -> tuple[list[Step], Slices]:
    """The steps without the concatenations that can go, and what is a slice now, whose roots are told.

    A part goes straight to its place where a plan gives it and nothing else reads it, or only a pool does that can
    read it there; the others are copied there.
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
            free = value not in slices and _writes_slices(givers.get(value), roots)
            if free and reads[value] > 1:
                free = start == 0 and reads[value] == 2 and _pools_from_slice(value, target, graph, result, roots)
            if not free:
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


def _writes_slices(step: Step | None, roots: Mapping[str, str]) -> bool:
    if step is None or not isinstance(step.run, Plan) or step.nodes[-1].op == "transpose":
        return False
    if layouts(step.nodes[-1].attributes.get("layout", "NHWC")).y != "NHWC":
        return False
    return roots[step.targets[0]] == step.targets[0]


def _pools_from_slice(value: str, target: str, graph: Graph, steps: list[Step], roots: dict[str, str]) -> bool:
    """Let the pool that reads a value, as a U-Net's way down does, read it as the first channels of `target`; whether
    it can.

    To it, target's pixels are several of the value's side by side, of which it takes every such: a dilation.
    """
    i = next((i for i, step in enumerate(steps) if value in step.sources), None)
    if i is None or len(steps[i].nodes) > 1 or steps[i].nodes[0].op not in ("max_pool2d", "min_pool2d"):
        return False
    step, (node,) = steps[i], steps[i].nodes
    (n, h, w, channels), wide = graph.specs[value].shape, graph.specs[target].shape[-1]
    padding = node.attributes.get("padding", 0)
    plain = not isinstance(padding, str) and not np.any(padding) and not node.attributes.get("ceil_mode")
    if wide % channels or not plain or not isinstance(step.run, Plan) or step.run.layout != "NHWC":
        return False
    times = wide // channels
    size = checks.pair("kernel_size", node.attributes["kernel_size"], 1)
    down, across = checks.pair("stride", node.attributes.get("stride") or size, 1)
    taps_down, taps_across = checks.pair("dilation", node.attributes.get("dilation", 1), 1)
    shape, apart = (n, h, w * times, channels), (taps_down, taps_across * times)
    run = plan_pool2d(node.op, shape, size, (down, across * times), dilation=apart)
    seen = f"{target}[{channels} by {channels}]"
    graph.specs[seen], roots[seen] = Spec(shape, graph.specs[value].dtype), target
    steps[i] = step._replace(run=run, sources=(seen,))
    return True


def _copy(value: str, part: str, shape: Shape, node: Node) -> Step:
    """A copy of a value to its slice: a pool of one pixel, which is a step of the engine's as the others are."""
    return Step(plan_pool2d("max_pool2d", shape, 1), (value,), (part,), True, (node,))  # type: ignore[arg-type]
