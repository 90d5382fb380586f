"""The forward ops against the machine's limits: `python benchmarks/forward.py [float32 | float64]`.

Elementwise ops, norms and softmax on arrays of four times the last level of cache (128 MB here), as a share of two
copies of the same bytes: NumPy's, and our own, which stores past the caches on every thread. Dense layers of VGG16
against the FMA peak and the read bandwidth of an array as large as their weights. The least of several rounds, in
which the ops take turns, so that a busy neighbour disturbs all of them.
"""

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import cnnfast
from cnnfast.backends import native
from cnnfast.ops.arrays import allocate

BYTES = 128 << 20
ROUNDS = 5


def times(calls: dict[str, Callable[[], Any]]) -> dict[str, float]:
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(ROUNDS):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            best[name] = min(best[name], time.perf_counter() - start)
    return best


def streams(dtype: np.dtype[Any]) -> None:
    rng = np.random.default_rng(0)
    shape = BYTES // dtype.itemsize // 1024, 1024
    x, z, y = (allocate(name, shape, dtype) for name in "xzy")
    x[...], z[...], y[...] = rng.standard_normal(shape).astype(dtype) * 3, 1, 0
    images, out = (each.reshape(-1, 64, 32, 32) for each in (x, y))
    wide, narrow = ([rng.random(n).astype(dtype) for _ in range(4)] for n in (1024, 64))
    names = ["relu", "leaky_relu", "elu", "selu", "sigmoid", "hardsigmoid", "tanh", "gelu", "silu", "hardswish"]
    names += ["mish", "softplus"]
    calls: dict[str, Callable[[], Any]] = {
        "np.copyto": lambda: np.copyto(y, x),
        "copy": lambda: native.run_elementwise("map", x, None, y, None),
        **{name: lambda name=name: getattr(cnnfast, name)(x, out=y) for name in names},
        "gelu tanh": lambda: cnnfast.gelu(x, "tanh", out=y),
        "prelu": lambda: cnnfast.prelu(x, wide[0], out=y),
        "add": lambda: cnnfast.add(x, z, out=y),
        "multiply": lambda: cnnfast.multiply(x, z, out=y),
        "add relu": lambda: cnnfast.add(x, z, activation="relu", out=y),
        "add vector": lambda: cnnfast.add(x, wide[0], out=y),
        "batch_norm": lambda: cnnfast.batch_norm(x, *wide, out=y),
        "batch_norm NCHW": lambda: cnnfast.batch_norm(images, *narrow, layout="NCHW", out=out),
        "softmax": lambda: cnnfast.softmax(x, out=y),
        "log_softmax": lambda: cnnfast.log_softmax(x, out=y),
        "softmax NCHW": lambda: cnnfast.softmax(images, 1, out=out),
    }
    best = times(calls)
    print(f"{dtype}, {native.isa()}, {native.get_num_threads()} threads: GB/s, % of np.copyto, % of our copy")
    for name, seconds in best.items():
        arrays = 3 if name in ("add", "multiply", "add relu") else 2
        rate, copies = arrays * x.nbytes / seconds, [2 * x.nbytes / best[each] for each in ("np.copyto", "copy")]
        print(f"  {name:<16}{rate / 1e9:6.1f}{rate / copies[0]:7.0%}{rate / copies[1]:7.0%}")


def dense() -> None:
    rng, threads = np.random.default_rng(0), native.get_num_threads()
    for C, K in ((25088, 4096), (4096, 4096), (4096, 1000)):
        weight = rng.standard_normal((K, C), dtype=np.float32)
        plan = cnnfast.plan_linear((1, C), weight)
        calls: dict[str, Callable[[], Any]] = {}
        for n in (1, 16):
            x, y = rng.standard_normal((n, C), dtype=np.float32), np.empty((n, K), np.float32)
            calls[str(n)] = lambda plan=plan, x=x, y=y: plan(x, out=y)
        read = native.probe("read", weight.nbytes // threads, 0.2, threads)
        best, peak = times(calls), native.probe("fma", 0, 0.2, threads)
        read = max(read, native.probe("read", weight.nbytes // threads, 0.2, threads))
        flops = 2 * 16 * weight.size / best["16"] / 1e9
        bandwidth = weight.nbytes / best["1"] / 1e9
        limit = min(peak, 8 * read)
        print(f"linear {C} -> {K}: read {read:.1f} GB/s, FMA peak {peak:.0f} GFLOP/s")
        print(f"  batch 1   {best['1'] * 1e3:8.2f} ms  {bandwidth:6.1f} GB/s  {bandwidth / read:.0%} of the read")
        print(f"  batch 16  {best['16'] * 1e3:8.2f} ms  {flops:6.0f} GFLOP/s  {flops / limit:.0%} of {limit:.0f}")


if __name__ == "__main__":
    streams(np.dtype(sys.argv[1] if len(sys.argv) > 1 else "float32"))
    dense()
