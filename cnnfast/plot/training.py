"""How training went: the curves of its history, and which classes are taken for which."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnfast.ops.arrays import Array
from cnnfast.plot.figure import BLUE, INK, RED, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

VALIDATION = "val_"
COUNTED = 15
"""Classes to which each cell has its number written in it."""
DOTTED = 20
"""Epochs from which a curve has no dots."""


def history(history: Any) -> "Figure":
    """A panel for the loss and for each metric, epoch by epoch: training in blue, validation in red.

    Parameters
    ----------
    history : what `fit` returns, or its `history`: {"loss": [...], "val_loss": [...], "accuracy": [...], ...}

    Returns
    -------
    A matplotlib Figure

    Raises
    ------
    ImportError : matplotlib is not installed
    ValueError, TypeError : there are no curves in it

    Examples
    --------
    >>> from cnnfast import plot
    >>> figure = plot.history({"loss": [2.3, 1.1, 0.7], "val_loss": [1.9, 1.2, 0.9], "accuracy": [0.2, 0.6, 0.8]})
    >>> [axes.get_title() for axes in figure.axes]
    ['loss', 'accuracy']
    """
    curves = getattr(history, "history", history)
    if not isinstance(curves, Mapping):
        raise TypeError(f"history must be what fit returns, or a dict of lists, got {type(history).__name__}")
    names = list(dict.fromkeys(str(name).removeprefix(VALIDATION) for name in curves))
    if not names or not all(len(values) for values in curves.values()):
        raise ValueError("history must hold a value for each epoch, got none: has fit run?")
    epochs = list(getattr(history, "epoch", ())) or list(range(max(len(values) for values in curves.values())))
    figure = new_figure(4.4 * len(names), 3.2)
    from matplotlib.ticker import MaxNLocator

    for i, name in enumerate(names):
        axes = figure.add_subplot(1, len(names), i + 1)
        for key, label, colour in ((name, "training", BLUE), (VALIDATION + name, "validation", RED)):
            if key in curves:
                values = [float(value) for value in curves[key]]
                shown = [epoch + 1 for epoch in epochs[: len(values)]]
                marker = "o" if len(values) < DOTTED else ""
                axes.plot(shown, values, color=colour, label=label, marker=marker, markersize=3)
        axes.set_title(name, fontsize=10, color=INK)
        axes.set_xlabel("epoch", fontsize=8, color=INK)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.tick_params(labelsize=7, colors=INK)
        axes.grid(alpha=0.25)
        axes.legend(fontsize=8, frameon=False)
    return figure


def confusion(y_true: Any, y_pred: Any, class_names: Sequence[Any] | None = None) -> "Figure":
    """How often each class (a row) was taken for each (a column): darker is a larger share of the row.

    Parameters
    ----------
    y_true, y_pred : classes (N,), or a number for each class (N, classes), of which the largest counts: what `predict`
        gives, and one-hot labels
    class_names : by default 0, 1, ...

    Returns
    -------
    A matplotlib Figure, whose title tells the accuracy

    Raises
    ------
    ImportError : matplotlib is not installed
    ValueError, TypeError : the two do not belong together, or class_names are too few

    Examples
    --------
    >>> from cnnfast import plot
    >>> figure = plot.confusion([0, 1, 1, 2], [0, 1, 2, 2], ["cat", "dog", "cow"])
    >>> figure.axes[0].get_title()
    'accuracy 75.00% of 4'
    """
    true, predicted = _classes("y_true", y_true), _classes("y_pred", y_pred)
    if len(true) != len(predicted) or not len(true):
        raise ValueError(f"y_true and y_pred must be as many, and one at least, got {len(true)} and {len(predicted)}")
    count = 1 + int(max(true.max(), predicted.max()))
    names = [str(name) for name in class_names] if class_names is not None else [str(i) for i in range(count)]
    if len(names) < count:
        raise ValueError(f"class_names must be {count} or more, got {len(names)}")
    table = confusion_matrix(true, predicted, len(names))
    side = min(10.0, max(3.2, 0.45 * len(names) + 1.4))
    figure = new_figure(side, side)
    axes = figure.add_subplot()
    shares = table / np.maximum(1, table.sum(axis=1, keepdims=True))
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(*table.shape) if len(names) <= COUNTED else ():
        if table[row, column]:
            colour = "white" if shares[row, column] > 0.5 else INK
            axes.text(column, row, str(table[row, column]), ha="center", va="center", fontsize=7, color=colour)
    axes.set_xticks(range(len(names)), names, rotation=90 if max(map(len, names)) > 3 else 0, fontsize=7, color=INK)
    axes.set_yticks(range(len(names)), names, fontsize=7, color=INK)
    axes.set_xlabel("predicted", fontsize=8, color=INK)
    axes.set_ylabel("true", fontsize=8, color=INK)
    axes.set_title(f"accuracy {np.trace(table) / len(true):.2%} of {len(true)}", fontsize=10, color=INK)
    return figure


def confusion_matrix(y_true: Array, y_pred: Array, classes: int) -> Array:
    """How many of each class (row) were taken for each (column).

    >>> import numpy as np
    >>> confusion_matrix(np.array([0, 1, 1]), np.array([0, 0, 1]), 2).tolist()
    [[1, 0], [1, 1]]
    """
    return np.bincount(y_true * classes + y_pred, minlength=classes * classes).reshape(classes, classes)


def _classes(name: str, value: Any) -> Array:
    array = np.asarray(value)
    if array.ndim == 2 and array.shape[1] > 1 and array.dtype.kind in "fiub":
        array = array.argmax(axis=1)
    array = array.ravel() if array.ndim == 2 else array
    numbers = array.ndim == 1 and array.dtype.kind in "fiub"
    if not numbers or (array < 0).any() or (array != np.floor(array)).any():
        raise ValueError(f"{name} must be classes (N,) or a number for each class (N, classes), got {str(value)[:80]}")
    return array.astype(np.int64)
