"""resized: images of another size, each output from the one or four pixels it comes from: pad2d and upsample2d. One
thread an output, of 16 bytes of channels where those lie side by side.

Bytes moved: x and y once, the least there is; pixels that several outputs read come from the cache.
"""

from typing import Any, NamedTuple

import numpy as np

from cnnfast.backends.cuda.elements import ELEMENTS, access, wide_needs
from cnnfast.backends.cuda.generate import generated, member, tuple_of
from cnnfast.backends.cuda.intrinsics.arithmetic import quotient
from cnnfast.backends.cuda.kernel import Kernel, Plan, Row, Step, kernel
from cnnfast.backends.cuda.problem import Pair, Strides
from cnnfast.backends.cuda.toolchain import types

from .conv_plain import border
from .places import counted

THREADS = 256


class Resize(NamedTuple):
    """y from x. mode: a padding's ("constant", "reflect", "replicate", "circular"), "nearest" or "bilinear". start: the
    padding above and left. scale: of an upsampling. Strides: along N, H, W, C."""

    mode: str
    N: int
    H: int
    W: int
    C: int
    P: int
    Q: int
    dtype: str
    x_strides: Strides
    y_strides: Strides
    start: Pair = (0, 0)
    value: float = 0.0
    scale: Pair = (1, 1)
    align_corners: bool = False
    aligned: bool = True


def _between(axis: str, size: str, out: str, scale: str, align: bool) -> list[str]:
    """low, high and part of an axis: between which pixels an output lies, and how far from the lower."""
    place = f"real({axis}) * real({size} - 1) / real(max({out} - 1, 1))" if align else (
        f"max((real({axis}) + half) / real({scale}) - half, zero)"
    )  # fmt: skip
    return [f"place = {place}", f"{axis}0 = int(place)", f"{axis}_part = real(place - real({axis}0))",
            f"{axis}1 = min({axis}0 + 1, {size} - 1)"]  # fmt: skip


@kernel
def resized(mode: str, dtype: str, align: bool, last: bool, lanes: int) -> Kernel:
    """The kernel of a mode; `last`: threads along channels first, else along pixels."""
    element = ELEMENTS[dtype]
    load, store = access(dtype, lanes)
    real = np.float64 if dtype == "float64" else np.float32
    known: dict[str, Any] = {"load": load, "store": store, "quotient": quotient, "real": real, "half": real(0.5),
                             "zero": real(0), "one": real(1)}  # fmt: skip
    if mode not in ("nearest", "bilinear"):
        known["inside"] = border("zeros" if mode == "constant" else mode)
    scalars = ["count", "vectors", "H", "W", "C", "P", "Q", "top", "left", "SH", "SW", "xn", "xh", "xw", "xc", "yn",
               "yp", "yq", "yc", "value"]  # fmt: skip
    lines = ["i = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x", "if i >= count:", "    return"]
    if last:
        lines += ["rest = quotient(i, vectors)", f"c = (i - rest * vectors) * {lanes}", "i = rest"]
    lines += ["rest = quotient(i, Q)", "q = i - rest * Q", "i = rest", "rest = quotient(i, P)", "p = i - rest * P"]
    lines += ["n = rest"] if last else ["n = quotient(rest, C)", "c = rest - n * C"]
    lines += ["base = n * xn + c * xc", "to = n * yn + p * yp + q * yq + c * yc"]
    if mode == "nearest":
        lines += ["h, w = quotient(p, SH), quotient(q, SW)", "store(y, to, load(x, base + h * xh + w * xw))"]
    elif mode == "bilinear":
        lines += _between("p", "H", "P", "SH", align) + _between("q", "W", "Q", "SW", align)
        lines += [f"v{a}{b} = load(x, base + p{a} * xh + q{b} * xw)" for a in (0, 1) for b in (0, 1)]
        parts = []
        for k in range(lanes):
            a, b, c, d = (member(f"v{at}", k, lanes) for at in ("00", "10", "01", "11"))
            left, right = (f"((one - p_part) * {u} + p_part * {v})" for u, v in ((a, b), (c, d)))
            parts.append(f"(one - q_part) * {left} + q_part * {right}")
        lines.append(f"store(y, to, {tuple_of(parts)})")
    else:
        lines += ["h, w = inside(p - top, H), inside(q - left, W)", "if h < 0 or w < 0:",
                  f"    store(y, to, {tuple_of(['real(value)'] * lanes)})", "else:",
                  "    store(y, to, load(x, base + h * xh + w * xw))"]  # fmt: skip
    made = generated("resized", ["x", "y", *scalars], lines, **known)
    parameters = (element.pointer, element.pointer, *(types.int64,) * (len(scalars) - 1), types.float64)
    return Kernel("", made, parameters, (THREADS, 1, 1), needs=wide_needs(dtype) if lanes > 1 else ())


def plan(problem: Resize, tile: None) -> Plan:
    """One launch."""
    last = problem.x_strides[3] == problem.y_strides[3] == 1 and problem.C > 1
    lanes = ELEMENTS[problem.dtype].width
    steps = (problem.C, *problem.x_strides[:3], *problem.y_strides[:3])
    if not (last and problem.aligned and all(step % lanes == 0 for step in steps)):
        lanes = 1
    made = resized(problem.mode, problem.dtype, problem.align_corners, last, lanes)
    vectors = problem.C // lanes
    count = counted("outputs (or vectors of them)", problem.N * problem.P * problem.Q * vectors)
    scalars = (
        count, vectors, problem.H, problem.W, problem.C, problem.P, problem.Q, *problem.start, *problem.scale,
        *problem.x_strides, *problem.y_strides, problem.value,
    )  # fmt: skip
    return Plan((Step(made, (-(count // -THREADS), 1, 1), ("x", "y"), scalars),) if count else ())


ROW = Row("resized", lambda problem: True, plan)
