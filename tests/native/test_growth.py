"""A network that runs for long does not grow."""

import subprocess
from collections.abc import Callable

import pytest

PROGRAM = """
    import ctypes
    import gc
    import os
    import numpy as np
    from cnnfast.graph.ir import Graph, Spec
    from cnnfast.graph.network import Network

    rng = np.random.default_rng(1)
    g = Graph(["x"], [])

    def weight(*shape):
        return g.constant(rng.standard_normal(shape, dtype=np.float32))

    a = g.add("conv2d", ["x", weight(3, 3, 3, 16), weight(16)], padding=1, activation="relu")
    b = g.add("max_pool2d", [a], kernel_size=2)
    c = g.add("conv2d", [b, weight(3, 3, 16, 32), weight(32)], padding=1, activation="relu")
    d = g.add("conv2d", [b, weight(1, 1, 16, 32), weight(32)], activation="relu")
    e = g.add("concatenate", [c, d], axis=-1)
    f = g.add("conv2d", [e, weight(3, 3, 64, 32), weight(32), c], padding=1, activation="relu")
    g.outputs = [g.add("adaptive_avg_pool2d", [f], output_size=1)]
    network = Network(g)
    shapes = [(1 + i % 2, 32 + 4 * i, 64 + 2 * (i * 7 % 20), 3) for i in range(20)]
    images = [rng.standard_normal(shape, dtype=np.float32) for shape in shapes]

    class Mallinfo(ctypes.Structure):
        names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
        _fields_ = [(name, ctypes.c_size_t) for name in names.split()]

    mallinfo = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if mallinfo:
        mallinfo.restype = Mallinfo

    def allocated():
        gc.collect()
        found = mallinfo() if mallinfo else Mallinfo()
        return found.uordblks + found.hblkhd

    def resident():
        return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    first, most = {}, [0, 0]
    for i in range(10_000):
        x = images[i % 20]
        (y,) = network.executable({"x": Spec.of(x)}).run([x])
        assert np.array_equal(first.setdefault(i % 20, y.copy()), y), i
        most[i >= 2000] = max(most[i >= 2000], resident())
        if i == 1999:
            warm = allocated()
    print(warm, allocated(), *most)
"""


@pytest.mark.slow
def test_ten_thousand_runs_of_twenty_shapes(python: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """pytest tests/native/test_growth.py --run-slow: minutes. More sizes than are kept, so that plans come and go.

    What is allocated must stay; what the C library keeps of freed memory comes and goes, and with it what is resident.
    """
    done = python(PROGRAM, seconds=1800)
    assert done.returncode == 0, done.stderr
    warm, end, before, after = map(int, done.stdout.split())
    print(f"allocated after 2,000 and 10,000 runs: {warm / 1e6:.2f}, {end / 1e6:.2f} MB;", end=" ")
    print(f"most resident up to 2,000 and beyond: {before / 1e6:.1f}, {after / 1e6:.1f} MB")
    assert end < warm + (128 << 10)
    assert after < 1.25 * before
