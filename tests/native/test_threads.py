"""Threads and processes: one plan in many threads, fork after a parallel region, the GIL, other OpenMP users."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import cnnfast
from cnnfast.backends import native

Array = np.ndarray[Any, np.dtype[np.float32]]


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = cnnfast.get_num_threads()
    cnnfast.set_num_threads(2)
    yield
    cnnfast.set_num_threads(before)


def problem(layout: str = "NHWC") -> tuple[Any, Array]:
    """A plan with work enough for several threads, and an input."""
    rng = np.random.default_rng(1)
    weight = rng.standard_normal((3, 3, 24, 40) if layout == "NHWC" else (40, 24, 3, 3)).astype(np.float32)
    shape = (2, 28, 28, 24) if layout == "NHWC" else (2, 24, 28, 28)
    plan = cnnfast.plan_conv2d(shape, weight, layout=layout, padding="same", activation="gelu")
    return plan, rng.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
def test_one_plan_in_many_threads(layout: str) -> None:
    plan, x = problem(layout)
    right = plan(x).tobytes()
    results: list[bool] = []
    barrier = threading.Barrier(8)

    def work() -> None:
        barrier.wait()
        out = np.empty_like(plan(x))
        results.extend(plan(x, out=out).tobytes() == right for _ in range(15))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 8 * 15


def test_functions_in_many_threads() -> None:
    """Each call makes its own plan, pools share a cache of them."""
    x = problem()[1]
    right = cnnfast.max_pool2d(x, 3, 2).tobytes()
    results: list[bool] = []

    def work() -> None:
        for stride in (1, 2, 3) * 5:
            y = cnnfast.max_pool2d(x, 3, stride)
            results.append(stride != 2 or y.tobytes() == right)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 90


def test_same_bits_on_any_number_of_threads() -> None:
    plan, x = problem("NCHW")
    found = set()
    for count in (1, 2, 3, 4, 7):
        cnnfast.set_num_threads(count)
        found.add(plan(x).tobytes())
    assert len(found) == 1


@pytest.mark.parametrize("threads", [2, 3, 8, 70])
@pytest.mark.parametrize(("window", "groups", "stride"), [(1, 1, 1), (3, 1, 1), (3, 1, 2), (3, 32, 1), (5, 32, 2)])
def test_pieces_of_shares_taken_by_others(window: int, groups: int, stride: int, threads: int) -> None:
    """With more threads than cores some wait for a core while others are done and take what is theirs."""
    rng = np.random.default_rng(2)
    x = rng.standard_normal((2, 113, 57, 32)).astype(np.float32)
    weight = rng.standard_normal((window, window, 32 // groups, 64)).astype(np.float32)
    plan = cnnfast.plan_conv2d(x.shape, weight, padding=window // 2, groups=groups, stride=stride)
    cnnfast.set_num_threads(1)
    right = plan(x)
    cnnfast.set_num_threads(threads)
    for _ in range(20):
        np.testing.assert_array_equal(plan(x, out=np.full_like(right, np.nan)), right)


def test_a_run_lets_other_threads_go_on() -> None:
    """It gives up the GIL: this thread counts while another one is in a long run."""
    weight = np.ones((7, 7, 64, 64), np.float32)
    plan = cnnfast.plan_conv2d((1, 128, 128, 64), weight, algorithm="plain")
    x = np.ones((1, 128, 128, 64), np.float32)
    started = threading.Event()
    running = True

    def work() -> None:
        nonlocal running
        started.set()
        plan(x)
        running = False

    thread = threading.Thread(target=work)
    thread.start()
    started.wait()
    count = 0
    while running:
        count += 1
    thread.join()
    assert count > 1000


def test_fork_after_a_parallel_region(isolated: Callable[..., Any]) -> None:
    """libgomp's threads do not exist in the child: it runs on one, and right."""
    plan, x = problem()
    right = plan(x).tobytes()
    weight = np.ones((1, 1, 24, 8), np.float32)
    outcome = isolated(lambda: (plan(x).tobytes() == right, cnnfast.conv2d(x, weight).shape), 30)
    assert outcome.value == (True, (2, 28, 28, 8))
    assert plan(x).tobytes() == right


def test_a_forked_child_has_one_thread(isolated: Callable[..., Any]) -> None:
    assert cnnfast.get_num_threads() == 2
    assert isolated(cnnfast.get_num_threads, 30).value == 1
    assert cnnfast.get_num_threads() == 2


def test_a_forked_child_can_fork(isolated: Callable[..., Any]) -> None:
    plan, x = problem()
    right = plan(x).tobytes()

    def child() -> bool:
        grandchild = os.fork()
        if grandchild == 0:
            os._exit(plan(x).tobytes() != right)
        return os.waitpid(grandchild, 0)[1] == 0 and plan(x).tobytes() == right

    assert isolated(child, 30).value is True


def _sum(seed: int) -> float:
    x = np.random.default_rng(seed).standard_normal((1, 28, 28, 24)).astype(np.float32)
    return float(cnnfast.conv2d(x, np.ones((3, 3, 24, 40), np.float32)).sum())


def test_a_pool_of_forked_workers() -> None:
    right = [_sum(seed) for seed in range(6)]
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map_async(_sum, range(6)).get(timeout=60) == right


def test_fork_amid_other_threads_work(python: Callable[..., Any]) -> None:
    """Two threads run convolutions, so that the library's threads and OpenMP's are at work while children are made."""
    program = """
        import multiprocessing, threading
        import numpy as np, cnnfast

        x, w = np.ones((2, 56, 56, 32), np.float32), np.ones((3, 3, 32, 32), np.float32)
        going = True

        def convolve():
            assert (cnnfast.conv2d(x, w, precision="strict") == 288).all()

        def work():
            while going:
                convolve()

        thread = threading.Thread(target=work)
        thread.start()
        for _ in range(20):
            for _ in range(10):
                convolve()
            child = multiprocessing.get_context("fork").Process(target=convolve)
            child.start()
            child.join()
            assert child.exitcode == 0
        going = False
        thread.join()
        print("done")
    """
    done = python(program, seconds=60, CNNFAST_NUM_THREADS="2")
    assert done.stdout == "done\n", done.stderr


def test_set_num_threads_reaches_all_threads() -> None:
    seen = []
    cnnfast.set_num_threads(3)
    thread = threading.Thread(target=lambda: seen.append(cnnfast.get_num_threads()))
    thread.start()
    thread.join()
    assert seen == [3]


PARALLEL = {
    "torch": """
def parallel():
    torch.nn.functional.conv2d(torch.ones(2, 16, 40, 40), torch.ones(32, 16, 3, 3))
torch.set_num_threads(2)""",
    "sklearn": """
def parallel():
    sklearn.cluster.KMeans(3, n_init=1).fit(np.random.default_rng(0).random((3000, 8)))""",
    "numba": """
@numba.njit(parallel=True)
def parallel():
    total = 0.0
    for i in numba.prange(100000):
        total += i
    return total""",
}


@pytest.mark.parametrize("other", ["torch", "sklearn.cluster", "numba"])
@pytest.mark.parametrize("first", [True, False], ids=["before", "after"])
def test_another_openmp_user(other: str, first: bool, python: Callable[..., Any]) -> None:
    """Import orders: both run parallel regions, in turn, and cnnfast's results stay."""
    name = other.partition(".")[0]
    package = {"torch": "torch==2.13.0", "sklearn": "scikit-learn"}.get(name, name)
    pytest.importorskip(name, reason=f"another user of OpenMP to live with: pip install {package}")
    imports = [f"import {other}", "import cnnfast"]
    program = "\n".join([
        "import numpy as np",
        *(imports if first else imports[::-1]),
        PARALLEL[name],
        "cnnfast.set_num_threads(2)",
        "x, w = np.ones((2, 56, 56, 32), np.float32), np.ones((3, 3, 32, 32), np.float32)",
        "for _ in range(3):",
        "    assert (cnnfast.conv2d(x, w, precision='strict') == 288).all()",
        "    parallel()",
        "assert (cnnfast.conv2d(x, w, precision='strict') == 288).all()",
        "print('done')",
    ])  # fmt: skip
    done = python(program)
    assert done.stdout == "done\n", done.stderr


def test_threadpoolctl_is_heard(python: Callable[..., Any]) -> None:
    """A limit on OpenMP lowers a run's threads: fewer of them need a workspace."""
    pytest.importorskip("threadpoolctl", reason="the usual way to limit threads: pip install threadpoolctl")
    program = """
        import numpy as np, threadpoolctl, cnnfast
        plan = cnnfast.plan_conv2d((8, 56, 56, 32), np.ones((3, 3, 32, 32), np.float32), padding=1, algorithm="direct")
        free = plan.workspace_size
        with threadpoolctl.threadpool_limits(1, "openmp"):
            limited = plan.workspace_size
            assert (plan(np.ones((8, 56, 56, 32), np.float32))[:, 1:-1, 1:-1] == 288).all()
        print(free == 3 * limited, plan.workspace_size == free)
    """
    done = python(program, OMP_NUM_THREADS="3")
    assert done.stdout == "True True\n", done.stdout + done.stderr


def test_threadpoolctl_sees_and_limits_our_own_threads(python: Callable[..., Any]) -> None:
    """It lists the OpenMP that the library is linked with; the threads are ours, and heed its limit all the same."""
    pytest.importorskip("threadpoolctl", reason="the usual way to limit threads: pip install threadpoolctl")
    program = """
        import sys, numpy as np, threadpoolctl, cnnfast
        plan = cnnfast.plan_conv2d((8, 56, 56, 32), np.ones((3, 3, 32, 32), np.float32), padding=1, algorithm="direct")
        x = np.ones((8, 56, 56, 32), np.float32)
        plan(x)
        for limit in (1, 2):
            with threadpoolctl.threadpool_limits(limit, "openmp"):
                plan(x)
        with threadpoolctl.threadpool_limits(1):
            plan(x)
        plan(x)
        print([each["num_threads"] for each in threadpoolctl.threadpool_info() if each["user_api"] == "openmp"])
    """
    done = python(program, OMP_NUM_THREADS="3", CNNFAST_VERBOSE="1")
    assert [line.split(",")[-2] for line in done.stderr.splitlines()[1:]] == ["3", "1", "2", "1", "3"], done.stderr
    assert done.stdout == "[3]\n"


def test_the_module_says_what_it_uses() -> None:
    native.set_num_threads(5)
    assert native.get_num_threads() == cnnfast.get_num_threads() == 5
