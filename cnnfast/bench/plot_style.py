"""What the report's plots share: colours that hold on a light and on a dark page, and figures as SVG text."""

import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

INK = "#010203"  # becomes the page's own text colour: see `svg`
GOOD, BAD = "#2f7fc1", "#d1495b"
ROWS = {
    "direct": "#2f7fc1", "im2col": "#8fc1ea", "winograd_f23": "#f6b26b", "winograd_f43": "#e8710a",
    "winograd_f25": "#c8a400", "winograd_f63": "#a33b00", "fft": "#a64fd0", "depthwise": "#1f9e77",
    "grouped": "#86b817", "winograd_f35": "#7a6a00", "winograd_stem": "#d6604d", "winograd_grouped": "#00897b",
    "winograd_f47": "#8a6d3b", "narrow": "#5b2c6f", "winograd_f23s2": "#c2543d", "winograd_f33s2": "#e39c6a",
    "single": "#0f5e8c", "phases": "#e0457b", "fused": "#12a5b8", "window": "#6a6ae0", "plain": "#8c8c8c",
}  # fmt: skip
MORE_ROWS = ("#b8860b", "#7a5cff")
PEERS = {"torch": "s", "onnxruntime": "D", "openvino": "^", "ncnn": "v", "litert": "P"}

matplotlib.rcParams.update({
    "svg.fonttype": "none", "svg.hashsalt": "cnnfast", "font.size": 9, "font.family": "sans-serif",
    "axes.spines.top": False, "axes.spines.right": False, "text.color": INK, "axes.edgecolor": INK,
    "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK, "savefig.transparent": True,
    "legend.frameon": False,
})  # fmt: skip


def row_colours(names: Iterable[str]) -> dict[str, str]:
    """A colour for each row of a table, the same in every plot; rows that were added later get one of a few more."""
    unknown = [name for name in dict.fromkeys(names) if name not in ROWS]
    return ROWS | {name: MORE_ROWS[i % len(MORE_ROWS)] for i, name in enumerate(unknown)}


@dataclass(frozen=True)
class Look:
    """What a mark looks like; `fill` and `edge` are colours or "none"."""

    marker: str
    fill: str
    edge: str = "none"
    size: float = 6.0
    alpha: float = 1.0
    above: int = 3

    def line(self, x: Sequence[float] = (), y: Sequence[float] = (), label: str = "") -> Line2D:
        return Line2D(
            x, y, linestyle="none", marker=self.marker, markersize=self.size, markerfacecolor=self.fill,
            markeredgecolor=self.edge, markeredgewidth=1.1, alpha=self.alpha, zorder=self.above, label=label,
            clip_on=False,
        )  # fmt: skip


class Marks:
    """Points with a text that a browser shows beside the pointer; all of one look are one artist."""

    def __init__(self) -> None:
        self.points: dict[Look, list[tuple[float, float, str]]] = {}

    def add(self, look: Look, x: float, y: float, text: str) -> None:
        self.points.setdefault(look, []).append((x, y, text))

    def draw(self, axes: Axes) -> dict[str, list[str]]:
        """The texts of each artist, by its name in the SVG."""
        texts = {}
        for number, (look, points) in enumerate(self.points.items()):
            line = look.line([x for x, _, _ in points], [y for _, y, _ in points])
            line.set_gid(f"marks-{number}")
            axes.add_line(line)
            texts[f"marks-{number}"] = [text for _, _, text in points]
        return texts


def svg(figure: Figure, texts: Mapping[str, Sequence[str]] | None = None) -> str:
    """SVG text to be put into a page: ink takes the text colour there, and the texts become the marks' titles."""
    out = io.StringIO()
    figure.savefig(out, format="svg", bbox_inches="tight", metadata={"Date": None})
    whole = out.getvalue()
    left: Iterator[str] = iter(())

    def titled(found: re.Match[str]) -> str:
        nonlocal left
        if found[1]:
            left = iter((texts or {})[found[1]])
            return "<g>"
        text = next(left, None)  # a <use> that is no mark's comes when none is left
        return found[0] if text is None else f"{found[0][:-2]}><title>{escape(text)}</title></use>"

    whole = whole[whole.index("<svg") :].replace(INK, "currentColor")
    return re.sub(r'<g id="(marks-\d+)">|<use [^>]*/>', titled, whole)
