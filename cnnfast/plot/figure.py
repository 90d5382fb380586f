"""What the pictures share: an empty figure, and the error where matplotlib is missing."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, PAPER, BLUE, RED = "#1f2933", "#ffffff", "#2f6f9f", "#b5483a"
DPI = 110


def new_figure(width: float, height: float) -> "Figure":
    """A figure of so many inches, apart from pyplot."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError('cnnfast.plot needs matplotlib: pip install "cnnfast[plot]"') from error
    return Figure(figsize=(width, height), dpi=DPI, facecolor=PAPER, layout="constrained")
