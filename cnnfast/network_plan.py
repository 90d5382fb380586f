"""A network made ready for inputs of one shape: runs bound to buffers that are laid out once.

Runs of the engine that follow each other become one call.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from cnnfast.layers.base import Runner
from cnnfast.ops import arrays, chain
from cnnfast.ops.arrays import Array
from cnnfast.ops.chain import Ends
from cnnfast.program import Program, Sizes, lay_out

FLOAT32 = np.dtype(np.float32)


class End(NamedTuple):
    """An array that comes with each call of the network: which one, and the shape that a step sees it in."""

    i: int
    shape: Sizes


class Bound(NamedTuple):
    """The steps over buffers for n images, as calls of the arrays that come with a run. Who runs one owns it alone.

    makers : of an array for each output
    exactly : where one call of the engine is all: the same, if every array fits as it lies; returns whether it ran
    """

    n: int
    makers: list[Callable[[], Array]]
    calls: list[Callable[[Ends], object]]
    exactly: Callable[[Ends], bool] | None

    def run(self, ends: Ends) -> None:
        for call in self.calls:
            call(ends)


class NetworkPlan:
    """A network made ready for images of one size, in batches of any size; made by `model.plan`.

    It holds the weights of the moment it was made. Any number of threads may call it at once.

    Attributes
    ----------
    input_shapes : the shapes it was made for
    """

    def __init__(self, program: Program, input_shapes: Sequence[Any]) -> None:
        self.input_shapes = tuple(tuple(shape) for shape in input_shapes)
        self._program = program
        self._sizes = tuple(program.sizes[value] for value in program.inputs)
        results = dict.fromkeys(program.roots[value] for value in program.outputs)
        self._made = [root for root in results if root not in program.inputs]
        self._ends = [*program.inputs, *self._made]  # the values whose arrays come with each call
        self._plain = program.outputs == tuple(self._made)  # each output has memory of its own
        self._places, self._lengths = lay_out(program, set(self._ends))
        self._idle: list[Bound] = []  # list.pop and append are atomic: threads share it without a lock

    def __call__(self, *inputs: Array, out: Array | None = None) -> Any:
        """y of these inputs: float32 arrays of the plan's shapes, for any batch.

        Parameters
        ----------
        inputs : an array for each input of the network
        out : where to write y, where the network has one output; it may not overlap an input

        Returns
        -------
        y, which is `out` where it was given; a list where the network has several outputs

        Raises
        ------
        ValueError, TypeError : an argument does not fit; nothing has been written
        MemoryError : no memory for the output or the buffers

        Examples
        --------
        >>> import numpy as np, cnnfast
        >>> plan = cnnfast.models.LeNet5().plan((1, 32, 32, 1))
        >>> plan(np.zeros((5, 32, 32, 1), np.float32)).shape
        (5, 10)
        """
        if out is not None:
            return self._into(out, inputs)
        bound = self._take() or self._bind(self._batch(inputs))
        made = [maker() for maker in bound.makers]
        if not (bound.exactly and bound.exactly((*inputs, *made))):
            n = self._batch(inputs)
            if bound.n != n:
                bound = self._bind(n)
                made = [maker() for maker in bound.makers]
            bound.run((*inputs, *made))
        self._idle.append(bound)
        results = made if self._plain else self._results(bound.n, (*inputs, *made))
        return results[0] if len(results) == 1 else results

    def _results(self, n: int, ends: tuple[Array, ...]) -> list[Array]:
        """The outputs where some are views, of each other or of an input: of that they are copies."""
        program, results = self._program, []
        for value in program.outputs:
            root = program.roots[value]
            y = ends[self._ends.index(root)].reshape(n, *program.sizes[value])
            results.append(y.copy() if root in program.inputs else y)
        return results

    def _into(self, out: object, inputs: tuple[Array, ...]) -> Array:
        """With `out`: it is the output's own memory where it lies as that does."""
        program = self._program
        if len(program.outputs) != 1:
            raise ValueError(f"out must be None for a network of {len(program.outputs)} outputs")
        bound = self._take()
        if bound and bound.exactly and type(out) is np.ndarray and bound.exactly((*inputs, out)):
            self._idle.append(bound)
            return out
        value, n = program.outputs[0], self._batch(inputs)
        y = arrays.check_out(out, (n, *program.sizes[value]), FLOAT32)
        arrays.check_no_overlap(y, [("an input", x) for x in inputs])
        if self._made and y.flags.c_contiguous and y.flags.aligned:
            if bound is None or bound.n != n:
                bound = self._bind(n)
            bound.run((*inputs, y.reshape(n, *program.sizes[self._made[0]])))
            self._idle.append(bound)
        else:
            y[...] = self(*inputs)
        return y

    def _take(self) -> Bound | None:
        """Steps and their buffers, for one run, which gives them back."""
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _bind(self, n: int) -> Bound:
        program = self._program
        memory = [arrays.allocate("a network's buffer", (n * length,), FLOAT32) for length in self._lengths]

        def place(value: int) -> Array | End:
            root, shape = program.roots[value], (n, *program.sizes[value])
            if root not in self._places:
                return End(self._ends.index(root), shape)
            return memory[self._places[root]][: math.prod(shape)].reshape(shape)

        shapes = [(n, *program.sizes[value]) for value in self._ends]
        calls: list[Callable[[Ends], object]] = []
        linked: list[tuple[Any, ...]] = []
        for step in program.steps:
            items = [place(value) for value in (*step.sources, step.target)]
            link = chain.link(step.run, items[0].shape, items[-1].shape) if len(items) == 2 else None
            if link:
                x, y = (item.i if isinstance(item, End) else item for item in items)
                linked.append((*link, x, None, y))
                continue
            if linked:
                calls.append(chain.Run(linked, shapes))
                linked = []
            calls.append(partial(_call, step.run, items))
        if linked:
            calls.append(chain.Run(linked, shapes))
        makers = [arrays.allocator("the output", shape, FLOAT32) for shape in shapes[len(program.inputs) :]]
        exactly = calls[0].exactly if len(calls) == 1 and isinstance(calls[0], chain.Run) else None
        return Bound(n, makers, calls, exactly)

    def _batch(self, inputs: tuple[Any, ...]) -> int:
        """How many images there are, once every input is seen to fit."""
        if len(inputs) != len(self._sizes):
            raise ValueError(f"the network has {len(self._sizes)} inputs, got {len(inputs)} arrays")
        n = -1
        for x, sizes in zip(inputs, self._sizes, strict=True):
            if not isinstance(x, np.ndarray) or x.dtype != FLOAT32:
                raise TypeError(f"x must be a float32 array, got {getattr(x, 'dtype', type(x).__name__)!s}")
            shape = x.shape
            if shape[1:] != sizes or not shape or n not in (-1, shape[0]):
                wanted = ", ".join(map(str, ("N" if n < 0 else n, *sizes)))
                raise ValueError(f"x must have the plan's shape ({wanted}), got {shape}")
            n = shape[0]
        return n

    @property
    def buffer_size(self) -> int:
        """Bytes of the buffers between the layers, for one image."""
        return sum(self._lengths) * FLOAT32.itemsize

    def __repr__(self) -> str:
        return f"<cnnfast plan of a network: {self.input_shapes}, {len(self._program.steps)} runs>"


def _call(run: Runner, items: list[Array | End], ends: Ends) -> None:
    *sources, y = (ends[item.i].reshape(item.shape) if isinstance(item, End) else item for item in items)
    run(*sources, out=y)
