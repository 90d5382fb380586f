"""Dense layers, matrix products, softmax."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cnnfast.graph.ir import Node, Spec
from cnnfast.graph.table import Given, Ready, op, same
from cnnfast.ops.linear import linear, plan_linear
from cnnfast.ops.softmax import SoftmaxPlan, log_softmax, softmax

FLOAT32 = np.dtype(np.float32)


def _linear_spec(x: Spec, weight: Spec, bias: Spec | None = None, **attributes: Any) -> Spec:
    if len(weight.shape) != 2 or x.shape[-1:] != weight.shape[1:]:
        raise ValueError(f"weight must have x's C {x.shape[-1:]} as (K, C), got shape {weight.shape}")
    return Spec((*x.shape[:-1], weight.shape[0]), x.dtype)


def _planned_linear(node: Node, inputs: Sequence[Given | None]) -> Ready | None:
    x, weight = inputs[0], inputs[1]
    bias = inputs[2] if len(inputs) > 2 else None
    assert x is not None
    assert weight is not None
    if weight.array is None or (bias is not None and bias.array is None):
        return None
    if x.spec.dtype != FLOAT32 or weight.spec.dtype != FLOAT32:
        return None
    return Ready(plan_linear(x.spec.shape, weight.array, None if bias is None else bias.array, **node.attributes))


op("linear", spec=_linear_spec, into=True, plan=_planned_linear)(linear)


def _planned_softmax(node: Node, inputs: Sequence[Given | None]) -> Ready | None:
    x = inputs[0]
    assert x is not None
    last = node.attributes.get("axis", -1) in (-1, len(x.spec.shape) - 1)
    if x.spec.dtype != FLOAT32 or not last:
        return None
    return Ready(SoftmaxPlan(x.spec.shape, node.op == "log_softmax"))


op("softmax", spec=same, into=True, plan=_planned_softmax)(softmax)
op("log_softmax", spec=same, into=True, plan=_planned_softmax)(log_softmax)


def _matmul_spec(x: Spec, y: Spec, **attributes: Any) -> Spec:
    left = (1, *x.shape) if len(x.shape) == 1 else x.shape
    right = (*y.shape, 1) if len(y.shape) == 1 else y.shape
    if not x.shape or not y.shape or left[-1] != right[-2]:
        raise ValueError(f"a matrix product needs x's last size as y's last but one, got {x.shape} and {y.shape}")
    outer = np.broadcast_shapes(left[:-2], right[:-2])
    rows = () if len(x.shape) == 1 else (left[-2],)
    columns = () if len(y.shape) == 1 else (right[-1],)
    return Spec((*outer, *rows, *columns), np.result_type(x.dtype, y.dtype))


op("matmul", spec=_matmul_spec)(np.matmul)
