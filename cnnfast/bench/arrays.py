"""The numbers a problem is run on: random, the same for every engine and every run."""

import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .problem import Problem

Arrays = dict[str, NDArray[np.float32]]


def make(problem: Problem) -> Arrays:
    """x (NHWC), and the weights and biases in that layout's order: standard normal, the weights scaled by their fan-in.

    The seed is the problem's name, so that a problem has the same numbers in every process.
    """
    random = np.random.default_rng(zlib.crc32(problem.name.encode()))
    arrays: Arrays = {"x": random.standard_normal(problem.x_shape, dtype=np.float32)}
    for name, shape in problem.weight_shapes.items():
        values = random.standard_normal(shape, dtype=np.float32)
        arrays[name] = values if name.endswith("bias") else values / np.float32(_fan_in(problem, name) ** 0.5)
    return arrays


def _fan_in(problem: Problem, name: str) -> int:
    if name == "pointwise_weight":
        return problem.c * problem.multiplier
    if problem.op in ("depthwise_conv2d", "separable_conv2d"):
        return problem.r * problem.s
    return problem.r * problem.s * problem.c // problem.groups


def save(arrays: Arrays, folder: Path) -> None:
    """One .npy file an array, which an engine in another process reads without knowing this package."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)


def read(folder: Path) -> Arrays:
    return {path.stem: np.load(path) for path in sorted(folder.glob("*.npy"))}
