"""Cases of batch_norm, local_response_norm, pad2d and upsample2d."""

from typing import Any

import numpy as np

from cnnfast.ops import options
from cnnfast.verification.case import Array, Case
from cnnfast.verification.draw_conv import any_activation
from cnnfast.verification.sizes import Draw
from cnnfast.verification.values import Values

_MODES = ("constant", "reflect", "replicate", "circular")
_BETAS = (0.75, 0.5, 1.0, 0.6)


def batch_norm(d: Draw) -> Case:
    """Where numbers are exact, variances are powers of 4."""
    values = d.values(4)
    x = _images(d, values, *[d.among(1, 3)] * d.pick(0.7, 0.3))
    if not d.large and d.chance(0.2):
        x = x[:, 0, 0] if x.ndim == 4 else x[:, 0]
    C, exact = x.shape[-1], d.kind == "exact"
    var = np.asarray(d.rng.choice([0.25, 1.0, 4.0, 16.0], C) if exact else d.rng.random(C))
    inputs = {
        "x": x, "running_mean": values.addends(C) if d.kind == "special" else values.weights(C),
        "running_var": var.astype(d.dtype),
        "weight": _plain(d, C) if d.chance(0.7) else None, "bias": values.addends(C) if d.chance(0.7) else None,
    }  # fmt: skip
    eps = 0.0 if exact else (1e-5, 1e-3)[d.among(0, 1)]
    written = any_activation(d)
    lowered = {"eps": eps, "activation": options.activation("activation", written)}
    return d.case(inputs, {"eps": eps, "activation": written}, lowered)


def local_response_norm(d: Draw) -> Case:
    x = _images(d, d.values())
    if not d.large and d.chance(0.2):
        x = x[:, 0]
    same = {
        "size": d.among(1, 7) if d.chance(0.8) else d.among(8, 80), "alpha": (1e-4, 0.1, 1.0)[d.among(0, 2)],
        "beta": _BETAS[d.among(0, len(_BETAS) - 1)], "k": (1.0, 2.0)[d.among(0, 1)],
    }  # fmt: skip
    return d.case({"x": x}, same, same)


def pad2d(d: Draw) -> Case:
    x = _images(d, d.values())
    H, W = x.shape[1:3]
    mode = _MODES[d.among(0, 3)]
    most = [{"reflect": n - 1, "circular": n}.get(mode, n + 2) for n in (H, W)]
    sides = tuple((d.among(0, min(5, n)), d.among(0, min(5, n))) for n in most)
    padding: Any = sides
    if d.chance(0.4):
        padding = d.among(0, min(*most, 4))
        sides = ((padding, padding), (padding, padding))
    same: dict[str, Any] = {"mode": mode}
    if mode == "constant" and d.chance(0.6):
        same["value"] = d.among(0, 100) if d.dtype.kind != "f" else (1.5, -np.inf, np.nan, -0.0)[d.among(0, 3)]
    return d.case({"x": x}, same | {"padding": padding}, same | {"padding": sides})


def upsample2d(d: Draw) -> Case:
    x = _images(d, d.values())
    scale = (2, 2) if d.large or d.chance(0.4) else (d.among(1, 5), d.among(1, 5))
    same: dict[str, Any] = {"mode": "bilinear" if d.large or d.chance(0.7) else "nearest"}
    if same["mode"] == "bilinear":
        same["align_corners"] = d.chance(0.5)
    return d.case({"x": x}, same | {"scale_factor": d.written(scale)}, same | {"scale_factor": scale})


def _images(d: Draw, values: Values, *depth: int) -> Array:
    """(N, depth..., H, W, C)."""
    H, W = d.extents()
    if d.large:
        H, W = 40 + H, 40 + W
    return values.images(d.batch(), *depth, H + 1, W + 1, d.own_channels())


def _plain(d: Draw, C: int) -> Array:
    """Finite numbers, none of them a denormal: a scale keeps its digits."""
    if d.kind == "exact":
        return d.rng.integers(-8, 9, C).astype(d.dtype)
    return np.asarray(d.rng.standard_normal(C) + d.rng.choice([-2, 2], C), d.dtype)
