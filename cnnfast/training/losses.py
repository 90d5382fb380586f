"""Losses: a number to be made small, and its gradient with respect to what the network gives. Keras' rules.

A loss is the mean over everything but the last axis (all of it for a sparse target), times a weight for each image
where there is one.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from cnnfast.layers.names import snake_case
from cnnfast.ops import checks
from cnnfast.ops.arrays import Array
from cnnfast.ops.softmax import log_softmax
from cnnfast.training.targets import as_targets, class_numbers

EPSILON = np.float32(1e-7)
"""Probabilities are kept this far from 0 and 1 before their logarithm is taken, as Keras does."""


class Loss:
    """What all losses have in common.

    A loss of your own defines `each`: for y_true and y_pred the loss of each sample, and that one's gradient with
    respect to y_pred.
    """

    follows: ClassVar[str] = ""
    """The activation whose way back `of_logits` joins with the loss'."""

    def __init__(self, name: str | None = None) -> None:
        self.name = name or snake_case(type(self).__name__)

    def each(self, y_true: Array, y_pred: Array) -> tuple[Array, Array]:
        """The loss of each sample, of y_pred's shape without the last axis, and its gradient, of y_pred's shape."""
        raise NotImplementedError(f"{type(self).__name__} must define each")

    def of_logits(self, y_true: Array, y_pred: Array) -> tuple[Array, Array]:
        """`each`, with the gradient with respect to what went into the activation `follows` that gave y_pred."""
        raise NotImplementedError

    def targets(self, y_true: Any, y_pred: Array) -> Array:
        """y_true as `each` takes it."""
        return as_targets(y_true, y_pred)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> float:
        """The loss.

        >>> MeanSquaredError()([[1.0, 2.0]], [[1.0, 4.0]])
        2.0
        """
        return self.value_and_gradient(y_true, y_pred, sample_weight)[0]

    def value_and_gradient(
        self, y_true: Any, y_pred: Any, sample_weight: Any = None, logits: bool = False
    ) -> tuple[float, Array]:
        """The loss, and its gradient with respect to y_pred; with `logits` to what went into the last activation."""
        predicted = np.asarray(y_pred)
        if predicted.dtype.kind != "f":
            predicted = predicted.astype(np.float32)
        losses, gradient = (self.of_logits if logits else self.each)(self.targets(y_true, predicted), predicted)
        gradient = gradient.astype(predicted.dtype, copy=False)  # a loss of somebody's own may give float64
        share: Any = gradient.dtype.type(1 / max(1, losses.size))
        if sample_weight is None:
            return float((losses * share).sum(dtype=np.float64)), gradient * share
        weights = share * _weights(np.asarray(sample_weight, gradient.dtype), losses.shape)
        weights = np.broadcast_to(weights, losses.shape)
        value = float((losses * weights).sum(dtype=np.float64))
        return value, gradient * weights[..., None] if gradient.ndim > weights.ndim else gradient * weights


class MeanSquaredError(Loss):
    """The mean of (y_true - y_pred)**2."""

    def each(self, y_true: Array, y_pred: Array) -> tuple[Array, Array]:
        error = y_pred - y_true
        return np.square(error).mean(-1), error * (2 / error.shape[-1])


class MeanAbsoluteError(Loss):
    """The mean of |y_true - y_pred|."""

    def each(self, y_true: Array, y_pred: Array) -> tuple[Array, Array]:
        error = y_pred - y_true
        return np.abs(error).mean(-1), np.sign(error) / error.shape[-1]


class Huber(Loss):
    """error**2 / 2 where |error| <= delta, and delta*(|error| - delta/2) beyond: less moved by outliers."""

    def __init__(self, delta: float = 1.0, name: str | None = None) -> None:
        super().__init__(name)
        self.delta = checks.number("delta", delta, positive=True)

    def each(self, y_true: Array, y_pred: Array) -> tuple[Array, Array]:
        error = y_pred - y_true
        clipped = np.clip(error, -self.delta, self.delta)
        return (clipped * (error - clipped / 2)).mean(-1), clipped / error.shape[-1]


class Crossentropy(Loss):
    """What the crossentropies have in common; see CategoricalCrossentropy."""

    def __init__(self, from_logits: bool = False, label_smoothing: float = 0.0, name: str | None = None) -> None:
        super().__init__(name)
        self.from_logits = checks.boolean("from_logits", from_logits)
        self.label_smoothing = checks.number("label_smoothing", label_smoothing)
        if not 0 <= self.label_smoothing <= 1:
            raise ValueError(f"label_smoothing must be from 0 to 1, got {label_smoothing!r}")


class CategoricalCrossentropy(Crossentropy):
    """-sum of y_true * log(y_pred) along the last axis, for targets that are one-hot or probabilities.

    Parameters
    ----------
    from_logits : y_pred is what a softmax would take, not what it gives
    label_smoothing : so much of each target is spread evenly over all classes

    Examples
    --------
    >>> round(CategoricalCrossentropy()([[0.0, 1.0]], [[0.5, 0.5]]), 4)
    0.6931
    """

    follows = "softmax"

    def each(self, y_true: Array, y_pred: Array) -> tuple[Array, Array]:
        y = self._smooth(y_true)
        if self.from_logits:
            logs = log_softmax(np.ascontiguousarray(y_pred))
            return -(y * logs).sum(-1), np.exp(logs) * y.sum(-1, keepdims=True) - y
        total = y_pred.sum(-1, keepdims=True)
        p = y_pred / total
        inside = (p >= EPSILON) & (p <= 1 - EPSILON)
        p = np.clip(p, EPSILON, 1 - EPSILON)
        slope = np.where(inside, -y / p, 0)
        return -(y * np.log(p)).sum(-1), (slope - (slope * p).sum(-1, keepdims=True)) / total

    def of_logits(self, y_true: Array, y_pred: Array) -> tuple[Array, Array]:
        y = self._smooth(y_true)
        return -(y * np.log(np.clip(y_pred, EPSILON, 1 - EPSILON))).sum(-1), y_pred * y.sum(-1, keepdims=True) - y

    def _smooth(self, y: Array) -> Array:
        share = self.label_smoothing
        return y * y.dtype.type(1 - share) + y.dtype.type(share / y.shape[-1]) if share else y


class SparseCategoricalCrossentropy(Crossentropy):
    """CategoricalCrossentropy for targets that are the classes' numbers.

    >>> round(SparseCategoricalCrossentropy()([1], [[0.5, 0.5]]), 4)
    0.6931
    """

    follows = "softmax"

    def __init__(self, from_logits: bool = False, name: str | None = None) -> None:
        super().__init__(from_logits, name=name)

    def targets(self, y_true: Any, y_pred: Array) -> Array:
        return class_numbers(y_true, y_pred)

    def each(self, y_true: Array, y_pred: Array) -> tuple[Array, Array]:
        if self.from_logits:
            logs = log_softmax(np.ascontiguousarray(y_pred))
            gradient = np.exp(logs)
            rows, places = _of_all(gradient, y_true)
            rows[places] -= 1
            return -_of_all(logs, y_true)[0][places].reshape(y_true.shape), gradient
        at = y_true[..., None]
        total = y_pred.sum(-1, keepdims=True)
        p = np.take_along_axis(y_pred, at, -1) / total
        slope = np.where((p >= EPSILON) & (p <= 1 - EPSILON), 1 / np.clip(p, EPSILON, 1), 0)
        gradient = np.broadcast_to(slope * p / total, y_pred.shape).copy()
        np.put_along_axis(gradient, at, slope * (p - 1) / total, -1)
        return -np.log(np.clip(p, EPSILON, 1 - EPSILON))[..., 0], gradient

    def of_logits(self, y_true: Array, y_pred: Array) -> tuple[Array, Array]:
        gradient = y_pred.copy(order="C")
        rows, places = _of_all(gradient, y_true)
        p = rows[places]
        rows[places] = p - 1
        return -np.log(np.clip(p, EPSILON, 1 - EPSILON)).reshape(y_true.shape), gradient


class BinaryCrossentropy(Crossentropy):
    """The mean along the last axis of -y_true*log(y_pred) - (1 - y_true)*log(1 - y_pred).

    Parameters
    ----------
    from_logits : y_pred is what a sigmoid would take, not what it gives
    label_smoothing : targets come so much nearer to 1/2

    Examples
    --------
    >>> round(BinaryCrossentropy()([[1.0], [0.0]], [[0.5], [0.5]]), 4)
    0.6931
    """

    follows = "sigmoid"

    def each(self, y_true: Array, y_pred: Array) -> tuple[Array, Array]:
        y, n = self._smooth(y_true), y_pred.shape[-1]
        if self.from_logits:
            losses = np.maximum(y_pred, 0) - y_pred * y + np.log1p(np.exp(-np.abs(y_pred)))
            with np.errstate(over="ignore"):
                return losses.mean(-1), (1 / (1 + np.exp(-y_pred)) - y) / n
        p = np.clip(y_pred, EPSILON, 1 - EPSILON)
        slope = np.where(p == y_pred, (p - y) / (p * (1 - p)), 0)
        return self._losses(y, p), slope / n

    def of_logits(self, y_true: Array, y_pred: Array) -> tuple[Array, Array]:
        y = self._smooth(y_true)
        return self._losses(y, np.clip(y_pred, EPSILON, 1 - EPSILON)), (y_pred - y) / y_pred.shape[-1]

    def _losses(self, y: Array, p: Array) -> Array:
        losses: Array = -(y * np.log(p) + (1 - y) * np.log1p(-p)).mean(-1)
        return losses

    def _smooth(self, y: Array) -> Array:
        share = self.label_smoothing
        return y * y.dtype.type(1 - share) + y.dtype.type(share / 2) if share else y


def _weights(given: Array, shape: tuple[int, ...]) -> Array:
    """sample_weight against losses of this shape: one for each image, (N,) or (N, 1), or for each of the losses."""
    if given.shape == (*shape, 1):
        given = given[..., 0]
    count = shape[0]
    if given.shape not in (shape, (count,), (count, 1)):
        raise ValueError(f"sample_weight must have one weight for each of {count} images, got shape {given.shape}")
    return given.reshape(given.shape + (1,) * (len(shape) - given.ndim))


def _of_all(values: Array, numbers: Array) -> tuple[Array, tuple[Array, Array]]:
    """values, contiguous, by rows, and where in them each class lies: a fifth of take_along_axis' time for a batch."""
    return values.reshape(numbers.size, values.shape[-1]), (np.arange(numbers.size), numbers.reshape(-1))


NAMED: Mapping[str, type[Loss]] = {
    "categorical_crossentropy": CategoricalCrossentropy,
    "sparse_categorical_crossentropy": SparseCategoricalCrossentropy,
    "binary_crossentropy": BinaryCrossentropy,
    "mean_squared_error": MeanSquaredError, "mse": MeanSquaredError,
    "mean_absolute_error": MeanAbsoluteError, "mae": MeanAbsoluteError,
    "huber": Huber,
}  # fmt: skip


def get(value: object) -> Loss:
    """The loss that `loss=` asks for: Keras' name, or a Loss.

    >>> get("mse").name
    'mean_squared_error'
    """
    if isinstance(value, Loss):
        return value
    if isinstance(value, type) and issubclass(value, Loss):
        return value()
    if callable(value):
        raise TypeError(f"loss must be a name or a cnnfast.losses.Loss, whose gradient is known, got {value!r}")
    return NAMED[checks.choice("loss", value, NAMED)]()
