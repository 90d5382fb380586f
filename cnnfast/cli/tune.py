"""`cnnfast tune`: measure every algorithm that takes a layer, and keep which is the fastest."""

import argparse
from pathlib import Path

from cnnfast.bench import engine, problems
from cnnfast.bench.problem import Problem
from cnnfast.bench.tables import LEFT, Column
from cnnfast.cli import values
from cnnfast.cli.console import Console
from cnnfast.ops import runtime, tuning
from cnnfast.ops.tuning_file import Entry

EXAMPLES = """examples:
  cnnfast tune vgg16 --output tuning.json              the layers of a network of the benchmark
  cnnfast tune my-shapes.txt --threads 4               a file of problems, one a line (cnnfast/bench/shapes/README.md)
  cnnfast tune "conv2d n8 h56 c64 k64 r3 pad1"         one problem

Programs use the file by cnnfast.load_tuning("tuning.json") and algorithm="tune". Where CNNFAST_CACHE_DIR is set, what
is there already is not measured again.
"""
COLUMNS = (
    Column("layer", LEFT), Column("auto", LEFT), Column("us"), Column("fastest", LEFT), Column("us"), Column("gain"),
)  # fmt: skip


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "tune", help="measure which algorithm of a layer is the fastest here", description=__doc__, epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument(
        "shapes", nargs="*", metavar="SHAPES",
        help="a file of problems, a problem, or what layers, networks or ops of the benchmark start with (default all)",
    )  # fmt: skip
    parser.add_argument("--output", type=Path, metavar="FILE", help="where to save the results, for load_tuning")
    parser.add_argument("--threads", type=values.count, metavar="N", help="default: as cnnfast would take")
    parser.set_defaults(run=run, parser=parser)


def run(arguments: argparse.Namespace) -> int:
    layers = [problem for word in arguments.shapes or [""] for problem in problems_of(word)]
    if arguments.output is not None and not arguments.output.absolute().parent.is_dir():
        raise ValueError(f"output must be in a folder that exists, got {arguments.output}")
    if arguments.threads is not None:
        runtime.set_num_threads(arguments.threads)
    console = Console()
    progress = console.progress(len(layers))
    rows = []
    try:
        for problem in layers:
            progress.now(problem.name)
            entry = engine.tune(problem)
            if entry is not None:
                rows.append(row_of(problem, entry))
            progress.step(problem.name)
    finally:
        progress.close()
    console.table(f"{runtime.cpu_name()}, {runtime.get_num_threads()} threads", COLUMNS, rows)
    if len(rows) < len(layers):
        console.line(f"{len(layers) - len(rows)} layers leave no choice, or are another one's problem")
    if arguments.output is not None:
        console.line(f"wrote {arguments.output}: {tuning.save_tuning(arguments.output)} results")
    return 0


def problems_of(word: str) -> list[Problem]:
    """A problem line, with or without a name; a file of them; or some of the benchmark's."""
    if " " in word.strip():
        found = problems.parse_line(word if ":" in word else f"problem: {word}")
        return [found] if found else []
    if word and Path(word).is_file():
        return problems.parse(Path(word).read_text(), Path(word).stem)
    try:
        return problems.select(word)
    except ValueError:
        raise ValueError(
            f"SHAPES must be a file, a problem, or the start of a layer, network or op of the benchmark, got {word!r}"
        ) from None


def row_of(problem: Problem, entry: Entry) -> list[str]:
    auto = engine.explain(problem).algorithm
    ours, best = entry.microseconds.get(auto), entry.microseconds[entry.algorithm]
    return [
        problem.name, auto, f"{ours:.1f}" if ours else "-", entry.algorithm, f"{best:.1f}",
        f"{ours / best:.2f}x" if ours else "-",
    ]  # fmt: skip
