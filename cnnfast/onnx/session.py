"""InferenceSession: ONNX Runtime's surface, so that a program changes its import line only."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, NamedTuple

from cnnfast.onnx.load import Model, Value, load_settled
from cnnfast.ops import checks, runtime
from cnnfast.ops.arrays import Array


class NodeArg(NamedTuple):
    """An input or output: its name, shape (a name or None where it is open), and type, as "tensor(float)"."""

    name: str
    shape: list[int | str | None]
    type: str


class GraphOptimizationLevel(IntEnum):
    """Taken, and changes nothing: every pass is always applied."""

    ORT_DISABLE_ALL = 0
    ORT_ENABLE_BASIC = 1
    ORT_ENABLE_EXTENDED = 2
    ORT_ENABLE_ALL = 99


class ExecutionMode(IntEnum):
    """Taken, and changes nothing: a network's layers run one after the other, each in parallel."""

    ORT_SEQUENTIAL = 0
    ORT_PARALLEL = 1


@dataclass
class SessionOptions:
    """What ONNX Runtime's programs set. `intra_op_num_threads` counts threads, 0 leaves it as it is; the rest is taken
    and changes nothing."""

    intra_op_num_threads: int = 0
    inter_op_num_threads: int = 0
    graph_optimization_level: Any = GraphOptimizationLevel.ORT_ENABLE_ALL
    execution_mode: Any = ExecutionMode.ORT_SEQUENTIAL
    log_severity_level: int = -1
    log_verbosity_level: int = 0
    logid: str = ""
    enable_cpu_mem_arena: bool = True
    enable_mem_pattern: bool = True
    enable_mem_reuse: bool = True
    use_deterministic_compute: bool = False
    _entries: dict[str, str] = field(default_factory=dict)

    def add_session_config_entry(self, config_key: str, config_value: str) -> None:
        """Keep an entry; it changes nothing."""
        self._entries[config_key] = config_value

    def get_session_config_entry(self, config_key: str) -> str:
        """An entry that was added before."""
        if config_key not in self._entries:
            raise ValueError(f"config_key must be one that was added, got {config_key!r}")
        return self._entries[config_key]


@dataclass
class RunOptions:
    """Taken by `run`, and changes nothing."""

    log_severity_level: int = -1
    log_verbosity_level: int = 0
    logid: str = ""


@dataclass(frozen=True)
class ModelMetadata:
    """What a model's file tells of itself."""

    producer_name: str
    graph_name: str
    domain: str
    description: str
    graph_description: str
    version: int
    custom_metadata_map: dict[str, str]


NAMES = {"float32": "float", "float64": "double"}
PROVIDERS = ["CPUExecutionProvider"]


def get_available_providers() -> list[str]:
    """ONNX Runtime's names of what models can run on."""
    return list(PROVIDERS)


def get_device() -> str:
    """What models run on, in ONNX Runtime's word."""
    return "CPU"


class InferenceSession:
    """A model to run, by ONNX Runtime's words. Any number of threads may run it at once.

    Where its file tells all sizes of its inputs it is made ready at once, and holds its weights once; else when it is
    first run with a size, and the weights stay as the file has them for the next.

    Parameters
    ----------
    path_or_bytes : see `cnnfast.onnx.load`
    sess_options : its `intra_op_num_threads` is `cnnfast.set_num_threads`, which holds for the process
    providers : names, or names with options: it runs on the CPU whatever they are

    Raises
    ------
    As `cnnfast.onnx.load`.
    """

    def __init__(
        self, path_or_bytes: str | os.PathLike[str] | bytes, sess_options: SessionOptions | None = None,
        providers: Sequence[Any] | None = None, provider_options: Any = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        names = [each[0] if isinstance(each, tuple | list) and each else each for each in providers or ()]
        if isinstance(providers, str) or not all(isinstance(name, str) for name in names):
            raise TypeError(f"providers must be names, or (name, options), got {providers!r}")
        options = SessionOptions() if sess_options is None else sess_options
        threads = checks.integer("intra_op_num_threads", options.intra_op_num_threads, minimum=0)
        if threads:
            runtime.set_num_threads(threads)
        self._model, self._options = load_settled(path_or_bytes), options

    @property
    def model(self) -> Model:
        """What it runs, as `cnnfast.onnx.load` gives it; settled where the file tells all sizes."""
        return self._model

    def run(
        self, output_names: Sequence[str] | None, input_feed: Mapping[str, Any], run_options: Any = None
    ) -> list[Array]:
        """The outputs named, or all: a list of arrays.

        Raises
        ------
        ValueError, TypeError : a name is not the model's, an input is missing or does not fit
        """
        done = None if output_names else self._model.exactly(input_feed)
        if done is not None:  # a tiny network takes less than the checks that follow
            return done
        names = [value.name for value in self._model.outputs]
        for name in output_names or ():
            if name not in names:
                raise ValueError(f"Invalid output name: {name!r}, the model gives {names}")
        wanted = [value.name for value in self._model.inputs]
        missing = [name for name in wanted if name not in input_feed]
        if missing:
            raise ValueError(f"Required inputs ({missing}) are missing from input feed ({list(input_feed)}).")
        for name in input_feed:
            if name not in wanted:
                raise ValueError(f"Invalid input name: {name!r}, the model takes {wanted}")
        results = self._model.run(input_feed)
        return [results[names.index(name)] for name in output_names] if output_names else results

    def get_inputs(self) -> list[NodeArg]:
        """What the model takes."""
        return [_argument(value) for value in self._model.inputs]

    def get_outputs(self) -> list[NodeArg]:
        """What the model gives."""
        return [_argument(value) for value in self._model.outputs]

    def get_overridable_initializers(self) -> list[NodeArg]:
        """None: a model's constants stay as they are."""
        return []

    def get_modelmeta(self) -> ModelMetadata:
        """What the file tells of itself."""
        facts = self._model.facts
        return ModelMetadata(**{**facts, "custom_metadata_map": dict(facts["custom_metadata_map"])})

    def get_session_options(self) -> SessionOptions:
        """The options it was made with."""
        return self._options

    def get_providers(self) -> list[str]:
        """ONNX Runtime's name of what it runs on."""
        return list(PROVIDERS)


def _argument(value: Value) -> NodeArg:
    kind = "undefined" if value.dtype is None else NAMES.get(value.dtype.name, value.dtype.name)
    return NodeArg(value.name, list(value.shape or ()), f"tensor({kind})")
