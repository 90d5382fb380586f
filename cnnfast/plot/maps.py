"""Filters and feature maps as a grid of small pictures."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cnnfast.layers import Conv2D, DepthwiseConv2D
from cnnfast.layers.base import Layer
from cnnfast.layers.input import InputLayer
from cnnfast.model import Model
from cnnfast.ops import arrays, checks
from cnnfast.plot.figure import INK, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CELL = 1.1  # inches
BRIGHT = 99  # percent of a map's pixels that are not white


def filters(layer: Any, limit: int = 64, names: Any = None) -> "Figure":
    """The kernels of a convolution: blue is negative, red is positive, white is 0, each on a scale of its own.

    A kernel of three channels is shown in colour, as red, green and blue; of others, the mean over the channels.

    Parameters
    ----------
    layer : a built Conv2D or DepthwiseConv2D, or a kernel (R, S, C, K)
    limit : how many to show at most
    names : a title for each

    Returns
    -------
    A matplotlib Figure

    Raises
    ------
    ImportError : matplotlib is not installed
    ValueError, TypeError : layer is no such layer or array

    Examples
    --------
    >>> import cnnfast
    >>> figure = cnnfast.plot.filters(cnnfast.filters.bank(["sobel_x", "sobel_y"]))
    >>> len(figure.axes)
    2
    """
    kernel = _kernel(layer)
    count = min(kernel.shape[-1], checks.integer("limit", limit, minimum=1))
    figure, cells = _grid(count)
    for k, cell in enumerate(cells):
        picture = kernel[..., k] if kernel.shape[2] == 3 else kernel[..., k].mean(axis=2)
        reach = float(np.abs(picture).max()) or 1.0
        if picture.ndim == 3:
            cell.imshow(picture / (2 * reach) + 0.5)
        else:
            cell.imshow(picture, cmap="RdBu_r", vmin=-reach, vmax=reach)
        _finish(cell, str(names[k]) if names is not None else "")
    return figure


def feature_maps(model: Model, x: Any, layer: Any = None, limit: int = 64) -> "Figure":
    """What a layer makes of one picture: each of its maps in grey, black where it is least. White is where all but one
    in a hundred are below, so that a few bright pixels do not hide the rest.

    Parameters
    ----------
    model : a network that begins with a picture
    x : a picture (H, W, C), or a batch of which the first is shown
    layer : the layer's name, its index or itself; None for the first convolution
    limit : how many maps to show at most

    Returns
    -------
    A matplotlib Figure

    Raises
    ------
    ImportError : matplotlib is not installed
    ValueError, TypeError : the model has no such layer, the layer gives no maps, or x does not fit

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> figure = cnnfast.plot.feature_maps(cnnfast.models.LeNet5(), np.zeros((32, 32, 1)))
    >>> len(figure.axes)
    6
    """
    chosen = _layer(model, layer)
    picture = arrays.as_array("x", x)
    if picture.ndim == 3:
        picture = picture[np.newaxis]
    output = next(tensor for tensor in model.traced if tensor.layer is chosen)
    if len(output.shape) != 4:
        raise ValueError(f"layer must give maps (N, H, W, C), {chosen.label} gives {output.shape}")
    maps = Model(model.inputs, output).predict(picture[:1])[0]
    figure, cells = _grid(min(maps.shape[-1], checks.integer("limit", limit, minimum=1)), maps.shape[1] / maps.shape[0])
    for k, cell in enumerate(cells):
        each = maps[..., k]
        top = float(np.percentile(each, BRIGHT))
        cell.imshow(each, cmap="gray", vmin=float(each.min()), vmax=top if top > each.min() else float(each.max()))
        _finish(cell, "")
    figure.suptitle(f"{chosen.name}: {maps.shape[-1]} maps of {maps.shape[0]}x{maps.shape[1]}", color=INK, fontsize=10)
    return figure


def _kernel(layer: Any) -> NDArray[Any]:
    if isinstance(layer, Layer):
        if not isinstance(layer, Conv2D | DepthwiseConv2D) or not layer.built:
            raise ValueError(f"layer must be a built Conv2D or DepthwiseConv2D, got {layer.label}")
        kernel: NDArray[Any] = layer.weights[0].values
        if isinstance(layer, DepthwiseConv2D):
            kernel = kernel.reshape(*kernel.shape[:2], 1, -1)
        return kernel
    array = arrays.as_array("layer", layer)
    if array.ndim != 4 or array.dtype.kind not in "fiu" or 0 in array.shape:
        raise ValueError(f"layer must be a layer or a kernel (R, S, C, K), got shape {array.shape} of {array.dtype}")
    return array.astype(np.float64)


def _layer(model: Model, layer: Any) -> Layer:
    if layer is None:
        for each in model.layers:
            if isinstance(each, Conv2D):
                return each
        raise ValueError(f"layer must be given: {model.label} has no Conv2D")
    if isinstance(layer, str):
        return model.get_layer(layer)
    if isinstance(layer, int):
        return model.get_layer(index=layer)
    if layer not in model.layers or isinstance(layer, InputLayer):
        raise ValueError(f"layer must be one of the model's, got {layer!r}")
    found: Layer = layer
    return found


def _grid(count: int, aspect: float = 1.0) -> "tuple[Figure, list[Axes]]":
    """A figure with `count` cells, as wide as eight squares of them at most."""
    columns = min(count, max(1, round(6 / aspect)) if aspect > 1 else 8)
    rows = math.ceil(count / columns)
    figure = new_figure(max(2.5, columns * CELL * aspect), rows * CELL + 0.3)
    return figure, [figure.add_subplot(rows, columns, i + 1) for i in range(count)]


def _finish(cell: "Axes", title: str) -> None:
    cell.set_xticks([])
    cell.set_yticks([])
    for spine in cell.spines.values():
        spine.set_color("#c5ccd3")
    if title:
        cell.set_title(title, fontsize=7, color=INK)
