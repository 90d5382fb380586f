"""Plans that run one after another as one plan: what one gives goes to the next in bands of rows, where that pays."""

from collections.abc import Mapping, Sequence
from typing import Any

from cnnfast.ops import dispatch
from cnnfast.ops.plan import Plan

MOST = 8
"""Stages of one plan."""


def fuse(
    op: str, stages: Sequence[Plan], *, algorithm: str | None = None, max_workspace: int = 0,
    told: Mapping[str, Any] | None = None,
) -> Plan:  # fmt: skip
    """One plan of `stages`, each of which reads what the one before it gives; the bits are theirs.

    `told` is what tells this problem from others of the op, for `algorithm="tune"`.

    >>> import numpy as np, cnnfast
    >>> first = cnnfast.plan_conv2d((1, 8, 8, 3), np.ones((1, 1, 3, 4), np.float32))
    >>> second = cnnfast.plan_conv2d((1, 8, 8, 4), np.ones((3, 3, 4, 2), np.float32))
    >>> fuse("inverted_residual2d", [first, second]).output_shape()
    (1, 6, 6, 2)
    """
    first, y_shape = stages[0], stages[-1].output_shape()
    native = dispatch.native_plan(
        op, first.input_shape, y_shape, *(each.native for each in stages), dtype=first.dtype, told=told,
        layout=first.layout, algorithm=algorithm, max_workspace=max_workspace,
    )  # fmt: skip
    return Plan(op, native, first.input_shape, y_shape, first.dtype, first.layout)
