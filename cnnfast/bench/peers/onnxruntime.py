"""ONNX Runtime, its CPU provider, with bound input and output. The model is NCHW, as ONNX is."""

# mypy: disable-error-code="import-not-found,import-untyped"

from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

from . import Arrays, Engine, Request, Runnable

OPSET, IR_VERSION = 17, 8
NODES = {
    "conv": "Conv",
    "conv_transpose": "ConvTranspose",
    "max_pool": "MaxPool",
    "avg_pool": "AveragePool",
    "global_avg_pool": "GlobalAveragePool",
}


class OnnxRuntime(Engine):
    def __init__(self, threads: int) -> None:
        self.threads, self.version = threads, str(onnxruntime.__version__)

    def session(self, source: str | bytes) -> Any:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self.threads, 1
        options.log_severity_level = 3
        return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])

    def prepare_model(self, path: str, arrays: list[Any]) -> Runnable:
        session, last = self.session(path), dict[str, Any]()
        binding = session.io_binding()
        for given, x in zip(session.get_inputs(), arrays, strict=True):
            binding.bind_ortvalue_input(given.name, onnxruntime.OrtValue.ortvalue_from_numpy(x))
        for y in session.run(None, {each.name: x for each, x in zip(session.get_inputs(), arrays, strict=True)}):
            name = session.get_outputs()[len(last)].name
            last[name] = onnxruntime.OrtValue.ortvalue_from_numpy(y)
            binding.bind_ortvalue_output(name, last[name])
        first = next(iter(last.values()))
        return Runnable(lambda: session.run_with_iobinding(binding), first.numpy, keep=(arrays, last))

    def prepare(self, request: Request, arrays: Arrays) -> Runnable:
        session = self.session(model(request["steps"], arrays))
        x = np.ascontiguousarray(arrays["x"].transpose(0, 3, 1, 2))
        y = onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros(nchw(request["steps"][-1]["y_shape"]), np.float32))
        binding = session.io_binding()
        binding.bind_ortvalue_input("t0", onnxruntime.OrtValue.ortvalue_from_numpy(x))
        binding.bind_ortvalue_output(f"t{len(request['steps'])}", y)
        return Runnable(lambda: session.run_with_iobinding(binding), lambda: y.numpy().transpose(0, 2, 3, 1))


def model(steps: list[dict[str, Any]], arrays: Arrays) -> bytes:
    nodes, constants = [], []
    for i, step in enumerate(steps):
        inputs, attributes = [f"t{i}"], {}
        if step["kind"] != "global_avg_pool":
            top, bottom, left, right = step["pad"]
            attributes = dict(kernel_shape=step["kernel"], strides=step["stride"], pads=[top, left, bottom, right])
        if "weight" in step:
            weight = arrays[step["weight"]].reshape(step["weight_shape"]).transpose(3, 2, 0, 1)
            constants += [numpy_helper.from_array(np.ascontiguousarray(weight), f"w{i}")]
            constants += [numpy_helper.from_array(arrays[step["bias"]], f"b{i}")]
            inputs += [f"w{i}", f"b{i}"]
            attributes |= dict(dilations=step["dilation"], group=step["groups"])
        nodes.append(helper.make_node(NODES[step["kind"]], inputs, [f"t{i + 1}"], **attributes))
    x = helper.make_tensor_value_info("t0", onnx.TensorProto.FLOAT, nchw(steps[0]["x_shape"]))
    y = helper.make_tensor_value_info(f"t{len(steps)}", onnx.TensorProto.FLOAT, nchw(steps[-1]["y_shape"]))
    graph = helper.make_graph(nodes, "layer", [x], [y], constants)
    whole = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    return bytes(whole.SerializeToString())


def nchw(shape: list[int]) -> list[int]:
    n, h, w, c = shape
    return [n, c, h, w]


def load(threads: int) -> Engine:
    return OnnxRuntime(threads)
