"""OpenVINO, its CPU plugin in float32, with NHWC input and output."""

# mypy: disable-error-code="import-not-found,import-untyped"

from typing import Any

import numpy as np
import openvino
from openvino import opset13 as ops

from . import Arrays, Engine, Request, Runnable


class OpenVino(Engine):
    def __init__(self, threads: int) -> None:
        self.core, self.version = openvino.Core(), str(openvino.__version__).split("-")[0]
        self.settings = {
            "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1,
            "INFERENCE_PRECISION_HINT": "f32",
        }  # fmt: skip

    def prepare_model(self, path: str, arrays: list[Any]) -> Runnable:
        network = self.core.read_model(path)
        network.reshape({i: list(x.shape) for i, x in enumerate(arrays)})
        compiled = self.core.compile_model(network, "CPU", self.settings)
        infer, inputs = compiled.create_infer_request(), [openvino.Tensor(x, shared_memory=True) for x in arrays]
        for i, x in enumerate(inputs):
            infer.set_input_tensor(i, x)
        return Runnable(infer.infer, lambda: infer.get_output_tensor(0).data, keep=(arrays, inputs, compiled))

    def prepare(self, request: Request, arrays: Arrays) -> Runnable:
        n, h, w, c = request["steps"][0]["x_shape"]
        tensor = first = ops.parameter([n, c, h, w], np.float32)
        for step in request["steps"]:
            tensor = node(tensor, step, arrays)
        compiled = self.core.compile_model(in_nhwc(openvino.Model([tensor], [first])), "CPU", self.settings)
        infer, x = compiled.create_infer_request(), openvino.Tensor(arrays["x"], shared_memory=True)
        infer.set_input_tensor(x)
        return Runnable(infer.infer, lambda: infer.get_output_tensor().data, keep=(arrays["x"], x, compiled))


def node(x: Any, step: dict[str, Any], arrays: Arrays) -> Any:
    kind, stride, kernel = step["kind"], step["stride"], step["kernel"]
    top, bottom, left, right = step["pad"]
    begin, end = [top, left], [bottom, right]
    if kind == "max_pool":
        return ops.max_pool(x, stride, [1, 1], begin, end, kernel).output(0)
    if kind == "avg_pool":
        return ops.avg_pool(x, stride, begin, end, kernel, exclude_pad=False)
    if kind == "global_avg_pool":
        return ops.reduce_mean(x, ops.constant([2, 3]), keep_dims=True)
    groups, dilation = step["groups"], step["dilation"]
    weight = np.ascontiguousarray(arrays[step["weight"]].reshape(step["weight_shape"]).transpose(3, 2, 0, 1))
    bias = ops.constant(arrays[step["bias"]].reshape(1, -1, 1, 1))
    if kind == "conv_transpose":
        y = ops.convolution_backprop_data(x, ops.constant(weight), stride, None, begin, end, dilation)
    elif groups == 1:
        y = ops.convolution(x, ops.constant(weight), stride, begin, end, dilation)
    else:
        by_group = ops.constant(weight.reshape(groups, -1, *weight.shape[1:]))
        y = ops.group_convolution(x, by_group, stride, begin, end, dilation)
    return ops.add(y, bias)


def in_nhwc(model: Any) -> Any:
    wrapped = openvino.preprocess.PrePostProcessor(model)
    for side in (wrapped.input(), wrapped.output()):
        side.model().set_layout(openvino.Layout("NCHW"))
        side.tensor().set_layout(openvino.Layout("NHWC"))
    return wrapped.build()


def load(threads: int) -> Engine:
    return OpenVino(threads)
