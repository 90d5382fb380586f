"""Hosts one engine: `python -P worker.py ENGINE THREADS`, one JSON request a line in, one JSON answer a line out.

It is started by path, with any interpreter, so it must not import cnnfast: it loads this folder as a package of
another name, where `import torch` in torch.py means the real one.
"""

import ctypes
import gc
import importlib.util
import json
import math
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, TextIO

PACKAGE = "cnnfast_peers"
SEARCH_PATH = "CNNFAST_BENCH_PATH"  # the parent's sys.path, where this is the parent's interpreter
SAMPLE_S = 2e-3  # a sample is as many calls as take this long
MOST_CALLS = 5000


def load_package() -> None:
    folder = Path(__file__).resolve().parent
    spec = importlib.util.spec_from_file_location(
        PACKAGE, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[PACKAGE] = module
    spec.loader.exec_module(module)


def die_with_parent() -> None:
    """A stopped process outlives a parent that was killed; on Linux the kernel can see to that."""
    if sys.platform == "linux":
        set_death_signal = 1
        ctypes.CDLL(None).prctl(set_death_signal, signal.SIGKILL)


def own_stdout() -> TextIO:
    """The channel to the parent; what libraries print goes to stderr."""
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return channel


class Host:
    """The prepared runnables of one engine, by key."""

    def __init__(self, engine: Any) -> None:
        self.engine = engine
        self.ready: dict[str, Any] = {}

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        match request["command"]:
            case "prepare":
                return self.prepare(request)
            case "time":
                return {"seconds": self.time(self.ready[request["key"]].run, request)}
            case "release":
                self.ready.clear()
                gc.collect()
                return {}
        answer: dict[str, Any] = self.engine.ask(request)
        return answer

    def prepare(self, request: dict[str, Any]) -> dict[str, Any]:
        import numpy as np

        arrays = {path.stem: np.load(path) for path in Path(request["arrays"]).glob("*.npy")}
        if "model" in request:
            inputs = [arrays[name] for name in sorted(arrays, key=int)]
            runnable = self.engine.prepare_model(request["model"], inputs)
        else:
            runnable = self.engine.prepare(request, arrays)
        runnable.run()
        np.save(request["output"], np.ascontiguousarray(runnable.output()))
        self.ready[request["key"]] = runnable
        once = seconds_of(runnable.run)
        if once < 0.1:
            once = min(once, seconds_of(runnable.run), seconds_of(runnable.run))
        calls = max(1, min(MOST_CALLS, math.ceil(SAMPLE_S / max(once, 1e-8))))
        return {"once": once, "calls": calls, "facts": runnable.facts}

    @staticmethod
    def time(run: Any, request: dict[str, Any]) -> list[float]:
        """Seconds a call, one figure a sample, after `warm` seconds of calls that do not count."""
        start = time.perf_counter()
        while time.perf_counter() - start < request["warm"]:
            run()
        calls, samples = range(request["calls"]), []
        for _ in range(request["samples"]):
            start = time.perf_counter()
            for _ in calls:
                run()
            samples.append((time.perf_counter() - start) / len(calls))
        return samples


def seconds_of(run: Any) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def main(name: str, threads: int) -> None:
    die_with_parent()
    channel = own_stdout()
    if os.environ.get(SEARCH_PATH):
        sys.path[:] = os.environ[SEARCH_PATH].split(os.pathsep)

    def reply(**answer: object) -> None:
        channel.write(json.dumps(answer) + "\n")
        channel.flush()

    try:
        load_package()
        engine = importlib.import_module(f"{PACKAGE}.{name}").load(threads)
    except Exception as error:
        reply(error=f"{type(error).__name__}: {error}"[:500])
        return
    reply(version=engine.version)
    host = Host(engine)
    for line in sys.stdin:
        try:
            reply(**host.answer(json.loads(line)))
        except Exception as error:
            reply(error=f"{type(error).__name__}: {error}"[:500], unsupported=type(error).__name__ == "Unsupported")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
