"""F(4, 3) along an axis: four outputs of three taps by six products (Lavin and Gray, arXiv:1509.09308), at the points
0, +-2/3, +-3/2 and infinity, which err half as much as the textbook's 1 and 2 (docs/design.md).

    outputs = A^T ((G taps) * (B^T inputs))

A row of B^T is the product of x - p over all points p but its own; G's row is 1, p, p^2 over that polynomial's value
at p; A's column is 1, p, p^2, p^3. A tile is a tuple of rows, each a tuple: registers.
"""

from typing import Any

import numpy as np

from cnnfast.backends.cuda.toolchain import device

SMALL, LARGE = 2 / 3, 3 / 2
"""The two points that are neither 0 nor infinity, each with both signs; their product is 1."""

_one = np.float32(1)
_a, _b = np.float32(SMALL), np.float32(LARGE)
_aa, _bb = np.float32(SMALL**2), np.float32(LARGE**2)
_aaa, _bbb = np.float32(SMALL**3), np.float32(LARGE**3)
_both = np.float32(SMALL**2 + LARGE**2)
_slope_a = np.float32(1 / (2 * SMALL**2 * (SMALL**2 - LARGE**2)))
_slope_b = np.float32(1 / (2 * LARGE**2 * (LARGE**2 - SMALL**2)))


@device
def inputs(d: Any) -> Any:
    """B^T d, of six inputs."""
    d0, d1, d2, d3, d4, d5 = d
    high_a, low_a = d4 - _bb * d2, d3 - _bb * d1
    high_b, low_b = d4 - _aa * d2, d3 - _aa * d1
    return (
        d0 + (d4 - _both * d2), high_a + _a * low_a, high_a - _a * low_a, high_b + _b * low_b, high_b - _b * low_b,
        d1 + (d5 - _both * d3),
    )  # fmt: skip


@device
def taps(g: Any) -> Any:
    """G g, of three taps."""
    g0, g1, g2 = g
    even_a, odd_a, even_b, odd_b = g0 + _aa * g2, _a * g1, g0 + _bb * g2, _b * g1
    return (
        g0, _slope_a * (even_a + odd_a), _slope_a * (even_a - odd_a), _slope_b * (even_b + odd_b),
        _slope_b * (even_b - odd_b), g2,
    )  # fmt: skip


@device
def outputs(m: Any) -> Any:
    """A^T m, of six sums of products."""
    m0, m1, m2, m3, m4, m5 = m
    even_a, odd_a, even_b, odd_b = m1 + m2, m1 - m2, m3 + m4, m3 - m4
    return (
        m0 + even_a + even_b, _a * odd_a + _b * odd_b, _aa * even_a + _bb * even_b, _aaa * odd_a + _bbb * odd_b + m5,
    )  # fmt: skip
