"""A program over memory: what is called again and again."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from cnnfast.graph.ir import Shape, Spec
from cnnfast.graph.lower import FLOAT32, Program, lay_out
from cnnfast.graph.steps import Step
from cnnfast.ops import arrays, chain
from cnnfast.ops.arrays import Array
from cnnfast.ops.chain import Ends


class End(NamedTuple):
    """An array that comes with each run: which one, and the shape that a step sees it in."""

    i: int
    shape: Shape


Values = dict[str, Array]
"""What the steps that are not the engine's give, by name, while a run lasts."""


class Bound(NamedTuple):
    """The steps over buffers of their own, as calls of the arrays that come with a run. Who runs one owns it alone.

    exactly : where one call of the engine is all: runs it if every array fits as it lies, and returns whether it ran
    """

    calls: list[Callable[[Ends, Values], object]]
    exactly: Callable[[Ends], bool] | None


class Executable:
    """A network for inputs of fixed shapes. Any number of threads may run it at once.

    Attributes
    ----------
    program : what it runs
    arena_size : bytes of the buffers between the steps
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        roots = dict.fromkeys(program.roots[value] for value in program.outputs if value in program.roots)
        self._made = [root for root in roots if root not in program.inputs]
        self._ends = [name for name in program.inputs if name in program.roots] + self._made
        self._others = [name for name in program.inputs if name not in program.roots]
        self._shapes = [program.specs[name].shape for name in self._ends]
        self._plain = not self._others and list(program.outputs) == self._made
        self._places, self.arena_size = lay_out(program, set(self._ends))
        self._makers = [
            arrays.allocator("the output", program.specs[root].shape, FLOAT32) for root in self._made
        ]  # fmt: skip
        self._idle: list[Bound] = []  # list.pop and append are atomic: threads share it without a lock

    def exactly(self, inputs: tuple[Any, ...], out: Any = None) -> list[Array] | None:
        """The outputs, where every array fits as it lies and the engine runs all of it in one call; else None, and
        nothing was written. `out` is the only output's array."""
        if not self._plain:
            return None
        bound = self._take()
        made = [maker() for maker in self._makers] if out is None else [out]
        ran = bound.exactly is not None and bound.exactly((*inputs, *made))
        self._idle.append(bound)
        return made if ran else None

    def run(self, inputs: Sequence[Array], out: Array | None = None) -> list[Any]:
        """The outputs of inputs that have the program's shapes and dtypes.

        `out`: memory for the only output, contiguous and aligned, where `takes_out`.
        """
        program = self.program
        given = dict(zip(program.inputs, inputs, strict=True))
        made = [maker() for maker in self._makers]
        if out is not None:
            made = [np.asarray(out).reshape(program.specs[self._made[0]].shape)]
        ends = (*(given[name] for name in self._ends[: len(self._ends) - len(made)]), *made)
        values: Values = {name: given[name] for name in self._others}
        bound = self._take()
        for call in bound.calls:
            call(ends, values)
        self._idle.append(bound)
        results: list[Any] = []
        for name in program.outputs:
            y = self._result(name, ends, values)
            shared = any(np.may_share_memory(y, each) for each in (*results, *(given[name] for name in self._others)))
            results.append(y.copy() if shared else y)
        return results

    @property
    def takes_out(self) -> bool:
        """Whether `run` can write the only output to memory that is given."""
        return len(self.program.outputs) == 1 and len(self._made) == 1

    def _result(self, name: str, ends: Ends, values: Values) -> Any:
        """An output, in memory of its own."""
        program = self.program
        if name in program.constants:
            return program.constants[name].copy()
        root = program.roots.get(name)
        if root is None:
            y = values[name]
            return y if y.base is None else y.copy()
        y = ends[self._ends.index(root)].reshape(program.specs[name].shape)
        return y.copy() if root in program.inputs else y

    def _take(self) -> Bound:
        """Steps and their buffers, for one run, which gives them back."""
        try:
            return self._idle.pop()
        except IndexError:
            return self._bind()

    def one_by_one(self, inputs: Sequence[Array]) -> list[tuple[Step, Callable[[], object]]]:
        """Each step and its call, over memory of their own: to be called in this order, any number of times."""
        given = dict(zip(self.program.inputs, inputs, strict=True))
        ends = (*(given[name] for name in self._ends if name in given), *(maker() for maker in self._makers))
        values: Values = {name: given[name] for name in self._others}
        place = self._placer()
        calls: list[tuple[Step, Callable[[], object]]] = []
        for step in self.program.steps:
            items = [place(value) for value in (*step.sources, *step.targets)]
            link = _link(step, items)
            call = _Chain([link], self._shapes) if link else partial(_call, step, items)
            calls.append((step, partial(call, ends, values)))
        return calls

    def _placer(self) -> Callable[[str], Any]:
        """Where a value lies: an array of a new arena or a constant, an End, or its name where a step gives it."""
        program = self.program
        size = max(self.arena_size, arrays.SMALL)  # once for all runs, so it begins at a cache line however small
        arena = arrays.allocate("a network's buffers", (size // 4,), FLOAT32)

        def whole(root: str, spec: Spec) -> Any:
            if root not in self._places:
                return End(self._ends.index(root), spec.shape)
            start = self._places[root] // 4
            return arena[start : start + spec.size].reshape(spec.shape)

        def place(value: str) -> Any:  # not recursive: it would hold itself, and the arena until the collector comes
            if value in program.constants:
                return program.constants[value]
            root = program.roots.get(value)
            if root is None:
                return value
            if value in program.slices:
                start, stop = program.slices[value]
                return whole(root, program.specs[root])[..., start:stop]
            return whole(root, program.specs[value])

        return place

    def _bind(self) -> Bound:
        place = self._placer()
        calls: list[Any] = []
        linked: list[tuple[Any, ...]] = []

        def close() -> None:
            if linked:
                calls.append(_Chain(list(linked), self._shapes))
                linked.clear()

        for step in self.program.steps:
            items = [place(value) for value in (*step.sources, *step.targets)]
            link = _link(step, items)
            if link:
                linked.append(link)
                continue
            close()
            calls.append(partial(_call, step, items))
        close()
        one = calls[0] if len(calls) == 1 and isinstance(calls[0], _Chain) else None
        return Bound(calls, one.exactly if one else None)


def _link(step: Step, items: Sequence[Any]) -> tuple[Any, ...] | None:
    """The step as one of the engine's; None where it is not."""
    if not step.into or len(items) not in (2, 3) or any(isinstance(item, str) for item in items):
        return None
    link = chain.link(step.run, items[0].shape, items[-1].shape)
    if not link:
        return None
    x, *residual, y = (item.i if isinstance(item, End) else item for item in items)
    return *link, x, residual[0] if residual else None, y


class _Chain:
    """Steps of the engine in one call."""

    def __init__(self, steps: Sequence[tuple[Any, ...]], shapes: Sequence[Shape]) -> None:
        self._run = chain.Run(steps, shapes)
        self.exactly = self._run.exactly

    def __call__(self, ends: Ends, values: Values) -> None:
        self._run(ends)


def _call(step: Step, items: Sequence[Any], ends: Ends, values: Values) -> None:
    """A step that is not the engine's, or whose arrays are not its: run it by itself."""

    def array(item: Any) -> Array:
        if isinstance(item, End):
            return ends[item.i].reshape(item.shape)
        found: Array = values[item] if isinstance(item, str) else item
        return found

    sources = [array(item) for item in items[: len(step.sources)]]
    if step.into:
        step.run(*sources, out=array(items[-1]))
        return
    given = step.run(*sources)
    results = given if isinstance(given, tuple) else (given,)
    if any(step.targets[len(results) :]):
        raise ValueError(f"{step.nodes[-1].label}: it gives {len(results)} outputs, got names for {len(step.targets)}")
    for name, result in zip(step.targets, results, strict=False):
        if name:
            values[name] = _kept(np.asarray(result), sources, items)


def _kept(y: Array, sources: Sequence[Array], items: Sequence[Any]) -> Array:
    """y, copied where it is a view of a buffer, which later steps write to."""
    buffers = [x for x, item in zip(sources, items, strict=False) if not isinstance(item, str)]
    return y.copy() if any(np.may_share_memory(x, y) for x in buffers) else y
