"""Every layer by its FLOPs a byte, under the machine's roof."""

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .plot_style import INK, ROWS, Look, Marks
from .results import Result, kind_of
from .roof import Roof
from .tables import milliseconds

KINDS = {
    "conv2d 1x1": Look("o", ROWS["direct"], alpha=0.8),
    "conv2d 3x3": Look("D", ROWS["winograd_f43"], size=5, alpha=0.8),
    "conv2d strided": Look("s", ROWS["im2col"], size=5),
    "conv2d other": Look("v", ROWS["fft"], alpha=0.8),
    "conv2d grouped": Look("^", ROWS["grouped"]),
    "depthwise_conv2d": Look("P", ROWS["depthwise"], alpha=0.8),
    "separable_conv2d": Look("*", ROWS["fused"], size=8),
    "conv_transpose2d": Look("X", ROWS["phases"]),
}
OTHERS = Look("o", ROWS["plain"])
CLOSE = 1.6  # slopes nearer than this to the one above have their name below them
LEAST_INTENSITY, MOST_INTENSITY = 0.5, 200.0  # that are shown whatever the layers are


def roofline(results: Sequence[Result], roof: Roof) -> tuple[Figure, dict[str, list[str]]] | None:
    """The figure and the texts of its marks; None where no layer has FLOPs."""
    shown = [each for each in results if each.problem.flops and each.seconds]
    if not shown:
        return None
    figure = Figure(figsize=(8, 5))
    axes, marks = figure.subplots(), Marks()
    places = [(each.problem.flops / each.problem.bytes, each.gflops(each.seconds) or 0.0) for each in shown]
    across = (min(LEAST_INTENSITY, *(x for x, _ in places)) / 4, max(MOST_INTENSITY, *(x for x, _ in places)) * 1.5)
    up = (min(y for _, y in places) / 3, max(roof.peak_gflops, *(y for _, y in places)) * 1.7)
    axes.set(xscale="log", yscale="log", xlim=across, ylim=up)
    axes.set(xlabel="FLOPs of the definition per byte that must move", ylabel="GFLOP/s of the definition")
    axes.grid(color=INK, alpha=0.08, linewidth=0.8)
    draw_roof(axes, roof, across, up)
    for each, (x, y) in zip(shown, places, strict=True):
        marks.add(KINDS.get(kind_of(each.problem), OTHERS), x, y, told(each, roof))
    texts = marks.draw(axes)
    present = {kind_of(each.problem) for each in shown}
    handles = [look.line(label=kind) for kind, look in KINDS.items() if kind in present]
    axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.0, 1.0), handletextpad=0.2)
    return figure, texts


def told(result: Result, roof: Roof) -> str:
    pick, seconds = result.pick, result.seconds or 1.0
    share = result.roof_seconds(roof, pick) / seconds
    return (
        f"{result.problem.name}: {pick.algorithm if pick else ''} {milliseconds(seconds)} ms, "
        f"{result.gflops(seconds):.0f} GFLOP/s, {share:.0%} of its roof"
    )


def draw_roof(axes: Axes, roof: Roof, across: tuple[float, float], up: tuple[float, float]) -> None:
    """The peak, what F(4x4, 3x3) makes of it, and each level's bandwidth as a slope with its name on it."""
    peak = roof.peak_gflops
    axes.plot([across[0], across[1]], [peak, peak], color=INK, linewidth=1.2)
    notes = {peak: f"FMA peak {peak:.0f} GFLOP/s"}
    if up[1] > 4 * peak:
        axes.axhline(4 * peak, color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
        notes[4 * peak] = "4 x: F(4x4, 3x3) leaves a quarter of the products"
    knee = peak / max(level.copy for level in roof.levels)
    for height, note in notes.items():  # at the left, where bandwidth lets no layer be
        axes.annotate(note, (knee, height), xytext=(2, 3), textcoords="offset points")
    above = math.inf
    for level in roof.levels:
        begin = max(across[0], up[0] / level.copy)
        end = min(peak / level.copy, across[1])
        if end <= begin * 1.2:
            continue
        axes.plot([begin, end], [level.copy * begin, level.copy * end], color=INK, linewidth=0.9, alpha=0.6)
        (x0, y0), (x1, y1) = axes.transData.transform([(begin, level.copy * begin), (end, level.copy * end)])
        apart = level.copy * CLOSE < above
        axes.annotate(
            f"{level.name} {level.copy:.0f} GB/s", (begin, level.copy * begin), fontsize=8, textcoords="offset points",
            xytext=(5, 8) if apart else (12, 2), va="bottom" if apart else "top",
            rotation=math.degrees(math.atan2(y1 - y0, x1 - x0)), rotation_mode="anchor",
        )  # fmt: skip
        above = level.copy
