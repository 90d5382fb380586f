"""Bad inputs of the ops beside convolution and 2-D pooling: the error, and that it names the argument and the value."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import cnnfast

F = np.float32
V, T = ValueError, TypeError
X, L, D = np.ones((2, 4, 5, 3), F), np.ones((2, 9, 3), F), np.ones((1, 4, 4, 4, 2), F)
C3 = np.ones(3, F)
OUT = np.zeros((2, 4, 5, 3), F)
MAPS = [
    cnnfast.relu, cnnfast.relu6, cnnfast.leaky_relu, cnnfast.elu, cnnfast.selu, cnnfast.sigmoid, cnnfast.hardsigmoid,
    cnnfast.tanh, cnnfast.gelu, cnnfast.silu, cnnfast.hardswish, cnnfast.mish, cnnfast.softplus, cnnfast.softmax,
    cnnfast.log_softmax,
]  # fmt: skip


def frozen() -> np.ndarray:
    array = np.zeros_like(X)
    array.flags.writeable = False
    return array


CASES: list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any], type[Exception], tuple[str, ...]]] = [
    *[(op, (X,), {"out": np.zeros(3, F)}, V, ("out must have shape (2, 4, 5, 3)", "(3,)")) for op in MAPS],
    *[(op, (X,), {"out": np.zeros(X.shape)}, T, ("out must have dtype float32", "float64")) for op in MAPS],
    *[(op, (X,), {"out": frozen()}, V, ("out must be writable",)) for op in MAPS],
    *[(op, (X,), {"out": X}, V, ("out must not overlap an input", "x")) for op in MAPS],
    *[(op, (X,), {"out": [1]}, T, ("out must be a numpy.ndarray", "list")) for op in MAPS],
    *[(op, (X.astype(np.int32),), {}, T, ("x must have a dtype of float32, float64", "int32")) for op in MAPS],
    *[(op, ("x",), {}, T, ("x must have a dtype",)) for op in MAPS],
    *[(op, (X.astype(">f4"),), {}, T, ("x must have a dtype", ">f4")) for op in MAPS],
    (cnnfast.leaky_relu, (X, np.nan), {}, V, ("negative_slope must be finite", "nan")),
    (cnnfast.elu, (X, "1"), {}, T, ("alpha must be a number", "'1'")),
    (cnnfast.gelu, (X, "erf"), {}, V, ('approximate must be one of "none", "tanh"', "erf")),
    (cnnfast.softplus, (X, 0), {}, V, ("beta must be finite and > 0", "0")),
    (cnnfast.softplus, (X, 1, np.inf), {}, V, ("threshold must be finite", "inf")),
    (cnnfast.prelu, (X, np.ones(4, F)), {}, V, ("weight must have shape (1,) or x's last axis", "(4,)")),
    (cnnfast.prelu, (X, np.ones(3, int)), {}, T, ("weight must be floating", "int64")),
    (cnnfast.prelu, (OUT, OUT[0, 0, 0]), {"out": OUT}, V, ("out must not overlap",)),
    (cnnfast.softmax, (X, 4), {}, V, ("axis must be < 4", "4")),
    (cnnfast.softmax, (X, -5), {}, V, ("axis must be >= -4", "-5")),
    (cnnfast.softmax, (X, 1.0), {}, T, ("axis must be an integer", "1.0")),
    (cnnfast.softmax, (np.ones(()),), {}, V, ("axis must be an axis of the input",)),
    (cnnfast.add, (X, np.ones(4, F)), {}, V, ("y must broadcast with x (2, 4, 5, 3)", "(4,)")),
    (cnnfast.add, (X, X.astype(int)), {}, T, ("y must have a dtype", "int64")),
    (cnnfast.add, (X, X), {"activation": "swish"}, V, ("activation must be one of", "swish")),
    (cnnfast.add, (X, X), {"activation": ("elu", np.inf)}, V, ("activation's alpha must be finite", "inf")),
    (cnnfast.multiply, (X, OUT), {"out": OUT}, V, ("out must not overlap an input", "y")),
    (cnnfast.concatenate, ([],), {}, V, ("arrays must hold one array or more",)),
    (cnnfast.concatenate, (3,), {}, T, ("arrays must be a sequence of arrays", "int")),
    (cnnfast.concatenate, ([X, X.astype(float)],), {}, T, ("arrays must have one dtype", "float64")),
    (cnnfast.concatenate, ([X, X[0]],), {}, V, ("arrays must agree but along axis 3", "(4, 5, 3)")),
    (cnnfast.concatenate, ([X, X[:, :2]],), {}, V, ("arrays must agree but along axis 3",)),
    (cnnfast.concatenate, ([X], 4), {}, V, ("axis must be < 4", "4")),
    (cnnfast.concatenate, ([X, OUT], 0), {"out": np.zeros(3, F)}, V, ("out must have shape (4, 4, 5, 3)",)),
    (cnnfast.batch_norm, (X, C3, np.ones(4)), {}, V, ("running_var must have shape (3,)", "(4,)")),
    (cnnfast.batch_norm, (X, np.ones((3, 1)), C3), {}, V, ("running_mean must have shape (3,)", "(3, 1)")),
    (cnnfast.batch_norm, (X, C3, C3, np.ones(2)), {}, V, ("weight must have shape (3,)", "(2,)")),
    (cnnfast.batch_norm, (X, C3, C3), {"layout": "NCHW"}, V, ("running_mean must have shape (4,)",)),
    (cnnfast.batch_norm, (X, C3, C3), {"eps": -1}, V, ("eps must be >= 0", "-1")),
    (cnnfast.batch_norm, (X, C3, C3), {"eps": np.nan}, V, ("eps must be finite", "nan")),
    (cnnfast.batch_norm, (X, C3.astype(int), C3), {}, T, ("running_mean must be floating", "int64")),
    (cnnfast.batch_norm, (C3, C3, C3), {}, V, ("x must have 2 to 5 dimensions", "(3,)")),
    (cnnfast.batch_norm, (X, None, C3), {}, T, ("running_mean must be floating",)),
    (cnnfast.local_response_norm, (X, 0), {}, V, ("size must be >= 1", "0")),
    (cnnfast.local_response_norm, (X, 2.0), {}, T, ("size must be an integer", "2.0")),
    (cnnfast.local_response_norm, (X, 3, np.inf), {}, V, ("alpha must be finite", "inf")),
    (cnnfast.local_response_norm, (X[0, 0], 3), {}, V, ("x must have 3 to 5 dimensions", "(5, 3)")),
    (cnnfast.linear, (X, np.ones((7, 4), F)), {}, V, ("weight must have x's C 3", "(7, 4)")),
    (cnnfast.linear, (X, C3), {}, V, ("weight must have 2 dimensions", "(3,)")),
    (cnnfast.linear, (X, np.ones((0, 3), F)), {}, V, ("weight must have 2 dimensions", "(0, 3)")),
    (cnnfast.linear, (X, np.ones((7, 3), F), C3), {}, V, ("bias must have shape (7,)", "(3,)")),
    (cnnfast.linear, (X, np.ones((7, 3), int)), {}, T, ("weight must be floating", "int64")),
    (cnnfast.linear, (np.ones((), F), np.ones((7, 3), F)), {}, V, ("x must have 1 dimension or more", "()")),
    (cnnfast.plan_linear, (3, np.ones((7, 3), F)), {}, T, ("input_shape must be (..., C)", "3")),
    (cnnfast.plan_linear, ((), np.ones((7, 3), F)), {}, V, ("input_shape must be (..., C)",)),
    (cnnfast.plan_linear, ((1, -3), np.ones((7, 3), F)), {}, V, ("input_shape must be >= 0", "-3")),
    (cnnfast.plan_linear((1, 3), np.ones((7, 3), F)), (X.astype(float),), {}, T, ("x must have the plan's dtype",)),
    (cnnfast.plan_linear((1, 3), np.ones((7, 3), F)), (X[..., :2],), {}, V, ("x must have shape (..., 3)",)),
    (cnnfast.plan_linear((1, 3), np.ones((3, 3), F)), (OUT,), {"out": OUT}, V, ("out must not overlap an input",)),
    (cnnfast.pad2d, (X, -1), {}, V, ("padding must be >= 0", "-1")),
    (cnnfast.pad2d, (X, "same"), {}, V, ("padding must be",)),
    (cnnfast.pad2d, (X, 4, "reflect"), {}, V, ("padding must be <= 3", "reflect")),
    (cnnfast.pad2d, (X, (5, 0), "circular"), {}, V, ("padding must be <= 4", "circular")),
    (cnnfast.pad2d, (X, 1, "edge"), {}, V, ("mode must be one of", "edge")),
    (cnnfast.pad2d, (X.astype(np.int8), 1), {"value": 200}, V, ("value must be an integer that int8 holds", "200")),
    (cnnfast.pad2d, (X.astype(np.int8), 1), {"value": 0.5}, V, ("value must be an integer", "0.5")),
    (cnnfast.pad2d, (X[0], 1), {}, V, ("x must have 4 dimensions", "(4, 5, 3)")),
    (cnnfast.upsample2d, (X, 0), {}, V, ("scale_factor must be >= 1", "0")),
    (cnnfast.upsample2d, (X, 1.5), {}, T, ("scale_factor must be an integer", "1.5")),
    (cnnfast.upsample2d, (X, 2, "cubic"), {}, V, ("mode must be one of", "cubic")),
    (cnnfast.upsample2d, (X,), {"align_corners": True}, V, ("align_corners must be False with mode",)),
    (cnnfast.upsample2d, (X.astype(int),), {}, T, ("x must have a dtype",)),
    (cnnfast.conv1d, (X, X), {}, V, ("weight must have 3 dimensions (S, C/groups, K)",)),
    (cnnfast.conv1d, (X, L), {}, V, ("x must have 3 dimensions (N, L, C)", "(2, 4, 5, 3)")),
    (cnnfast.conv1d, (L, np.ones((2, 2, 1), F)), {}, V, ("weight must have C/groups = 3",)),
    (cnnfast.conv1d, (L, np.ones((2, 3, 1), F)), {"stride": 0}, V, ("stride must be >= 1", "0")),
    (cnnfast.conv1d, (L, np.ones((2, 3, 1), F)), {"padding": (1, 2, 3)}, V, ("padding must be an integer or",)),
    (cnnfast.conv1d, (L, np.ones((2, 3, 1), F)), {"layout": "NHWC"}, V, ("layout must be one of", "NHWC")),
    (cnnfast.conv1d, (L, np.ones((2, 3, 1), F)), {"out": [1]}, T, ("out must be a numpy.ndarray",)),
    (cnnfast.max_pool1d, (L, 10), {}, V, ("kernel_size must fit",)),
    (cnnfast.avg_pool1d, (L, 2), {"padding": 2}, V, ("padding of a pool must be <= half",)),
    (cnnfast.conv3d, (X, D), {}, V, ("x must have 5 dimensions", "(2, 4, 5, 3)")),
    (cnnfast.conv3d, (D, X), {}, V, ("weight must have 5 dimensions", "(2, 4, 5, 3)")),
    (cnnfast.conv3d, (D, np.ones((5, 1, 1, 2, 1), F)), {}, V, ("weight must fit the padded input", "depth")),
    (cnnfast.conv3d, (D, np.ones((1, 1, 1, 2, 1), F)), {"stride": (1, 2)}, V, ("stride must be an integer or",)),
    (cnnfast.conv3d, (D, np.ones((1, 1, 1, 2, 1), F)), {"residual": X}, V, ("residual must have y's shape",)),
    (cnnfast.conv3d, (D.astype(int), D.astype(int)), {}, T, ("x must have a dtype of float32, float64",)),
    (cnnfast.max_pool3d, (X, 2), {}, V, ("x must have 5 dimensions", "(2, 4, 5, 3)")),
    (cnnfast.max_pool3d, (D, (1, 2)), {}, V, ("kernel_size must be an integer or (depth, height, width)",)),
    (cnnfast.avg_pool3d, (D, 2), {"padding": (1, 2)}, V, ("padding must be an integer",)),
    (cnnfast.avg_pool3d, (D, 2), {"out": np.zeros(3, F)}, V, ("out must have shape (1, 2, 2, 2, 2)", "(3,)")),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{getattr(case[0], '__name__', 'plan')}-{case[4][0][:30]}")
def test_refused(case: Any) -> None:
    call, given, keywords, error, words = case
    out = keywords.get("out")
    before = out.copy() if isinstance(out, np.ndarray) else None
    with pytest.raises(error) as raised:
        call(*given, **keywords)
    missing = [word for word in words if word not in str(raised.value)]
    assert not missing, f"{missing} not in: {raised.value}"
    assert before is None or np.array_equal(out, before), "something was written"
