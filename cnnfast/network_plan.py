"""A network made ready for inputs of one size: a graph, and what runs it for each batch that has come."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np

from cnnfast.graph.executable import Executable
from cnnfast.graph.ir import Graph, Spec
from cnnfast.graph.network import Network, improved
from cnnfast.ops import arrays, exchange
from cnnfast.ops.arrays import Array

FLOAT32 = np.dtype(np.float32)
BATCHES = 4
"""For how many sizes of batch the buffers are kept."""


class NetworkPlan:
    """A network made ready for images of one size, in batches of any size; made by `model.plan`.

    It holds the weights of the moment it was made. Any number of threads may call it at once.

    Attributes
    ----------
    input_shapes : the shapes it was made for
    """

    def __init__(self, graph: Graph, input_shapes: Sequence[Any]) -> None:
        self.input_shapes = tuple(tuple(shape) for shape in input_shapes)
        self._inputs = graph.inputs
        self._network = Network(graph)
        self._sizes = tuple(shape[1:] for shape in self.input_shapes)
        self._ready: OrderedDict[int, Executable] = OrderedDict()
        self._programs: OrderedDict[tuple[int, int], Any] = OrderedDict()  # on CUDA devices
        self._lock = threading.Lock()
        self._last = self._executable(self.input_shapes[0][0])

    def __call__(self, *inputs: Array, out: Array | None = None) -> Any:
        """y of these inputs: float32 arrays of the plan's shapes, for any batch.

        Parameters
        ----------
        inputs : an array for each input of the network; on a CUDA device where it is to run there
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
        results = self._last.exactly(inputs, out)  # where every array fits, a call costs what the engine's does
        if results is None:
            if any(type(each) is not np.ndarray for each in (*inputs, *([] if out is None else [out]))):
                if inputs and exchange.on_device(inputs[0]):
                    return self._on_device(inputs, out)
                rest = [exchange.view("x", each) for each in inputs[1:]]  # and then no kind but NumPy's comes here
                return exchange.call(self.__call__, "x", inputs[0] if inputs else None, rest, {"out": out})
            executable = self._executable(self._batch(inputs))
            self._last = executable
            if out is not None:
                return self._into(out, executable, inputs)
            results = executable.run(inputs)
        return results[0] if len(results) == 1 else results

    def _on_device(self, inputs: tuple[Any, ...], out: object) -> Any:
        """`__call__` where the inputs lie on a CUDA device: the weights go there with the first call of a batch, whose
        launches are a CUDA graph from then on."""
        from cnnfast.graph import device

        if out is not None:
            raise TypeError("out must be None for arrays on a CUDA device")
        given = device.read(inputs)
        key = n, number = self._check(given), given[0].device
        with self._lock:
            found = self._programs.pop(key, None)
            if found is None:
                found = device.program(improved(self._network.graph, self._specs(n)), number)
            self._programs[key] = found
            while len(self._programs) > BATCHES:
                self._programs.popitem(last=False)
        results = found.run(given)
        return results[0] if len(results) == 1 else results

    def _into(self, out: object, executable: Executable, inputs: tuple[Array, ...]) -> Array:
        program = executable.program
        if len(program.outputs) != 1:
            raise ValueError(f"out must be None for a network of {len(program.outputs)} outputs")
        y = arrays.check_out(out, program.specs[program.outputs[0]].shape, FLOAT32)
        arrays.check_no_overlap(y, [("an input", x) for x in inputs])
        if executable.takes_out and y.flags.c_contiguous and y.flags.aligned:
            executable.run(inputs, y)
        else:
            y[...] = executable.run(inputs)[0]
        return y

    def _executable(self, n: int) -> Executable:
        with self._lock:
            found = self._ready.pop(n, None)
            if found is None:
                found = self._network.executable(self._specs(n))
            self._ready[n] = found
            while len(self._ready) > BATCHES:
                self._ready.popitem(last=False)
        return found

    def _specs(self, n: int) -> dict[str, Spec]:
        sizes = zip(self._inputs, self._sizes, strict=True)
        return {name: Spec((n, *shape), FLOAT32) for name, shape in sizes}

    def _batch(self, inputs: tuple[Any, ...]) -> int:
        """How many images there are, once every input is seen to fit."""
        for x in inputs:
            if not isinstance(x, np.ndarray) or x.dtype != FLOAT32:
                raise TypeError(f"x must be a float32 array, got {getattr(x, 'dtype', type(x).__name__)!s}")
            arrays.as_array("x", x)  # which refuses a masked array
        return self._check(inputs)

    def _check(self, inputs: Sequence[Any]) -> int:
        """The batch of arrays whose shapes fit."""
        if len(inputs) != len(self._sizes):
            raise ValueError(f"the network has {len(self._sizes)} inputs, got {len(inputs)} arrays")
        n = -1
        for x, sizes in zip(inputs, self._sizes, strict=True):
            shape = tuple(x.shape)
            if shape[1:] != sizes or not shape or n not in (-1, shape[0]):
                wanted = ", ".join(map(str, ("N" if n < 0 else n, *sizes)))
                raise ValueError(f"x must have the plan's shape ({wanted}), got {shape}")
            n = shape[0]
        return n

    @property
    def buffer_size(self) -> int:
        """Bytes of the buffers between the layers, for the batch it was made for."""
        return self._executable(self.input_shapes[0][0]).arena_size

    def __repr__(self) -> str:
        return f"<cnnfast plan of a network: {self.input_shapes}, {len(self._last.program.steps)} runs>"
