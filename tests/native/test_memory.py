"""Memory that cannot be had: a MemoryError, nothing written, the next call right. And more than 2**31 elements."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import cnnfast

PROGRAM = """
    import resource
    import numpy as np, cnnfast

    def refused(call):
        \"""Whether a call cannot have the memory it needs when this process may map 8 MB more and no more.\"""
        pages = int(open("/proc/self/statm").read().split()[0])
        limits = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (8 << 20), limits[1]))
        try:
            call()
        except MemoryError:
            return True
        finally:
            resource.setrlimit(resource.RLIMIT_AS, limits)
        return False
"""
WORKSPACE = """
    # NCHW runs through a workspace of more than 16 MB.
    weight, x = np.ones((16, 64, 3, 3), np.float32), np.ones((2, 64, 256, 256), np.float32)
    plan = cnnfast.plan_conv2d(x.shape, weight, layout="NCHW", algorithm="direct")
    y = np.full((2, 16, 254, 254), 7, np.float32)
    print(plan.workspace_size > 16 << 20, refused(lambda: plan(x, out=y)), (y == 7).all())
    print((plan(x, out=y) == 576).all())
"""
PLAN = """
    # 36 MB of packed weights.
    weight, x = np.ones((3, 3, 1024, 1024), np.float32), np.ones((1, 4, 4, 1024), np.float32)
    print(refused(lambda: cnnfast.plan_conv2d(x.shape, weight)), (cnnfast.conv2d(x, weight) == 9 * 1024).all())
"""
OUTPUT = """
    # 64 MB of output.
    weight, x = np.ones((1, 1, 4, 64), np.float32), np.ones((1, 512, 512, 4), np.float32)
    print(refused(lambda: cnnfast.conv2d(x, weight)), (cnnfast.conv2d(x, weight) == 4).all())
"""


@pytest.mark.parametrize("what", [WORKSPACE, PLAN, OUTPUT], ids=["workspace", "plan", "output"])
def test_no_memory(what: str, python: Callable[..., Any]) -> None:
    """MemoryError, `out` untouched, and the next call is right; in a new process, whose heap has nothing to reuse."""
    done = python(PROGRAM + what)
    assert set(done.stdout.split()) == {"True"}, done.stdout + done.stderr


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
