"""softmaxed: softmax and log_softmax along an axis, and their gradients from the output.

`rows`: the axis is contiguous: a block a row, whose threads read it twice (or three times: maximum, sum, result), the
second time from the cache; sums in a fixed tree. `columns`: another axis: a thread a line, neighbours in memory side by
side.

Bytes moved: x once and y once, the least there is, as long as a row stays in the cache between the readings.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from cnnfast.backends.cuda.elements import ELEMENTS
from cnnfast.backends.cuda.generate import generated
from cnnfast.backends.cuda.intrinsics.arithmetic import maximum, quotient
from cnnfast.backends.cuda.kernel import Kernel, Plan, Row, Step, kernel
from cnnfast.backends.cuda.toolchain import device, types

from .places import counted


class Softmax(NamedTuple):
    """outer lines of `size` elements, `inner` beside each other: element i of line (o, j) lies at
    (o * size + i) * inner + j. gradient: of x, by (grad_output, y)."""

    logarithm: bool
    gradient: bool
    outer: int
    size: int
    inner: int
    dtype: str


def _functions(logarithm: bool, gradient: bool) -> dict[str, Any]:
    """term: what is added up; result: of an element and the line's maximum and sum."""

    def exponential(v: Any, w: Any, most: Any) -> Any:
        return math.exp(v - most)

    def share(v: Any, w: Any, most: Any, total: Any) -> Any:
        return math.exp(v - most) / total

    def logarithm_of(v: Any, w: Any, most: Any, total: Any) -> Any:
        return (v - most) - math.log(total)

    def product(g: Any, y: Any, most: Any) -> Any:
        return g * y

    def own(g: Any, y: Any, most: Any) -> Any:
        return g

    def by_share(g: Any, y: Any, most: Any, total: Any) -> Any:
        return y * (g - total)

    def by_logarithm(g: Any, y: Any, most: Any, total: Any) -> Any:
        return g - math.exp(y) * total

    chosen = {
        (False, False): (exponential, share), (True, False): (exponential, logarithm_of),
        (False, True): (product, by_share), (True, True): (own, by_logarithm),
    }[logarithm, gradient]  # fmt: skip
    return {"term": device(chosen[0]), "result": device(chosen[1])}


@kernel
def softmaxed(logarithm: bool, gradient: bool, dtype: str, threads: int) -> Kernel:
    """threads: of a block along a row; 0: a thread a line."""
    element = ELEMENTS[dtype]
    real = np.float64 if dtype == "float64" else np.float32
    known: dict[str, Any] = {
        "load": element.load, "store": element.store, "maximum": maximum, "quotient": quotient, "zero": real(0),
        "lowest": real(-np.inf), "kind": types.float64 if dtype == "float64" else types.float32,
        **_functions(logarithm, gradient),
    }  # fmt: skip
    if threads:
        lines = [f"shared = cuda.shared.array({threads}, kind)", "tx = cuda.threadIdx.x",
                 "base, first, step = cuda.blockIdx.x * size, tx, " + str(threads)]  # fmt: skip
    else:
        lines = ["i = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x", "if i >= count:", "    return",
                 "o = quotient(i, inner)", "base = o * size * inner + i - o * inner", "first, step = 0, 1"]  # fmt: skip
    at = "base + i * inner" if not threads else "base + i"

    def over(body: str) -> list[str]:
        second = f"load(y, {at})" if gradient else "zero"
        return ["i = first", "while i < size:", f"    v, w = load(x, {at}), {second}", f"    {body}", "    i += step"]

    def joined(name: str, together: str) -> list[str]:
        if not threads:
            return []
        made = [f"shared[tx] = {name}", "cuda.syncthreads()"]
        half = threads
        while half > 1:
            half //= 2
            text = together.format("shared[tx]", f"shared[tx + {half}]")
            made += [f"if tx < {half}:", f"    shared[tx] = {text}", "cuda.syncthreads()"]
        return [*made, f"{name} = shared[0]", "cuda.syncthreads()"]

    lines.append("most = lowest")
    if not gradient:
        lines += [*over("most = maximum(most, v)"), *joined("most", "maximum({}, {})")]
    lines += ["total = zero", *over("total += term(v, w, most)"), *joined("total", "{} + {}")]
    lines += over(f"store(out, {at}, result(v, w, most, total))")
    made = generated("softmaxed", ["x", "y", "out", "count", "size", "inner"], lines, **known)
    parameters = (*(element.pointer,) * 3, *(types.int64,) * 3)
    return Kernel("", made, parameters, (threads or 128, 1, 1))


def plan(problem: Softmax, tile: None) -> Plan:
    """One launch."""
    count = problem.outer * problem.inner
    threads = 0
    if problem.inner == 1 and problem.size >= 32:
        threads = 32
        while threads < 256 and threads * 4 < problem.size:
            threads *= 2
    made = softmaxed(problem.logarithm, problem.gradient, problem.dtype, threads)
    blocks = count if threads else -(counted("lines", count) // -128)
    names = ("x", "y" if problem.gradient else "x", "out")
    return Plan((Step(made, (blocks, 1, 1), names, (count, problem.size, problem.inner)),) if blocks else ())


ROW = Row("softmaxed", lambda problem: True, plan)
