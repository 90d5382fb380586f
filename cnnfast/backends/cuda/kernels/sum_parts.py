"""The second step of a sum that blocks made in parts: the parts in their order, then bias, residual and activation."""

from typing import Any

import numpy as np

from cnnfast.backends.cuda.activations import activation
from cnnfast.backends.cuda.elements import ELEMENTS
from cnnfast.backends.cuda.kernel import Kernel, Step, kernel
from cnnfast.backends.cuda.toolchain import cuda, types

THREADS = 128


@kernel
def sum_parts(dtype: str, after: tuple[str | None, float], has_bias: bool, has_residual: bool) -> Kernel:
    """y[i] = activation(bias[i / inner % K] + residual[i] + the sum over j of parts[j * count + i])."""
    element = ELEMENTS[dtype]
    computed = ELEMENTS[element.computed.name]
    load, store, zero = element.load, element.store, element.computed(0)
    activate = activation(*after, computed=computed.name)

    def total(parts: Any, bias: Any, residual: Any, y: Any, count: Any, parts_count: Any, inner: Any, K: Any) -> None:
        i = np.int32(cuda.grid(1))
        if i >= count:
            return
        value = zero
        for j in range(parts_count):
            value += parts[np.int64(j) * count + i]
        if has_bias:
            value += load(bias, i // inner % K)
        if has_residual:
            value += load(residual, i)
        store(y, i, activate(value))

    return Kernel("", total, (computed.pointer, *(element.pointer,) * 3, *(types.int32,) * 4), (THREADS, 1, 1))


def second_step(
    dtype: str, count: int, parts: int, names: tuple[str, str, str, str], inner: int = 1, filters: int = 1,
    after: tuple[str | None, float] = (None, 0.0),
) -> Step:  # fmt: skip
    """`names`: of the parts, bias ("" where there is none), residual (likewise) and y, all lying alike."""
    made = sum_parts(dtype, after, bool(names[1]), bool(names[2]))
    arrays = names[0], names[1] or names[3], names[2] or names[3], names[3]
    return Step(made, (-(count // -THREADS), 1, 1), arrays, (count, parts, inner, filters))
