"""A line a layer: every algorithm of ours, every peer, and the roof, as speeds over what the machine would allow the
definition."""

import math
from collections.abc import Iterator, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from .plot_style import INK, PEERS, Look, Marks, row_colours
from .results import Result, Timed
from .roof import Roof
from .tables import milliseconds, rate

WIDE, ROW_INCHES, REST_INCHES = 8.0, 0.34, 0.5
LONG = 15  # layers: the axis stands above them, too
OURS, THEIRS, HALF_STROKE = -0.13, 0.25, 0.25  # where in a layer's line they stand, in rows
MANY = 4.0  # times as slow as the pick, and it may stand at the left edge
TICKS = [digit * 10.0**power for power in range(-2, 3) for digit in (1, 2, 5)]


def layers(results: Sequence[Result], roof: Roof) -> tuple[Figure, dict[str, list[str]]]:
    """The figure, and the texts of its marks."""
    figure = Figure(figsize=(WIDE, REST_INCHES + ROW_INCHES * len(results)))
    axes, marks = figure.subplots(), Marks()
    left, right = span(results, roof)
    colours = row_colours(run.algorithm for result in results for run in result.ours)
    for row, result in enumerate(results):
        if row % 2:
            axes.axhspan(row - 0.5, row + 0.5, color=INK, alpha=0.05, linewidth=0)
        ours(axes, marks, row, Speeds(result, roof, left), colours)
        peers(marks, row, Speeds(result, roof, left))
        axes.annotate(
            words(result), (right, row), xytext=(6, 0), textcoords="offset points", va="center", fontsize=7.5,
            linespacing=1.1, annotation_clip=False,
        )  # fmt: skip
    texts = marks.draw(axes)
    axes.axvline(1, color=INK, linewidth=1, zorder=1)
    axes.set(xscale="log", xlim=(left, right), ylim=(len(results) - 0.5, -0.5))
    axes.set_yticks(range(len(results)), [result.problem.name for result in results])
    axes.tick_params(axis="y", length=0, pad=7)
    axes.tick_params(axis="x", top=len(results) > LONG, labeltop=len(results) > LONG)
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(FixedLocator([tick for tick in TICKS if left <= tick <= right]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}%"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(axis="x", color=INK, alpha=0.12, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel("speed; 100% is the roof of the definition: the FMA peak, or its bytes at the caches' rate")
    handles = list(legend(results, colours))
    axes.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=2.2 if len(results) > LONG else 0.6,
        ncols=math.ceil(len(handles) / math.ceil(len(handles) / 6)), handletextpad=0.2, columnspacing=1.2,
    )  # fmt: skip
    return figure, texts


def span(results: Sequence[Result], roof: Roof) -> tuple[float, float]:
    """From the slowest mark to the highest roof; but what takes many times as long as the pick does not stretch it."""
    speeds, roofs = [0.5], [1.0]
    for result in results:
        base, most = result.roof_seconds(roof), MANY * (result.seconds or 0.0)
        speeds += [base / run.seconds for run in (*result.ours, *result.peers) if run.seconds and run.seconds <= most]
        roofs += [base / result.roof_seconds(roof, run) for run in result.ours if run.seconds]
    return min(speeds) / 1.25, max(speeds + roofs) * 1.2


class Speeds:
    """A layer's times as speeds over the definition's roof."""

    def __init__(self, result: Result, roof: Roof, least: float) -> None:
        self.result, self.roof, self.least, self.base = result, roof, least, result.roof_seconds(roof)

    def of(self, run: Timed) -> float:
        return self.base / (run.seconds or math.inf)

    def roof_of(self, run: Timed) -> float:
        return self.base / self.result.roof_seconds(self.roof, run)

    def told(self, run: Timed) -> str:
        return f"{run.algorithm or run.engine}: {milliseconds(run.seconds)} ms, {rate(self.result, run.seconds)}"


def ours(axes: Axes, marks: Marks, row: int, speeds: Speeds, colours: dict[str, str]) -> None:
    """Dots: ringed what auto picks, a star what it should have picked. Strokes are roofs of their own; a thin line is
    what the pick leaves of its."""
    y = row + OURS
    for run in speeds.result.ours:
        if not run.seconds:
            continue
        speed, roof, colour = speeds.of(run), speeds.roof_of(run), colours[run.algorithm]
        if run.facts.get("work", 1.0) != 1 and speed > speeds.least:
            axes.vlines(roof, y - HALF_STROKE, y + HALF_STROKE, color=colour, linewidth=2)
            if run.chosen:
                axes.hlines(y, speed, roof, color=colour, linewidth=0.8, alpha=0.7)
        look = Look("o", colour, INK, 6.5, above=4) if run.chosen else Look("o", colour, size=5.5)
        if run is speeds.result.faster_row:
            look = Look("*", colour, INK, 10, above=5)
        if speed <= speeds.least:
            look = Look("<", colour, look.edge, look.size)
        marks.add(look, max(speed, speeds.least), y, f"{speeds.told(run)}, {speed / roof:.0%} of its roof")


def peers(marks: Marks, row: int, speeds: Speeds) -> None:
    """Hollow, and the best one filled."""
    for run in speeds.result.peers:
        if run.seconds:
            best = run is speeds.result.best_peer
            marker = PEERS.get(run.engine, "o")
            look = Look(marker, INK, INK, 4) if best else Look(marker, "none", INK, 4, 0.6, above=2)
            marks.add(look, max(speeds.of(run), speeds.least), row + THEIRS, speeds.told(run))


def words(result: Result) -> str:
    """What auto took, its time, and the row it should have taken."""
    pick, better = result.pick, result.faster_row
    if pick is None or not pick.seconds:
        return ""
    told = f"{pick.algorithm} {milliseconds(pick.seconds)} ms"
    return told + f"\n! {better.algorithm} {milliseconds(better.seconds)} ms" if better else told


def legend(results: Sequence[Result], colours: dict[str, str]) -> Iterator[Line2D]:
    timed = [run for result in results for run in result.ours if run.seconds]
    present = {run.algorithm for run in timed}
    yield from (Look("o", colours[name]).line(label=name) for name in colours if name in present)
    yield Look("o", "none", INK, 6.5).line(label="auto's pick")
    if any(result.faster_row for result in results):
        yield Look("*", "none", INK, 10).line(label="faster than the pick")
    if any(run.facts.get("work", 1.0) != 1 for run in timed):
        yield Look("|", INK, INK, 9).line(label="its own roof")
    engines = dict.fromkeys(run.engine for result in results for run in result.peers if run.seconds)
    yield from (Look(PEERS.get(name, "o"), "none", INK, 4).line(label=name) for name in engines)
    if engines:
        yield Look("s", INK, INK, 4).line(label="the best peer")
