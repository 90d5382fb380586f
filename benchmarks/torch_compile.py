"""`torch.compile(net, backend="cnnfast")` beside torch's own ways: `python benchmarks/torch_compile.py [network ...]`.

Each network on one picture with two threads: torch eager with channels last, inductor with freezing (which compiles
C++: it needs g++) in both layouts, the better of which is told, and cnnfast; in turn in one process, the median of
several rounds. Each runs for 50 ms before each sample, so that none pays for another's threads and caches.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch_networks import NETWORKS, initialised  # beside this file

import cnnfast
from cnnfast.interop import torch_compile

SHAPES: dict[str, tuple[int, ...]] = {
    "resnet50": (1, 3, 224, 224), "mobilenet-v2": (1, 3, 224, 224), "vgg16": (1, 3, 224, 224),
    "unet": (1, 3, 256, 256),
}  # fmt: skip
WARM = 0.05  # seconds
Calls = dict[str, Callable[[], Any]]


@contextmanager
def frozen() -> Iterator[None]:
    import torch._inductor.config as config

    before, config.freezing = config.freezing, True
    yield
    config.freezing = before


def prepare(name: str, inductor: bool = True) -> Calls:
    """A call of each way, made ready."""
    shape = SHAPES[name]
    net = initialised(NETWORKS[name](), shape)
    x = torch.randn(*shape)
    print(f"{name}: {torch_compile.explain(net, x)}", flush=True)
    torch._dynamo.reset()
    fast = torch.compile(net, backend="cnnfast")
    last = initialised(NETWORKS[name](), shape).to(memory_format=torch.channels_last)
    x_last = x.to(memory_format=torch.channels_last)
    calls: Calls = {"eager": lambda: last(x_last), "cnnfast": lambda: fast(x)}
    calls["cnnfast"]()
    for way, format in (("inductor", torch.contiguous_format), ("inductor last", torch.channels_last)):
        if inductor:
            calls[way] = by_inductor(name, x.to(memory_format=format), format)
    wide = initialised(NETWORKS[name](), shape).double()(x.double())
    errors = {way: (call() - wide).abs().max().item() for way, call in calls.items()}
    print("  largest error:", ", ".join(f"{way} {error:.2e}" for way, error in errors.items()), flush=True)
    return calls


def by_inductor(name: str, x: Any, format: Any) -> Callable[[], Any]:
    compiled = torch.compile(initialised(NETWORKS[name](), SHAPES[name]).to(memory_format=format), backend="inductor")
    with frozen():
        compiled(x)
    return lambda: compiled(x)


def measure(calls: Calls, seconds: float) -> dict[str, float]:
    """Seconds of each, taken in turn."""
    times: dict[str, list[float]] = {way: [] for way in calls}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times["cnnfast"]) < 3:
        for way, call in calls.items():
            warm = time.perf_counter() + WARM
            while time.perf_counter() < warm:
                call()
            start = time.perf_counter()
            call()
            times[way].append(time.perf_counter() - start)
    return {way: statistics.median(each) for way, each in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", default=list(SHAPES), help=f"of {', '.join(SHAPES)}")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=10, help="for each network")
    parser.add_argument("--no-inductor", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    cnnfast.set_num_threads(given.threads)
    print("| network | " + " | ".join(("cnnfast ms", "eager ms", "inductor ms", "ratio")) + " |")
    with torch.no_grad():
        for name in given.networks:
            print(row(name, measure(prepare(name, not given.no_inductor), given.seconds)), flush=True)


def row(name: str, times: dict[str, float]) -> str:
    best = min(time for way, time in times.items() if way != "cnnfast")
    inductor = min((time for way, time in times.items() if "inductor" in way), default=float("nan"))
    each = [f"{1e3 * time:.1f}" for time in (times["cnnfast"], times["eager"], inductor)]
    return "| " + " | ".join((name, *each, f"{best / times['cnnfast']:.2f}")) + " |"


if __name__ == "__main__":
    main()
