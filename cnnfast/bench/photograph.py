"""A real photograph through the lectures' filters, with cnnfast.conv2d, and the pictures written as PNG."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import cnnfast
from cnnfast import datasets, filters
from cnnfast.backends import reference

UNIT = 2.0**-24
EDGES = ("vertical_edge", "horizontal_edge", "sobel_x", "sobel_y", "scharr_x", "scharr_y")
COLOURS = ("box", "gaussian", "sharpen", "intense_sharpen")
LUMA = (0.299, 0.587, 0.114)  # of red, green and blue; ITU-R BT.601

Picture = NDArray[np.float32]


@dataclass
class Photograph:
    """The pictures that were written, and whether the filtering was right."""

    files: dict[str, str] = field(default_factory=dict)
    seconds: float | None = None
    bound_share: float | None = None
    note: str = ""


def run(folder: Path) -> Photograph:
    """Filter the photograph; a missing Pillow is a note, not an error."""
    try:
        from PIL import Image
    except ImportError as error:
        return Photograph(note=f'{error}: pip install "cnnfast[cli]"')
    folder.mkdir(parents=True, exist_ok=True)
    colour = datasets.photograph().astype(np.float32)[np.newaxis]
    grey = np.rint(colour @ np.array(LUMA, np.float32)[:, np.newaxis]).astype(np.float32)
    start = time.perf_counter()
    results = filtered(grey, colour)
    outcome = Photograph(seconds=time.perf_counter() - start, bound_share=check(grey, colour, results))
    for name, picture in {"photograph": colour[0], **pictures(results)}.items():
        path = folder / f"{name}.png"
        Image.fromarray(np.clip(np.rint(picture), 0, 255).astype(np.uint8).squeeze()).save(path)
        outcome.files[name] = str(path)
    return outcome


def arguments(name: str) -> dict[str, Any]:
    """conv2d's arguments of one filter: edges as a bank over the grey picture, the others on each colour by itself."""
    weight = filters.bank(EDGES) if name == "edges" else filters.per_channel(name, 3)
    return {"weight": weight, "groups": 1 if name == "edges" else 3}


def filtered(grey: Picture, colour: Picture) -> dict[str, Picture]:
    """All edges in one convolution, and a grouped one for each filter of the colour picture; the border is repeated."""
    inputs = {"edges": grey} | dict.fromkeys(COLOURS, colour)
    return {
        name: cnnfast.conv2d(x, padding="same", padding_mode="replicate", **arguments(name))
        for name, x in inputs.items()
    }


def check(grey: Picture, colour: Picture, results: dict[str, Picture]) -> float:
    """The worst error as a share of the bound of float32: integer filters on 8-bit pixels leave none at all."""
    worst = 0.0
    sides: dict[str, Any] = {"padding": ((1, 1), (1, 1)), "padding_mode": "replicate"}
    for name, y in results.items():
        call, x = arguments(name), grey if name == "edges" else colour
        error = np.abs(y - reference.conv2d(x, **call, **sides))
        scale = reference.conv2d(x, **call | {"weight": np.abs(call["weight"])}, **sides)
        worst = max(worst, float((error / (10 * UNIT * scale + 2.0**-126)).max()))
    return worst


def pictures(results: dict[str, Picture]) -> dict[str, Picture]:
    """What to look at, 0 to 255: an edge of either sign is bright, and so is a gradient of any direction."""
    edges = {name: results["edges"][0, ..., i] for i, name in enumerate(EDGES)}
    bright = {name: np.abs(edge) * brightness(name) for name, edge in edges.items()}
    for name in ("sobel", "scharr"):
        magnitude = np.hypot(edges[f"{name}_x"], edges[f"{name}_y"])
        bright[f"{name}_magnitude"] = magnitude * brightness(f"{name}_x")
    return bright | {name: results[name][0] for name in COLOURS}


def brightness(edge: str) -> float:
    """A step of a quarter of the range across the edge shall be white."""
    return 4 / float(filters.FILTERS[edge].clip(min=0).sum())
