"""cnnfast, in a process of its own as every other engine, and the machine's limits as its probes measure them."""

from typing import Any

import cnnfast
from cnnfast.backends import native
from cnnfast.bench import engine
from cnnfast.bench.problems import parse_line
from cnnfast.bench.profile import profile

from . import Arrays, Engine, Request, Runnable

WARM_S, PROFILE_RUNS = 0.03, 5


class Ours(Engine):
    def __init__(self, threads: int) -> None:
        cnnfast.set_num_threads(threads)
        self.threads, self.version = threads, cnnfast.__version__

    def prepare(self, request: Request, arrays: Arrays) -> Runnable:
        problem = parse_line(request["line"])
        assert problem is not None
        run, y, why = engine.prepare(problem, arrays, request["algorithm"])
        facts = {
            "algorithm": why.algorithm, "isa": why.isa, "tile": why.tile, "workspace": why.workspace_size,
            "packed": why.packed_size, "rows": engine.rows_that_accept(why),
            "work": engine.work(why),
        }  # fmt: skip
        return Runnable(run, lambda: y, facts)

    def prepare_model(self, path: str, arrays: list[Any]) -> Runnable:
        from cnnfast.onnx import load

        model = load(path)
        feed = {value.name: x for value, x in zip(model.inputs, arrays, strict=True)}
        last: dict[str, Any] = {}

        def run() -> None:
            last["y"] = model.run(feed)[0]

        executable = model.executable(*(x.shape for x in arrays), dtypes=[x.dtype for x in arrays])
        found = profile(executable, arrays, PROFILE_RUNS)
        facts = {"floor": found.floor, "gflop": sum(part.flops for part in found.parts) / 1e9}
        return Runnable(run, lambda: last["y"], facts)

    def ask(self, request: Request) -> dict[str, Any]:
        if request["command"] != "probe":
            return super().ask(request)
        kind, size, threads = request["kind"], request["bytes"], request.get("threads", self.threads)
        native.probe(kind, size, WARM_S, threads)  # a process just woken has its threads on one core
        return {"rate": native.probe(kind, size, request["seconds"], threads)}


def load(threads: int) -> Engine:
    return Ours(threads)
