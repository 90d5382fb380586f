"""`native.Plan.run`, the fast path: it runs on arrays that fit exactly, and otherwise writes nothing and says so."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import cnnfast
from cnnfast.backends import native

X, Y = (2, 5, 6, 3), (2, 3, 4, 4)
Arrays = dict[str, Any]


@pytest.fixture
def plan() -> Any:
    return native.plan_conv2d(X, np.ones((3, 3, 3, 4), np.float32), None, dtype="float32")


def arrays() -> Arrays:
    return {"x": np.ones(X, np.float32), "residual": None, "y": np.full(Y, 7, np.float32), "indices": None}


def unaligned(shape: tuple[int, ...]) -> Any:
    return np.zeros(4 * int(np.prod(shape)) + 1, np.uint8)[1:].view(np.float32).reshape(shape)


def read_only(a: Arrays) -> Arrays:
    a["y"].flags.writeable = False
    return a


def overlapping(a: Arrays) -> Arrays:
    memory = np.ones(400, np.float32)
    return a | {"x": memory[:180].reshape(X), "y": memory[179:275].reshape(Y)}


MISFITS: dict[str, Callable[[Arrays], Arrays]] = {
    "x of another dtype": lambda a: a | {"x": a["x"].astype(np.float64)},
    "x of the size, but no float": lambda a: a | {"x": a["x"].view(np.int32)},
    "x byte-swapped": lambda a: a | {"x": a["x"].astype(">f4")},
    "x of another shape": lambda a: a | {"x": np.ones((2, 5, 6, 4), np.float32)},
    "x of three dimensions": lambda a: a | {"x": np.ones((5, 6, 3), np.float32)},
    "x strided": lambda a: a | {"x": np.ones((2, 5, 12, 3), np.float32)[:, :, ::2]},
    "x expanded": lambda a: a | {"x": np.broadcast_to(np.float32(1), X)},
    "x unaligned": lambda a: a | {"x": unaligned(X)},
    "x a list": lambda a: a | {"x": a["x"].tolist()},
    "x None": lambda a: a | {"x": None},
    "y of another dtype": lambda a: a | {"y": a["y"].astype(np.float64)},
    "y of another shape": lambda a: a | {"y": np.full((2, 3, 4, 5), 7, np.float32)},
    "y of another batch": lambda a: a | {"y": np.full((1, 3, 4, 4), 7, np.float32)},
    "y read-only": read_only,
    "y unaligned": lambda a: a | {"y": unaligned(Y)},
    "y overlapping x by a number": overlapping,
    "y the residual": lambda a: a | {"residual": a["y"]},
    "y None": lambda a: a | {"y": None},
    "residual of another shape": lambda a: a | {"residual": np.ones((2, 3, 4, 3), np.float32)},
    "residual of another batch": lambda a: a | {"residual": np.ones((3, 3, 4, 4), np.float32)},
    "indices": lambda a: a | {"indices": np.zeros(Y, np.int64)},
}


@pytest.mark.parametrize("misfit", MISFITS)
def test_misfit_is_not_run(plan: Any, misfit: str) -> None:
    a = MISFITS[misfit](arrays())
    before = None if a["y"] is None else a["y"].tobytes()
    assert plan.run(a["x"], a["residual"], a["y"], a["indices"]) is False
    assert before is None or a["y"].tobytes() == before


def test_fit_is_run(plan: Any) -> None:
    a = arrays()
    a["x"].flags.writeable = False
    a["residual"] = np.ones(Y, np.float32)
    assert plan.run(**a) is True
    assert (a["y"] == 28).all()


def test_any_buffer_is_run(plan: Any) -> None:
    """Not NumPy's alone."""
    a = arrays()
    assert plan.run(memoryview(a["x"]), None, memoryview(a["y"])) is True
    assert (a["y"] == 27).all()


def test_any_batch_is_run(plan: Any) -> None:
    for N in (0, 1, 5):
        y = np.empty((N, *Y[1:]), np.float32)
        assert plan.run(np.ones((N, *X[1:]), np.float32), None, y)
        assert (y == 27).all()
    assert plan.input_shape(3) == (3, *X[1:])
    assert plan.output_shape(3) == (3, *Y[1:])


def test_wrong_indices_write_nothing() -> None:
    unpool = native.plan_max_unpool2d((1, 1, 2, 1), (2, 2), dtype="float32")
    x, y = np.ones((1, 1, 2, 1), np.float32), np.full((1, 2, 2, 1), 7, np.float32)
    for wrong in (4, -1, 2**32, -(2**63)):
        with pytest.raises(ValueError, match="invalid parameter"):
            unpool.run(x, None, y, np.array([0, wrong]).reshape(1, 1, 2, 1))
        assert (y == 7).all()
    assert unpool.run(x, None, y, np.array([0, 3]).reshape(1, 1, 2, 1))
    assert y.ravel().tolist() == [1, 0, 0, 1]


def test_a_plan_outlives_its_weights() -> None:
    weight = np.ones((3, 3, 3, 4), np.float32)
    plan = native.plan_conv2d(X, weight, None, dtype="float32")
    weight[...] = 5
    a = arrays()
    assert plan.run(**a)
    assert (a["y"] == 27).all()


CHUNKED: dict[str, tuple[Callable[..., Any], tuple[int, ...]]] = {
    "convolution": (
        lambda x: cnnfast.conv2d(x, KERNEL, residual=x[:, :1, 2:, 2:] + OUTPUT, layout="NCHW"),
        (30, 64, 36, 32),
    ),
    "transposed": (lambda x: cnnfast.conv_transpose2d(x, KERNEL, layout="NCHW"), (30, 48, 36, 32)),
    "pool": (lambda x: cnnfast.max_pool2d(x, 3, 2, layout="NCHW", return_indices=True), (30, 64, 36, 32)),
    "unpool": (lambda x: cnnfast.max_unpool2d(x, np.broadcast_to(PLACES, x.shape), 2, layout="NCHW"), (30, 9, 36, 32)),
    "integers": (lambda x: cnnfast.conv2d(x.astype(np.int8), np.ones((3, 3, 32, 8), np.int8)), (30, 36, 64, 32)),
}
KERNEL = np.random.default_rng(2).standard_normal((48, 64, 3, 3)).astype(np.float32)
OUTPUT = np.zeros((48, 34, 30), np.float32)
PLACES = np.arange(36 * 32).reshape(36, 32) * 4


@pytest.mark.usefixtures("strict")  # a function's choice depends on the batch
@pytest.mark.parametrize("name", CHUNKED)
def test_a_batch_that_is_staged_in_parts(name: str) -> None:
    """NCHW and integers go through some megabytes of workspace, so many images at a time."""
    function, shape = CHUNKED[name]
    x = np.round(np.random.default_rng(3).standard_normal(shape) * 9).astype(np.float32)
    whole, parts = function(x), [function(x[n : n + 1]) for n in range(shape[0])]
    if isinstance(whole, tuple):
        for i, each in enumerate(whole):
            assert np.array_equal(each, np.concatenate([part[i] for part in parts]))
    else:
        assert np.array_equal(whole, np.concatenate(parts))
