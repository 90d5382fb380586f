"""Plans that run one after another as one plan: what one gives goes to the next in bands of rows, where that pays."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cnnfast.backends import native
from cnnfast.ops import dispatch
from cnnfast.ops.plan import Plan

_JOINED = {
    ("conv2d", "depthwise_conv2d", "conv2d"): "inverted_residual2d",
    ("depthwise_conv2d", "conv2d"): "inverted_residual2d",
    ("conv2d", "max_pool2d"): "conv2d_max_pool2d",
    ("conv2d", "avg_pool2d"): "conv2d_max_pool2d",
}
"""Ops of a network that become one where that pays, and the op that they are planned as. Longer ones first."""


Maker = Callable[[str | None], Plan]
"""A stage computed by the row of this name, or by the one that "auto" takes."""


def fuse(
    op: str, makers: Sequence[Maker], *, algorithm: str | None, max_workspace: int, told: Mapping[str, Any]
) -> Plan:
    """One plan of stages, each of which reads what the one before it gives; the bits are theirs.

    The stages are as "auto" has them, or the leanest where max_workspace, or the process's limit, does not allow that.
    `told` is what tells this problem from others of the op, for `algorithm="tune"`.
    """
    limits = {"algorithm": algorithm, "max_workspace": max_workspace, "told": told}
    try:
        return _fused(op, [make(None) for make in makers], **limits)
    except ValueError:
        if not (max_workspace or native.get_max_workspace()):
            raise
    return _fused(op, [_leanest(make) for make in makers], **limits)


def _leanest(make: Maker) -> Plan:
    rows = [row for row in make(None).explain().candidates if row.accepts]
    return make(min(rows, key=lambda row: row.needed_size).algorithm)


def _fused(op: str, stages: Sequence[Plan], **limits: Any) -> Plan:
    first, y_shape = stages[0], stages[-1].output_shape()
    plan = dispatch.native_plan(
        op, first.input_shape, y_shape, *(each.native for each in stages), dtype=first.dtype, layout=first.layout,
        **limits,
    )  # fmt: skip
    return Plan(op, plan, first.input_shape, y_shape, first.dtype, first.layout)


def join(runs: Sequence[object]) -> tuple[Plan, int] | None:
    """One plan of as many of these runs, from the first on, as are faster in bands, and how many they are.

    >>> join([print]) is None
    True
    """
    for ops, op in _JOINED.items():
        stages = [run for run in runs[: len(ops)] if isinstance(run, Plan)]
        if tuple(stage.op for stage in stages) == ops:
            try:
                plan = _fused(op, stages)
            except ValueError:  # apart, they may stay within the process's limit
                continue
            if plan.algorithm == "bands":
                return plan, len(ops)
    return None
