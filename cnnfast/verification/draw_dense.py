"""Cases of ops on arrays of any shape: linear, softmax, the activations, add and multiply, concatenate."""

from typing import Any

import numpy as np

from cnnfast.ops import options
from cnnfast.verification.case import Array, Case
from cnnfast.verification.draw_conv import any_activation
from cnnfast.verification.sizes import Draw

_ENOUGH = 2**16
"""Elements that are worth three threads."""

_PARAMETERS: dict[str, tuple[dict[str, Any], ...]] = {
    "leaky_relu": tuple({"negative_slope": slope} for slope in (0.01, 0.5, 0.25, -0.3, 0.0)),
    "elu": ({"alpha": 1.0}, {"alpha": 0.3}, {"alpha": -0.5}),
    "gelu": ({"approximate": "none"}, {"approximate": "tanh"}),
    "softplus": ({}, {"beta": 2.0, "threshold": 10.0}, {"beta": 0.5}),
}


def linear(d: Draw) -> Case:
    rows = (d.among(0, 40) if d.chance(0.7) else d.batch(), *[d.among(1, 3)] * d.chance(0.2))
    C, K = d.few(), d.channels()
    if d.deep:
        C = d.among(1000, 9500)
    elif d.large:
        rows, C, K = (d.among(30, 40),), d.among(250, 300), d.among(200, 300)
    values = d.values(C)
    x = values.images(*rows, C)
    bias = values.addends(K) if d.chance(0.6) else None
    single = len(rows) == 1 and not d.large and d.chance(0.1)
    inputs = {"x": values.images(C) if single else x, "weight": values.weights(K, C), "bias": bias}
    return d.case(inputs, *_activated(d), () if single else ("x",))


def softmax(d: Draw) -> Case:
    shape = list(_shape(d))
    axis = d.among(1 if shape[0] == 0 else 0, len(shape) - 1)  # no slice is empty
    if d.deep:
        shape[axis] = d.among(3000, 20_000)
    elif d.chance(0.2):
        shape[axis] = d.among(60, 600)
    written = {"axis": axis - len(shape) if d.chance(0.5) else axis}
    return d.case({"x": _wide(d, *shape)}, written, written, ("x",) if axis else ())


def activation(d: Draw) -> Case:
    choices = _PARAMETERS.get(d.op, ({},))
    parameters = choices[d.among(0, len(choices) - 1)]
    return d.case({"x": _wide(d, *_shape(d))}, parameters, parameters)


def prelu(d: Draw) -> Case:
    shape, values = _shape(d), d.values()
    inputs = {"x": values.images(*shape), "weight": values.weights(shape[-1] if d.chance(0.7) else 1)}
    return d.case(inputs, {}, {}, ("x",) if len(shape) > 1 else ())


def combine(d: Draw) -> Case:
    """Two arrays of one shape, or one broadcast along the other."""
    shape, values = _shape(d), d.values()
    way = d.pick(0.5, 0.25, 0.25)
    other = [shape, shape[-1:], tuple(size if d.chance(0.5) else 1 for size in shape)][way]
    x, y = values.images(*shape), values.images(*other)
    if way == 2 and d.chance(0.5):
        x, y = y, x
    same = len(x) == len(y) if x.ndim == y.ndim else None
    batched = ("x", "y") if same else ("x",) if len(shape) > 1 and x.shape == shape else ()
    return d.case({"x": x, "y": y}, *_activated(d), batched)


def concatenate(d: Draw) -> Case:
    shape, values = _shape(d), d.values()
    axis = d.among(0, len(shape) - 1)
    parts = [(*shape[:axis], size, *shape[axis + 1 :]) for size in (shape[axis], d.among(0, 3), d.channels())]
    inputs = dict(zip("xyz", (values.images(*part) for part in parts[: d.among(1, 3)]), strict=False))
    written = {"axis": axis - len(shape) if d.chance(0.5) else axis}
    return d.case(inputs, written, written, tuple(inputs) if axis else ())


def _activated(d: Draw) -> tuple[dict[str, Any], dict[str, Any]]:
    written = any_activation(d)
    return {"activation": written}, {"activation": options.activation("activation", written)}


def _shape(d: Draw) -> tuple[int, ...]:
    """Of one to four dimensions, whose last sweeps every tail."""
    last = d.own_channels()
    if d.large:
        return -(-_ENOUGH // last), last
    rank = d.among(1, 4)
    return (*([d.batch(), d.among(1, 5), d.among(1, 4)][: rank - 1]), last)


def _wide(d: Draw, *shape: int) -> Array:
    """Numbers that reach into the tails."""
    scale = (1, 3, 9, 40)[d.among(0, 3)] if d.kind != "exact" else 1
    with np.errstate(all="ignore"):
        return np.asarray(d.values().images(*shape) * d.dtype.type(scale))
