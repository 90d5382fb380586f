"""A problem in the form every engine understands: one or two primitive nodes with all their numbers.

This is what crosses to the engines' processes as JSON, so it holds nothing but numbers, strings and lists.
"""

from typing import Any

from .problem import Problem

Step = dict[str, Any]


def steps_of(problem: Problem) -> list[Step]:
    """The nodes, in order. `weight` and `bias` name arrays; a conv's weight is (r, s, c/groups, k) once reshaped to
    `weight_shape`, a conv_transpose's (r, s, k, c)."""
    if problem.op == "separable_conv2d":
        middle = (*problem.y_shape[:3], problem.c * problem.multiplier)
        depthwise = _conv(problem, "depthwise_weight", "depthwise_bias", problem.c, middle)
        mixing = _weights("pointwise_weight", "bias", (1, 1, middle[3], problem.k))
        return [depthwise, _step("conv", middle, problem.y_shape) | mixing]
    if problem.op == "conv2d":
        return [_conv(problem, "weight", "bias", problem.groups, problem.y_shape)]
    if problem.op == "depthwise_conv2d":
        return [_conv(problem, "weight", "bias", problem.c, problem.y_shape)]
    kind = problem.op.removesuffix("2d")
    step = _step(kind, problem.x_shape, problem.y_shape) | _window(problem)
    if kind == "conv_transpose":
        step |= _weights("weight", "bias", (problem.r, problem.s, problem.k, problem.c))
    return [step]


def _step(kind: str, x_shape: tuple[int, ...], y_shape: tuple[int, ...]) -> Step:
    one = [1, 1]
    return {
        "kind": kind, "x_shape": list(x_shape), "y_shape": list(y_shape),
        "kernel": one, "stride": one, "pad": [0, 0, 0, 0], "dilation": one, "groups": 1,
    }  # fmt: skip


def _window(problem: Problem) -> Step:
    (top, bottom), (left, right) = problem.padding
    return {
        "kernel": list(problem.kernel_size), "stride": list(problem.stride), "pad": [top, bottom, left, right],
        "dilation": list(problem.dilation),
    }  # fmt: skip


def _weights(weight: str, bias: str, shape: tuple[int, ...]) -> Step:
    return {"weight": weight, "bias": bias, "weight_shape": list(shape), "kernel": list(shape[:2])}


def _conv(problem: Problem, weight: str, bias: str, groups: int, y_shape: tuple[int, ...]) -> Step:
    shape = (problem.r, problem.s, problem.c // groups, y_shape[3])
    step = _step("conv", problem.x_shape, y_shape) | _window(problem) | _weights(weight, bias, shape)
    return step | {"groups": groups}
