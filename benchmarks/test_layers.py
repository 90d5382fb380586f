"""Every layer of the shape files on every algorithm that takes it. See README.md here for how to run it."""

import time
from typing import Any

import pytest

from cnnfast.bench import arrays, engine, problems
from cnnfast.bench.problem import Problem

LONGEST_CALL_S = 0.25
SMALL_WORK = 40_000_000  # multiply-adds of the smaller picture that tells how slow a row is

LAYERS = [
    pytest.param(problem, algorithm, id=f"{problem.network}-{problem.name}-{algorithm}{'-quick' * problem.quick}")
    for problem in problems.load()
    for algorithm in engine.algorithms(problem)
]


@pytest.mark.parametrize(("problem", "algorithm"), LAYERS)
def test_layer(benchmark: Any, problem: Problem, algorithm: str) -> None:
    skip_what_takes_too_long(problem, algorithm)
    run, _, why = engine.prepare(problem, arrays.make(problem), algorithm)
    benchmark.group = f"{problem.network}/{problem.name}"
    benchmark.extra_info.update(problem=problem.line, isa=why.isa)
    benchmark(run)
    shortest = benchmark.stats.stats.min if benchmark.stats else None  # none with --benchmark-disable
    if shortest:
        unit, work = ("gflops", problem.flops) if problem.flops else ("gbs", problem.bytes)
        benchmark.extra_info[unit] = round(work / shortest * 1e-9, 2)


def skip_what_takes_too_long(problem: Problem, algorithm: str) -> None:
    """Also what the algorithm does not take."""
    small = problem.cropped(SMALL_WORK)
    numbers = arrays.make(small)
    if algorithm not in engine.rows_that_accept(engine.prepare(small, numbers)[2]):
        pytest.skip(f"{algorithm} does not take this layer")
    run, _, _ = engine.prepare(small, numbers, algorithm)
    start = time.perf_counter()
    run()
    seconds = (time.perf_counter() - start) * problem.steps_of_work / small.steps_of_work
    if seconds > LONGEST_CALL_S:
        pytest.skip(f"about {seconds:.1f} s a call")
