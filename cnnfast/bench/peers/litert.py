"""LiteRT (TensorFlow Lite), whose float32 kernels are XNNPACK's. NHWC is its own layout.

It runs models alone, so the layer is written as one; the package brings the schema of the format in Python, and needs
no TensorFlow for that.
"""

# mypy: disable-error-code="import-not-found,import-untyped"

from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from . import Arrays, Engine, Request, Runnable

LOWEST = float(np.finfo(np.float32).min)


class LiteRT(Engine):
    def __init__(self, threads: int) -> None:
        from importlib.metadata import version

        self.threads, self.version = threads, version("ai-edge-litert")

    def prepare(self, request: Request, arrays: Arrays) -> Runnable:
        content = Model(request["steps"], arrays).content()
        interpreter = Interpreter(model_content=content, num_threads=self.threads)
        interpreter.allocate_tensors()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], arrays["x"])
        result = interpreter.get_output_details()[0]["index"]
        return Runnable(interpreter.invoke, lambda: interpreter.get_tensor(result))


class Model:
    """A .tflite file of a few nodes, built tensor by tensor and operator by operator."""

    def __init__(self, steps: list[dict[str, Any]], arrays: Arrays) -> None:
        self.arrays = arrays
        self.tensors: list[Any] = []
        self.operators: list[Any] = []
        self.codes: list[int] = []
        self.buffers = [schema.BufferT()]  # the first one stays empty, for tensors that have no data
        self.first = last = self.tensor(steps[0]["x_shape"])
        for step in steps:
            last = self.node(last, step)
        self.last = last

    def content(self) -> bytes:
        codes = [schema.OperatorCodeT(deprecatedBuiltinCode=code, builtinCode=code) for code in self.codes]
        graph = schema.SubGraphT(self.tensors, [self.first], [self.last], self.operators)
        model = schema.ModelT(version=3, operatorCodes=codes, subgraphs=[graph], buffers=self.buffers)
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def tensor(self, shape: list[int], data: Any = None) -> int:
        kind = schema.TensorType.INT32 if data is not None and data.dtype == np.int32 else schema.TensorType.FLOAT32
        buffer = 0
        if data is not None:
            self.buffers.append(schema.BufferT(data=np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)))
            buffer = len(self.buffers) - 1
        name = f"t{len(self.tensors)}"
        self.tensors.append(schema.TensorT(shape=list(shape), type=kind, buffer=buffer, name=name))
        return len(self.tensors) - 1

    def constant(self, data: Any) -> int:
        return self.tensor(list(data.shape), data)

    def operator(self, code: str, inputs: list[int], shape: list[int], options: Any = None) -> int:
        number = getattr(schema.BuiltinOperator, code)
        if number not in self.codes:
            self.codes.append(number)
        y = self.tensor(shape)
        kind = 0 if options is None else getattr(schema.BuiltinOptions, type(options).__name__[:-1])
        self.operators.append(schema.OperatorT(self.codes.index(number), inputs, [y], kind, options))
        return y

    def node(self, x: int, step: dict[str, Any]) -> int:
        kind = step["kind"]
        if kind == "global_avg_pool":
            axes = self.constant(np.array([1, 2], np.int32))
            return self.operator("MEAN", [x, axes], step["y_shape"], schema.ReducerOptionsT(keepDims=True))
        if kind == "conv_transpose":
            return self.conv_transpose(x, step)
        padding = schema.Padding.VALID
        if is_same(step):
            padding = schema.Padding.SAME
        elif any(step["pad"]):
            x, step = self.pad(x, step)
        stride = dict(padding=padding, strideH=step["stride"][0], strideW=step["stride"][1])
        if kind in ("max_pool", "avg_pool"):
            window = schema.Pool2DOptionsT(filterHeight=step["kernel"][0], filterWidth=step["kernel"][1], **stride)
            return self.operator(
                "MAX_POOL_2D" if kind == "max_pool" else "AVERAGE_POOL_2D", [x], step["y_shape"], window
            )
        return self.conv(x, step, stride)

    def conv(self, x: int, step: dict[str, Any], stride: dict[str, int]) -> int:
        weight = self.arrays[step["weight"]].reshape(step["weight_shape"])  # r, s, c/groups, k
        bias = self.constant(self.arrays[step["bias"]])
        window = stride | dict(dilationHFactor=step["dilation"][0], dilationWFactor=step["dilation"][1])
        channels, filters = step["x_shape"][3], weight.shape[3]
        if step["groups"] == channels > 1:
            by_channel = self.constant(weight.reshape(1, *weight.shape[:2], filters))
            options = schema.DepthwiseConv2DOptionsT(depthMultiplier=filters // channels, **window)
            return self.operator("DEPTHWISE_CONV_2D", [x, by_channel, bias], step["y_shape"], options)
        ohwi = self.constant(weight.transpose(3, 0, 1, 2))
        return self.operator("CONV_2D", [x, ohwi, bias], step["y_shape"], schema.Conv2DOptionsT(**window))

    def conv_transpose(self, x: int, step: dict[str, Any]) -> int:
        weight = self.arrays[step["weight"]].reshape(step["weight_shape"])  # r, s, k, c
        shape = self.constant(np.array(step["y_shape"], np.int32))
        inputs = [shape, self.constant(weight.transpose(2, 0, 1, 3)), x, self.constant(self.arrays[step["bias"]])]
        stride = dict(strideH=step["stride"][0], strideW=step["stride"][1])
        options = schema.TransposeConvOptionsT(padding=schema.Padding.VALID, **stride)
        return self.operator("TRANSPOSE_CONV", inputs, step["y_shape"], options)

    def pad(self, x: int, step: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        top, bottom, left, right = step["pad"]
        n, h, w, c = step["x_shape"]
        sides = self.constant(np.array([[0, 0], [top, bottom], [left, right], [0, 0]], np.int32))
        shape = [n, h + top + bottom, w + left + right, c]
        if step["kind"] == "max_pool":
            lowest = self.constant(np.array([LOWEST], np.float32))
            padded = self.operator("PADV2", [x, sides, lowest], shape, schema.PadV2OptionsT())
        else:
            padded = self.operator("PAD", [x, sides], shape, schema.PadOptionsT())
        return padded, step | {"x_shape": shape}


def is_same(step: dict[str, Any]) -> bool:
    """Whether the format's SAME rule gives exactly this padding."""
    for axis in range(2):
        before, after = step["pad"][2 * axis : 2 * axis + 2]
        size, out, stride = step["x_shape"][1 + axis], step["y_shape"][1 + axis], step["stride"][axis]
        total = max((out - 1) * stride + (step["kernel"][axis] - 1) * step["dilation"][axis] + 1 - size, 0)
        if out != -(size // -stride) or (before, after) != (total // 2, total - total // 2):
            return False
    return True


def load(threads: int) -> Engine:
    return LiteRT(threads)
