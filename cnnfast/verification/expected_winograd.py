"""How far Winograd's algorithms may be from the oracle.

With A, B, G of F(m, r), alpha = m + r - 1, and E = |A^T| (sum_c |G||g||G^T| o |B^T||d||B|) |A| of a tile d and filters
g, |y - value| <= gamma(4*alpha + 2r + n + 4) * E: rounding analysis, step by step through the three stages. n is C, or
as many times C as products are added before the last stage. A NaN or an infinity may spread within its tile. The
matrices here come from interpolation at the points, not from the kernels.
"""

from itertools import product
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from cnnfast.backends.reference.conv import PAD_MODES
from cnnfast.verification.case import Array, Case
from cnnfast.verification.expected import PRECISIONS, Expected, activated, oracle

Axis = tuple[int, int, int]
"""m outputs of r taps at a stride."""

ROWS: dict[str, Axis] = {
    "winograd_f23": (2, 3, 1),
    "winograd_f43": (4, 3, 1),
    "winograd_f63": (6, 3, 1),
    "winograd_f25": (2, 5, 1),
    "winograd_f35": (3, 5, 1),
    "winograd_f47": (4, 7, 1),
    "winograd_f23s2": (2, 3, 2),
    "winograd_f33s2": (3, 3, 2),
    "winograd_stem": (2, 3, 1),
    "winograd_grouped": (4, 3, 1),
}
"""F(m, r) of the algorithms, and the stride."""
_POINTS = {3: (1.0,), 4: (1.0,), 6: (2 / 3, 3 / 2), 7: (5 / 16, 7 / 8, 7 / 4), 8: (1 / 2, 1.0, 2.0)}
"""The points beside infinity by products of an axis, m + r - 1, each with both signs; and 0 if those are even."""
_HUGE = {"float32": 1e37, "float64": 1e306}
"""Intermediates of about this size may overflow."""


def transforms(m: int, r: int, stride: int = 1) -> tuple[Array, Array, Array]:
    """(B^T, G, A^T) of F(m, r), each product a row or column; (1, 1) is one product.

    At stride 2 three taps are two over the even inputs, F(m, 2), and one over the odd ones. Seven taps are four and
    three, F(m, 4) at the same points, of which the three need no infinity.
    """
    if stride == 2:
        bt, g, at = interpolation(m, 2)
        return (
            np.vstack([_spaced(bt, 0, 2, 2 * m + 1), _spaced(np.eye(m), 1, 2, 2 * m + 1)]),
            np.vstack([_spaced(g, 0, 2, 3), np.tile([0.0, 1.0, 0.0], (m, 1))]),
            np.hstack([at, np.eye(m)]),
        )
    if r == 7:
        bt, g, at = interpolation(m, 4)
        return (
            np.vstack([_spaced(bt, 0, 1, m + 6), _spaced(bt[:-1, :-1], 4, 1, m + 6)]),
            np.vstack([_spaced(g, 0, 1, 7), _spaced(g[:-1, :-1], 4, 1, 7)]),
            np.hstack([at, at[:, :-1]]),
        )
    return interpolation(m, r)


def _spaced(matrix: Array, first: int, step: int, columns: int) -> Array:
    """The matrix in columns first, first + step, ... of as many."""
    spaced = np.zeros((len(matrix), columns))
    spaced[:, first :: step][:, : matrix.shape[1]] = matrix
    return spaced


def interpolation(m: int, r: int) -> tuple[Array, Array, Array]:
    """(B^T, G, A^T) of F(m, r), by Lagrange interpolation at the points and infinity."""
    if (m, r) == (1, 1):
        return np.eye(1), np.eye(1), np.eye(1)
    alpha = m + r - 1
    pairs = [sign * p for p in _POINTS[alpha] for sign in (1, -1)]
    points = np.array(pairs if alpha % 2 else [0.0, *pairs])
    bt, g, at = np.zeros((alpha, alpha)), np.zeros((alpha, r)), np.zeros((m, alpha))
    for i, point in enumerate(points):
        others = np.delete(points, i)
        bt[i, : alpha - 1] = np.poly(others)[::-1]
        g[i] = point ** np.arange(r) / np.prod(point - others)
        at[:, i] = point ** np.arange(m)
    bt[-1] = np.poly(points)[::-1]
    g[-1, -1] = at[-1, -1] = 1
    return bt, g, at


def with_winograd(case: Case, algorithm: str, right: Expected) -> Expected:
    """What `right`, a chain's answer, becomes for one of Winograd's rows."""
    x, weight, lowered = _as_conv2d(case)
    m, r, stride = row = ROWS[algorithm]
    axes = [row if taps == r else (1, 1, 1) for taps in weight.shape[:2]]
    with np.errstate(all="ignore"):
        size, spread = _propagated(x, weight, lowered, (axes[0], axes[1]), case.dtype.name)
    y_shape = right.value.shape
    size = size.reshape(y_shape)
    for name in ("bias", "residual"):
        added = case.inputs.get(name)
        if added is not None:
            size = size + np.where(np.isfinite(added), np.abs(added), 0)
    precision = PRECISIONS[case.dtype.name]
    together = stride**2 * (2 if r == 7 else 1)  # products in a sum, at most
    n = 4 * (m + r - 1) + 2 * r + together * weight.shape[2] + 6
    z = oracle(case.op, case.inputs, case.lowered | {"activation": (None, 0.0)})
    error = precision.gamma(n) * size + 64 * n * precision.least * (1 + size)
    bound, loose = activated(case, z, right.value, error, 0.0)
    bound = np.where(spread.reshape(y_shape), np.inf, bound)
    return Expected(right.value, bound, loose + bound)  # without FMA every product rounds once more


def _as_conv2d(case: Case) -> tuple[Array, Array, dict[str, Any]]:
    """The case as a conv2d in NHWC: a line has height 1, and of a volume the depth's taps are channels."""
    x, weight, lowered = case.x, case.inputs["weight"], case.lowered
    assert weight is not None
    same = {"groups": lowered.get("groups", 1), "padding_mode": lowered.get("padding_mode", "zeros")}
    if case.op == "conv1d":
        steps = {"padding": ((0, 0), lowered["padding"]), "dilation": (1, lowered["dilation"])}
        return x[:, None], weight[None], same | steps
    steps = {"padding": lowered["padding"][-2:], "dilation": lowered["dilation"][-2:]}
    if case.op == "depthwise_conv2d":
        return x, weight.reshape(*weight.shape[:2], 1, -1), same | steps | {"groups": x.shape[-1]}
    if case.op != "conv3d":
        return x, weight, same | steps
    T, R, S, inner, K = weight.shape
    padded = np.pad(x, ((0, 0), lowered["padding"][0], *[(0, 0)] * 3), mode=PAD_MODES[same["padding_mode"]])
    gap, stride, groups = lowered["dilation"][0], lowered["stride"][0], same["groups"]
    depth = (padded.shape[1] - gap * (T - 1) - 1) // stride + 1
    taps = np.stack([padded[:, t * gap :][:, : (depth - 1) * stride + 1 : stride] for t in range(T)], axis=-2)
    planes = taps.reshape(-1, *x.shape[2:4], T, groups, inner).swapaxes(-3, -2)
    filters = weight.transpose(1, 2, 0, 3, 4).reshape(R, S, T * inner, K)
    return planes.reshape(*planes.shape[:3], -1), filters, same | steps


def _propagated(
    x: Array, weight: Array, lowered: dict[str, Any], axes: tuple[Axis, Axis], dtype: str
) -> tuple[Array, Array]:
    """(E, where something not finite, or too large, may have spread) of every output, (N, P, Q, K)."""
    x = np.pad(x, ((0, 0), *lowered["padding"], (0, 0)), mode=PAD_MODES[lowered["padding_mode"]])
    (bt_h, g_h, at_h), (bt_w, g_w, at_w) = (tuple(map(np.abs, transforms(*axis))) for axis in axes)
    N, H, W, _ = x.shape
    R, S, inner, K = weight.shape
    gap, groups = lowered["dilation"], lowered["groups"]
    P, Q = ((n - gap[i] * (taps - 1) - 1) // axes[i][2] + 1 for i, (n, taps) in enumerate(((H, R), (W, S))))
    size, spread = np.zeros((N, P, Q, K)), np.zeros((N, P, Q, K), bool)
    sound, solid = np.isfinite(x), np.isfinite(weight)
    d, g = (np.where(ok, np.abs(each), 0).astype(np.float64) for ok, each in ((sound, x), (solid, weight)))
    U = np.einsum("ir,rsck,js->ijck", g_h, g, g_w)
    broken: Array = np.logical_not(solid.all(axis=(0, 1, 2)))
    for i, j in product(range(min(gap[0], P)), range(min(gap[1], Q))):
        phase = np.s_[:, i :: gap[0], j :: gap[1]]
        p, q = size[phase].shape[1:3]
        for group in range(groups):
            channels = np.s_[group * inner : (group + 1) * inner]
            filters = np.s_[group * K // groups : (group + 1) * K // groups]
            V = np.einsum("ia,nyxcab,jb->nyxcij", bt_h, _tiles(d[phase][..., channels], axes, (p, q)), bt_w)
            products = np.einsum("nyxcij,ijck->nyxijk", V, U[..., filters])
            E = np.einsum("ui,nyxijk,vj->nyuxvk", at_h, products, at_w)
            size[(*phase, filters)] = _joined(E)[:, :p, :q]
            bad: Array = np.asarray(~_tiles(sound[phase][..., channels], axes, (p, q), True).all(axis=(3, 4, 5)))
            peak = products.max(axis=(3, 4))  # of what is summed, and no stage has more
            bad = bad[..., None] | broken[filters] | ~(peak < _HUGE[dtype])
            whole = np.broadcast_to(bad[:, :, None, :, None], E.shape)
            spread[(*phase, filters)] = _joined(whole)[:, :p, :q]
    return size, spread


def _tiles(x: Array, axes: tuple[Axis, Axis], outputs: tuple[int, int], fill: Any = 0) -> Array:
    """(N, down, across, C, rows, columns): the overlapping tiles from the first output on, filled beyond the image."""
    reads = [stride * (m - 1) + r for m, r, stride in axes]
    steps = [stride * m for m, _, stride in axes]
    tiles = [-(-n // m) for n, (m, _, _) in zip(outputs, axes, strict=True)]
    sides = [(0, max(0, (tiles[i] - 1) * steps[i] + reads[i] - x.shape[1 + i])) for i in range(2)]
    x = np.pad(x, ((0, 0), *sides, (0, 0)), constant_values=fill)
    windows = sliding_window_view(x, (reads[0], reads[1]), axis=(1, 2))
    return windows[:, :: steps[0], :: steps[1]][:, : tiles[0], : tiles[1]]


def _joined(tiles: Array) -> Array:
    """(N, down, m, across, m, K) as images."""
    N, down, m_h, across, m_w, K = tiles.shape
    return tiles.reshape(N, down * m_h, across * m_w, K)
