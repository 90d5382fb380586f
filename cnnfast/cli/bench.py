"""`cnnfast bench`: how fast is every algorithm here, how far from the machine's limit, and against other engines?"""

import argparse
from pathlib import Path

from cnnfast.bench import found, network, report, tables
from cnnfast.bench.peers import PEERS
from cnnfast.bench.problem import Problem
from cnnfast.bench.reading import read
from cnnfast.bench.results import Result
from cnnfast.bench.runner import DEFAULT_S, QUICK_S, Options, Outcome, run
from cnnfast.bench.tables import LEFT, Column
from cnnfast.bench.workers import EngineError
from cnnfast.cli import values
from cnnfast.cli.console import Console, Progress
from cnnfast.cli.run import inputs_of
from cnnfast.onnx import load
from cnnfast.ops import runtime

NETWORK_S = 10.0
READERS = ("onnxruntime", "openvino")
"""The engines that read ONNX files."""

DESCRIPTION = """\
Measures the machine's FMA peak and bandwidths, filters a photograph, checks every algorithm against the float64
oracle on the layers of published networks, and times them, between other engines where those are installed.
Ends in a table; writes bench.json, report.html and the pictures to the folder of --out."""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "bench", help="measure this machine, every algorithm and the other engines", description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    names = ", ".join(peer.name for peer in PEERS)
    parser.add_argument("--quick", action="store_true", help="a choice of layers, within a minute (else within five)")
    parser.add_argument("--threads", type=values.count, default=0, metavar="N", help="default: as cnnfast would take")
    parser.add_argument("--only", default="", metavar="REGEX", help="layers, networks or ops whose name starts so")
    parser.add_argument("--peers", metavar="A,B", help=f"none, or some of {names} (default: all that are installed)")
    parser.add_argument("--peer-python", metavar="PATH", help="an interpreter that has the peers (CNNFAST_PEER_PYTHON)")
    spans = f"to measure in (default {DEFAULT_S:.0f}, quick {QUICK_S:.0f})"
    parser.add_argument("--seconds", type=values.seconds, default=0, help=spans)
    parser.add_argument(
        "--model", type=Path, metavar="ONNX", help="only this network, here and in ONNX Runtime and OpenVINO"
    )
    parser.add_argument(
        "--redraw", type=Path, nargs="+", metavar="FILE",
        help="measure nothing: write the report of these bench.json again, several as one",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, default=Path("cnnfast-bench"), metavar="DIR", help="default cnnfast-bench")
    parser.set_defaults(run=command, parser=parser)


def command(arguments: argparse.Namespace) -> int:
    console = Console()
    if arguments.model:
        return whole(arguments, console)
    outcome = read(arguments.redraw, arguments.out) if arguments.redraw else measure(arguments, console)
    written, missing = report.write(outcome, arguments.out)
    for line in tables.machine_lines(outcome):
        console.line(line)
    for table in tables.all_tables(outcome):
        console.line()
        console.table(*table)
    console.line()
    for line in tables.closing_lines(outcome):
        console.line(line)
    for path in written:
        console.line(f"wrote {path}")
    if missing:
        console.remark(missing)
    if outcome.interrupted and not arguments.redraw:
        return 130
    return 1 if outcome.wrong else 0


NETWORK = (
    Column("engine", LEFT), Column("ms"), Column("of ours"), Column("of floor"), Column("differs by"), Column("", LEFT),
)  # fmt: skip


def whole(arguments: argparse.Namespace, console: Console) -> int:
    """A network of an ONNX file, on random numbers, in every engine that reads such files."""
    inputs = inputs_of(load(arguments.model), [], None, None)
    seats = [seat for seat in found.choose(arguments.peers, arguments.peer_python) if seat.peer.name in READERS]
    threads = arguments.threads or runtime.get_num_threads()
    outcome = network.compare(arguments.model, inputs, seats, threads, arguments.seconds or NETWORK_S)
    ours = outcome.rows[0].seconds
    rows = [
        [f"{row.engine} {row.version}".strip(), tables.milliseconds(row.seconds),
         tables.number(row.seconds / ours if row.seconds and ours else None, 2, "x"),
         tables.percent(outcome.floor / row.seconds if outcome.floor and row.seconds else None),
         "-" if row.difference is None else f"{row.difference:.1e}", row.error]
        for row in outcome.rows
    ]  # fmt: skip
    shapes = ", ".join("x".join(map(str, x.shape)) for x in inputs)
    console.table(f"{arguments.model.name}, input {shapes}, {threads} threads", NETWORK, rows)
    if outcome.floor:
        console.line(f"{outcome.gflop:.2f} GFLOP; floor {tables.milliseconds(outcome.floor)} ms: a step's products at "
                     "the FMA peak, or its bytes, whichever takes longer")  # fmt: skip
    return 0 if ours else 1


def measure(arguments: argparse.Namespace, console: Console) -> Outcome:
    options = Options(
        out=arguments.out, quick=arguments.quick, threads=arguments.threads, only=arguments.only, peers=arguments.peers,
        peer_python=arguments.peer_python, seconds=arguments.seconds,
    )  # fmt: skip
    show = Show(console)
    try:
        return run(options, show)
    except EngineError as error:
        raise OSError(f"cnnfast does not run in a process of its own: {error}") from error
    finally:
        show.close()


class Show:
    """Tells the user how the run goes."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.progress: Progress | None = None

    def stage(self, text: str) -> None:
        self.console.remark(f"{text} ...")

    def start(self, layers: int) -> None:
        self.progress = self.console.progress(layers)

    def layer(self, problem: Problem) -> None:
        if self.progress:
            self.progress.now(f"{problem.network}/{problem.name}")

    def done(self, result: Result) -> None:
        if self.progress:
            self.progress.step(tables.one_line(result))

    def close(self) -> None:
        if self.progress:
            self.progress.close()
