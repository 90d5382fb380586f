"""What a run found, as lines and tables of text."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .choice import Miss, choice_of
from .results import Result, Timed, summarise
from .runner import Outcome

BUSY = 0.15  # processors that others may use before the figures are in doubt
LEFT, RIGHT = "left", "right"


@dataclass(frozen=True)
class Column:
    """A heading, and the side its cells lean to."""

    title: str
    justify: str = RIGHT


Table = tuple[str, list[Column], list[list[str]]]


def number(value: float | None, digits: int = 0, unit: str = "") -> str:
    return "-" if value is None else f"{value:,.{digits}f}{unit}"


def percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.0f}%"


def milliseconds(seconds: float | None) -> str:
    """Three digits that matter, whatever the size."""
    if seconds is None:
        return "-"
    ms = 1e3 * seconds
    return f"{ms:.4f}" if ms < 0.1 else f"{ms:.3f}" if ms < 10 else f"{ms:.1f}"


def rate(result: Result, seconds: float | None) -> str:
    """GFLOP/s; a pool has no FLOPs and gets GB/s."""
    if result.problem.flops:
        return number(result.gflops(seconds), 1 if (result.gflops(seconds) or 0) < 10 else 0, " GFLOP/s")
    return number(result.gbs(seconds), 0, " GB/s")


def limit(result: Result) -> str:
    """Which limit the percentage is of."""
    return "copy" if result.problem.bandwidth_bound else "FMA"


def one_line(result: Result) -> str:
    name = f"{result.problem.network}/{result.problem.name}"
    if result.pick is None or result.seconds is None:
        return f"{name}: {result.pick.note if result.pick else 'nothing ran'}"
    share = result.of_limit(result.seconds)
    text = f"{name}: {result.pick.algorithm} {milliseconds(result.seconds)} ms, {rate(result, result.seconds)}"
    return text + (f", {percent(share)} of {limit(result)}" if share else "") + (" WRONG" if result.wrong else "")


def machine_lines(outcome: Outcome) -> list[str]:
    facts = outcome.machine
    return [
        f"cnnfast {facts['cnnfast']}, ISA {facts['isa']}, {facts['threads']} threads; Python {facts['python']}, "
        f"NumPy {facts['numpy']}",
        f"{facts['cpu']}, {facts['cpus']} usable; {facts['system']}",
    ]


def all_tables(outcome: Outcome) -> Iterator[Table]:
    yield limits_table(outcome)
    yield layers_table(outcome)
    if len(outcome.results) > 1:
        yield summary_table(outcome)
    misses = choice_of(outcome.results).misses
    if misses:
        yield misses_table(misses)
    if outcome.peers:
        yield peers_table(outcome)


def limits_table(outcome: Outcome) -> Table:
    columns = [Column("limit", LEFT), Column("working set of a thread"), Column("1 thread")]
    counts = sorted({each.threads for each in outcome.limits})
    columns += [Column(f"{count} threads") for count in counts if count != 1]
    rows: dict[tuple[str, str], dict[int, str]] = {}
    sizes: dict[tuple[str, str], str] = {}
    for each in outcome.limits:
        key = each.kind, each.level
        unit = "GFLOP/s" if each.kind == "fma" else "GB/s"
        rows.setdefault(key, {})[each.threads] = number(each.rate, 0, f" {unit}")
        sizes[key] = size(each.bytes_per_thread) if each.bytes_per_thread else "registers"
    names = {("fma", ""): "FMA peak, float32"}
    lines = [
        [names.get(key, f"{key[0]} {key[1]}"), sizes[key], *(cells.get(count, "-") for count in counts)]
        for key, cells in rows.items()
    ]
    return "Limits of this machine", columns, lines


def size(count: int) -> str:
    return f"{count / 2**20:,.0f} MiB" if count >= 2**20 else f"{count / 2**10:,.0f} KiB"


def layers_table(outcome: Outcome) -> Table:
    columns = [
        Column("layer", LEFT), Column("algorithm", LEFT), Column("ms"), Column("rate"), Column("of limit"),
        Column("ratio"), Column("best peer"), Column("NumPy"), Column("check", LEFT), Column("other algorithms", LEFT),
    ]  # fmt: skip
    title = "Layers: median time, share of the FMA peak or of a copy of the same bytes, others' time over ours"
    return title, columns, [layer_row(result) for result in outcome.results]


def layer_row(result: Result) -> list[str]:
    pick, peer = result.pick, result.best_peer
    if pick is None or pick.seconds is None:
        note = pick.note if pick else "nothing ran"
        return [result.problem.name, note[:60], *["-"] * 6, check(result), "-"]
    numpy = result.numpy.seconds / pick.seconds if result.numpy and result.numpy.seconds else None
    return [
        result.problem.name,
        pick.algorithm + (" !" if result.faster_row else ""),
        milliseconds(pick.seconds),
        rate(result, pick.seconds),
        f"{percent(result.of_limit(pick.seconds))} {limit(result):<4}",
        number(result.ratio, 2, "x"),
        f"{peer.engine} {milliseconds(peer.seconds)}" if peer else "-",
        number(numpy, 0, "x"),
        check(result),
        others(result, pick),
    ]


def others(result: Result, pick: Timed) -> str:
    """How much longer the other rows of the table take."""
    parts = []
    for run in result.ours:
        if run.chosen or not pick.seconds:
            continue
        if run.seconds:
            parts.append(f"{run.algorithm} {run.seconds / pick.seconds:.2f}x")
        else:
            parts.append(
                f"{run.algorithm} ~{run.estimate / pick.seconds:.0f}x" if run.estimate else f"{run.algorithm} failed"
            )
    return ", ".join(parts) or "-"


def check(result: Result) -> str:
    """Every algorithm of this layer against the oracle."""
    if result.wrong:
        return "WRONG: " + ", ".join(run.algorithm for run in result.wrong)
    judged = [run for run in result.ours if run.bound_share is not None]
    return "ok" if judged and len(judged) == len(result.ours) else f"{len(judged)} of {len(result.ours)}"


def summary_table(outcome: Outcome) -> Table:
    columns = [
        Column("kind", LEFT), Column("layers"), Column("of limit"), Column("worst"), Column("which", LEFT),
        Column("ratio"), Column("worst"),
    ]  # fmt: skip
    rows = [
        [
            each.group, str(each.layers), percent(each.of_limit), percent(each.worst_of_limit), each.worst_layer,
            number(each.ratio, 2, "x"), number(each.worst_ratio, 2, "x"),
        ]
        for each in summarise(outcome.results)
    ]  # fmt: skip
    return "In geometric mean", columns, rows


def misses_table(misses: Sequence[Miss]) -> Table:
    columns = [
        Column("layer", LEFT), Column("auto's pick", LEFT), Column("ms"), Column("best", LEFT), Column("ms"),
        Column("auto / best"),
    ]  # fmt: skip
    rows = [
        [miss.layer, miss.pick, milliseconds(miss.seconds), miss.best, milliseconds(miss.best_seconds),
         number(miss.seconds / miss.best_seconds, 2, "x")]
        for miss in misses
    ]  # fmt: skip
    return "Another algorithm was faster than auto's pick by more than 5%", columns, rows


def peers_table(outcome: Outcome) -> Table:
    rows = []
    for name, state in outcome.peers.items():
        runs = [run for result in outcome.results for run in result.peers if run.engine == name]
        timed = sum(run.seconds is not None for run in runs)
        notes = sorted({run.note for run in runs if run.note})
        layers = f"{timed} of {len(runs)}" if runs else "-"
        rows.append([name, state, layers, "; ".join(notes)[:100]])
    columns = [Column("engine", LEFT), Column("version", LEFT), Column("layers"), Column("notes", LEFT)]
    return "Other engines", columns, rows


def closing_lines(outcome: Outcome) -> list[str]:
    lines = []
    if (outcome.neighbours or 0) > BUSY:
        lines.append(
            f"! other processes kept {outcome.neighbours:.1f} processors busy meanwhile: this machine can do better"
        )
    choice = choice_of(outcome.results)
    if choice.layers:
        lines.append(
            f"auto's pick was within 5% of the best algorithm on {choice.within} of {choice.layers} layers "
            f"({percent(choice.share)})"
        )
    photo = outcome.photograph
    if photo.note:
        lines.append(f"the photograph was left out: {photo.note}")
    elif photo.seconds:
        lines.append(f"filtered the photograph {len(photo.files) - 1} ways in {1e3 * photo.seconds:.1f} ms")
    if outcome.left_out:
        names = ", ".join(problem.name for problem in outcome.left_out[:8])
        more = f" and {len(outcome.left_out) - 8} more" if len(outcome.left_out) > 8 else ""
        lines.append(
            f"left out for lack of time: {len(outcome.left_out)} layers ({names}{more}); --seconds gives more time, "
            "--only names layers"
        )
    checked = sum(run.bound_share is not None for result in outcome.results for run in result.ours)
    verdict = "WRONG: " + ", ".join(outcome.wrong) if outcome.wrong else "0 out of bound"
    lines.append(f"{len(outcome.results)} layers, {checked} outputs checked against the oracle, {verdict}")
    lines.append(f"took {outcome.seconds:.0f} s")
    return lines
