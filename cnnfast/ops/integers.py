"""Integer convolutions are exact, so one whose sum could leave its accumulator is refused."""

from typing import Any

import numpy as np

from cnnfast.ops import options
from cnnfast.ops.arrays import Array


def check(
    weight: Array, axis: int, bias: Array | None, x_dtype: np.dtype[Any], y_dtype: np.dtype[Any], largest: int,
    activation: str | None,
) -> None:  # fmt: skip
    """Refuse what an integer x cannot have: a sum for a filter is at most largest * sum|weight| + |bias|.

    `axis` is the weight's axis of filters, `largest` the largest |x| that comes (0: the dtype's).
    """
    if activation not in options.INTEGER_ACTIVATIONS:
        raise ValueError(f'activation must be None, "relu" or "relu6" for an integer x ({x_dtype}), got "{activation}"')
    largest = largest or max(-int(np.iinfo(x_dtype).min), int(np.iinfo(x_dtype).max))
    limit = int(np.iinfo(y_dtype).max)
    totals = _abs_sums(np.moveaxis(weight, axis, 0).reshape(weight.shape[axis], -1))
    biases = [0] * len(totals) if bias is None else [abs(int(b)) for b in bias]
    for k, (total, b) in enumerate(zip(totals, biases, strict=True)):
        if largest * total + b > limit:
            raise ValueError(
                f"weight must keep every sum within {y_dtype}: filter {k} has sum |weight| {total} and bias {b}, and "
                f"|x| may be {largest}, so a sum may reach {largest * total + b}, beyond {limit}"
            )


def _abs_sums(rows: Array) -> list[int]:
    """Exact sum of |w| along each row: int64's own sums could wrap, so the halves of |w| are summed apart."""
    size = np.abs(rows).view(np.uint64)  # |-2**63| wraps to itself, which as uint64 is right
    high = (size >> np.uint64(32)).sum(axis=1, dtype=np.uint64)
    low = (size & np.uint64(2**32 - 1)).sum(axis=1, dtype=np.uint64)
    return [(int(h) << 32) + int(part) for h, part in zip(high, low, strict=True)]
