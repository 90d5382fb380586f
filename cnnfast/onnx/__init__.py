"""ONNX models: `load(path)`, and `InferenceSession(path).run(None, {name: x})` with ONNX Runtime's surface."""

from cnnfast.onnx.load import Model, load
from cnnfast.onnx.session import (
    ExecutionMode,
    GraphOptimizationLevel,
    InferenceSession,
    RunOptions,
    SessionOptions,
    get_available_providers,
    get_device,
)

__all__ = [
    "ExecutionMode", "GraphOptimizationLevel", "InferenceSession", "Model", "RunOptions", "SessionOptions",
    "get_available_providers", "get_device", "load",
]  # fmt: skip
