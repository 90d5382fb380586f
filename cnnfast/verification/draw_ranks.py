"""Cases in one and three dimensions: lines and volumes."""

from typing import Any, NamedTuple

import numpy as np

from cnnfast.ops import options, shapes
from cnnfast.ops.checks import Pair
from cnnfast.verification.case import Case
from cnnfast.verification.draw_conv import any_activation, large_kernel
from cnnfast.verification.sizes import Draw


class Window(NamedTuple):
    """A window over an input, per axis; `padding` in one of a user's forms."""

    size: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: Any
    sides: tuple[Pair, ...]


def conv(d: Draw) -> Case:
    rank = 1 if d.op == "conv1d" else 3
    w = _window(d, rank, [2, 4, 3, 1, 3], pool=False)
    mode = options.PADDING_MODES[d.pick(0.6, 0.15, 0.15, 0.1)]
    limits = [n - 1 if mode == "reflect" else n for n in w.size]
    if mode != "replicate" and any(max(w.sides[i]) > limits[i] for i in range(rank)):
        mode = "zeros"
    groups = d.pick(0.7, 0.2, 0.1) + 1
    C, K = groups * -(-d.few() // groups), groups * -(-d.channels() // groups)
    values = d.values(int(np.prod(w.kernel)) * C // groups)
    size = (shapes.conv_size(w.size[i], w.kernel[i], w.stride[i], w.sides[i], w.dilation[i]) for i in range(rank))
    y_shape = (N := d.batch(), *size, K)
    inputs = {
        "x": values.images(N, *w.size, C), "weight": values.weights(*w.kernel, C // groups, K),
        "bias": values.addends(K) if d.chance(0.6) else None,
        "residual": values.addends(*y_shape) if d.dtype.kind == "f" and d.chance(0.3) else None,
    }  # fmt: skip
    written = any_activation(d)
    same = {"groups": groups, "padding_mode": mode}
    attributes, lowered = _forms(w, ("stride", "dilation"))
    return d.case(
        inputs, attributes | same | {"activation": written},
        lowered | same | {"activation": options.activation("activation", written)},
    )  # fmt: skip


def pool(d: Draw) -> Case:
    average = d.op.startswith("avg")
    w = _window(d, 1 if d.op.endswith("1d") else 3, [1, 4, 3, 1], pool=True)
    if average:
        w = w._replace(dilation=(1,) * len(w.size))
    same: dict[str, Any] = {"ceil_mode": d.chance(0.3)}
    if average:
        same["count_include_pad"] = d.chance(0.5)
    values = d.values(int(np.prod(w.kernel)))
    attributes, lowered = _forms(w, ("kernel", "stride") if average else ("kernel", "stride", "dilation"))
    if w.kernel == w.stride and d.chance(0.5):
        attributes["stride"] = None
    return d.case({"x": values.images(d.batch(), *w.size, d.own_channels())}, attributes | same, lowered | same)


def _window(d: Draw, rank: int, kernels: list[float], pool: bool) -> Window:
    def each(*shares: float) -> tuple[int, ...]:
        return tuple(1 + d.pick(*shares) for _ in range(rank))

    kernel, stride, dilation = each(*kernels), each(5, 3, 1), each(8, 1, 1)
    if pool and d.op.startswith("avg"):
        dilation = (1,) * rank
    if pool and d.chance(0.3):
        stride = kernel
    if d.large:
        kernel, stride, dilation = (3,) * rank, (1,) * rank, (1,) * rank
    elif large_kernel(d) and not pool:
        kernel, stride = ((d.among(10, 17),) if rank == 1 else (d.among(1, 2), d.among(3, 5), 4)), (1,) * rank
    padding, sides = _padding(d, tuple(k // 2 if pool else k - 1 for k in kernel))
    same = padding == "same"
    more = 3000 if d.large and rank == 1 else 12 if d.large else 0
    size = tuple(
        max(dilation[i], 1 if same else shapes.dilated(kernel[i], dilation[i]) - sum(sides[i]))
        + more + d.pick(3, 3, 2, 2, 1, 1)
        for i in range(rank)
    )  # fmt: skip
    if same:
        sides = tuple(shapes.same_padding(size[i], kernel[i], stride[i], dilation[i]) for i in range(rank))
    return Window(size, kernel, stride, dilation, padding, sides)


def _padding(d: Draw, most: tuple[int, ...]) -> tuple[Any, tuple[Pair, ...]]:
    """In every form, with what it comes to; "same" comes to nothing yet."""
    form = d.pick(0.3, 0.2, 0.4, 0.1)
    if form == 0 or form == 3:
        return ("same" if form else "valid" if d.chance(0.3) else 0), ((0, 0),) * len(most)
    if form == 1:
        n = d.among(0, min(most))
        return n, ((n, n),) * len(most)
    sides = tuple((d.among(0, n), d.among(0, n)) for n in most)
    return (sides[0] if len(most) == 1 else sides), sides


def _forms(w: Window, names: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The window's attributes as a user writes them, and as the oracle takes them."""
    lines = len(w.size) == 1
    values = {"kernel": w.kernel, "stride": w.stride, "dilation": w.dilation}
    lowered = {("kernel_size" if name == "kernel" else name): values[name] for name in names}
    written = {name: each[0] if len(set(each)) == 1 else each for name, each in lowered.items()}
    padding: dict[str, Any] = {"padding": w.sides[0] if lines else w.sides}
    bare: dict[str, Any] = {name: each[0] if lines else each for name, each in lowered.items()}
    return {**written, "padding": w.padding}, bare | padding
