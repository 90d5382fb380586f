"""A network as the figure of its paper: a box for each layer, as high as its maps and as thick as they are many."""

import math
from typing import TYPE_CHECKING

from cnnfast.layers import Dropout, Flatten, InputLayer
from cnnfast.layers.base import Layer
from cnnfast.layers.tensor import Tensor
from cnnfast.model import Model
from cnnfast.plot.figure import BLUE, INK, RED, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEAN = 0.35  # how far a box's side leans, as a share of its height
GAP = 0.55
HEIGHT = 3.0  # of the largest map


def architecture(model: Model) -> "Figure":
    """The shapes of a network, layer by layer: maps as boxes, vectors as bars, sizes beneath, layers above.

    Parameters
    ----------
    model : a built network. One with branches is drawn in the order in which its layers were called.

    Returns
    -------
    A matplotlib Figure

    Raises
    ------
    ImportError : matplotlib is not installed
    ValueError : the model does not know its input's shape

    Examples
    --------
    >>> import cnnfast
    >>> figure = cnnfast.plot.architecture(cnnfast.models.LeNet5())
    """
    if not model.built:
        raise ValueError(f"model must know its input's shape, {model.label} does not: build it first")
    shown = [tensor for tensor in model.traced if not isinstance(tensor.layer, Flatten | Dropout)]
    largest = max(max(_sides(tensor)) for tensor in shown)
    figure = new_figure(max(5.0, 0.95 * len(shown)), 3.4)
    axes = figure.add_subplot()
    x = 0.0
    for tensor in shown:
        x = _draw(axes, tensor, x, largest) + GAP
    axes.set_xlim(-0.6, x)
    axes.set_ylim(-2.3, HEIGHT + 1.1)
    axes.set_axis_off()
    figure.suptitle(f"{model.name}: {model.count_params():,} parameters", color=INK, fontsize=11)
    return figure


def _sides(tensor: Tensor) -> tuple[int, int]:
    """Height and width of its maps; 1 where there are none, or the size is any."""
    sizes = tensor.shape[1:-1]
    return (sizes[0] or 1, sizes[-1] or 1) if sizes else (1, 1)


def _draw(axes: "Axes", tensor: Tensor, x: float, largest: int) -> float:
    """One layer's output from x on; where it ends."""
    from matplotlib.patches import Polygon

    height, width = (HEIGHT * math.sqrt(side / largest) for side in _sides(tensor))
    thick = 0.12 * math.log2(1 + (tensor.shape[-1] or 1))
    colour = _colour(tensor.layer)
    if len(tensor.shape) == 2:  # a vector: a bar as high as it is long
        height, width, thick = min(HEIGHT, 0.3 * math.log2(1 + (tensor.shape[-1] or 1))), 0.0, 0.22
    lean, low = LEAN * width / 2, (HEIGHT - height) / 2
    front = [(x, low), (x + thick, low), (x + thick, low + height), (x, low + height)]
    side = [(x + thick, low), (x + thick + lean, low + lean), (x + thick + lean, low + height + lean)]
    top = [(x, low + height), (x + lean, low + height + lean), (x + thick + lean, low + height + lean)]
    for corners, shade in (
        (front, 1.0), ([*side, (x + thick, low + height)], 0.75), ([*top, (x + thick, low + height)], 0.55)
    ):  # fmt: skip
        axes.add_patch(Polygon(corners, facecolor=colour, edgecolor=INK, linewidth=0.6, alpha=0.85 * shade))
    middle = x + thick / 2
    sizes = "x".join("?" if size is None else str(size) for size in tensor.shape[1:])
    axes.text(middle, -0.25, f"{sizes}  {tensor.layer.name}", rotation=-55, ha="left", va="top", fontsize=6.5,
              color=INK, rotation_mode="anchor")  # fmt: skip
    return x + thick + lean


def _colour(layer: Layer) -> str:
    """Blue where there are weights, red where there are none, grey for the input."""
    if isinstance(layer, InputLayer):
        return "#9aa5b1"
    return BLUE if layer.weights else RED
