"""One step of a training: forwards, the loss, back, and the change of the weights."""

from collections.abc import Sequence
from dataclasses import dataclass, field
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
        return {prefix + each.name: each.result() for each in sorted((self.mean_loss, *self.metrics), key=_name)}


def _name(metric: Metric) -> str:
    return metric.name


def penalty(weights: Sequence[Weight]) -> float:
    """What the regularizers add to the loss."""
    return sum(weight.regularizer(weight.values) for weight in weights if weight.regularizer is not None)


def take_step(aim: Aim, course: Course, weights: Sequence[Weight], inputs: Sequence[Array], targets: Any,
              sample_weight: Array | None = None) -> tuple[float, Array]:  # fmt: skip
    """Change the weights by a batch; the loss before that, and what the network gave."""
    for weight in weights:
        weight.grad = None  # an interrupted step may have left one
    run = Run(course, inputs, training=True, wants_inputs=False)
    if len(run.results) != 1:
        raise ValueError(f"only a model of one output can be trained by fit, this one has {len(run.results)}")
    y_pred = run.results[0]
    joined = _joins(aim.loss, course)
    value, gradient = aim.loss.value_and_gradient(targets, y_pred, sample_weight, logits=joined)
    run.back([gradient], inputs=False, of_logits=joined, release=True)
    for weight in weights:
        if weight.regularizer is not None:
            value += weight.regularizer(weight.values)
            weight.add_grad(weight.regularizer.gradient(weight.values))
    aim.optimizer.apply(weights)
    for weight in weights:
        weight.grad = None
    return value, y_pred


def _joins(loss: Loss, course: Course) -> bool:
    """Whether the gradient skips the last activation: a crossentropy after its softmax or sigmoid."""
    last = course.last
    if last is None or not loss.follows or getattr(loss, "from_logits", False):
        return False
    return last.layer.last_activation == loss.follows
