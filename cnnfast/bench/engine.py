"""How cnnfast itself runs a problem: its public API, as a user would call it."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

import cnnfast
from cnnfast.ops import dispatch, tuning
from cnnfast.ops.explanation import Explanation, explanation
from cnnfast.ops.tuning_file import Entry

from . import arrays
from .arrays import Arrays
from .problem import Problem

Run = Callable[[], object]


def prepare(problem: Problem, numbers: Arrays, algorithm: str = "auto") -> tuple[Run, NDArray[np.float32], Explanation]:
    """(run, y, why): `run()` writes y once more; plans are made, weights packed and y allocated beforehand.

    Raises:
        ValueError: the algorithm does not take this problem.
    """
    x = numbers["x"]
    if not problem.is_pool:
        plan = plan_of(problem, numbers, algorithm)
        y = plan(x)
        return (lambda: plan(x, out=y)), y, plan.explain()
    pool, window = getattr(cnnfast, problem.op), window_of(problem)
    y = pool(x, algorithm=algorithm, **window)
    return (lambda: pool(x, algorithm=algorithm, out=y, **window)), y, explain(problem, algorithm)


def plan_of(problem: Problem, numbers: Arrays, algorithm: str) -> Any:
    """The plan of a convolution."""
    weights = {name: numbers[name] for name in problem.weight_shapes}
    groups = {"groups": problem.groups} if problem.op == "conv2d" else {}
    return getattr(cnnfast, f"plan_{problem.op}")(
        problem.x_shape, **weights, stride=problem.stride, padding=problem.padding, dilation=problem.dilation,
        algorithm=algorithm, **groups,
    )  # fmt: skip


def window_of(problem: Problem) -> dict[str, Any]:
    """A pool's arguments; a global one has none."""
    if problem.op == "global_avg_pool2d":
        return {}
    return {"kernel_size": problem.kernel_size, "stride": problem.stride, "padding": problem.padding}


def explain(problem: Problem, algorithm: str = "auto") -> Explanation:
    """What the problem's plan chooses. Pools make their plans themselves, so one made alike is asked."""
    if not problem.is_pool:
        explained: Explanation = plan_of(problem, arrays.make(problem), algorithm).explain()
        return explained
    (top, bottom), (left, right) = problem.padding
    whole = problem.op == "global_avg_pool2d"
    plan = dispatch.native_plan(
        problem.op, problem.x_shape, problem.y_shape, dtype=np.dtype(np.float32), layout="NHWC",
        kind="max" if problem.op == "max_pool2d" else "avg",
        kernel_size=(1, 1) if whole else problem.kernel_size, stride=(1, 1) if whole else problem.stride,
        padding=(top, bottom, left, right), dilation=(1, 1), ceil_mode=False, count_include_pad=True, norm_type=0.0,
        output_size=(1, 1) if whole else None, return_indices=False,
        algorithm=dispatch.algorithm(problem.op, algorithm), max_workspace=0,
    )  # fmt: skip
    return explanation(problem.op, plan.info())


def tune(problem: Problem) -> Entry | None:
    """What `algorithm="tune"` finds; None where there is no choice, or the same problem had its turn before."""
    before, numbers = len(tuning.known()), arrays.make(problem)
    if problem.is_pool:
        getattr(cnnfast, problem.op)(numbers["x"], algorithm=tuning.TUNE, **window_of(problem))
    else:
        plan_of(problem, numbers, tuning.TUNE)
    return next(iter(tuning.known()[before:]), None)


def algorithms(problem: Problem) -> tuple[str, ...]:
    """Every row of the op's table; some may not take the problem."""
    return dispatch.algorithms(problem.op)


def work(why: Explanation) -> float:
    """What the chosen row multiplies of what the definition does."""
    own = next(row.flops for row in why.candidates if row.algorithm == why.algorithm)
    return own / why.flops if why.flops else 1.0


def rows_that_accept(why: Explanation) -> list[str]:
    """The rows of the table that take the problem."""
    return [row.algorithm for row in why.candidates if row.accepts]
