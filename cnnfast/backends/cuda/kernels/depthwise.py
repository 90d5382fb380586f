"""depthwise: a filter a channel (or `multiplier` filters). A thread makes a run of outputs of one line and keeps their
sums in registers; each input is loaded once for all the taps it meets.

Channels last, the run lies along W, in 16-byte vectors of channels: a tap line costs S loads of weights and
(run - 1) * stride + S of inputs for run * S multiply-adds of a vector. At run = 8, stride 1, that is 4.9 loads an
output for 3x3, 10.6 for 5x5 and 18.4 for 7x7. Channels first, the run lies along H and the threads along W.

Bytes moved: x and y once, the least there is, and of the lines that runs share what leaves the first cache: a block is
a tile of lines, so that for 3x3 it asks the second cache for (8 + 2) / 8 of x.
"""

from typing import NamedTuple

from cnnfast.backends.cuda.activations import activation
from cnnfast.backends.cuda.elements import ELEMENTS, access, wide_needs
from cnnfast.backends.cuda.generate import generated, member, tuple_of
from cnnfast.backends.cuda.intrinsics.arithmetic import quotient
from cnnfast.backends.cuda.intrinsics.lanes import kept, multiply_add
from cnnfast.backends.cuda.kernel import Kernel, Plan, Row, Step, kernel
from cnnfast.backends.cuda.problem import Conv
from cnnfast.backends.cuda.toolchain import types

from .places import threads, tiled

THREADS = 128


class Form(NamedTuple):
    """last: channels last. run: outputs of a thread. line: (taps, stride, dilation) along the run, and `across` along
    the other axis. block: threads along (channels, runs, lines), or along (q, runs, channels)."""

    last: bool
    lanes: int
    run: int
    line: tuple[int, int, int]
    across: tuple[int, int, int]
    block: tuple[int, int, int]


SCALARS = ("A", "B", "U", "V", "K", "multiplier", "before_a", "before_b", "x_tiles", "y_tiles", "z_tiles", "count",
           "xn", "xa", "xb", "xc", "origin", "wa", "wb", "wk", "yn", "ya", "yb", "yk")  # fmt: skip
"""A, U: input and output along the run; B, V: along the other axis; before_*: their padding."""


def _place(form: Form) -> list[str]:
    """n, u (the run's first output), v and k of a thread."""
    d = form.block[2]
    lines = [*tiled(form.block), f"u = j * {form.run}"]
    if form.last:
        lines += ["n = quotient(rest, z_tiles)", f"v = (rest - n * z_tiles) * {d} + cuda.threadIdx.z",
                  f"k = i * {form.lanes}"]  # fmt: skip
    else:
        lines += [f"m = rest * {d} + cuda.threadIdx.z", "n = quotient(min(m, count - 1), K)", "v, k = i, m - n * K"]
        lines += ["if m >= count:", "    return"]
    return [*lines, "if u >= U or v >= V or k >= K:", "    return"]


@kernel
def depthwise(dtype: str, after: tuple[str | None, float], has_bias: bool, has_residual: bool, form: Form) -> Kernel:
    """The kernel for a dtype, an epilogue and a form."""
    element, (_, lanes, run, line, across, _) = ELEMENTS[dtype], form
    taps, stride, gap = line
    load, store = access(dtype, lanes)
    zero = element.computed(0)
    known = {
        "load": load, "store": store, "quotient": quotient, "kept": kept(lanes), "multiply_add": multiply_add(lanes),
        "activate": activation(*after, computed=element.computed.name),
        "zeros": zero if lanes == 1 else (zero,) * lanes,
    }  # fmt: skip
    lines = [
        *_place(form), "base = n * xn + quotient(k, multiplier) * xc",
        f"a, b = u * {stride} - before_a, v * {across[1]} - before_b", *(f"t{t} = zeros" for t in range(run)),
    ]  # fmt: skip
    places = sorted({t * stride + s * gap for t in range(run) for s in range(taps)})
    lines += [f"c{at} = base + min(max(a + {at}, 0), A - 1) * xa" for at in places]
    lines += [f"in{at} = (a + {at} >= 0) & (a + {at} < A)" for at in places]
    lines += [f"for r in range({across[0]}):", f"    at = b + r * {across[2]}", "    if at >= 0 and at < B:"]
    lines += [f"        w{s} = load(weight, origin + r * wb + {s} * wa + k * wk)" for s in range(taps)]
    for at in places:
        lines.append(f"        v{at} = kept(in{at}, load(x, c{at} + at * xb))")
        for t in range(run):
            s, rest = divmod(at - t * stride, gap)
            if rest == 0 and 0 <= s < taps:
                lines.append(f"        t{t} = multiply_add(t{t}, v{at}, w{s})")
    lines += ["bias_k = load(bias, k)"] if has_bias else []
    lines.append("to = n * yn + u * ya + v * yb + k * yk")
    for t in range(run):
        lines += [f"if u + {t} < U:", f"    total = t{t}"]
        terms = ["load(residual, to)"] if has_residual else []
        lines += [f"    more = {term}" for term in terms]
        values = [
            member("total", lane, lanes)
            + (f" + {member('bias_k', lane, lanes)}" if has_bias else "")
            + (f" + {member('more', lane, lanes)}" if has_residual else "")
            for lane in range(lanes)
        ]
        lines.append(f"    store(y, to, {tuple_of(f'activate({value})' for value in values)})")
        lines.append("to += ya")
    made = generated("depthwise", ["x", "weight", "bias", "residual", "y", *SCALARS], lines, **known)
    parameters = (*(element.pointer,) * 5, *(types.int64,) * len(SCALARS))
    return Kernel("", made, parameters, form.block, needs=wide_needs(dtype) if lanes > 1 else ())


def form(problem: Conv, run: int) -> Form:
    """Channels last where they lie side by side."""
    last = problem.x_strides[3] == problem.y_strides[3] == problem.weight_strides[3] == 1 and problem.K > 1
    lanes = ELEMENTS[problem.dtype].width
    steps = (problem.K, *problem.x_strides[:3], *problem.y_strides[:3], *problem.weight_strides[:2])
    wide = last and problem.aligned and problem.K == problem.C and all(step % lanes == 0 for step in steps)
    lanes = lanes if wide else 1
    kernels = problem.R, problem.S
    down, across = (
        (kernels[i], problem.stride[i], problem.dilation[i]) for i in (0, 1)
    )  # fmt: skip
    runs = -((problem.Q if last else problem.P) // -run)
    sizes = (problem.K // lanes, runs, problem.P) if last else (problem.Q, runs, problem.N * problem.K)
    i = threads(sizes[0], 8 * 16 // ELEMENTS[problem.dtype].bytes // lanes if last else 64)
    j = threads(sizes[1], min(THREADS // i, 2 if last else 4))
    block = i, j, threads(sizes[2], THREADS // i // j)
    return Form(last, lanes, run, across if last else down, down if last else across, block)


def plan(problem: Conv, run: int) -> Plan:
    """One launch. A negative stride of the weight says that it is walked backwards, from its last row or column."""
    found = form(problem, run)
    made = depthwise(problem.dtype, problem.activation, problem.has_bias, problem.has_residual, found)
    (xn, xh, xw, xc), (wr, ws, _, wk), (yn, yp, yq, yk) = problem.x_strides, problem.weight_strides, problem.y_strides
    start = -sum(min(0, step) * (size - 1) for step, size in ((wr, problem.R), (ws, problem.S)))
    N, H, W, P, Q, K = problem.N, problem.H, problem.W, problem.P, problem.Q, problem.K
    top, left = problem.padding[0][0], problem.padding[1][0]
    if found.last:
        sizes = K // found.lanes, -(Q // -run), P
        order = (W, H, Q, P), (left, top), (xn, xw, xh, xc, start, ws, wr, wk, yn, yq, yp, yk)
    else:
        sizes = Q, -(P // -run), N * K
        order = (H, W, P, Q), (top, left), (xn, xh, xw, xc, start, wr, ws, wk, yn, yp, yq, yk)
    tiles = [-(size // -threads) for size, threads in zip(sizes, found.block, strict=True)]
    blocks = tiles[0] * tiles[1] * tiles[2] * (N if found.last else 1)
    scalars = (*order[0], K, K // problem.C, *order[1], *tiles, N * K, *order[2])
    arrays = "x", "weight", "bias" if problem.has_bias else "x", "residual" if problem.has_residual else "x", "y"
    return Plan((Step(made, (blocks, 1, 1), arrays, scalars),) if blocks else ())


def takes(problem: Conv) -> bool:
    """One input channel a filter, zeros around, a window that can be written out."""
    return (
        problem.groups == problem.C and problem.padding_mode == "zeros" and max(problem.R, problem.S) <= 11
    )  # fmt: skip


def tiles(problem: Conv) -> tuple[int, ...]:
    """Runs, the one that wastes the fewest outputs first, and of equal ones the longest."""
    last = problem.x_strides[3] == 1 and problem.K > 1
    size = problem.Q if last else problem.P
    return tuple(sorted((8, 7, 4, 2), key=lambda run: (-(size // -run) * run, -run)))[:2]


ROW = Row("depthwise", takes, plan, tiles)
