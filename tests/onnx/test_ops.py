"""Ops as the official cases do not have them, each against ONNX Runtime, or against ONNX's own reference where that is
not installed or does not know the op."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="pip install 'cnnfast[onnx]'")

from onnx import reference

import cnnfast.onnx

Case = tuple[str, int, Sequence[Any], dict[str, Any]]
"""An op, an opset, its inputs (a shape stands for random floats, None is left out), its attributes."""


def ints(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


def scales(*numbers: float) -> np.ndarray:
    return np.array(numbers, np.float32)


def bytes_of(shape: tuple[int, ...], dtype: Any = np.uint8) -> np.ndarray:
    limits = np.iinfo(dtype)
    return np.random.default_rng(3).integers(limits.min, limits.max, shape, dtype, endpoint=True)


NO_ROI = np.zeros(0, np.float32)
SCALE = scales(1, 1, 1.7, 0.6)
CASES: list[Case] = [
    ("Conv", 11, [(2, 4, 9), (6, 2, 3), (6,)], {"group": 2, "dilations": [2], "pads": [1, 3], "strides": [2]}),
    ("Conv", 11, [(1, 3, 8), (4, 3, 4)], {"auto_pad": "SAME_LOWER", "strides": [3]}),
    ("Conv", 11, [(2, 4, 9, 7), (8, 4, 3, 2), (8,)], {"pads": [0, 1, 2, 1], "strides": [2, 1], "dilations": [1, 2]}),
    ("Conv", 11, [(1, 6, 7, 7), (6, 1, 3, 3), (6,)], {"group": 6, "auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    ("Conv", 11, [(1, 2, 5, 6, 7), (4, 2, 3, 2, 3), (4,)], {"pads": [1, 0, 1, 1, 1, 0], "strides": [1, 2, 2]}),
    ("ConvTranspose", 11, [(2, 4, 5), (4, 3, 3), (6,)], {
        "group": 2, "strides": [3], "output_padding": [1], "pads": [1, 0]}),
    ("ConvTranspose", 11, [(1, 4, 5, 3), (4, 2, 3, 4), (2,)], {
        "strides": [2, 3], "dilations": [2, 1], "pads": [1, 0, 2, 1]}),
    ("ConvTranspose", 11, [(1, 4, 4, 4), (4, 1, 3, 3), (4,)], {"group": 4, "strides": [2, 2], "output_shape": [9, 8]}),
    ("ConvTranspose", 11, [(1, 2, 4, 5), (2, 3, 4, 4)], {"auto_pad": "SAME_LOWER", "strides": [3, 2]}),
    ("ConvTranspose", 11, [(1, 2, 4, 5), (2, 3, 3, 3)], {"auto_pad": "VALID", "strides": [1, 2]}),
    ("ConvTranspose", 11, [(1, 2, 3, 4, 3), (2, 3, 2, 3, 3), (3,)], {"strides": [2, 1, 2], "pads": [0, 1, 1, 1, 0, 1]}),
    ("MaxPool", 12, [(2, 3, 11)], {"kernel_shape": [3], "strides": [2], "pads": [1, 0], "ceil_mode": 1}),
    ("MaxPool", 12, [(2, 3, 9, 8)], {
        "kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 1, 1], "dilations": [2, 1]}),
    ("MaxPool", 12, [(1, 2, 5, 6, 7)], {"kernel_shape": [2, 3, 3], "strides": [2, 1, 2], "pads": [0, 1, 1, 1, 1, 0]}),
    ("MaxPool", 12, [bytes_of((1, 2, 6, 6))], {"kernel_shape": [3, 3], "auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    ("AveragePool", 11, [(2, 3, 11)], {"kernel_shape": [4], "strides": [3], "pads": [1, 2], "count_include_pad": 1}),
    ("AveragePool", 11, [(2, 3, 9, 8)], {
        "kernel_shape": [3, 2], "strides": [2, 3], "pads": [1, 1, 1, 0], "ceil_mode": 1}),
    ("AveragePool", 11, [(1, 2, 5, 6, 7)], {"kernel_shape": [2, 3, 3], "auto_pad": "SAME_LOWER", "strides": [2, 2, 2]}),
    ("LpPool", 11, [(2, 3, 9, 8)], {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 1, 1], "p": 3}),
    ("GlobalAveragePool", 11, [(2, 3, 5)], {}),
    ("GlobalMaxPool", 11, [(2, 3, 5, 4)], {}),
    ("GlobalMaxPool", 11, [(2, 3, 5, 4, 3)], {}),
    ("GlobalLpPool", 11, [(2, 3, 5, 4)], {"p": 1}),
    ("BatchNormalization", 15, [(2, 3, 4, 5), (3,), (3,), (3,), scales(0.5, 1, 2)], {"epsilon": 1e-2}),
    ("BatchNormalization", 9, [(4, 3), (3,), (3,), (3,), scales(0.5, 1, 2)], {}),
    ("InstanceNormalization", 11, [(2, 3, 4, 5), (3,), (3,)], {"epsilon": 1e-3}),
    ("GroupNormalization", 21, [(2, 6, 4, 5), (6,), (6,)], {"num_groups": 3}),
    ("LayerNormalization", 17, [(2, 3, 4, 5), (4, 5), (4, 5)], {"axis": -2}),
    ("LRN", 13, [(2, 7, 3, 4)], {"size": 5, "alpha": 0.3, "beta": 0.6, "bias": 2.0}),
    ("LRN", 13, [(7, 7, 3, 4)], {"size": 4}),
    ("LpNormalization", 11, [(2, 7, 3)], {"axis": 1, "p": 1}),
    ("MeanVarianceNormalization", 13, [(2, 3, 4, 5)], {"axes": [0, 2]}),
    ("Softmax", 11, [(2, 3, 4, 5)], {}),
    ("Softmax", 11, [(2, 3, 1, 1)], {}),
    ("LogSoftmax", 11, [(2, 3, 4)], {"axis": 2}),
    ("LogSoftmax", 13, [(2, 3, 4, 5)], {"axis": 1}),
    ("Hardmax", 11, [(2, 3, 4)], {"axis": -1}),
    ("Hardmax", 13, [(2, 3, 4)], {"axis": 1}),
    ("Gemm", 13, [(3, 4), (5, 4), (5,)], {"transB": 1}),
    ("Gemm", 13, [(4, 3), (4, 5), (3, 1)], {"transA": 1, "alpha": 0.5, "beta": 2.0}),
    ("Gemm", 13, [(3, 4), (4, 5), (3, 5)], {}),
    ("MatMul", 13, [(2, 1, 3, 4), (5, 4, 2)], {}),
    ("MatMul", 13, [(4,), (3, 4, 2)], {}),
    ("DepthToSpace", 13, [(2, 18, 2, 3)], {"blocksize": 3, "mode": "CRD"}),
    ("DepthToSpace", 13, [(2, 8, 2, 3)], {"blocksize": 2}),
    ("SpaceToDepth", 13, [(2, 3, 4, 6)], {"blocksize": 2}),
    ("Dropout", 11, [(2, 3)], {"ratio": 0.3}),
    ("Upsample", 9, [(1, 2, 3, 4), scales(1, 1, 2, 3)], {}),
    ("Upsample", 9, [(1, 2, 3, 4), scales(1, 1, 2, 3)], {"mode": "linear"}),
    ("Upsample", 7, [(1, 2, 3, 4)], {"scales": [1.0, 1.0, 1.5, 2.0]}),
    ("Resize", 10, [(1, 2, 5, 4), SCALE], {}),
    ("Resize", 10, [(1, 2, 5, 4), scales(1, 1, 2, 2)], {"mode": "linear"}),
    ("Resize", 13, [(1, 2, 3, 4), NO_ROI, scales(1, 1, 2, 2)], {"mode": "linear"}),
    ("Resize", 13, [(1, 2, 3, 4), NO_ROI, scales(1, 1, 2, 3)], {"mode": "nearest"}),
    ("Resize", 13, [(1, 2, 3, 4), NO_ROI, None, ints(1, 2, 7, 9)], {"mode": "cubic", "cubic_coeff_a": -0.5}),
    *(
        ("Resize", 13, [(1, 2, 5, 6), NO_ROI, *wanted], {"mode": mode, "coordinate_transformation_mode": way})
        for mode in ("linear", "cubic", "nearest")
        for way, wanted in (
            ("half_pixel", [SCALE]), ("align_corners", [None, ints(1, 2, 8, 4)]), ("asymmetric", [SCALE]),
            ("pytorch_half_pixel", [SCALE]),
        )
    ),
    *(
        ("Resize", 18, [(1, 1, 6, 8), None, None, ints(1, 1, 4, 5)], {"mode": "nearest", "nearest_mode": way})
        for way in ("round_prefer_ceil", "floor", "ceil")
    ),
    ("Resize", 18, [(1, 1, 9, 8), None, None, ints(4, 3)], {"mode": "linear", "antialias": 1, "axes": [2, 3]}),
    ("Resize", 19, [(2, 2, 6, 8), None, None, ints(4, 7)], {
        "mode": "linear", "axes": [2, 3], "keep_aspect_ratio_policy": "not_larger"}),
    ("Resize", 13, [(1, 1, 4, 4), scales(0, 0, 0.4, 0.6, 1, 1, 1.2, 0.8), None, ints(1, 1, 3, 5)], {
        "mode": "linear", "coordinate_transformation_mode": "tf_crop_and_resize", "extrapolation_value": 7.0}),
    *(
        ("GridSample", 16, [(2, 3, 5, 6), (2, 4, 3, 2)], {"mode": mode, "padding_mode": pad, "align_corners": corners})
        for mode in ("bilinear", "nearest", "bicubic")
        for pad in ("zeros", "border", "reflection")
        for corners in (0, 1)
    ),
    ("RoiAlign", 16, [
        (2, 3, 9, 8), scales(1, 2, 6, 7, 0, 0, 3, 8, -2, 4, 20, 9).reshape(3, 4), ints(1, 0, 1)], {
        "output_height": 3, "output_width": 2, "sampling_ratio": 2, "spatial_scale": 0.9}),
    ("RoiAlign", 10, [(2, 3, 9, 8), scales(1, 2, 6, 7, 0, 0, 3, 8).reshape(2, 4), ints(1, 0)], {
        "output_height": 2, "output_width": 4, "spatial_scale": 0.5}),
    ("MaxRoiPool", 11, [(2, 3, 9, 8), scales(1, 0, 1, 6, 7, 0, 2, 2, 3, 3, 0, 5, 5, 30, 40).reshape(3, 5)], {
        "pooled_shape": [3, 2], "spatial_scale": 0.7}),
    ("QuantizeLinear", 13, [(2, 3, 4), scales(0.1, 0.2, 0.3), bytes_of((3,))], {"axis": 1}),
    ("QuantizeLinear", 13, [(2, 3, 4), scales(0.01), np.array([5], np.int8)], {}),
    ("DequantizeLinear", 13, [bytes_of((2, 3, 4), np.int8), scales(0.1, 0.2, 0.3), bytes_of((3,), np.int8)], {
        "axis": 1}),
    ("MatMulInteger", 10, [bytes_of((3, 400)), bytes_of((400, 5)), np.uint8(7), np.uint8(200)], {}),
    ("ConvInteger", 10, [bytes_of((1, 40, 6, 7)), bytes_of((4, 40, 3, 3)), np.uint8(100)], {"pads": [1, 1, 1, 1]}),
    ("QLinearConv", 10, [
        bytes_of((1, 8, 6, 7)), np.float32(0.02), np.uint8(120), bytes_of((4, 4, 3, 3), np.int8),
        scales(0.01, 0.02, 0.03, 0.01), np.zeros(4, np.int8), np.float32(0.5), np.uint8(128),
        np.array([10, -200, 3000, 4], np.int32)], {"group": 2, "pads": [0, 1, 0, 1], "strides": [2, 1]}),
    ("QLinearMatMul", 10, [
        bytes_of((3, 40)), np.float32(0.02), np.uint8(120), bytes_of((40, 5)), np.float32(0.01), np.uint8(130),
        np.float32(0.6), np.uint8(128)], {}),
    ("Col2Im", 18, [(2, 12, 16), ints(5, 6), ints(2, 3)], {}),
    ("Col2Im", 18, [(1, 18, 9), ints(5, 5), ints(3, 3)], {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
    ("AffineGrid", 20, [(2, 2, 3), ints(2, 3, 4, 5)], {"align_corners": 1}),
    ("DeformConv", 19, [(2, 4, 5, 6), (6, 2, 3, 2), (2, 24, 3, 5), (6,), (2, 12, 3, 5)], {
        "group": 2, "offset_group": 2, "kernel_shape": [3, 2]}),
    ("MaxUnpool", 11, [(1, 1, 2, 2), ints(5, 7, 13, 15).reshape(1, 1, 2, 2)], {
        "kernel_shape": [2, 2], "strides": [2, 2]}),
    ("NonMaxSuppression", 11, [
        np.random.default_rng(0).random((2, 30, 4), np.float32),
        np.random.default_rng(1).random((2, 3, 30), np.float32),
        ints(8), scales(0.2), scales(0.3)], {}),
    ("NonMaxSuppression", 11, [
        np.random.default_rng(0).random((1, 30, 4), np.float32),
        np.random.default_rng(1).random((1, 2, 30), np.float32),
        ints(8), scales(0.1)], {"center_point_box": 1}),
]  # fmt: skip


def arrays(given: Sequence[Any], rng: np.random.Generator) -> list[Any]:
    return [
        rng.standard_normal(each).astype(np.float32) if isinstance(each, tuple) else each if each is None
        else np.asarray(each) for each in given
    ]  # fmt: skip


def model_of(op: str, opset: int, inputs: Sequence[Any], attributes: dict[str, Any], fixed: bool) -> Any:
    """A model of one node; with `fixed` all of its inputs but the first are initializers."""
    names = ["" if array is None else f"x{i}" for i, array in enumerate(inputs)]
    node = onnx.helper.make_node(op, names, ["y"], name="it", **attributes)
    kinds = [None if x is None else onnx.helper.np_dtype_to_tensor_dtype(x.dtype) for x in inputs]
    given = [
        onnx.helper.make_tensor_value_info(name, kind, x.shape)
        for i, (name, kind, x) in enumerate(zip(names, kinds, inputs, strict=True)) if name and not (i and fixed)
    ]  # fmt: skip
    constants = [onnx.numpy_helper.from_array(x, n) for n, x in zip(names[1:], inputs[1:], strict=True) if n and fixed]
    made = [onnx.helper.make_empty_tensor_value_info(name) for name in node.output]
    graph = onnx.helper.make_graph([node], "one", given, made, constants)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)], ir_version=9)
    inferred = onnx.shape_inference.infer_shapes(model)  # ONNX Runtime wants the outputs' types
    for value in inferred.graph.output:
        value.type.tensor_type.ClearField("shape")
    return inferred


REFERENCE_DIFFERS = {
    "BatchNormalization-9", "ConvTranspose-11", "DequantizeLinear-13", "GlobalLpPool-11", "GlobalMaxPool-11",
    "GridSample-16", "LRN-13", "LpNormalization-11", "MaxRoiPool-11", "Resize-10", "RoiAlign-10", "Softmax-11",
    "Upsample-7", "Upsample-9",
}  # fmt: skip
"""Where onnx's own reference fails, or does not do what the opset says."""


def wanted_of(model: Any, feed: dict[str, Any]) -> list[Any]:
    node = model.graph.node[0]
    if f"{node.op_type}-{model.opset_import[0].version}" in REFERENCE_DIFFERS:
        pytest.importorskip("onnxruntime", reason="onnx's reference does not know this: pip install onnxruntime")
    try:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.log_severity_level = 4
        return list(ort.InferenceSession(model.SerializeToString(), options).run(None, feed))
    except Exception:  # not installed, or it does not know the op
        return list(reference.ReferenceEvaluator(model).run(None, feed))


@pytest.mark.parametrize("fixed", [False, True], ids=["fed", "constant"])
@pytest.mark.parametrize("case", CASES, ids=[f"{i}-{case[0]}-{case[1]}" for i, case in enumerate(CASES)])
def test_op(case: Case, fixed: bool, rng: np.random.Generator) -> None:
    op, opset, given, attributes = case
    inputs = arrays(given, rng)
    model = model_of(op, opset, inputs, attributes, fixed)
    feed = {each.name: inputs[int(each.name[1:])] for each in model.graph.input}
    (wanted,) = wanted_of(model, feed)
    (y,) = cnnfast.onnx.load(model.SerializeToString()).run(feed)
    assert y.dtype == wanted.dtype
    assert y.shape == wanted.shape
    if y.dtype.kind in "iu":
        np.testing.assert_array_equal(y, wanted)
    else:
        np.testing.assert_allclose(y, wanted, rtol=1e-4, atol=1e-5)
