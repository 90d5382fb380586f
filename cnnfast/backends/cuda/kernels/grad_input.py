"""The gradient with respect to a convolution's input, and so the transposed convolution, as convolutions.

x[h] met y[p] at tap r where h = p * stride - top + r * dilation. The rows h of one remainder by the stride meet every
(stride / gcd(stride, dilation))-th tap, at p = h // stride + something - a step per tap: a convolution of stride 1 and
negative dilation. So there are stride_h * stride_w of them, each with its own taps, and none multiplies by zeros.
"""

from collections.abc import Iterator
from itertools import product as pairs
from math import gcd
from typing import NamedTuple

from cnnfast.backends.cuda.kernel import Plan, Row
from cnnfast.backends.cuda.problem import Conv

from . import product
from .direct import fits
from .pad import folding, padded
from .product import Product, Setting


class Phase(NamedTuple):
    """Along an axis: the first row of the input and how many, the first tap, how many and the step between them; and
    the padding and dilation of the convolution that they are."""

    first: int
    rows: int
    tap: int
    taps: int
    step: int
    padding: int
    dilation: int


def phases(size: int, kernel: int, stride: int, dilation: int, top: int) -> Iterator[Phase]:
    """All rows of an axis, by their remainder."""
    step = stride // gcd(stride, dilation)
    for first in range(min(stride, size)):
        met = [tap for tap in range(kernel) if (first + top - tap * dilation) % stride == 0]
        tap = met[0] if met else 0
        padding = -((first + top - tap * dilation) // stride)
        yield Phase(first, -((first - size) // stride), tap, len(met), step, padding, -(step * dilation // stride))


def products(problem: Conv) -> list[Product]:
    """The convolutions that make the gradient of the forward convolution `problem`; its epilogue is theirs. Their input
    is `y`, and they write `x`."""
    (wr, ws, wc, wk), (xn, xh, xw, xc) = problem.weight_strides, problem.x_strides
    rows, columns = (
        phases(size, kernel, problem.stride[i], problem.dilation[i], problem.padding[i][0])
        for i, (size, kernel) in enumerate(((problem.H, problem.R), (problem.W, problem.S)))
    )
    made: list[Product] = []
    for h, w in pairs(rows, columns):
        conv = problem._replace(
            H=problem.P, W=problem.Q, C=problem.K, K=problem.C, R=h.taps, S=w.taps, P=h.rows, Q=w.rows, stride=(1, 1),
            padding=((h.padding, 0), (w.padding, 0)), dilation=(h.dilation, w.dilation), x_strides=problem.y_strides,
            weight_strides=(wr * h.step, ws * w.step, wk, wc),
            y_strides=(xn, xh * problem.stride[0], xw * problem.stride[1], xc),
        )  # fmt: skip
        group = problem.K // problem.groups * wk
        at_w, at_x = h.tap * wr + w.tap * ws, h.first * xh + w.first * xw
        made.append(Product(conv, group, at_w, at_x, ("y", "weight", "x"), number=len(made)))
    return made


def plan(problem: Conv, tile: Setting) -> Plan:
    """A launch a phase, each with its weights in order; to a copy with its border where that has to be folded back."""
    whole = problem.padding_mode == "zeros"
    made = products(problem if whole else padded(problem)[0])
    plans = [product.plan(phase if whole else phase._replace(arrays=("y", "weight", "padded")), tile) for phase in made]
    scratch = {name: size for part in plans for name, size in part.scratch.items()}
    steps = tuple(step for part in plans for step in part.steps)
    if whole:
        return Plan(steps, scratch)
    scratch["padded"] = padded(problem)[1], problem.dtype
    return Plan((*steps, folding(problem, ("padded", "x"))), scratch)


ROW = Row("direct", fits, plan, lambda problem: product.settings(products(problem)[0])[:2])
