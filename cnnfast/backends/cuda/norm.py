"""Batch normalisation and local response normalisation on a device."""

from functools import lru_cache
from math import prod
from typing import Final

from . import maps, sums
from .arrays import DeviceArray, empty
from .kernel import Plan, Row
from .kernels import neighbours
from .kernels.neighbours import Neighbours
from .run import run

Activation = tuple[str | None, float]
NEIGHBOURS: Final[tuple[Row, ...]] = (neighbours.ROW,)
"""local_response_norm's algorithms."""


@lru_cache(maxsize=1024)
def plan(problem: Neighbours) -> Plan:
    """The launches of local_response_norm."""
    (row,) = NEIGHBOURS
    return row.plan(problem, None)


def batch_norm(
    x: DeviceArray, running_mean: DeviceArray, running_var: DeviceArray, weight: DeviceArray | None = None,
    bias: DeviceArray | None = None, *, eps: float = 1e-5, layout: str = "NHWC",
    activation: Activation = (None, 0.0),
) -> DeviceArray:  # fmt: skip
    """activation((x - mean) / sqrt(var + eps) * weight + bias) of each channel."""
    given = [running_mean, running_var, *(each for each in (weight, bias) if each is not None)]
    axis = len(x.shape) - 1 if layout.endswith("C") else 1
    strides = [None, *(maps.along(each, x.shape, axis) for each in given)]
    key = "batch_norm", eps, weight is not None, bias is not None, *activation
    return maps.apply(key, (x, *given), x.shape, strides)


def batch_norm_train(
    x: DeviceArray, weight: DeviceArray | None = None, bias: DeviceArray | None = None, *, eps: float = 1e-5,
    layout: str = "NHWC", activation: Activation = (None, 0.0),
) -> tuple[DeviceArray, DeviceArray, DeviceArray]:  # fmt: skip
    """(y, mean, var): batch_norm by x's own mean and biased variance.

    Both come of one reading of x: the sums of x - x[0] and of its square, of each channel. So x is read twice and y
    written once, where three readings would follow the definition.
    """
    axis = len(x.shape) - 1 if layout.endswith("C") else 1
    count = 1
    for i, size in enumerate(x.shape):
        count *= size if i != axis else 1
    mean, var = sums.per_channel(("moments",), ("statistics", count), x, axis, (x, None))
    y = batch_norm(x, mean, var, weight, bias, eps=eps, layout=layout, activation=activation)
    return y, mean, var


def local_response_norm(
    x: DeviceArray, *, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0, layout: str = "NHWC"
) -> DeviceArray:
    """x over (k + alpha * the mean of x**2 over `size` channels)**beta; x lies densely."""
    axis = len(x.shape) - 1 if layout.endswith("C") else 1
    y = empty(x, x.shape, order=maps.order(x))
    problem = Neighbours(
        prod(x.shape), x.shape[axis], x.strides[axis], size, float(alpha), float(beta), float(k), x.dtype
    )  # fmt: skip
    run(plan(problem), {"x": x, "y": y}, x)
    return y
