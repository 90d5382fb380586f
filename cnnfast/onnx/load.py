"""Reading an ONNX file, and the model that comes of it."""

import os
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any, NamedTuple

import numpy as np

from cnnfast.graph.executable import Executable
from cnnfast.graph.ir import Graph, Spec
from cnnfast.graph.network import Network
from cnnfast.onnx.importer import graph_of
from cnnfast.onnx.reader import dtype_of, read
from cnnfast.ops.arrays import Array, as_array


class Value(NamedTuple):
    """An input or output of a model, as its file tells it.

    shape : sizes; a name, or None, where the file leaves it open
    dtype : None where NumPy has none
    """

    name: str
    shape: tuple[int | str | None, ...] | None
    dtype: np.dtype[Any] | None


KEPT = 8
"""How many sets of input shapes a model stays ready for."""


class Model:
    """A network from an ONNX file, ready to run; made by `load`. Any number of threads may call it at once.

    Attributes
    ----------
    inputs, outputs : what it takes and gives: name, shape, dtype
    facts : what its file tells of itself
    """

    def __init__(self, network: Network, inputs: list[Value], outputs: list[Value], facts: dict[str, Any]) -> None:
        self.inputs, self.outputs, self.facts = inputs, outputs, facts
        self._network: Network | None = network
        self._ready: OrderedDict[Any, Executable] = OrderedDict()
        self._lock = Lock()
        self._names = tuple(value.name for value in inputs)
        self._last: Executable | None = None

    def __call__(self, *inputs: Any) -> list[Array]:
        """The outputs, of an array for each input."""
        if len(inputs) != len(self.inputs):
            raise ValueError(f"the model has {len(self.inputs)} inputs, got {len(inputs)} arrays")
        return self.run(dict(zip((value.name for value in self.inputs), inputs, strict=True)))

    def run(self, feed: Mapping[str, Any]) -> list[Array]:
        """The outputs, of an array for each input by its name.

        Raises
        ------
        ValueError, TypeError : an array does not fit, or a node does not take the shape that comes to it
        MemoryError : no memory for the outputs or the buffers
        """
        results = self.exactly(feed)
        if results is not None:
            return results
        arrays = [self._array(value, feed) for value in self.inputs]
        if len(feed) != len(self.inputs):
            raise ValueError(f"feed must hold {[value.name for value in self.inputs]}, got {list(feed)}")
        shapes, dtypes = (array.shape for array in arrays), [array.dtype for array in arrays]
        last = self._last = self.executable(*shapes, dtypes=dtypes)
        return last.run(arrays)

    def exactly(self, feed: Mapping[str, Any]) -> list[Array] | None:
        """`run`, where every array lies and is shaped as in the run before and the engine is all; else None."""
        last = self._last
        if last is None or len(feed) != len(self._names):
            return None
        return last.exactly(tuple([feed.get(name) for name in self._names]))

    @property
    def graph(self) -> Graph:
        """What the file says, before anything is known of the inputs' sizes; not to be changed.

        Raises
        ------
        ValueError : the model is settled, and keeps no more than it runs
        """
        if self._network is None:
            raise ValueError("a settled model keeps no graph: read the file by cnnfast.onnx.load")
        return self._network.graph

    def executable(self, *shapes: tuple[int, ...], dtypes: list[Any] | None = None) -> Executable:
        """What runs for inputs of these shapes; made where it is not there yet."""
        kinds = dtypes or [value.dtype or np.dtype(np.float32) for value in self.inputs]
        key = (shapes, tuple(kinds))
        with self._lock:
            found = self._ready.get(key)
            if found is None:
                if self._network is None:
                    raise ValueError(f"the model is ready for inputs of {next(iter(self._ready))} alone, got {key}")
                found = self._ready[key] = self._network.executable(self._specs(shapes, kinds))
                if len(self._ready) > KEPT:
                    self._ready.popitem(last=False)
            self._ready.move_to_end(key)
        return found

    def settle(self) -> None:
        """Make it ready for what its file says its inputs are, and for nothing else, and let each weight go as soon as
        it is packed. Where the file leaves a size or type open, it stays as it is.

        Raises
        ------
        As `run`. It is of no use any more then.
        """
        shapes, kinds = tuple(value.shape for value in self.inputs), [value.dtype for value in self.inputs]
        if None in kinds or not all(shape is not None and all(isinstance(n, int) for n in shape) for shape in shapes):
            return
        network, self._network = self._network, None
        assert network is not None
        made = network.executable(self._specs(shapes, kinds), consume=True)
        self._ready[shapes, tuple(kinds)] = made

    def _specs(self, shapes: Sequence[Any], kinds: Sequence[Any]) -> dict[str, Spec]:
        given = zip(self.inputs, shapes, kinds, strict=True)
        return {value.name: Spec(shape, dtype) for value, shape, dtype in given}

    def _array(self, value: Value, feed: Mapping[str, Any]) -> Array:
        if value.name not in feed:
            raise ValueError(f"feed must hold input {value.name!r}, got {list(feed)}")
        array = as_array(value.name, feed[value.name])
        if value.dtype is not None and array.dtype != value.dtype:
            raise TypeError(f"input {value.name!r} must be {value.dtype}, got {array.dtype}")
        if value.shape is not None:
            fits = len(array.shape) == len(value.shape) and all(
                not isinstance(size, int) or size == given for size, given in zip(value.shape, array.shape, strict=True)
            )
            if not fits:
                raise ValueError(f"input {value.name!r} must have shape {value.shape}, got {array.shape}")
        return array


def load(model: str | os.PathLike[str] | bytes) -> Model:
    """Read an ONNX model.

    Parameters
    ----------
    model : a path, or the file's bytes

    Returns
    -------
    A model: `model(x)` gives a list of its outputs

    Raises
    ------
    ValueError : it is not a valid model, or holds something not supported; the message names the node and the op
    OSError : the file cannot be read
    """
    proto, arrays = read(model)
    file = proto.graph
    inputs = [_value(each) for each in file.input if each.name not in arrays]
    network = Network(graph_of(proto, arrays))
    return Model(network, inputs, [_value(each) for each in file.output], _facts(proto))


def load_settled(model: str | os.PathLike[str] | bytes) -> Model:
    """`load`, settled (`Model.settle`): its weights are in memory once. What cannot be made ready comes as `load` gives
    it: its first run says why."""
    made = load(model)
    try:
        made.settle()
        return made
    except (ValueError, TypeError, MemoryError):
        del made
    return load(model)


def _facts(proto: Any) -> dict[str, Any]:
    return {
        "producer_name": proto.producer_name, "graph_name": proto.graph.name, "domain": proto.domain,
        "description": proto.doc_string, "graph_description": proto.graph.doc_string,
        "version": proto.model_version or 0,
        "custom_metadata_map": {each.key: each.value for each in proto.metadata_props},
    }  # fmt: skip


def _value(info: Any) -> Value:
    if info.type is None:
        return Value(info.name, None, None)
    tensor, shape = info.type.tensor_type, None
    if tensor is None:
        raise ValueError(f"{info.name!r} must be a tensor")
    if tensor.shape is not None:
        sizes = [size.dim_param or None if size.dim_value is None else size.dim_value for size in tensor.shape.dim]
        shape = tuple(None if isinstance(size, int) and size < 0 else size for size in sizes)
    dtype = dtype_of(tensor.elem_type, repr(info.name)) if tensor.elem_type else None
    return Value(info.name, shape, dtype)
