"""Metrics: what is told of a training beside the loss. Keras' names and rules."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from cnnfast.layers.names import snake_case
from cnnfast.ops import checks
from cnnfast.ops.arrays import Array
from cnnfast.training import losses
from cnnfast.training.targets import as_targets, class_numbers

Each = Callable[[Any, Array], Array]
"""each(y_true, y_pred): a number for each sample."""


def binary_accuracy(y_true: Any, y_pred: Array, threshold: float = 0.5) -> Array:
    """The share of y_pred's last axis that lies on y_true's side of the threshold.

    >>> import numpy as np
    >>> binary_accuracy([[1], [1]], np.array([[0.9], [0.2]])).tolist()
    [1.0, 0.0]
    """
    right = (y_pred > threshold) == as_targets(y_true, y_pred)
    shares: Array = (right & ~np.isnan(y_pred)).mean(-1)
    return shares


def categorical_accuracy(y_true: Any, y_pred: Array) -> Array:
    """1 where y_pred is largest at the class where y_true is.

    >>> import numpy as np
    >>> categorical_accuracy([[0, 1], [1, 0]], np.array([[0.1, 0.9], [0.1, 0.9]])).tolist()
    [1.0, 0.0]
    """
    return _one_or_zero(as_targets(y_true, y_pred).argmax(-1) == _largest(y_pred))


def sparse_categorical_accuracy(y_true: Any, y_pred: Array) -> Array:
    """1 where y_pred is largest at the class y_true, a number.

    >>> import numpy as np
    >>> sparse_categorical_accuracy([1, 0], np.array([[0.1, 0.9], [0.1, 0.9]])).tolist()
    [1.0, 0.0]
    """
    return _one_or_zero(class_numbers(y_true, y_pred) == _largest(y_pred))


def sparse_top_k_categorical_accuracy(y_true: Any, y_pred: Array, k: int = 5) -> Array:
    """1 where fewer than k classes have more of y_pred than the class y_true.

    >>> import numpy as np
    >>> sparse_top_k_categorical_accuracy([0, 2], np.array([[0.2, 0.3, 0.5], [0.2, 0.3, 0.5]]), k=2).tolist()
    [0.0, 1.0]
    """
    at = np.take_along_axis(y_pred, class_numbers(y_true, y_pred)[..., None], -1)
    more = ~(y_pred <= at)  # NaN among them
    return _one_or_zero((more.sum(-1) < k) & ~np.isnan(at[..., 0]))


def top_k_categorical_accuracy(y_true: Any, y_pred: Array, k: int = 5) -> Array:
    """`sparse_top_k_categorical_accuracy` for targets that are one-hot."""
    return sparse_top_k_categorical_accuracy(as_targets(y_true, y_pred).argmax(-1), y_pred, k)


def accuracy(y_true: Any, y_pred: Array) -> Array:
    """The accuracy that the shapes ask for, as Keras resolves it.

    One output: binary_accuracy; targets without a last axis, or with one of 1: sparse_categorical_accuracy; else
    categorical_accuracy.

    >>> import numpy as np
    >>> accuracy([1, 0], np.array([[0.1, 0.9], [0.1, 0.9]])).tolist()
    [1.0, 0.0]
    """
    shape = np.shape(y_true)
    if y_pred.shape[-1] == 1:
        return binary_accuracy(y_true, y_pred)
    if len(shape) < y_pred.ndim or shape[-1] == 1:
        return sparse_categorical_accuracy(y_true, y_pred)
    return categorical_accuracy(y_true, y_pred)


def _largest(y_pred: Array) -> Array:
    """The class with the most of y_pred; -1, which is wrong, beside a NaN."""
    return np.where(np.isnan(y_pred.max(-1)), -1, y_pred.argmax(-1))


def _one_or_zero(right: Any) -> Array:
    return np.asarray(right, np.float64)


class Metric:
    """The mean of a number of each sample, over all the batches since `reset_state`.

    >>> import numpy as np
    >>> metric = Metric(sparse_categorical_accuracy)
    >>> metric.update_state([1, 0], np.array([[0.1, 0.9], [0.1, 0.9]]))
    >>> metric.name, metric.result()
    ('sparse_categorical_accuracy', 0.5)
    """

    def __init__(self, each: Each, name: str | None = None) -> None:
        self.each = each
        self.name = name or snake_case(getattr(each, "__name__", type(each).__name__))
        self.reset_state()

    def reset_state(self) -> None:
        """Begin again."""
        self.total, self.count = 0.0, 0.0

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take a batch into the mean."""
        numbers = np.asarray(self.each(y_true, np.asarray(y_pred)))
        if sample_weight is None:
            self.add(float(numbers.sum(dtype=np.float64)), numbers.size)
        else:
            weights = np.asarray(sample_weight, np.float64)
            weights = weights.reshape(weights.shape + (1,) * (numbers.ndim - weights.ndim))
            weights = np.broadcast_to(weights, numbers.shape)
            self.add(float((numbers * weights).sum()), float(weights.sum()))

    def add(self, total: float, count: float) -> None:
        """Take a sum of so many numbers into the mean."""
        self.total += total
        self.count += count

    def result(self) -> float:
        """The mean; 0 of nothing, as in Keras."""
        return self.total / self.count if self.count else 0.0


class Mean(Metric):
    """A mean of numbers that are given as they are: a loss."""

    def __init__(self, name: str) -> None:
        super().__init__(lambda y_true, y_pred: y_pred, name)


class Accuracy(Metric):
    """The share of y_pred that equals y_true."""

    def __init__(self, name: str = "accuracy") -> None:
        super().__init__(lambda y_true, y_pred: (as_targets(y_true, y_pred) == y_pred).astype(np.float64), name)


class BinaryAccuracy(Metric):
    """The mean of `binary_accuracy`."""

    def __init__(self, name: str = "binary_accuracy", threshold: float = 0.5) -> None:
        super().__init__(partial(binary_accuracy, threshold=threshold), name)


class CategoricalAccuracy(Metric):
    """The mean of `categorical_accuracy`."""

    def __init__(self, name: str = "categorical_accuracy") -> None:
        super().__init__(categorical_accuracy, name)


class SparseCategoricalAccuracy(Metric):
    """The mean of `sparse_categorical_accuracy`."""

    def __init__(self, name: str = "sparse_categorical_accuracy") -> None:
        super().__init__(sparse_categorical_accuracy, name)


class TopKCategoricalAccuracy(Metric):
    """The mean of `top_k_categorical_accuracy`."""

    def __init__(self, k: int = 5, name: str = "top_k_categorical_accuracy") -> None:
        super().__init__(partial(top_k_categorical_accuracy, k=checks.integer("k", k, minimum=1)), name)


class SparseTopKCategoricalAccuracy(Metric):
    """The mean of `sparse_top_k_categorical_accuracy`."""

    def __init__(self, k: int = 5, name: str = "sparse_top_k_categorical_accuracy") -> None:
        super().__init__(partial(sparse_top_k_categorical_accuracy, k=checks.integer("k", k, minimum=1)), name)


def _of_loss(name: str) -> Each:
    def each(y_true: Any, y_pred: Array) -> Array:
        loss = losses.NAMED[name]()
        return loss.each(loss.targets(y_true, y_pred), y_pred)[0]

    return each


NAMED: Mapping[str, Each] = {
    "accuracy": accuracy, "acc": accuracy,
    "binary_accuracy": binary_accuracy, "categorical_accuracy": categorical_accuracy,
    "sparse_categorical_accuracy": sparse_categorical_accuracy,
    "top_k_categorical_accuracy": top_k_categorical_accuracy,
    "sparse_top_k_categorical_accuracy": sparse_top_k_categorical_accuracy,
    **{name: _of_loss(name) for name in losses.NAMED},
}  # fmt: skip


def get(value: object) -> Metric:
    """The metric that an entry of `metrics=` asks for: Keras' name, a Metric, or a function (y_true, y_pred).

    >>> get("acc").name
    'acc'
    """
    if isinstance(value, Metric):
        return value
    if callable(value):
        return Metric(value)
    name = checks.choice("metrics", value, NAMED)
    return Metric(NAMED[name], name)
