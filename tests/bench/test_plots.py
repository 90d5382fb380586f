"""The report's plots: everything measured is in them, nothing lies on anything else, and they hold on any page."""

import math
import re
from itertools import pairwise

import pytest

pytest.importorskip("matplotlib")

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from cnnfast.bench import plots, problems
from cnnfast.bench.plot_layers import layers, span
from cnnfast.bench.plot_roofline import roofline
from cnnfast.bench.plot_style import INK, ROWS, row_colours, svg
from cnnfast.bench.results import Result, Timed
from cnnfast.bench.roof import Level, Roof

LEVELS = (
    Level("L1", 2**16, 900, 800), Level("L2", 2**21, 500, 350), Level("L3", 2**25, 250, 200), Level("memory", 0, 60, 40)
)  # fmt: skip
ROOF = Roof(230.0, LEVELS)
ENGINES = ("torch", "onnxruntime", "openvino", "ncnn", "litert")


def measured(count: int) -> list[Result]:
    """Layers of the shape files with made-up times: Winograd three times, direct once, peers around it."""
    results = []
    for i, problem in enumerate(problems.load()[:count]):
        base = Result(problem).roof_seconds(ROOF)
        ours = [
            Timed("cnnfast", "winograd_f43", chosen=True, seconds=base / 3, facts={"work": 0.28, "packed": 100}),
            Timed("cnnfast", "direct", seconds=base / (0.9 if i % 5 else 4)),
            Timed("cnnfast", "plain", seconds=200 * base),
            Timed("cnnfast", "new_row", seconds=1.5 * base),
        ]
        peers = [Timed(engine, seconds=base * (0.8 + 0.3 * j)) for j, engine in enumerate(ENGINES)]
        results.append(Result(problem, ours, [*peers, Timed("absent", note="died")]))
    return results


@pytest.mark.parametrize("count", [1, 10, 40])
def test_every_algorithm_and_peer_has_its_mark_with_its_figures(count: int) -> None:
    results = measured(count)
    text = svg(*layers(results, ROOF))
    titles = re.findall(r"<use [^>]*><title>([^<]*)</title></use>", text)
    assert len(titles) == count * (4 + len(ENGINES)), "a mark outside the picture"
    for word in ("direct", "winograd_f43", "plain", "new_row", *ENGINES):
        assert sum(title.startswith(f"{word}: ") for title in titles) == count
    assert not [title for title in titles if "absent" in title]
    assert all(result.problem.name in text for result in results)


def test_where_the_marks_stand() -> None:
    """Read back from the SVG: of one layer, by its axis' ticks, speeds over the roof as they were made up."""
    figure, texts = layers(measured(2)[1:], ROOF)
    axes = figure.axes[0]
    points = {
        text.partition(":")[0]: line.get_xdata()[i]  # type: ignore[index]
        for line in axes.lines if line.get_gid() in texts for i, text in enumerate(texts[line.get_gid()])  # type: ignore[index]
    }  # fmt: skip
    assert points["winograd_f43"] == pytest.approx(3)
    assert points["direct"] == pytest.approx(0.9)
    assert points["torch"] == pytest.approx(1 / 0.8)
    assert points["plain"] == span(measured(2)[1:], ROOF)[0] == axes.get_xlim()[0], "too slow: at the left edge"
    own_roof = axes.collections[0].get_segments()[0][0][0]  # type: ignore[attr-defined]
    result = measured(2)[1]
    assert own_roof == pytest.approx(result.roof_seconds(ROOF) / result.roof_seconds(ROOF, result.ours[0]))


def boxes(figure: Figure) -> list[tuple[str, Bbox]]:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    texts = [text for text in figure.findobj(Text) if text.get_text().strip() and text.get_visible()]
    level = [text for text in texts if not text.get_rotation()]
    return [(text.get_text(), text.get_window_extent(canvas.get_renderer())) for text in level]


@pytest.mark.parametrize("count", [1, 10, 16, 40])
def test_no_label_lies_on_another(count: int) -> None:
    found = [(text, box) for text, box in boxes(layers(measured(count), ROOF)[0]) if box.width and box.height]
    assert len(found) > 2 * count
    shrunk = [(text, Bbox.from_extents(box.x0 + 1, box.y0 + 1, box.x1 - 1, box.y1 - 1)) for text, box in found]
    for i, (text, box) in enumerate(shrunk):
        assert not [other for other, there in shrunk[i + 1 :] if box.overlaps(there)], text


def test_the_legend_stands_above_the_axes_whatever_their_height() -> None:
    for count in (1, 10, 40):
        figure, _ = layers(measured(count), ROOF)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        legend = figure.axes[0].get_legend()
        assert legend
        gap = legend.get_window_extent(canvas.get_renderer()).y0 - figure.axes[0].get_window_extent().y1
        assert 0 <= gap < 0.5 * figure.dpi


def test_colours_are_the_pages_own_or_hold_on_black_and_white() -> None:
    text = svg(*layers(measured(10), ROOF))
    assert INK not in text
    assert "currentColor" in text
    fixed = set(re.findall(r"#[0-9a-f]{6}\b", text)) - {"#000000"}
    assert fixed <= {*ROWS.values(), *row_colours(["new_row"]).values()}
    for colour in fixed:
        red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
        luminance = 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2
        contrasts = (1.05 / (luminance + 0.05), (luminance + 0.05) / (0.013 + 0.05))
        assert min(contrasts) > 1.7, colour


def test_the_roofline_has_every_layer_that_has_flops() -> None:
    results = measured(400)
    assert len(results) > 140
    drawn = roofline(results, ROOF)
    assert drawn
    titles = re.findall(r"<title>([^<]*)</title></use>", svg(*drawn))
    named = {title.partition(":")[0] for title in titles}
    assert named == {each.problem.name for each in results if each.problem.flops}
    assert roofline([each for each in results if not each.problem.flops], ROOF) is None


def test_the_rooflines_words_stand_apart() -> None:
    drawn = roofline(measured(400), ROOF)
    assert drawn
    peak, winograd = (box for text, box in boxes(drawn[0]) if "FMA peak" in text or "F(4x4" in text)
    assert not peak.overlaps(winograd)
    slopes = [text for text in drawn[0].findobj(Text) if "GB/s" in text.get_text()]  # type: ignore[attr-defined]
    assert len(slopes) == len(LEVELS)
    turn = math.radians(slopes[0].get_rotation())
    corners = [text.get_window_extent().p0 for text in slopes]
    heights = sorted(y * math.cos(turn) - x * math.sin(turn) for x, y in corners)
    assert all(above - below > 10 for below, above in pairwise(heights))


def test_each_network_has_its_plot() -> None:
    names = {problem.network for problem in problems.load()}
    assert {network for network, _ in plots.networks(measured(400))} == names
