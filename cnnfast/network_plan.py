"""A network made ready for inputs of one shape: a list of runs over buffers that are laid out once.

A layer's output lies in a buffer that later layers take over once nobody reads it any more; a chain needs two. Flatten,
Reshape and Dropout do not run: what they give is their input's buffer in another shape.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from cnnfast.layers.base import Runner
from cnnfast.layers.tensor import Shape, Tensor
from cnnfast.ops import arrays
from cnnfast.ops.arrays import Array

FLOAT32 = np.dtype(np.float32)
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
    ends = (tuple(number[id(each)] for each in those) for those in (inputs, outputs))
    return Program(tuple(steps), tuple(sizes), tuple(roots), *ends)


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


class Bound(NamedTuple):
    """The steps over buffers for n images. Who runs one owns it alone.

    calls: [run, arrays to read, array to write]
    holes: for each root that comes with the call, where its array belongs: a list, an index, the shape it is seen in
    """

    n: int
    calls: list[list[Any]]
    holes: dict[int, list[tuple[list[Any], int, Sizes]]]


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
        self._ends = {*program.inputs, *(program.roots[value] for value in program.outputs)}
        self._places, self._lengths = lay_out(program, self._ends)
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
        n = self._batch(inputs)
        program = self._program
        given = dict(zip(program.inputs, inputs, strict=True))
        if out is not None:
            return self._into(out, n, given)
        for value in program.outputs:
            root = program.roots[value]
            if root not in given:
                given[root] = arrays.allocate("the output", (n, *program.sizes[root]), FLOAT32)
        self._run(n, given)
        results = [self._result(value, given, n) for value in program.outputs]
        return results[0] if len(results) == 1 else results

    def _result(self, value: int, given: dict[int, Array], n: int) -> Array:
        root = self._program.roots[value]
        if root == value and value not in self._program.inputs:
            return given[root]
        y = given[root].reshape(n, *self._program.sizes[value])
        return y.copy() if root in self._program.inputs else y

    def _into(self, out: object, n: int, given: dict[int, Array]) -> Array:
        """With `out`: it is the output's own memory where it lies as that does."""
        program = self._program
        if len(program.outputs) != 1:
            raise ValueError(f"out must be None for a network of {len(program.outputs)} outputs")
        value = program.outputs[0]
        root = program.roots[value]
        y = arrays.check_out(out, (n, *program.sizes[value]), FLOAT32)
        arrays.check_no_overlap(y, [("an input", x) for x in given.values()])
        if root in given or not (y.flags.c_contiguous and y.flags.aligned):
            y[...] = self(*(given[each] for each in program.inputs))
            return y
        self._run(n, given | {root: y.reshape(n, *program.sizes[root])})
        return y

    def _run(self, n: int, given: dict[int, Array]) -> None:
        bound = self._idle.pop() if self._idle else None
        if bound is None or bound.n != n:
            bound = self._bind(n)
        try:
            for root, holes in bound.holes.items():
                array = given[root]
                for items, i, shape in holes:
                    items[i] = array if array.shape == shape else array.reshape(shape)
            for run, sources, target in bound.calls:
                run(*sources, out=target)
        finally:
            for holes in bound.holes.values():
                for items, i, _ in holes:
                    items[i] = None  # a plan keeps no caller's array alive
        self._idle.append(bound)

    def _bind(self, n: int) -> Bound:
        program = self._program
        memory = [arrays.allocate("a network's buffer", (n * length,), FLOAT32) for length in self._lengths]
        holes: dict[int, list[tuple[list[Any], int, Sizes]]] = {root: [] for root in self._ends}
        calls: list[list[Any]] = []

        def put(items: list[Any], i: int, value: int) -> None:
            root, shape = program.roots[value], (n, *program.sizes[value])
            if root in holes:
                holes[root].append((items, i, shape))
            else:
                items[i] = memory[self._places[root]][: math.prod(shape)].reshape(shape)

        for step in program.steps:
            call: list[Any] = [step.run, [None] * len(step.sources), None]
            for i, value in enumerate(step.sources):
                put(call[1], i, value)
            put(call, 2, step.target)
            calls.append(call)
        return Bound(n, calls, holes)

    def _batch(self, inputs: tuple[Any, ...]) -> int:
        """How many images there are, once every input is seen to fit."""
        if len(inputs) != len(self._sizes):
            raise ValueError(f"the network has {len(self._sizes)} inputs, got {len(inputs)} arrays")
        n = -1
        for x, sizes in zip(inputs, self._sizes, strict=True):
            if not isinstance(x, np.ndarray) or x.dtype != FLOAT32:
                raise TypeError(f"x must be a float32 array, got {getattr(x, 'dtype', type(x).__name__)!s}")
            if x.shape[1:] != sizes or x.ndim == 0 or n not in (-1, x.shape[0]):
                wanted = ", ".join(map(str, ("N" if n < 0 else n, *sizes)))
                raise ValueError(f"x must have the plan's shape ({wanted}), got {x.shape}")
            n = x.shape[0]
        return n

    @property
    def buffer_size(self) -> int:
        """Bytes of the buffers between the layers, for one image."""
        return sum(self._lengths) * FLOAT32.itemsize

    def __repr__(self) -> str:
        return f"<cnnfast plan of a network: {self.input_shapes}, {len(self._program.steps)} runs>"
