"""The NumPy oracle, in a process of its own: it judges outputs, and its time is the floor for the others."""

import time
from pathlib import Path
from typing import Any

import numpy as np

from cnnfast.bench import arrays, oracle
from cnnfast.bench.problems import parse_line

from . import Engine, Request

SMALL = 2_000_000  # multiply-adds that tell how long more of them would take


class Reference(Engine):
    version = np.__version__

    def ask(self, request: Request) -> dict[str, Any]:
        problem = parse_line(request["line"])
        assert problem is not None
        numbers = arrays.read(Path(request["arrays"]))
        if request["command"] == "judge":
            outputs = {name: np.load(path, mmap_mode="r") for name, path in request["outputs"].items()}
            verdicts = oracle.judge(problem, numbers, outputs)
            return {name: vars(verdict) | {"right": verdict.right} for name, verdict in verdicts.items()}
        if request["command"] == "once":
            small = problem.cropped(SMALL)
            few = arrays.make(small) if small != problem else numbers
            seconds = seconds_of(lambda: oracle.whole(small, few))
            if small == problem:
                return {"seconds": seconds}
            estimate = seconds * problem.steps_of_work / small.steps_of_work
            if estimate > request["limit"]:
                return {"estimate": estimate}
            return {"seconds": seconds_of(lambda: oracle.whole(problem, numbers))}
        return super().ask(request)


def seconds_of(run: Any) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def load(threads: int) -> Engine:
    return Reference()
