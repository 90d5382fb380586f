"""ONNX models: `load(path)`, and `InferenceSession(path).run(None, {name: x})` with ONNX Runtime's surface."""

from cnnfast.onnx.load import Model, load
from cnnfast.onnx.session import InferenceSession, SessionOptions

__all__ = ["InferenceSession", "Model", "SessionOptions", "load"]
