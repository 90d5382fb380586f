"""max_workspace, of a plan and of the process: what is counted, what it leaves out, what the error says."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import cnnfast
from cnnfast.backends import native

pytestmark = pytest.mark.usefixtures("strict")

RNG = np.random.default_rng(0)
X = RNG.standard_normal((3, 20, 20, 16), dtype=np.float32)
W = RNG.standard_normal((3, 3, 16, 24), dtype=np.float32)
PACKED = 4 * 24 * (1 + 3 * 3 * 16)
MIB = 2**20


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    threads = native.get_num_threads()
    yield
    cnnfast.set_max_workspace(None)
    native.set_num_threads(threads)


def least_told(error: pytest.ExceptionInfo[ValueError]) -> int:
    found = re.search(r"max_workspace must be >= (\d+) bytes for this problem", str(error.value))
    assert found, str(error.value)
    return int(found[1])


def both(x: np.ndarray, layout: str) -> tuple[np.ndarray, np.ndarray]:
    if layout == "NHWC":
        return x, W
    return np.ascontiguousarray(np.moveaxis(x, -1, 1)), np.ascontiguousarray(np.transpose(W, (3, 2, 0, 1)))


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
def test_the_error_names_the_least_that_is_enough(layout: str, threads: int) -> None:
    native.set_num_threads(threads)
    x, weight = both(X, layout)
    with pytest.raises(ValueError, match="got 0 ") as error:
        cnnfast.plan_conv2d(x.shape, weight, layout=layout, max_workspace=0)
    least = least_told(error)
    staged = 0 if layout == "NHWC" else 4 * (20 * 20 * 16 + 18 * 18 * 24)
    assert PACKED + staged <= least <= PACKED + staged + 3 * 64 + 4096  # the least row needs next to no workspace
    with pytest.raises(ValueError, match=f"got {least - 1} "):
        cnnfast.plan_conv2d(x.shape, weight, layout=layout, max_workspace=least - 1)
    plan = cnnfast.plan_conv2d(x.shape, weight, layout=layout, max_workspace=least)
    assert plan.explain().packed_size + plan.workspace_size <= least
    assert np.array_equal(plan(x), cnnfast.conv2d(x, weight, layout=layout))


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize("algorithm", ["direct", "im2col", "plain"])
def test_a_run_keeps_within_it_and_to_its_bits(algorithm: str, layout: str, threads: int) -> None:
    native.set_num_threads(threads)
    x, weight = both(X, layout)
    right = cnnfast.conv2d(x, weight, layout=layout)
    free = cnnfast.plan_conv2d(x.shape, weight, layout=layout, algorithm=algorithm)
    (needed,) = (row.needed_size for row in free.explain().candidates if row.algorithm == algorithm)
    packed = free.explain().packed_size
    assert needed <= -(-packed // 64) * 64 + free.workspace_size
    for size in (needed, needed + 100, 2 * needed - packed, packed + free.workspace_size + 64):
        plan = cnnfast.plan_conv2d(x.shape, weight, layout=layout, algorithm=algorithm, max_workspace=size)
        assert packed + plan.workspace_size <= size
        assert np.array_equal(plan(x), right)
        assert np.array_equal(plan(x[:1]), right[:1])
    with pytest.raises(
        ValueError, match=f'"{algorithm}" does not take this problem .max_workspace must be >= {needed}'
    ):
        cnnfast.plan_conv2d(x.shape, weight, layout=layout, algorithm=algorithm, max_workspace=needed - 1)


def test_the_choice_respects_it_and_no_number_of_threads() -> None:
    explained = cnnfast.plan_conv2d(X.shape, W).explain()
    rows = sorted((row for row in explained.candidates if row.accepts), key=lambda row: row.cost)
    assert rows[0].algorithm == explained.algorithm
    for threads in (1, 3):
        native.set_num_threads(threads)
        for size in sorted({row.needed_size for row in rows}):
            chosen = cnnfast.plan_conv2d(X.shape, W, max_workspace=size).explain().algorithm
            assert chosen == next(row.algorithm for row in rows if row.needed_size <= size)


@pytest.mark.parametrize(
    "make",
    [
        lambda **limit: cnnfast.plan_depthwise_conv2d(X.shape, np.ones((3, 3, 16, 1), np.float32), **limit),
        lambda **limit: cnnfast.plan_conv_transpose2d(X.shape, np.ones((2, 2, 4, 16), np.float32), stride=2, **limit),
        lambda **limit: cnnfast.plan_separable_conv2d(
            X.shape, np.ones((3, 3, 16, 1), np.float32), np.ones((1, 1, 16, 8), np.float32), **limit
        ),
        lambda **limit: cnnfast.plan_conv2d(X.shape, np.ones((3, 3, 16, 2), np.int8), **limit),
        lambda **limit: cnnfast.plan_inverted_residual2d(
            X.shape, *(np.ones(shape, np.float32) for shape in ((1, 1, 16, 32), (3, 3, 32, 1), (1, 1, 32, 8))), **limit
        ),
        lambda **limit: cnnfast.plan_conv2d_max_pool2d(X.shape, np.ones((3, 3, 16, 24), np.float32), **limit),
    ],
)
def test_every_plan_has_it(make: Any) -> None:
    with pytest.raises(ValueError, match="max_workspace") as error:
        make(max_workspace=10)
    least = least_told(error)
    x = np.ones(X.shape, make().dtype)
    assert np.array_equal(make(max_workspace=least)(x), make()(x))
    assert make(max_workspace=least).workspace_size < least


def test_the_process_has_one_too() -> None:
    assert cnnfast.get_max_workspace() is None
    cnnfast.set_max_workspace(1000)
    assert cnnfast.get_max_workspace() == 1000
    x = np.ascontiguousarray(np.moveaxis(X, -1, 1))
    calls: list[tuple[Any, ...]] = [
        (cnnfast.conv2d, X, W), (cnnfast.linear, X, np.ones((30, 16))), (cnnfast.conv1d, X[0], W[0]),
        (lambda: cnnfast.max_pool2d(x, 2, layout="NCHW"),), (cnnfast.softmax, RNG.standard_normal((2, 50, 8)), 1),
        (lambda: cnnfast.upsample2d(X, 2, "bilinear"),),
    ]  # fmt: skip
    for call, *arguments in calls:
        cnnfast.set_max_workspace(100)
        with pytest.raises(ValueError, match="got 100 ") as error:
            call(*arguments)
        cnnfast.set_max_workspace(least_told(error))
        y = call(*arguments)
        cnnfast.set_max_workspace(None)
        assert np.array_equal(call(*arguments), y)
    cnnfast.set_max_workspace(10 * MIB)
    with pytest.raises(ValueError, match="got 500 "):  # of the two the lesser
        cnnfast.plan_conv2d(X.shape, W, max_workspace=500)
    plan = cnnfast.plan_conv2d(X.shape, W)
    cnnfast.set_max_workspace(1)
    assert plan(X).shape == (3, 18, 18, 24)  # plans keep the one they were made with


def test_unpooling_after_another_limit() -> None:
    x = np.ones((1, 3, 4, 4), np.float32)
    y, indices = cnnfast.max_pool2d(x, 2, return_indices=True, layout="NCHW")
    cnnfast.max_unpool2d(y, indices, 2, layout="NCHW")
    cnnfast.set_max_workspace(50)
    with pytest.raises(ValueError, match="got 50 "):
        cnnfast.max_unpool2d(y, indices, 2, layout="NCHW")
    with pytest.raises(ValueError, match="got 50 "):
        cnnfast.max_pool2d(x, 2, return_indices=True, layout="NCHW")


@pytest.mark.parametrize(
    ("size", "error"), [(-1, ValueError), (1.5, TypeError), (True, TypeError), (2**63, ValueError)]
)
def test_bad_sizes(size: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="size must be"):
        cnnfast.set_max_workspace(size)
    with pytest.raises(error, match="max_workspace must be"):
        cnnfast.plan_conv2d(X.shape, W, max_workspace=size)


@pytest.mark.parametrize(
    ("text", "shown"), [("4096", "4096"), ("0", "1"), ("", "None"), ("-1", "got '-1'"), ("1e6", "got '1e6'")]
)
def test_the_environment_sets_it(text: str, shown: str) -> None:
    path = os.pathsep.join(os.path.abspath(each) for each in sys.path)
    done = subprocess.run(
        [sys.executable, "-P", "-c", "import cnnfast; print(cnnfast.get_max_workspace())"], capture_output=True,
        text=True, env=os.environ | {"PYTHONPATH": path, "CNNFAST_MAX_WORKSPACE": text},
    )  # fmt: skip
    assert shown in done.stdout + done.stderr
    assert (done.returncode == 0) == ("got" not in shown)
