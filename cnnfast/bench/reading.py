"""bench.json read back, so that its report can be drawn again; several files are put together as one run."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from . import problems
from .limits import Limit
from .photograph import Photograph
from .results import Result
from .runner import Options, Outcome

FORMAT = 2  # of the JSON file
SAME = ("cnnfast", "isa", "threads", "cpu")  # facts of the machine that figures put side by side must share


def read(paths: Sequence[Path], out: Path) -> Outcome:
    """One outcome of all files. A layer that several have is the last one's; a limit is the greatest.

    Raises:
        OSError: a file cannot be read.
        ValueError: it is no bench.json of this version, or belongs to another machine than the first one.
    """
    first, *rest = [_outcome(path, out) for path in paths]
    for path, other in zip(paths[1:], rest, strict=True):
        _add(first, other, path)
    order = {problem.name: i for i, problem in enumerate(problems.load())}
    first.results.sort(key=lambda result: order.get(result.problem.name, len(order)))
    done = {result.problem.name for result in first.results}
    first.left_out = list({each.name: each for each in first.left_out if each.name not in done}.values())
    return first


def _outcome(path: Path, out: Path) -> Outcome:
    try:
        data: dict[str, Any] = json.loads(path.read_text())
        if data["format"] != FORMAT:
            raise ValueError(f"format {data['format']} is not {FORMAT}")
        asked, known = data["options"], {problem.name: problem for problem in problems.load()}
        options = Options(out, asked["quick"], data["machine"]["threads"], asked["only"], asked["peers"],
                          seconds=asked["seconds"])  # fmt: skip
        return Outcome(
            options, data["machine"], data["peers"], [Limit(**each) for each in data["limits"]],
            _photograph(data["photograph"], path.parent), [Result.from_json(each) for each in data["layers"]],
            [known[name] for name in data["left_out"] if name in known], data["busy_neighbours"], data["seconds"],
            data["interrupted"],
        )  # fmt: skip
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"redraw must name files bench.json of this version, got {path}: {error!r}") from error


def _photograph(data: dict[str, Any], folder: Path) -> Photograph:
    """Its pictures are where the file is, if they were kept."""
    files = {name: folder / "photograph" / Path(file).name for name, file in data["files"].items()}
    return Photograph(**data | {"files": {name: str(file) for name, file in files.items() if file.is_file()}})


def _add(first: Outcome, other: Outcome, path: Path) -> None:
    for fact in SAME:
        mine, theirs = first.machine[fact], other.machine[fact]
        if mine != theirs:
            raise ValueError(f"redraw must name files of one machine, got {path} with {fact} {theirs}, not {mine}")
    names = {result.problem.name for result in other.results}
    known = {run.engine for result in first.results for run in result.peers} | (first.peers.keys() - other.peers.keys())
    first.results = [each for each in first.results if each.problem.name not in names] + other.results
    theirs = {replace(each, rate=0.0): each.rate for each in other.limits}
    first.limits = [
        replace(each, rate=max(each.rate, theirs.get(replace(each, rate=0.0), 0.0))) for each in first.limits
    ]
    first.left_out += other.left_out
    first.peers = other.peers | {name: state for name, state in first.peers.items() if name in known}
    first.neighbours = max((each for each in (first.neighbours, other.neighbours) if each is not None), default=None)
    first.seconds += other.seconds
    first.interrupted |= other.interrupted
    if not first.photograph.files:
        first.photograph = other.photograph
