"""One step of a training: forwards, the loss, back, and the change of the weights."""

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from types import FrameType
from typing import Any

from cnnfast.layers.weight import Weight
from cnnfast.ops.arrays import Array
from cnnfast.training import losses, metrics, optimizers
from cnnfast.training.losses import Loss
from cnnfast.training.metrics import Metric
from cnnfast.training.network import Course, Run
from cnnfast.training.optimizers import Optimizer


@dataclass
class Aim:
    """What `compile` sets: how a model is trained, and what is told of it."""

    optimizer: Optimizer
    loss: Loss
    metrics: list[Metric]
    mean_loss: Metric = field(default_factory=lambda: metrics.Mean("loss"))
    names: list[str] = field(init=False)
    """The loss' and the metrics', each once."""

    def __post_init__(self) -> None:
        self.names = _unique([self.mean_loss.name, *(each.name for each in self.metrics)])

    @classmethod
    def of(cls, optimizer: Any, loss: Any, wanted: Any) -> "Aim":
        """From the arguments of `compile`."""
        if wanted is not None and not isinstance(wanted, list | tuple):
            raise TypeError(f"metrics must be a list, got {wanted!r}")
        return cls(optimizers.get(optimizer), losses.get(loss), [metrics.get(each) for each in wanted or ()])

    def reset(self) -> None:
        """Begin the means again."""
        for each in (self.mean_loss, *self.metrics):
            each.reset_state()

    def take(self, value: float, y_true: Any, y_pred: Array) -> None:
        """A batch into the means."""
        self.mean_loss.add(value * len(y_pred), len(y_pred))
        for each in self.metrics:
            each.update_state(y_true, y_pred)

    def logs(self, prefix: str = "") -> dict[str, float]:
        """The means, by name."""
        found = dict(zip(self.names, (self.mean_loss, *self.metrics), strict=True))
        return {prefix + name: found[name].result() for name in sorted(found)}


def _unique(names: Sequence[str]) -> list[str]:
    """Names with those that were there before numbered, as Keras does: a, a_1, a_2."""
    found: list[str] = []
    for name in names:
        numbered = (f"{name}_{i}" for i in count(1))
        found.append(name if name not in found else next(each for each in numbered if each not in found))
    return found


def penalty(weights: Sequence[Weight]) -> float:
    """What the regularizers add to the loss."""
    return sum(weight.regularizer(weight.values) for weight in weights if weight.regularizer is not None)


def one_output(number: int) -> None:
    """A loss is of one output: the model must have no more."""
    if number != 1:
        raise ValueError(f"only a model of one output can be trained by fit or evaluated, this one has {number}")


def take_step(aim: Aim, course: Course, weights: Sequence[Weight], inputs: Sequence[Array], targets: Any,
              sample_weight: Array | None = None) -> tuple[float, Array]:  # fmt: skip
    """Change the weights by a batch; the loss before that, and what the network gave."""
    for weight in weights:
        weight.grad = None  # an interrupted step may have left one
    run = Run(course, inputs, training=True, wants_inputs=False)
    one_output(len(run.results))
    y_pred = run.results[0]
    joined = _joins(aim.loss, course)
    value, gradient = aim.loss.value_and_gradient(targets, y_pred, sample_weight, logits=joined)
    run.back([gradient], inputs=False, of_logits=joined, release=True)
    for weight in weights:
        if weight.regularizer is not None:
            value += weight.regularizer(weight.values)
            weight.add_grad(weight.regularizer.gradient(weight.values))
    with _whole():
        aim.optimizer.apply(weights)
    for weight in weights:
        weight.grad = None
    return value, y_pred


@contextmanager
def _whole() -> Iterator[None]:
    """Hold Ctrl-C back to the end of what is within. Only the main thread gets it, and only it may set a handler."""
    before = signal.getsignal(signal.SIGINT)
    if not callable(before) or threading.current_thread() is not threading.main_thread():
        yield
        return
    caught: list[tuple[int, FrameType | None]] = []
    signal.signal(signal.SIGINT, lambda number, frame: caught.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if caught:
            before(*caught[0])


def _joins(loss: Loss, course: Course) -> bool:
    """Whether the gradient skips the last activation: a crossentropy after its softmax or sigmoid."""
    last = course.last
    if last is None or not loss.follows or getattr(loss, "from_logits", False):
        return False
    return last.layer.last_activation == loss.follows
