"""Plans that run one after another as one plan: what one gives goes to the next in bands of rows, where that pays."""

from collections.abc import Mapping, Sequence
from typing import Any

from cnnfast.ops import dispatch
from cnnfast.ops.plan import Plan

_JOINED = {
    ("conv2d", "depthwise_conv2d", "conv2d"): "inverted_residual2d",
    ("depthwise_conv2d", "conv2d"): "inverted_residual2d",
    ("conv2d", "max_pool2d"): "conv2d_max_pool2d",
    ("conv2d", "avg_pool2d"): "conv2d_max_pool2d",
}
"""Ops of a network that become one where that pays, and the op that they are planned as. Longer ones first."""


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


def join(runs: Sequence[object]) -> tuple[Plan, int] | None:
    """One plan of as many of these runs, from the first on, as are faster in bands, and how many they are.

    >>> join([print]) is None
    True
    """
    for ops, op in _JOINED.items():
        stages = [run for run in runs[: len(ops)] if isinstance(run, Plan)]
        if tuple(stage.op for stage in stages) == ops:
            plan = fuse(op, stages)
            if plan.algorithm == "bands":
                return plan, len(ops)
    return None
