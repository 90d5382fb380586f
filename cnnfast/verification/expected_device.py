"""The bounds of a CUDA device's kernels, where they are others than the CPU's."""

from dataclasses import replace

import numpy as np

from cnnfast.verification.case import Case
from cnnfast.verification.expected import PRECISIONS, Expected


def on_device(case: Case, right: Expected) -> Expected:
    """All of float32 is computed in float32 there: lp_pool2d's powers and sums too; the places that upsample2d reads
    at, which err by as much of a pixel as they are far; and gelu's erfc, whose argument's rounding its tail multiplies
    by the argument's square."""
    if right.bound is None:
        return right
    u, value = PRECISIONS[case.dtype.name].u, np.abs(right.value)
    if case.op == "lp_pool2d":
        window = np.prod(np.broadcast_to(case.lowered["kernel_size"], 2))
        return replace(right, bound=right.bound + u * (window + 16) * (1 + 1 / case.lowered["norm_type"]) * value)
    if case.op == "upsample2d":
        reach = np.abs(case.x).max() * max(case.x.shape[1:3])
        return replace(right, bound=right.bound + 8 * u * reach)
    if case.op == "gelu" and case.attributes["approximate"] == "none":
        return replace(right, bound=right.bound + 2 * u * case.x.astype(np.float64) ** 2 * value)
    return right
