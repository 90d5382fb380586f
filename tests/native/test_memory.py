"""Memory that cannot be had: a MemoryError, nothing written, the next call right. And more than 2**31 elements."""

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import cnnfast


@contextmanager
def no_more_memory(spare: int) -> Iterator[None]:
    """This process may map `spare` bytes more, and no more."""
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + spare, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def test_no_memory_for_the_workspace(isolated: Callable[..., Any]) -> None:
    """NCHW runs through one of some megabytes."""

    def call() -> tuple[str, bool, bool]:
        weight = np.ones((16, 64, 3, 3), np.float32)
        plan = cnnfast.plan_conv2d((2, 64, 256, 256), weight, layout="NCHW", algorithm="direct")
        x, y = np.ones((2, 64, 256, 256), np.float32), np.full((2, 16, 254, 254), 7, np.float32)
        assert plan.workspace_size > 16 << 20
        error = ""
        with no_more_memory(8 << 20):
            try:
                plan(x, out=y)
            except MemoryError as failed:
                error = str(failed)
        untouched = bool((y == 7).all())
        return error, untouched, bool((plan(x, out=y) == 64 * 9).all())

    outcome = isolated(call)
    assert outcome.value == ("out of memory", True, True), outcome


def test_no_memory_for_a_plan(isolated: Callable[..., Any]) -> None:
    """The packed weights are 36 MB."""

    def call() -> tuple[str, bool]:
        weight = np.ones((3, 3, 1024, 1024), np.float32)
        error = ""
        with no_more_memory(8 << 20):
            try:
                cnnfast.plan_conv2d((1, 4, 4, 1024), weight)
            except MemoryError as failed:
                error = str(failed)
        y = cnnfast.plan_conv2d((1, 4, 4, 1024), weight)(np.ones((1, 4, 4, 1024), np.float32))
        return error, bool((y == 9 * 1024).all())

    outcome = isolated(call)
    assert outcome.value == ("out of memory", True), outcome


def test_no_memory_for_the_output(isolated: Callable[..., Any]) -> None:
    def call() -> bool:
        x = np.ones((1, 512, 512, 4), np.float32)
        weight = np.ones((1, 1, 4, 64), np.float32)
        with no_more_memory(8 << 20), pytest.raises(MemoryError):
            cnnfast.conv2d(x, weight)
        return bool((cnnfast.conv2d(x, weight) == 4).all())

    outcome = isolated(call)
    assert outcome.value is True, outcome


@pytest.mark.parametrize("shape", [(1, 2**30, 2**30, 1), (2**40, 64, 64, 64)])
def test_larger_than_the_machine(shape: tuple[int, ...]) -> None:
    """Planned or refused, but never wrapped around."""
    x = np.broadcast_to(np.float32(1), shape)
    with pytest.raises(MemoryError):
        cnnfast.conv2d(x, np.ones((1, 1, shape[3], 1), np.float32))


@pytest.mark.slow
def test_input_of_more_than_2_to_the_31_elements() -> None:
    """pytest tests/native --run-slow: 8.6 GB of zeros of which few pages are touched; indices beyond 2**31."""
    H, W = 32768, 65600
    x = np.zeros((1, H, W, 1), np.float32)
    x[0, -1, -1, 0], x[0, -1, 0, 0], x[0, 0, 0, 0] = 1, 2, 3
    y, indices = cnnfast.max_pool2d(x, 64, 64, return_indices=True)
    assert y.shape == (1, H // 64, W // 64, 1)
    assert (y[0, -1, -1, 0], y[0, -1, 0, 0], y[0, 0, 0, 0], y.sum()) == (1, 2, 3, 6)
    assert indices[0, -1, -1, 0] == H * W - 1 > 2**31
    assert indices[0, -1, 0, 0] == (H - 1) * W
    assert cnnfast.global_max_pool2d(x).item() == 3


@pytest.mark.slow
@pytest.mark.parametrize(("layout", "N"), [("NHWC", 1), ("NCHW", 8)])
def test_output_of_more_than_2_to_the_31_elements(layout: str, N: int) -> None:
    """pytest tests/native --run-slow: 8.6 GB of output, and for NCHW an image of it, 1.1 GB, as workspace."""
    H, W, K = 16384, 16400 // N, 8
    x = np.zeros((N, H, W, 1) if layout == "NHWC" else (N, 1, H, W), np.float32)
    edge = np.arange(N * H, dtype=np.float32).reshape(N, H) % 251
    x.reshape(N, H, W)[:, :, -1] = edge
    factors = np.arange(1, K + 1, dtype=np.float32)
    weight = factors.reshape((1, 1, 1, K) if layout == "NHWC" else (K, 1, 1, 1))
    y = cnnfast.conv2d(x, weight, layout=layout, algorithm="direct")
    assert y.size > 2**31
    pixels = y if layout == "NHWC" else np.moveaxis(y, 1, -1)
    assert np.array_equal(pixels[:, :, -1], edge[:, :, np.newaxis] * factors)
    assert not pixels[:, ::1000, :-1].any()
