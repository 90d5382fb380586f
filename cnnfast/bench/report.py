"""The files a run leaves: bench.json, all figures; report.html, a page with plots and pictures that needs no other."""

import base64
import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from . import tables
from .choice import choice_of
from .reading import FORMAT
from .results import summarise
from .runner import Outcome


def write(outcome: Outcome, folder: Path) -> tuple[list[Path], str]:
    """(the files written, what to install for those that could not be)."""
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / "bench.json"
    data.write_text(json.dumps(as_json(outcome), indent=1, allow_nan=False) + "\n")
    try:
        page = html(outcome)
    except ImportError as error:
        return [data], f'no report.html: {error.name} is not installed: pip install "cnnfast[plot]"'
    report = folder / "report.html"
    report.write_text(page, encoding="utf-8")
    return [data, report], ""


def as_json(outcome: Outcome) -> dict[str, Any]:
    """Everything the run found: `reading.read` draws it again. Times are seconds, rates GFLOP/s and GB/s, shares and
    ratios plain numbers."""
    options, roof = outcome.options, outcome.roof
    asked = {"quick": options.quick, "only": options.only, "peers": options.peers, "seconds": options.budget}
    whole: dict[str, Any] = finite({
        "format": FORMAT,
        "options": asked,
        "machine": outcome.machine,
        "peers": outcome.peers,
        "limits": [asdict(limit) for limit in outcome.limits],
        "photograph": asdict(outcome.photograph),
        "layers": [result.as_json(roof) for result in outcome.results],
        "summary": [asdict(each) for each in summarise(outcome.results)],
        "choice": choice_of(outcome.results).as_json(),
        "left_out": [problem.name for problem in outcome.left_out],
        "wrong": outcome.wrong,
        "busy_neighbours": outcome.neighbours,
        "seconds": outcome.seconds,
        "interrupted": outcome.interrupted,
    })  # fmt: skip
    return whole


def finite(value: Any) -> Any:
    """JSON has no infinity and no NaN: they become text."""
    if isinstance(value, dict):
        return {key: finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [finite(each) for each in value]
    if isinstance(value, float) and not -float("inf") < value < float("inf"):
        return str(value)
    return value


def html(outcome: Outcome) -> str:
    """The page, with its plots and pictures inside.

    Raises:
        ImportError: jinja2 or matplotlib is missing.
    """
    import jinja2

    from . import plots

    template = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__, "."), autoescape=True, trim_blocks=True, lstrip_blocks=True
    ).get_template("report.html.j2")
    return template.render(
        machine=tables.machine_lines(outcome),
        tables=list(tables.all_tables(outcome)),
        closing=tables.closing_lines(outcome),
        plots=list(plots.all_plots(outcome)),
        pictures=[(name, picture(Path(path))) for name, path in outcome.photograph.files.items()],
        photograph_note=outcome.photograph.note,
    )


def picture(path: Path) -> str:
    """A picture as a data URL: as JPEG, a tenth of the PNG's size."""
    from PIL import Image

    content = io.BytesIO()
    with Image.open(path) as image:
        image.save(content, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(content.getvalue()).decode()
