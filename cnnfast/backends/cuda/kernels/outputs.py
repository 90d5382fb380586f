"""A product's last step: sums in registers to outputs in memory, with bias, residual and activation."""

from typing import Any, NamedTuple

import numpy as np

from cnnfast.backends.cuda.activations import activation
from cnnfast.backends.cuda.elements import ELEMENTS
from cnnfast.backends.cuda.intrinsics.integers import quotient
from cnnfast.backends.cuda.intrinsics.memory import store_vector
from cnnfast.backends.cuda.intrinsics.repeat import repeated
from cnnfast.backends.cuda.intrinsics.tile import Fragment, gather, rotated
from cnnfast.backends.cuda.toolchain import device

from .tile import OUTSIDE, width_of


class Epilogue(NamedTuple):
    """along: which a thread's row of sums goes over, "filters" or "pixels"; wide: it is written 16 bytes at a time.
    split: the sums are parts, written as computed and without the rest."""

    along: str
    wide: bool
    activation: tuple[str | None, float] = (None, 0.0)
    has_bias: bool = False
    has_residual: bool = False
    split: bool = False


def outputs(dtype: str, slow: Fragment, fast: Fragment, after: Epilogue) -> Any:
    """write(sums, bias, residual, y, y's first, bias' first, first pixel, first filter, walk): a row of sums at a time,
    in a loop that is not unrolled, so that an activation stands there once for each of a row's sums."""
    element, width = ELEMENTS[dtype], width_of(dtype)
    load, computed, outside = element.load, element.computed, np.int32(OUTSIDE)
    out = ELEMENTS[computed.name] if after.split else element
    rows, row = slow.width * slow.count, fast.width * fast.count
    slow_apart, fast_apart = slow.apart, fast.apart
    along_filters, wide = after.along == "filters", after.wide
    has_bias, has_residual = after.has_bias and not after.split, after.has_residual and not after.split
    activate = activation(*((None, 0.0) if after.split else after.activation), computed=computed.name)
    store, read_wide, write_wide, rotate = out.store, gather(dtype, width), store_vector(width), rotated(row)

    def pixel(m: Any, k: Any) -> Any:
        """The offset of a pixel in y."""
        line = quotient(m, k.Q_factor, k.Q_shift)
        n = quotient(line, k.P_factor, k.P_shift)
        at = np.int32(n * k.yn + (line - n * k.P) * k.yp + (m - line * k.Q) * k.yq)
        return at if m < k.pixels else outside

    def filter_(n: Any, k: Any) -> Any:
        return np.int32(n * k.yk) if n < k.filters else outside

    slow_place, fast_place = device(pixel if along_filters else filter_), device(filter_ if along_filters else pixel)

    def place(e: Any, first: Any, k: Any) -> Any:
        return fast_place(np.int32(first + e // width * fast_apart + e % width), k)

    def bias_of(e: Any, bias: Any, first: Any, n0: Any, k: Any) -> Any:
        n = np.int32(n0 + e // width * fast_apart + e % width)
        return load(bias, np.int32(first + n)) if has_bias and along_filters and n < k.filters else computed(0)

    def put(e: Any, total: Any, bias: Any, extra: Any, residual: Any, y: Any, at: Any, place: Any) -> Any:
        if at >= 0 and place >= 0:
            to = np.int32(at + place)
            value = total + (bias + extra)
            if has_residual:
                value += load(residual, to)
            store(y, to, activate(value))
        return np.int32(0)

    def ended(i: Any, total: Any, bias: Any, extra: Any, old: Any) -> Any:
        return activate(total + (bias + extra) + old)

    ends = repeated(ended, width, total=1, bias=1, old=1)

    def put_wide(g: Any, total: Any, bias: Any, extra: Any, residual: Any, y: Any, at: Any, place: Any) -> Any:
        valid = at >= 0 and place[0] >= 0
        to = np.int32(at + place[0]) if valid else np.int32(0)
        values = ends(total, bias, extra, read_wide(residual, to, has_residual and valid))
        if valid:
            write_wide(y, to, values)
        return np.int32(0)

    places_of, biases_of = repeated(place, row), repeated(bias_of, row)
    size = width if wide else 1
    puts = repeated(put_wide if wide else put, row // size, total=size, bias=size, place=size)
    slow_width = slow.width

    def write(
        sums: Any, bias: Any, residual: Any, y: Any, first: Any, bias_first: Any, m0: Any, n0: Any, k: Any
    ) -> None:
        fast_first, slow_first = (n0, m0) if along_filters else (m0, n0)
        places = places_of(fast_first, k)
        biases = biases_of(bias, bias_first, n0, k)
        for i in range(rows):
            at_slow = np.int32(slow_first + i // slow_width * slow_apart + i % slow_width)
            at = slow_place(at_slow, k)
            extra = computed(0)
            if has_bias and not along_filters and at >= 0:
                extra = load(bias, np.int32(bias_first + at_slow))
            puts(sums, biases, extra, residual, y, np.int32(first + at) if at >= 0 else outside, places)
            sums = rotate(sums)

    return device(write)
