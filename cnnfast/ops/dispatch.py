"""From an op to its backend: the native plan of a problem, and its run on arrays that may need a copy first.

Every array on this machine goes to `backends.native`; `backends.reference` is asked by name only, as the oracle.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from cnnfast.backends import native
from cnnfast.ops import arrays, checks, tuning
from cnnfast.ops.arrays import Array
from cnnfast.ops.signatures import NAMES, SIGNATURES

LAST = (0, 2, 3, 1)
"""The axes of an NCHW array as NHWC has them."""
FIRST = (0, 3, 1, 2)
"""The way back."""


def algorithm(op: str, value: object) -> str | None:
    """The `algorithm` argument of `op`: a row of its table, "tune", or None for "auto"."""
    if isinstance(value, str) and value == "auto":
        return None
    return checks.choice("algorithm", value, ("auto", tuning.TUNE, *algorithms(op)))


def algorithms(op: str) -> tuple[str, ...]:
    """The rows of the op's table.

    >>> "direct" in algorithms("conv2d")
    True
    """
    return tuple(native.algorithms(SIGNATURES[op].table))


def native_plan(
    op: str, x_shape: tuple[int, ...], y_shape: tuple[int, ...], *args: Any, dtype: np.dtype[Any],
    told: Mapping[str, Any] | None = None, **problem: Any,
) -> native.Plan:  # fmt: skip
    """Validate, choose, size, pack: the native plan of a problem that `ops` has checked.

    `told` is what tells the problem from others, where the weights' shapes and `problem` do not.
    """
    arrays.check_fits("an image of x", x_shape[1:], dtype)
    arrays.check_fits("an image of the output", y_shape[1:], SIGNATURES[op].dtypes[dtype])
    table = SIGNATURES[op].table
    planner = getattr(native, f"plan_{table}")
    shape = max(1, x_shape[0]), *x_shape[1:]  # an image to judge by, also where the batch is empty

    algorithm = problem.pop("algorithm", None)

    def make(named: str | None) -> native.Plan:
        choice = {} if named is None else {"algorithm": named}
        plan: native.Plan = planner(shape, *args, dtype=NAMES[dtype], **problem, **choice)
        return plan

    if algorithm == tuning.TUNE:
        limits = [size for size in (problem.get("max_workspace"), native.get_max_workspace()) if size]
        problem["max_workspace"] = min(limits, default=0)
        # of the values in x, and of how often the plan runs, not of the problem
        rest = {name: value for name, value in problem.items() if name not in ("max_abs_input", "once")}
        known = told or {"weights": tuple(None if each is None else each.shape for each in args)}
        return tuning.tuned(table, {"x": shape, **known, "dtype": NAMES[dtype], **rest}, make)
    try:
        return make(algorithm)
    except ValueError as error:
        if algorithm is None:
            raise
        raise ValueError(
            f'algorithm "{algorithm}" does not take this problem ({error}); "auto" finds one of '
            f"{', '.join(algorithms(op))} that does"
        ) from error


def execute(
    plan: native.Plan, x: Array, y_shape: Sequence[int], y_dtype: np.dtype[Any], *, residual: Array | None = None,
    out: object = None, indices: Array | None = None, inputs: Iterable[tuple[str, object]] = (),
) -> Array:  # fmt: skip
    """Run a plan on checked inputs, into `out` where it is given; `inputs` are the arrays that it may not overlap."""
    given = None
    if out is not None:
        given = arrays.check_out(out, y_shape, y_dtype)
        arrays.check_no_overlap(given, inputs)
    last = arrays.channels_last(x)
    turn = last, last if given is None else arrays.channels_last(given)
    turned = plan.turned(*turn) if any(turn) else None
    if turned is not None:
        return _execute_turned(turned, turn, x, given, y_shape, y_dtype, residual, indices)
    y = arrays.allocate("the output", y_shape, y_dtype) if given is None else given
    if y.size == 0:
        return y
    x = arrays.contiguous("x", x)
    if residual is not None:
        residual = arrays.contiguous("residual", residual)
    if not plan.run(x, residual, y, indices):  # `out` is strided, and not as some channels of an NHWC array are
        target = arrays.allocate("a contiguous copy of out", y_shape, y_dtype)
        if not plan.run(x, residual, target, indices):
            raise RuntimeError(f"the native plan refused arrays that were checked: x {x.shape} {x.dtype}, y {y.shape}")
        np.copyto(y, target)
    return y


def _execute_turned(
    plan: native.Plan, turn: tuple[bool, bool], x: Array, out: Array | None, y_shape: Sequence[int],
    y_dtype: np.dtype[Any], residual: Array | None, indices: Array | None,
) -> Array:  # fmt: skip
    """`execute` of NCHW arrays by a plan for x, y or both (`turn`) as they lie: channels last."""
    read, written = (np.transpose if each else _as_it_is for each in turn)
    places = indices
    if indices is not None:
        side = read if plan.reads_indices else written
        places = arrays.contiguous("indices", side(indices, LAST))
    y = execute(
        plan, read(x, LAST), [y_shape[i] for i in LAST] if turn[1] else y_shape, y_dtype,
        residual=None if residual is None else written(residual, LAST), out=None if out is None else written(out, LAST),
        indices=places,
    )  # fmt: skip
    if indices is not None and places is not None and places is not indices and not plan.reads_indices:
        np.copyto(indices, places.transpose(FIRST))
    return out if out is not None else written(y, FIRST)


def _as_it_is(array: Array, _: object) -> Array:
    return array
