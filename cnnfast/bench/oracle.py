"""Is an output right? Pieces of it, real numbers of the real shape, against the float64 oracle.

The oracle is too slow for whole layers, so it is asked for a few windows of the output: the corners, where the padding
is, the middle, and some places drawn at random; each over the first, the last and some middle channels. A piece needs
only the part of the input its windows see, and that part with the padding it has at the border is a problem of its own.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cnnfast.backends import reference

from .arrays import Arrays
from .problem import Pair, Problem, Sides

UNIT = 2.0**-24  # of float32's rounding
EDGE = 5  # output rows and columns of a piece
CHANNELS = 40
DRAWN = 2  # pieces at places drawn at random

GROWTH = {
    "winograd_f23": 7.12,
    "winograd_f43": 59.7,
    "winograd_f63": 509.0,
    "winograd_f25": 46.3,
    "winograd_f35": 129.0,
    "winograd_f47": 158.2,
    "winograd_f23s2": 5.45,
    "winograd_f33s2": 5.45,
    "winograd_stem": 7.12,
    "winograd_grouped": 59.7,
    "fft": 725.0,
}
"""Rows that transform tiles: how far their intermediates may exceed a sum's terms. Winograd's: the norm of
|A^T|(|G| o |B^T|) over both axes, by the taps; the FFT's: sqrt(2 * the pixels of its largest tile), 512 x 512."""

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Piece:
    """A box of the output: image, rows, columns, channels."""

    image: int
    rows: slice
    columns: slice
    channels: slice


@dataclass
class Verdict:
    """The worst element seen: its error as a share of what it may be, and of what random data should give."""

    elements: int = 0
    bound_share: float = 0.0
    alarm_share: float = 0.0

    @property
    def right(self) -> bool:
        return self.bound_share <= 1


def judge(problem: Problem, arrays: Arrays, outputs: dict[str, NDArray[np.float32]]) -> dict[str, Verdict]:
    """One verdict an output, all of the same problem."""
    verdicts = {name: Verdict() for name in outputs}
    for piece in pieces(problem):
        expected, scale = solve(problem, arrays, piece)
        chain = tolerances(problem, scale)
        for name, y in outputs.items():
            bound, alarm = chain
            if name in GROWTH:
                bound = alarm = _transformed(problem, arrays, scale, GROWTH[name])
            got = y[piece.image : piece.image + 1, piece.rows, piece.columns, piece.channels].astype(np.float64)
            error = np.abs(got - expected)
            error[np.isnan(error)] = np.inf
            verdict = verdicts[name]
            verdict.elements += error.size
            verdict.bound_share = max(verdict.bound_share, worst(error, bound))
            verdict.alarm_share = max(verdict.alarm_share, worst(error, alarm))
    return verdicts


def pieces(problem: Problem) -> Iterator[Piece]:
    """The corners (of the first image in the first channels, of the last in the last), the middle, and places drawn."""
    n, p, q, k = problem.y_shape
    random = np.random.default_rng(n + p + q + k)
    places = [(0, row, column, 0) for row in (0, p) for column in (0, q)]
    places += [(n - 1, row, column, k) for row in (0, p) for column in (0, q)]
    places.append((n // 2, p // 2, q // 2, k // 2))
    for _ in range(DRAWN):
        image, row, column, channel = (int(random.integers(0, size)) for size in problem.y_shape)
        places.append((image, row, column, channel))
    seen = set()
    for image, row, column, channel in places:
        piece = Piece(image, _span(row, EDGE, p), _span(column, EDGE, q), _span(channel, CHANNELS, k))
        if repr(piece) not in seen:
            seen.add(repr(piece))
            yield piece


def _span(start: int, length: int, size: int) -> slice:
    start = min(start, max(size - length, 0))
    return slice(start, min(start + length, size))


def tolerances(problem: Problem, scale: Float64) -> tuple[Float64, Float64]:
    """(the bound no rounding can pass, the alarm for random data), from the scale: sum of |x||w|, plus |bias|."""
    if problem.op == "max_pool2d":
        return np.zeros_like(scale), np.zeros_like(scale)
    terms = {
        "conv2d": problem.r * problem.s * problem.c // problem.groups,
        "depthwise_conv2d": problem.r * problem.s,
        "separable_conv2d": problem.r * problem.s + 1 + problem.c * problem.multiplier,
        "conv_transpose2d": problem.r * problem.s * problem.c,
    }.get(problem.op, problem.r * problem.s + 1)
    gamma = (terms + 1) * UNIT / (1 - (terms + 1) * UNIT)
    return gamma * scale + (terms + 1) * 2.0**-150, 8 * np.sqrt(terms + 1) * UNIT * scale


def _transformed(problem: Problem, arrays: Arrays, scale: Float64, growth: float) -> Float64:
    """The bound of a row that transforms tiles: the largest numbers of all may meet in any output."""
    terms = problem.r * problem.s * (problem.c // problem.groups if problem.op == "conv2d" else 1)
    steps = 2 * terms + 104
    largest = terms * float(np.abs(arrays["x"]).max()) * float(np.abs(arrays["weight"]).max())
    return steps * UNIT / (1 - steps * UNIT) * (growth * largest + scale)


def worst(error: Float64, allowed: Float64) -> float:
    """The largest error / allowed; an error where none is allowed is infinite."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.where(error == 0, 0.0, error / allowed).max(initial=0.0))


def solve(problem: Problem, arrays: Arrays, piece: Piece) -> tuple[Float64, Float64]:
    """(the oracle's output of a piece, the same op on absolute values: the scale its rounding is measured by)."""
    x, sides, crop = _input_of(problem, arrays["x"][piece.image : piece.image + 1], piece)
    weights = _weights_of(problem, arrays, piece)
    values = _apply(problem, x, weights, sides)
    scale = _apply(problem, np.abs(x), {name: np.abs(array) for name, array in weights.items()}, sides)
    channels = slice(None) if _sliced_by_weight(problem) else piece.channels
    return values[:, *crop, channels], scale[:, *crop, channels]


def _input_of(
    problem: Problem, x: NDArray[np.float32], piece: Piece
) -> tuple[NDArray[np.float32], Sides, tuple[slice, slice]]:
    """The part of x a piece sees, the padding that part has, and where the piece lies in the result."""
    if problem.op == "global_avg_pool2d":
        return x, ((0, 0), (0, 0)), (slice(None), slice(None))
    rule = _transposed_span if problem.op == "conv_transpose2d" else _window_span
    rows, vertical, top = rule(problem, 0, piece.rows)
    columns, horizontal, left = rule(problem, 1, piece.columns)
    height, width = piece.rows.stop - piece.rows.start, piece.columns.stop - piece.columns.start
    return x[:, rows, columns], (vertical, horizontal), (slice(top, top + height), slice(left, left + width))


def _window_span(problem: Problem, axis: int, out: slice) -> tuple[slice, Pair, int]:
    size, (before, _) = (problem.h, problem.w)[axis], problem.padding[axis]
    reach = (problem.kernel_size[axis] - 1) * problem.dilation[axis] + 1
    start = out.start * problem.stride[axis] - before
    stop = (out.stop - 1) * problem.stride[axis] - before + reach
    inside = slice(min(max(start, 0), size), max(min(stop, size), 0))
    return inside, (max(-start, 0), max(stop - size, 0)), 0


def _transposed_span(problem: Problem, axis: int, out: slice) -> tuple[slice, Pair, int]:
    """Input h reaches outputs h*stride + r*dilation - before. All that reach the piece, and one more on either side for
    outputs that none reaches; and where the piece then is."""
    size, (before, _), stride = (problem.h, problem.w)[axis], problem.padding[axis], problem.stride[axis]
    reach = (problem.kernel_size[axis] - 1) * problem.dilation[axis]
    first = max(0, -((out.start + before - reach) // -stride) - 1)
    last = min(size - 1, (out.stop - 1 + before) // stride + 1)
    return slice(first, last + 1), (0, 0), out.start + before - first * stride


def _sliced_by_weight(problem: Problem) -> bool:
    """Whether a piece's channels are had by taking those filters alone; else the oracle makes all channels."""
    return problem.op in ("separable_conv2d", "conv_transpose2d") or (problem.op == "conv2d" and problem.groups == 1)


def _weights_of(problem: Problem, arrays: Arrays, piece: Piece) -> Arrays:
    weights = {name: array for name, array in arrays.items() if name != "x"}
    if _sliced_by_weight(problem):
        filters = piece.channels
        weights["bias"] = weights["bias"][filters]
        if problem.op == "conv_transpose2d":
            weights["weight"] = weights["weight"][:, :, filters]
        else:
            name = "weight" if problem.op == "conv2d" else "pointwise_weight"
            weights[name] = weights[name][..., filters]
    return weights


def _apply(problem: Problem, x: NDArray[np.float32], weights: Arrays, padding: Sides) -> Float64:
    oracle: Callable[..., Float64] = getattr(reference, problem.op)
    if problem.op == "global_avg_pool2d":
        return oracle(x)
    if problem.is_pool:
        return oracle(x, kernel_size=problem.kernel_size, stride=problem.stride, padding=padding)
    groups = {"groups": problem.groups} if problem.op == "conv2d" else {}
    return oracle(x, **weights, stride=problem.stride, padding=padding, dilation=problem.dilation, **groups)


def whole(problem: Problem, arrays: Arrays) -> Float64:
    """The oracle on the whole problem: what its own time is measured by."""
    weights = {name: array for name, array in arrays.items() if name != "x"}
    return _apply(problem, arrays["x"], weights, problem.padding)
