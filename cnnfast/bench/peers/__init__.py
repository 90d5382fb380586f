"""The engines `cnnfast bench` measures, each in a process of its own.

A module here named after an engine has one function, `load(threads)`, which returns an `Engine`. The folder is also
loaded by interpreters that have the engine and not cnnfast: only `ours` and `reference` may import the rest of cnnfast.

An engine gets its problem as `steps` (see ../steps.py) and arrays in layout NHWC; what order it prefers inside is its
own affair, but it is given its input and gives its output in NHWC, or in the layout it is fastest with where it can
only be called in that one.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Arrays = dict[str, Any]
Request = dict[str, Any]


class Unsupported(Exception):
    """The engine cannot do this problem; the message says what it lacks."""


@dataclass(frozen=True)
class Runnable:
    """`run()` does the work once, everything resident; `output()` is the last result as float32 NHWC.

    `keep` is what they need and only borrow.
    """

    run: Callable[[], object]
    output: Callable[[], Any]
    facts: dict[str, Any] = field(default_factory=dict)
    keep: object = None


class Engine:
    """What a peer module's `load` returns."""

    version = ""

    def prepare(self, request: Request, arrays: Arrays) -> Runnable:
        """Everything that is done once: convert, pack, compile."""
        raise NotImplementedError

    def prepare_model(self, path: str, arrays: list[Any]) -> Runnable:
        """A whole network from an ONNX file, for these inputs; its output is the first, as it is."""
        raise Unsupported("ONNX files")

    def ask(self, request: Request) -> dict[str, Any]:
        """Any other request; only cnnfast's own two engines have some."""
        raise Unsupported(request["command"])


@dataclass(frozen=True)
class Peer:
    """An engine others made: what to import, and what to tell the user who has not got it."""

    name: str
    modules: tuple[str, ...]
    install: str


PEERS = (
    Peer("torch", ("torch",), "torch"),
    Peer("onnxruntime", ("onnxruntime", "onnx"), "onnxruntime onnx"),
    Peer("openvino", ("openvino",), "openvino"),
    Peer("ncnn", ("ncnn",), "ncnn"),
    Peer("litert", ("ai_edge_litert", "flatbuffers"), "ai-edge-litert"),
)
