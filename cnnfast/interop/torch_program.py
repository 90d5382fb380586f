"""A part of an FX graph as a program of ours: made when it is first called, and again when its weights are others."""

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import fx

from cnnfast.graph.executable import Executable
from cnnfast.graph.ir import Spec
from cnnfast.graph.network import Network
from cnnfast.graph.passes.layout import TO_FIRST, TO_LAST
from cnnfast.interop.torch_lowering import Lowering, Symbols, Unsupported, evaluate

FLOAT32 = np.dtype(np.float32)
KEPT = 8
"""For how many sets of input shapes a program stays ready: those used last."""

_version, _shape = attrgetter("_version"), attrgetter("shape")
_address, _strides = torch.Tensor.data_ptr, torch.Tensor.stride


class Weights:
    """The parameters that a program was made of, and whether they are still what they were.

    They are held weakly. What is read of them is held: an address is not given out again while this lives.

    Parameters
    ----------
    tensors : the parameters
    gone : called where one of them is no more
    """

    def __init__(self, tensors: Sequence[torch.Tensor], gone: Callable[[], None]) -> None:
        self.arrays = [array_of(tensor) for tensor in tensors]
        self._alive, self._tell = True, gone
        self._refs = [weakref.ref(tensor, self._gone) for tensor in tensors]
        self._ids = list(map(id, tensors))
        self._versions = list(map(_version, tensors))
        self._addresses = list(map(_address, tensors))
        self._shapes, self._strides = list(map(_shape, tensors)), list(map(_strides, tensors))

    @property
    def key(self) -> Any:
        """Another for other weights."""
        return tuple(self._ids), tuple(self._versions), tuple(self._addresses), (*self._shapes, *self._strides)

    def _gone(self, ref: object) -> None:
        self._alive = False
        self._tell()

    def hold(self, tensors: Sequence[torch.Tensor]) -> bool:
        """Whether these are they, unchanged: an id is one object's while that lives."""
        return (
            self._alive
            and list(map(id, tensors)) == self._ids
            and list(map(_version, tensors)) == self._versions
            and list(map(_address, tensors)) == self._addresses
            and list(map(_shape, tensors)) == self._shapes
            and list(map(_strides, tensors)) == self._strides
        )


class Ready(NamedTuple):
    """For inputs of certain shapes: what runs, and which inputs and outputs lie with their channels last."""

    executable: Executable
    last_in: tuple[bool, ...]
    last_out: tuple[bool, ...]
    integers: tuple[int, ...]


class Lowered(NamedTuple):
    """A graph of ours for all shapes in which these symbols stand for the same, and how its ends lie."""

    network: Network
    last_in: tuple[bool, ...]
    last_out: tuple[bool, ...]
    used: Symbols


class Packed(dict[Any, Any]):
    """The plans of one state of the weights, whose packed weights others share: those of other programs of the same
    parameters too, as torch makes one when the batch becomes dynamic."""


_packed: weakref.WeakValueDictionary[Any, Packed] = weakref.WeakValueDictionary()


class State:
    """All that holds for one state of the weights."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self.packed = _packed.setdefault(weights.key, Packed())
        self.networks: list[Lowered] = []
        self.ready: OrderedDict[Any, Ready] = OrderedDict()
        self.last: Ready | None = None


class Program:
    """A part of an FX graph, callable as its module is. What cannot be made ready is run by torch.

    Parameters
    ----------
    module : the part
    fixed : for each of its inputs, whether it is a parameter

    Attributes
    ----------
    reason : why torch runs it, or ""
    """

    def __init__(self, module: fx.GraphModule, fixed: Sequence[bool]) -> None:
        self.module, self.reason = module, ""
        self._inputs = [node for node in module.graph.nodes if node.op == "placeholder"]
        self._nodes = [node for node in module.graph.nodes if node.op == "call_function"]
        (output,) = (node for node in module.graph.nodes if node.op == "output")
        self._single = isinstance(output.args[0], fx.Node)
        self._outputs = [output.args[0]] if self._single else list(output.args[0])
        at = range(len(self._inputs))
        self._fixed = [i for i in at if fixed[i]]
        self._tensors = [i for i in at if not fixed[i] and isinstance(self._inputs[i].meta["val"], torch.Tensor)]
        self._integers = [i for i in at if not fixed[i] and i not in self._tensors]
        self._weights_of, self._integers_of = _getter(self._fixed), _getter(self._integers)
        self._state: State | None = None
        self._lock = threading.Lock()

    def __call__(self, *args: Any) -> Any:
        state = self._state
        if state is not None and state.weights.hold(self._weights_of(args)):
            last = state.last
            if last is not None and last.integers == self._integers_of(args):
                given = [
                    array_of(args[i]).transpose(TO_LAST) if turned else array_of(args[i])
                    for i, turned in zip(self._tensors, last.last_in, strict=True)
                ]
                results = last.executable.exactly(tuple(given))
                if results is not None:
                    return self._tensors_of(results, last)
        return self._carefully(args)

    def _carefully(self, args: tuple[Any, ...]) -> Any:
        if self.reason:
            return self.module(*args)
        try:
            ready = self._ready(args)
            given = [
                array_of(args[i]).transpose(TO_LAST) if turned else array_of(args[i])
                for i, turned in zip(self._tensors, ready.last_in, strict=True)
            ]
            return self._tensors_of(ready.executable.run(given), ready)
        except MemoryError:  # the next call may find some
            pass
        except (Unsupported, ValueError, TypeError, ArithmeticError, LookupError, AttributeError) as error:
            self.reason = str(error) or type(error).__name__
        return self.module(*args)

    def _tensors_of(self, arrays: Sequence[Any], ready: Ready) -> Any:
        made = [
            _tensor(array).permute(TO_FIRST) if turned else _tensor(array)
            for array, turned in zip(arrays, ready.last_out, strict=True)
        ]
        return made[0] if self._single else tuple(made)

    def _ready(self, args: tuple[Any, ...]) -> Ready:
        """What runs these inputs, made where it is not there."""
        with self._lock:
            tensors = self._weights_of(args)
            state = self._state
            if state is None or not state.weights.hold(tensors):
                if any(tensor.is_inference() for tensor in tensors):
                    raise Unsupported("its parameters were made in inference mode, where changes cannot be seen")
                self._state = None  # the packed weights go before the new ones come
                state = State(Weights(tensors, self._forgetter()))
            given, integers = [args[i] for i in self._tensors], self._integers_of(args)
            last_in = tuple(lies_last(tuple(x.shape), x.stride()) for x in given)
            shapes = tuple(tuple(x.shape) for x in given)
            key = shapes, integers, last_in
            ready = state.ready.get(key)
            if ready is None:
                lowered = self._lowered(state, shapes, integers, last_in)
                turned = [
                    tuple(shape[i] for i in TO_LAST) if last else shape
                    for shape, last in zip(shapes, last_in, strict=True)
                ]
                names = lowered.network.graph.inputs
                specs = {name: Spec(shape, FLOAT32) for name, shape in zip(names, turned, strict=True)}
                executable = lowered.network.executable(specs)
                ready = state.ready[key] = Ready(executable, last_in, lowered.last_out, integers)
                if len(state.ready) > KEPT:
                    state.ready.popitem(last=False)
            state.ready.move_to_end(key)
            state.last, self._state = ready, state
        return ready

    def _forgetter(self) -> Callable[[], None]:
        """What lets go of all that was made of the weights."""
        me = weakref.ref(self)

        def forget() -> None:
            program = me()
            if program is not None:
                program._state = None

        return forget

    def _lowered(
        self, state: State, shapes: tuple[Any, ...], integers: tuple[int, ...], last_in: tuple[bool, ...]
    ) -> Lowered:
        symbols = self._symbols(shapes, integers)
        for each in state.networks:
            if each.last_in == last_in and each.used.items() <= symbols.items():
                return each
        low = Lowering(symbols)
        for i, array in zip(self._fixed, state.weights.arrays, strict=True):
            node = self._inputs[i]
            low.graph.constants[node.name] = array
            low.put(node, node.name, True)
        for i, last in zip(self._tensors, last_in, strict=True):
            node = self._inputs[i]
            low.graph.inputs.append(node.name)
            low.put(node, low.graph.add("transpose", [node.name], axes=TO_FIRST) if last else node.name, False)
        for node in self._nodes:
            low.run(node)
        last_out = []
        for node in self._outputs:
            out, name = node.meta["val"], low.value(node).name
            stride = tuple(evaluate(step, symbols) for step in out.stride())
            last_out.append(lies_last([evaluate(size, symbols) for size in out.shape], stride))
            low.graph.outputs.append(low.graph.add("transpose", [name], axes=TO_LAST) if last_out[-1] else name)
        used = {symbol: symbols[symbol] for symbol in low.used}
        found = Lowered(Network(low.graph, state.packed), last_in, tuple(last_out), used)
        state.networks = [found, *state.networks[: KEPT - 1]]
        return found

    def _symbols(self, shapes: tuple[Any, ...], integers: tuple[int, ...]) -> Symbols:
        """What the symbols of the inputs' shapes stand for."""
        symbols: Symbols = {}
        for i, shape in zip(self._tensors, shapes, strict=True):
            for size, value in zip(self._inputs[i].meta["val"].shape, shape, strict=True):
                if not isinstance(size, int) and size.node.expr.is_Symbol:
                    symbols[size.node.expr] = value
        for i, value in zip(self._integers, integers, strict=True):
            size = self._inputs[i].meta["val"]
            if not isinstance(size, int) and size.node.expr.is_Symbol:
                symbols[size.node.expr] = value
        return symbols


def array_of(tensor: torch.Tensor) -> Any:
    """A tensor's memory as an array."""
    return (tensor.detach() if tensor.requires_grad else tensor).resolve_neg().numpy()


def _tensor(array: Any) -> torch.Tensor:
    """An array's memory as a tensor that torch may read as contiguous."""
    return torch.from_numpy(array if array.flags.c_contiguous else array.copy())


def lies_last(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether an array of four axes (N, C, H, W) lies in memory as (N, H, W, C), and not as it says.

    >>> lies_last((2, 3, 4, 5), (60, 1, 15, 3)), lies_last((2, 3, 1, 1), (3, 1, 3, 3))
    (True, False)
    """
    return len(shape) == 4 and not _lies(shape, strides, range(4)) and _lies(shape, strides, TO_LAST)


def _lies(shape: Sequence[int], strides: Sequence[int], order: Sequence[int]) -> bool:
    expected = 1
    for axis in reversed(order):
        if shape[axis] != 1:
            if strides[axis] != expected:
                return False
            expected *= shape[axis]
    return True


def _getter(places: Sequence[int]) -> Any:
    """args -> a tuple of those at these places."""
    if len(places) > 1:
        return itemgetter(*places)
    return (lambda args: (args[places[0]],)) if places else (lambda args: ())
