"""InferenceSession: ONNX Runtime's surface, so that a program changes its import line only."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from cnnfast.onnx.load import Value, load
from cnnfast.ops import checks, runtime
from cnnfast.ops.arrays import Array


class NodeArg(NamedTuple):
    """An input or output: its name, shape (a name or None where it is open), and type, as "tensor(float)"."""

    name: str
    shape: list[int | str | None]
    type: str


class SessionOptions:
    """What ONNX Runtime's programs set. `intra_op_num_threads` counts threads, 0 for the machine's; the rest is taken and
    changes nothing."""

    def __init__(self) -> None:
        self.intra_op_num_threads = 0
        self.inter_op_num_threads = 0


NAMES = {"float32": "float", "float64": "double"}
PROVIDERS = ["CPUExecutionProvider"]


class InferenceSession:
    """A model to run, by ONNX Runtime's words.

    Parameters
    ----------
    path_or_bytes : see `cnnfast.onnx.load`
    sess_options : its `intra_op_num_threads` is `cnnfast.set_num_threads`, which holds for the process
    providers : for programs that give it; the CPU is the only one

    Raises
    ------
    As `cnnfast.onnx.load`.
    """

    def __init__(
        self, path_or_bytes: str | os.PathLike[str] | bytes, sess_options: SessionOptions | None = None,
        providers: Sequence[Any] | None = None, **options: Any,
    ) -> None:  # fmt: skip
        if sess_options is not None and getattr(sess_options, "intra_op_num_threads", 0):
            runtime.set_num_threads(checks.integer("intra_op_num_threads", sess_options.intra_op_num_threads, minimum=1))
        self._model = load(path_or_bytes)

    def run(self, output_names: Sequence[str] | None, input_feed: Mapping[str, Any], run_options: Any = None) -> list[Array]:
        """The outputs named, or all: a list of arrays."""
        results = self._model.run(input_feed)
        if not output_names:
            return results
        names = [value.name for value in self._model.outputs]
        for name in output_names:
            if name not in names:
                raise ValueError(f"output_names must be of {names}, got {name!r}")
        return [results[names.index(name)] for name in output_names]

    def get_inputs(self) -> list[NodeArg]:
        """What the model takes."""
        return [_argument(value) for value in self._model.inputs]

    def get_outputs(self) -> list[NodeArg]:
        """What the model gives."""
        return [_argument(value) for value in self._model.outputs]

    def get_providers(self) -> list[str]:
        """ONNX Runtime's name of what it runs on."""
        return list(PROVIDERS)


def _argument(value: Value) -> NodeArg:
    kind = "undefined" if value.dtype is None else NAMES.get(value.dtype.name, value.dtype.name)
    return NodeArg(value.name, list(value.shape or ()), f"tensor({kind})")
