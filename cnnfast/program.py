"""A network as a list of runs over numbered values, and which buffers those values lie in.

A layer's output lies in a buffer that later layers take over once nobody reads it any more; a chain needs two. Flatten,
Reshape and Dropout do not run: what they give is their input's buffer in another shape.
"""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from cnnfast.layers.base import Runner
from cnnfast.layers.tensor import Shape, Tensor
from cnnfast.ops import fused

Sizes = tuple[int, ...]
"""The shape of one image: without the batch."""


class Step(NamedTuple):
    """One run: it reads the values `sources` and writes the value `target`."""

    run: Runner
    sources: tuple[int, ...]
    target: int


class Program(NamedTuple):
    """A network as steps over numbered values.

    sizes: of each value, without the batch
    roots: the value whose memory each value is: itself, or the one it is a view of
    """

    steps: tuple[Step, ...]
    sizes: tuple[Sizes, ...]
    roots: tuple[int, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def lower(tensors: Sequence[Tensor], inputs: Sequence[Tensor], outputs: Sequence[Tensor], shapes: Sequence[Shape]
          ) -> Program:  # fmt: skip
    """The program of traced tensors for inputs of these shapes."""
    steps: list[Step] = []
    sizes: list[Any] = []
    roots: list[int] = []
    number: dict[int, int] = {}
    known: dict[int, Any] = {id(tensor): tuple(shape) for tensor, shape in zip(inputs, shapes, strict=True)}

    def value(shape: Any, root: int | None = None) -> int:
        sizes.append(shape[1:])
        roots.append(len(roots) if root is None else root)
        return len(roots) - 1

    for tensor in tensors:
        if id(tensor) in known:
            number[id(tensor)] = value(known[id(tensor)])
            continue
        layer, sources = tensor.layer, tuple(number[id(each)] for each in tensor.inputs)
        shape = known[id(tensor)] = layer.ready(*(known[id(each)] for each in tensor.inputs))
        if layer.is_view:
            number[id(tensor)] = value(shape, roots[sources[0]])
            continue
        with layer.named():
            for run in layer.plans(*(known[id(each)] for each in tensor.inputs)):
                steps.append(Step(run, sources, value(shape)))
                sources = (steps[-1].target,)
        number[id(tensor)] = sources[0]
    starts, ends = (tuple(number[id(each)] for each in those) for those in (inputs, outputs))
    return Program(tuple(joined(steps, roots, ends)), tuple(sizes), tuple(roots), starts, ends)


def joined(steps: Sequence[Step], roots: Sequence[int], outputs: Sequence[int]) -> list[Step]:
    """The steps, those that are faster as one plan joined: each is all that reads the one before."""
    reads = Counter(roots[value] for value in (*(each for step in steps for each in step.sources), *outputs))
    result: list[Step] = []
    i = 0
    while i < len(steps):
        end = i + 1
        while end < len(steps) and steps[end].sources == (steps[end - 1].target,) and reads[steps[end - 1].target] == 1:
            end += 1
        found = fused.join([step.run for step in steps[i:end]])
        run, count = found or (steps[i].run, 1)
        result.append(Step(run, steps[i].sources, steps[i + count - 1].target))
        i += count
    return result


def lay_out(program: Program, apart: set[int]) -> tuple[dict[int, int], list[int]]:
    """Which buffer each root lies in, but for those `apart`, and how many numbers a buffer holds for one image."""
    last = {program.roots[value]: i for i, step in enumerate(program.steps) for value in step.sources}
    places: dict[int, int] = {}
    sizes: list[int] = []
    free: list[int] = []
    for i, step in enumerate(program.steps):
        root = step.target
        if root not in apart:
            size = math.prod(program.sizes[root])
            if not free:
                free.append(len(sizes))
                sizes.append(0)
            best = min(free, key=lambda buffer: abs(sizes[buffer] - size))
            free.remove(best)
            sizes[best] = max(sizes[best], size)
            places[root] = best
        done = {program.roots[value] for value in step.sources} | {root}
        free += [places[each] for each in done if each in places and last.get(each, i) == i]
    return places, sizes
