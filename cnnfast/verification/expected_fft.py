"""What a convolution by Fourier transforms must give: the oracle's values, within a bound of norms.

A transform errs in norm, not number by number (Higham, section 24.1): each of its passes, of which an axis of 512 has
three, has at most 8 roundings in a row, rows are joined and split by one more, and so a tile's spectrum errs by 49 u of
its norm, and so does the way back. Between them stand chains of C products, twice, and their sum. With n the
pixels of a tile and X, W the spectra, |X*W| <= sqrt(n) |x| max|W| and max|W| <= sum|w|, so that

    |y - exact| <= gamma(2*C + 104) * (sqrt(2) * sum over c of |x of a tile|_2 * |w|_1 + |b| + |residual|)

and the same with the norm of the whole image, which needs no tiles. On random data an error above 8*sqrt(2*C + 104)*u
of that sum is an alarm. conv3d adds one such convolution for each plane of its kernel.
"""

import numpy as np

from cnnfast.backends.reference.conv import PAD_MODES
from cnnfast.verification.case import Array, Case
from cnnfast.verification.expected import PRECISIONS, Expected, absolute, activated, oracle

_UNDERFLOW = 2.0**24
"""Denormal results that a tile's numbers add up, at most: 512 x 512 of them, scaled by 4 each way."""


def with_fft(case: Case, algorithm: str, right: Expected) -> Expected:
    """What `right`, a chain's answer, becomes for the row "fft" of a convolution without groups."""
    assert algorithm == "fft"
    z = oracle(case.op, case.inputs, case.lowered | {"activation": (None, 0.0)})
    x, weight = case.x, case.inputs["weight"]
    assert weight is not None
    sizes = absolute(case.inputs)
    norms = _image_norms(case, sizes)
    kernels = _absolute_sums(sizes)
    middle = (1,) * (x.ndim - 2)
    products = np.sqrt(2) * (norms @ kernels).reshape(len(x), *middle, weight.shape[-1])
    size = products + sum(each for each in (sizes.get("bias"), sizes.get("residual")) if each is not None)
    precision = PRECISIONS[case.dtype.name]
    steps = 2 * x.shape[-1] + 104 + (len(weight) if case.op == "conv3d" else 0)
    bound = precision.gamma(steps) * size + precision.least * _UNDERFLOW * steps * (1 + norms.sum() + kernels.sum())
    if case.kind == "random":
        bound = np.minimum(bound, 8 * np.sqrt(steps) * precision.u * size)
    pixels = ~np.isfinite(x).all(axis=tuple(range(1, x.ndim)))
    channels = ~np.isfinite(weight).all(axis=tuple(range(weight.ndim - 1)))
    spread = pixels.reshape(-1, *middle, 1) | channels
    bound, _ = activated(case, z, right.value, bound + np.zeros_like(z), 0.0)
    return Expected(right.value, np.where(spread, np.inf, bound))


def _image_norms(case: Case, sizes: dict[str, Array | None]) -> Array:
    """[N, C]: the norms of the images, padded."""
    x = sizes["x"]
    assert x is not None
    sides = case.lowered["padding"] if x.ndim > 3 else (case.lowered["padding"],)
    padded = np.pad(x, ((0, 0), *sides, (0, 0)), mode=PAD_MODES[case.lowered["padding_mode"]])
    norms: Array = np.sqrt((padded**2).sum(axis=tuple(range(1, x.ndim - 1))))
    return norms


def _absolute_sums(sizes: dict[str, Array | None]) -> Array:
    """[C, K]: the sums of the kernels' absolute values."""
    weight = sizes["weight"]
    assert weight is not None
    sums: Array = weight.sum(axis=tuple(range(weight.ndim - 2)))
    return sums
