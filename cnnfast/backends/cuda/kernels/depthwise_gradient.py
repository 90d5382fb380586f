"""The gradients of depthwise convolutions.

With respect to the input: at stride 1 and one filter a channel, the depthwise convolution of grad_output by the filters
turned round; else `gathered`, where each pixel adds up the outputs that read it.

With respect to the weight: `taps`, in fixed parts of the rows. A thread holds the sums of one filter row of its
channels, in 16-byte vectors where these lie side by side; threads of a block share the rows of the filter, so that x
and grad_output leave memory once. For a run of 8 outputs at stride 1 it loads 8 + (7 + S) vectors for 8 * S
multiply-adds. The parts are added in order by `kernels.reduced.joined`.
"""

from typing import Any, NamedTuple

from cnnfast.backends.cuda.elements import ELEMENTS, access, wide_needs
from cnnfast.backends.cuda.generate import generated, member
from cnnfast.backends.cuda.intrinsics.arithmetic import quotient
from cnnfast.backends.cuda.intrinsics.lanes import kept, multiply_add
from cnnfast.backends.cuda.kernel import Kernel, Plan, Row, Step, kernel
from cnnfast.backends.cuda.problem import Conv
from cnnfast.backends.cuda.toolchain import types

from . import depthwise, reduced
from .places import counted, threads

THREADS, BLOCKS, RUN = 128, 1024, 8
LONGEST = 256
"""Rows of a filter whose weight's gradient is asked for: a block has a thread for each."""


class Form(NamedTuple):
    """last: channels last. lanes: of a load. taps, stride, dilation: along W. block: channels, filter rows, rows."""

    last: bool
    lanes: int
    taps: int
    stride: int
    dilation: int
    block: tuple[int, int, int]


@kernel
def taps(dtype: str, form: Form) -> Kernel:
    """The kernel that adds up x times grad_output for each tap, part by part."""
    element, (_, lanes, S, stride, gap, (bk, br, bz)) = ELEMENTS[dtype], form
    load, _ = access(dtype, lanes)
    zero = element.computed(0)
    computed = types.float64 if dtype == "float64" else types.float32
    known: dict[str, Any] = {
        "load": load, "quotient": quotient, "kept": kept(lanes), "multiply_add": multiply_add(lanes), "kind": computed,
        "zeros": zero if lanes == 1 else (zero,) * lanes,
    }  # fmt: skip
    scalars = ["H", "W", "K", "R", "P", "Q", "rows", "multiplier", "SH", "DH", "top", "left", "tiles", "chunk", "size",
               "xn", "xh", "xw", "xc", "gn", "gp", "gq", "gk", "wr", "ws", "wk"]  # fmt: skip
    lines = [
        f"shared = cuda.shared.array({bk * br * bz * lanes}, kind)",
        "tx, r, tz = cuda.threadIdx.x, cuda.threadIdx.y, cuda.threadIdx.z",
        "part = quotient(cuda.blockIdx.x, tiles)",
        f"k = ((cuda.blockIdx.x - part * tiles) * {bk} + tx) * {lanes}",
        f"inner = min(k, K - {lanes})", "c = quotient(inner, multiplier)",
        "row, end = part * chunk + tz, min(rows, (part + 1) * chunk)", *(f"t{s} = zeros" for s in range(S)),
        "while row < end:", "    n = quotient(row, P)", "    p = row - n * P", "    h = p * SH - top + r * DH",
        "    if h >= 0 and h < H:", "        q = 0", "        from_x = n * xn + h * xh + c * xc",
        "        from_g = n * gn + p * gp + inner * gk", "        while q < Q:",
    ]  # fmt: skip
    for u in range(RUN):
        lines.append(f"            g{u} = kept(q + {u} < Q, load(grad, from_g + min(q + {u}, Q - 1) * gq))")
    lines.append(f"            w = q * {stride} - left")
    for at in sorted({u * stride + s * gap for u in range(RUN) for s in range(S)}):
        place = f"from_x + min(max(w + {at}, 0), W - 1) * xw"
        lines.append(f"            v = kept((w + {at} >= 0) & (w + {at} < W), load(x, {place}))")
        for u in range(RUN):
            s, rest = divmod(at - u * stride, gap)
            if rest == 0 and 0 <= s < S:
                lines.append(f"            t{s} = multiply_add(t{s}, v, g{u})")
    lines += [f"            q += {RUN}", f"    row += {bz}"]
    for s in range(S):
        mine = f"((tz * {br} + r) * {bk} + tx) * {lanes}"
        lines += [f"shared[{mine} + {k}] = {member(f't{s}', k, lanes)}" for k in range(lanes)]
        lines += ["cuda.syncthreads()", "if tz == 0 and k < K:"]
        for k in range(lanes):
            other = f"((i * {br} + r) * {bk} + tx) * {lanes} + {k}"
            lines += [f"    total = {member(f't{s}', k, lanes)}", f"    for i in range(1, {bz}):",
                      f"        total += shared[{other}]",
                      f"    parts[part * size + r * wr + {s} * ws + (k + {k}) * wk] = total"]  # fmt: skip
        lines.append("cuda.syncthreads()")
    made = generated("taps", ["x", "grad", "parts", *scalars], lines, **known)
    out = ELEMENTS["float64" if dtype == "float64" else "float32"].pointer
    parameters = (element.pointer, element.pointer, out, *(types.int64,) * len(scalars))
    return Kernel("", made, parameters, form.block, needs=wide_needs(dtype)[:1] if lanes > 1 else ())


def weight_plan(problem: Conv, tile: None) -> Plan:
    """Of conv2d's problem with one channel a group: x, grad (which lies as y does), and the weight's result."""
    last = problem.x_strides[3] == problem.y_strides[3] == 1 and problem.K > 1
    if problem.R > LONGEST:
        raise ValueError(f"kernel_size must be at most {LONGEST} rows on a CUDA device, got {problem.R}")
    lanes = ELEMENTS[problem.dtype].width
    steps = (problem.K, *problem.x_strides[:3], *problem.y_strides[:3])
    wide = last and problem.aligned and problem.K == problem.C and all(step % lanes == 0 for step in steps)
    lanes = lanes if wide else 1
    rows = problem.N * problem.P
    bk = threads(problem.K // lanes, max(1, min(16, THREADS // problem.R)))
    bz = threads(rows, max(1, THREADS // (bk * problem.R)))
    form = Form(last, lanes, problem.S, problem.stride[1], problem.dilation[1], (bk, problem.R, bz))
    tiles = -(problem.K // lanes // -bk)
    chunks = max(1, min(-(BLOCKS // -tiles), rows // (2 * bz), 512))
    chunk = -(rows // -chunks)
    size = problem.R * problem.S * problem.K
    wr, ws, _, wk = problem.weight_strides
    scalars = (
        problem.H, problem.W, problem.K, problem.R, problem.P, problem.Q, rows, problem.K // problem.C,
        problem.stride[0], problem.dilation[0], problem.padding[0][0], problem.padding[1][0], tiles, chunk, size,
        *problem.x_strides, *problem.y_strides, wr, ws, wk,
    )  # fmt: skip
    first = Step(taps(problem.dtype, form), (tiles * chunks, 1, 1), ("x", "grad", "parts"), scalars)
    finish = ("sums", ("copy",)), ("one", 1)
    end = reduced.joined(*finish, (problem.dtype, problem.dtype), False)
    second = Step(end, (-(size // -128), 1, 1), ("x", "parts", "result"), (size, chunks, 0, 1.0))
    computed = "float64" if problem.dtype == "float64" else "float32"
    return Plan((first, second), {"parts": (size * chunks, computed)})


@kernel
def gathered(dtype: str, lanes: int, kernel_size: tuple[int, int]) -> Kernel:
    """The kernel that adds up, for each pixel, the outputs that read it."""
    element, (R, S) = ELEMENTS[dtype], kernel_size
    load, store = access(dtype, lanes)
    zero = element.computed(0)
    known: dict[str, Any] = {
        "load": load, "store": store, "quotient": quotient, "multiply_add": multiply_add(lanes),
        "zeros": zero if lanes == 1 else (zero,) * lanes,
    }  # fmt: skip
    scalars = ["count", "vectors", "H", "W", "P", "Q", "multiplier", "SH", "SW", "DH", "DW", "top", "left", "xn", "xh",
               "xw", "xc", "wr", "ws", "wk", "gn", "gp", "gq", "gk"]  # fmt: skip
    lines = [
        "i = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x", "if i >= count:", "    return",
        "rest = quotient(i, vectors)", f"c = (i - rest * vectors) * {lanes}", "i = rest", "rest = quotient(i, W)",
        "w = i - rest * W", "n = quotient(rest, H)", "h = rest - n * H", "t = zeros",
        "for m in range(multiplier):", "    k = c * multiplier + m", f"    for r in range({R}):",
        "        a = h + top - r * DH", "        p = quotient(max(a, 0), SH)",
        "        if a >= 0 and p * SH == a and p < P:",
    ]  # fmt: skip
    for s in range(S):
        lines += [f"            b = w + left - {s} * DW", "            q = quotient(max(b, 0), SW)",
                  "            if b >= 0 and q * SW == b and q < Q:",
                  "                g = load(grad, n * gn + p * gp + q * gq + k * gk)",
                  f"                t = multiply_add(t, g, load(weight, r * wr + {s} * ws + k * wk))"]  # fmt: skip
    lines.append("store(result, n * xn + h * xh + w * xw + c * xc, t)")
    made = generated("gathered", ["grad", "weight", "result", *scalars], lines, **known)
    parameters = (*(element.pointer,) * 3, *(types.int64,) * len(scalars))
    return Kernel("", made, parameters, (THREADS, 1, 1), needs=wide_needs(dtype) if lanes > 1 else ())


def _gathered(problem: Conv, tile: None) -> Plan:
    element = ELEMENTS[problem.dtype]
    fast = (problem.x_strides[3], problem.y_strides[3], problem.weight_strides[3])
    steps = (problem.K, *problem.x_strides[:3], *problem.y_strides[:3], *problem.weight_strides[:2])
    wide = problem.aligned and problem.K == problem.C and fast == (1, 1, 1)
    lanes = element.width if wide and all(step % element.width == 0 for step in steps) else 1
    vectors = problem.C // lanes
    count = counted("pixels' channels (or vectors of them)", problem.N * problem.H * problem.W * vectors)
    wr, ws, _, wk = problem.weight_strides
    scalars = (
        count, vectors, problem.H, problem.W, problem.P, problem.Q, problem.K // problem.C, *problem.stride,
        *problem.dilation, problem.padding[0][0], problem.padding[1][0], *problem.x_strides, wr, ws, wk,
        *problem.y_strides,
    )  # fmt: skip
    made = gathered(problem.dtype, lanes, (problem.R, problem.S))
    return Plan((Step(made, (-(count // -THREADS), 1, 1), ("grad", "weight", "result"), scalars),) if count else ())


def _turned(problem: Conv, tile: None) -> Plan:
    """The forward kernel, from grad_output to the input, by filters read from their ends."""
    (top, _), (left, _) = problem.padding
    reach = [gap * (size - 1) for gap, size in zip(problem.dilation, (problem.R, problem.S), strict=True)]
    wr, ws, wc, wk = problem.weight_strides
    back = problem._replace(
        H=problem.P, W=problem.Q, P=problem.H, Q=problem.W, x_strides=problem.y_strides, y_strides=problem.x_strides,
        weight_strides=(-wr, -ws, wc, wk), padding=((reach[0] - top, 0), (reach[1] - left, 0)),
        activation=(None, 0.0), has_bias=False, has_residual=False,
    )  # fmt: skip
    steps = depthwise.plan(back, depthwise.tiles(back)[0]).steps
    return Plan(tuple(step._replace(arrays=("grad", "weight", "grad", "grad", "result")) for step in steps))


INPUT_ROWS: tuple[Row, ...] = (
    Row("turned", lambda problem: problem.stride == (1, 1) and problem.K == problem.C, _turned),
    Row("gathered", lambda problem: True, _gathered),
)
WEIGHT_ROWS: tuple[Row, ...] = (Row("taps", lambda problem: True, weight_plan),)
