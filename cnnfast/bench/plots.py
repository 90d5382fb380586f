"""The plots of the report, as SVG text. Needs matplotlib."""

from collections.abc import Iterator

import matplotlib.ticker
from matplotlib.figure import Figure

from .plot_layers import LONG, layers
from .plot_roofline import roofline
from .plot_style import BAD, GOOD, INK, svg
from .results import Result
from .runner import Outcome

ROW_INCHES = 0.2


def all_plots(outcome: Outcome) -> Iterator[tuple[str, str]]:
    """(title, SVG) of each plot that has something to show."""
    roof = outcome.roof
    if roof:
        whole = roofline(outcome.results, roof)
        if whole:
            yield "Roofline", svg(*whole)
        for network, group in networks(outcome.results):
            yield f"{network}: our algorithms, the peers and the roof", svg(*layers(group, roof))
    against = ratios(outcome.results)
    if against:
        yield "Against the best peer", svg(against)


def networks(results: list[Result]) -> Iterator[tuple[str, list[Result]]]:
    for network in dict.fromkeys(result.problem.network for result in results):
        group = [result for result in results if result.problem.network == network and result.seconds]
        if group:
            yield network, group


def ratios(results: list[Result]) -> Figure | None:
    """The best peer's time over ours, a bar a layer."""
    rated = [each for each in results if each.ratio and each.best_peer]
    if not rated:
        return None
    figure = Figure(figsize=(8, 1.0 + ROW_INCHES * len(rated)))
    axes = figure.subplots()
    values = [each.ratio or 1.0 for each in rated]
    axes.barh(
        range(len(rated)), [value - 1 for value in values], left=1, color=[GOOD if v >= 1 else BAD for v in values]
    )
    names = [f"{each.problem.name} ({each.best_peer.engine})" for each in rated if each.best_peer]
    axes.set_yticks(range(len(rated)), names)
    axes.set_ylim(len(rated) - 0.4, -0.6)
    axes.axvline(1, color=INK, linewidth=1)
    axes.tick_params(axis="x", top=len(rated) > LONG, labeltop=len(rated) > LONG)
    axes.set(xscale="log", xlabel="best peer's time / cnnfast's: right of 1 cnnfast is faster")
    axes.xaxis.set_major_locator(matplotlib.ticker.LogLocator(subs=(1.0, 1.5, 2.0, 3.0, 5.0, 7.0)))
    axes.xaxis.set_major_formatter(matplotlib.ticker.FormatStrFormatter("%g"))
    axes.xaxis.set_minor_formatter(matplotlib.ticker.NullFormatter())
    axes.grid(axis="x", color=INK, alpha=0.12, linewidth=0.8)
    axes.set_axisbelow(True)
    return figure
