"""What a call costs that has nothing to compute: one picture of 4 x 4 pixels and one channel, from every caller.

    python benchmarks/overheads.py

prints microseconds a call, the least of nine rounds on one thread, for callers whose packages are installed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import cnnfast

ROUNDS, CALLS = 9, 5000
X, WEIGHT = np.ones((1, 4, 4, 1), np.float32), np.ones((3, 3, 1, 1), np.float32)


def least(run: Callable[[int], Any]) -> float:
    """Microseconds of one of the calls that `run` makes as many of as it is told."""
    run(CALLS // 10)
    times = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        run(CALLS)
        times.append(time.perf_counter() - begun)
    return min(times) / CALLS * 1e6


def repeated(call: Callable[..., Any], *arguments: Any) -> Callable[[int], Any]:
    def run(times: int) -> Any:
        for _ in range(times):
            result = call(*arguments)
        return result

    return run


def numpy_rows() -> Iterator[tuple[str, Callable[[int], Any]]]:
    plan, out = cnnfast.plan_conv2d(X.shape, WEIGHT), np.empty((1, 2, 2, 1), np.float32)
    yield "NumPy: plan(x, None, out)", repeated(plan, X, None, out)
    yield "NumPy: plan(x)", repeated(plan, X)
    yield "NumPy: conv2d(x, weight)", repeated(cnnfast.conv2d, X, WEIGHT)
    yield "NumPy: max_pool2d(x, 2)", repeated(cnnfast.max_pool2d, X, 2)


def numba_rows() -> Iterator[tuple[str, Callable[[int], Any]]]:
    import numba

    import cnnfast.interop.numba

    plan, out = cnnfast.plan_conv2d(X.shape, WEIGHT), np.empty((1, 2, 2, 1), np.float32)

    @numba.njit
    def plans(plan, x, out, times):
        for _ in range(times):
            plan(x, None, out)

    @numba.njit
    def convolutions(x, weight, out, times):
        for _ in range(times):
            cnnfast.conv2d(x, weight, out=out)

    @numba.njit
    def pools(x, out, times):
        for _ in range(times):
            cnnfast.max_pool2d(x, 2, out=out)

    yield "Numba, in a loop: plan(x, None, out)", lambda times: plans(plan, X, out, times)
    yield "Numba, in a loop: conv2d(x, weight, out=out)", lambda times: convolutions(X, WEIGHT, out, times)
    yield "Numba, in a loop: max_pool2d(x, 2, out=out)", lambda times: pools(X, out, times)


def jax_rows() -> Iterator[tuple[str, Callable[[int], Any]]]:
    import jax
    import jax.numpy as jnp

    import cnnfast.interop.jax as cj

    x, weight = jnp.asarray(X), jnp.asarray(WEIGHT)

    def waiting(call: Any, *arguments: Any) -> Callable[[int], Any]:
        run = repeated(jax.jit(call), *arguments)
        return lambda times: run(times).block_until_ready()

    yield "JAX, jitted: conv2d(x, weight)", waiting(lambda x, weight: cj.conv2d(x, weight), x, weight)
    yield "JAX, jitted: max_pool2d(x, 2)", waiting(lambda x: cj.max_pool2d(x, 2), x)
    yield "JAX, jitted: x + 1, for comparison", waiting(lambda x: x + 1, x)


def torch_rows() -> Iterator[tuple[str, Callable[[int], Any]]]:
    import torch

    import cnnfast.interop.torch as ct

    functional, op = torch.nn.functional, torch.ops.cnnfast.conv2d
    x, weight, bias = torch.ones(1, 1, 4, 4), torch.ones(1, 1, 3, 3), torch.ones(1)
    row, matrix, vector = torch.ones(1, 4), torch.ones(5, 4), torch.ones(5)
    with torch.no_grad():
        yield "torch.ops.cnnfast.conv2d(x, weight)", repeated(op, x, weight)
        yield "the same with bias and padding", repeated(op, x, weight, bias, [1, 1], [1, 1])
        for name, words in (("cnnfast.interop.torch", ct), ("torch.nn.functional", functional)):
            yield f"{name}: conv2d(x, weight)", repeated(words.conv2d, x, weight)
            yield f"{name}: conv2d(x, weight, bias)", repeated(words.conv2d, x, weight, bias)
            yield f"{name}: conv2d(x, weight, bias, 1, 1)", repeated(words.conv2d, x, weight, bias, 1, 1)
            yield f"{name}: linear, 4 to 5", repeated(words.linear, row, matrix, vector)
            yield f"{name}: max_pool2d(x, 2)", repeated(words.max_pool2d, x, 2)


def main() -> None:
    cnnfast.set_num_threads(1)
    for rows in (numpy_rows, numba_rows, jax_rows, torch_rows):
        try:
            for name, run in rows():
                print(f"{name:<48}{least(run):8.2f} us", flush=True)
        except (ImportError, AttributeError) as error:
            print(f"{rows.__name__.removesuffix('_rows')}: not measured: {error}")


if __name__ == "__main__":
    main()
