"""The plots of the report, as SVG text. Needs matplotlib."""

import io
from collections.abc import Iterator

import matplotlib
import matplotlib.ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .results import Result
from .runner import Outcome

OURS, OTHER, PEER, LIMIT = "#0b6e8a", "#f2a541", "#d1495b", "#444444"
ROW_INCHES = 0.22
matplotlib.rcParams.update(
    {"svg.fonttype": "none", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
)


def all_plots(outcome: Outcome) -> list[tuple[str, str]]:
    """(title, SVG) of each plot that has something to show."""
    found = [("Roofline", roofline(outcome)), ("Against the best peer", ratios(outcome.results))]
    found += [(f"{network}: share of the limit", shares(group)) for network, group in networks(outcome.results)]
    return [(title, svg(figure)) for title, figure in found if figure is not None]


def networks(results: list[Result]) -> Iterator[tuple[str, list[Result]]]:
    for network in dict.fromkeys(result.problem.network for result in results):
        group = [result for result in results if result.problem.network == network and result.seconds]
        if group:
            yield network, group


def svg(figure: Figure) -> str:
    text = io.StringIO()
    figure.savefig(text, format="svg", bbox_inches="tight", metadata={"Date": None})
    whole = text.getvalue()
    return whole[whole.index("<svg") :]


def rate_of(outcome: Outcome, kind: str, level: str) -> float | None:
    """The limit with all threads."""
    rates = [(each.threads, each.rate) for each in outcome.limits if (each.kind, each.level) == (kind, level)]
    return max(rates)[1] if rates else None


def roofline(outcome: Outcome) -> Figure | None:
    """Every layer by its FLOPs a byte, under the machine's roof."""
    layers = [each for each in outcome.results if each.problem.flops and each.seconds]
    peak = rate_of(outcome, "fma", "")
    if not layers or not peak:
        return None
    figure = Figure(figsize=(8, 4.5))
    axes = figure.subplots()
    intensity = [each.problem.flops / each.problem.bytes for each in layers]
    span = [min([0.5, *intensity]) / 1.5, max([200.0, *intensity]) * 1.5]
    axes.axhline(peak, color=LIMIT, linewidth=1)
    axes.annotate(f"FMA peak {peak:.0f} GFLOP/s", (span[1], peak), ha="right", va="bottom", color=LIMIT)
    for level in ("L2", "L3", "memory"):
        bandwidth = rate_of(outcome, "copy", level)
        if bandwidth:
            ends = [span[0], min(peak / bandwidth, span[1])]
            axes.plot(ends, [bandwidth * end for end in ends], color=LIMIT, linewidth=1, linestyle=":")
            axes.annotate(f"{level} {bandwidth:.0f} GB/s", (ends[0], bandwidth * ends[0]), va="bottom", color=LIMIT)
    axes.scatter(intensity, [each.gflops(each.seconds) or 0 for each in layers], s=18, color=OURS, zorder=3)
    axes.set(xscale="log", yscale="log", xlim=span, xlabel="FLOPs per byte that must move", ylabel="GFLOP/s")
    return figure


def bars(count: int) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(8, 1.0 + ROW_INCHES * count))
    axes = figure.subplots()
    axes.invert_yaxis()
    axes.margins(y=0.5 / max(count, 1))
    return figure, axes


def shares(results: list[Result]) -> Figure:
    """A bar a layer: auto's choice; thin marks for the other algorithms and the best peer."""
    figure, axes = bars(len(results))
    rows = range(len(results))
    axes.barh(
        rows, [100 * (each.of_limit(each.seconds) or 0) for each in results], color=OURS, height=0.7, label="cnnfast"
    )
    rest = [(row, each.of_limit(run.seconds)) for row, each in zip(rows, results, strict=True) for run in each.ours
            if not run.chosen and run.seconds]  # fmt: skip
    peer = [
        (row, each.of_limit(each.best_peer.seconds)) for row, each in zip(rows, results, strict=True) if each.best_peer
    ]
    for points, colour, label in ((rest, OTHER, "other algorithms"), (peer, PEER, "best peer")):
        if points:
            axes.scatter(
                [100 * (share or 0) for _, share in points], [row for row, _ in points], marker="|", s=90, linewidths=2,
                color=colour, label=label, zorder=3,
            )  # fmt: skip
    axes.axvline(100, color=LIMIT, linewidth=1)
    limits = ["copy" if each.problem.bandwidth_bound else "FMA" for each in results]
    names = [f"{each.problem.name} ({limit})" for each, limit in zip(results, limits, strict=True)]
    axes.set_yticks(list(rows), names)
    axes.set_xlabel("% of the FMA peak, or of a copy of the same bytes")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False)
    return figure


def ratios(results: list[Result]) -> Figure | None:
    """The best peer's time over ours, a bar a layer."""
    rated = [each for each in results if each.ratio and each.best_peer]
    if not rated:
        return None
    figure, axes = bars(len(rated))
    values = [each.ratio or 1.0 for each in rated]
    axes.barh(
        range(len(rated)), [value - 1 for value in values], left=1, color=[OURS if v >= 1 else PEER for v in values]
    )
    names = [f"{each.problem.name} ({each.best_peer.engine})" for each in rated if each.best_peer]
    axes.set_yticks(range(len(rated)), names)
    axes.axvline(1, color=LIMIT, linewidth=1)
    axes.set(xscale="log", xlabel="best peer's time / cnnfast's: right of 1 cnnfast is faster")
    axes.xaxis.set_major_locator(matplotlib.ticker.LogLocator(subs=(1.0, 1.5, 2.0, 3.0, 5.0, 7.0)))
    axes.xaxis.set_major_formatter(matplotlib.ticker.FormatStrFormatter("%g"))
    axes.xaxis.set_minor_formatter(matplotlib.ticker.NullFormatter())
    return figure
