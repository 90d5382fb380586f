"""fit and evaluate: batches through a model, again and again."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnfast.layers.initializers import next_seed
from cnnfast.ops import arrays, checks
from cnnfast.training.batches import Batches, OfArrays, OfIterable, Weighted, as_arrays, is_iterable, unpacked
from cnnfast.training.callbacks import Callback, CallbackList, History
from cnnfast.training.progress import Progress
from cnnfast.training.step import Aim, one_output, penalty, take_step

if TYPE_CHECKING:
    from cnnfast.model import Model

BATCH = 32


def batches_of(
    model: "Model", x: Any, y: Any, sample_weight: Any, batch_size: int | None, *, steps: int | None = None,
    class_weight: Mapping[int, float] | None = None, shuffle: bool = False,
) -> Batches:  # fmt: skip
    """The data that `fit` and `evaluate` are given, as batches."""
    count = model.input_count
    if is_iterable(x):
        for name, value in (("y", y), ("sample_weight", sample_weight), ("batch_size", batch_size)):
            if value is not None:
                raise ValueError(f"{name} must not be given where x is an iterable of batches, which holds it")
        found: Batches = OfIterable(x, count, steps)
    else:
        if y is None:
            raise ValueError("y must be given where x is an array")
        size = checks.integer("batch_size", BATCH if batch_size is None else batch_size, minimum=1)
        weights = None if sample_weight is None else np.asarray(sample_weight, np.float32)
        generator = np.random.default_rng(next_seed()) if shuffle else None
        found = OfArrays(as_arrays(x, count), arrays.as_array("y", y), weights, size, generator)
        if steps is not None:
            found = OfIterable(found, count, steps)
    return found if class_weight is None else Weighted(found, class_weight)


def fit(
    model: "Model", aim: Aim, data: Batches, validation: Batches | None, callbacks: Sequence[Callback], *, epochs: int,
    first: int, verbose: int, validation_freq: int = 1,
) -> History:  # fmt: skip
    """Train a model on batches; see `Model.fit`."""
    history = History()
    params = {"epochs": epochs, "steps": data.steps, "verbose": verbose, "validates": validation is not None}
    watch = CallbackList([*callbacks, history], model, **params)
    each_batch = watch.watches_batches("on_train_batch_begin", "on_train_batch_end")
    pool = arrays.Pool()
    model.stop_training = False
    watch("on_train_begin", {})
    logs: dict[str, float] = {}
    for epoch in range(first, epochs):
        aim.reset()
        progress = Progress(verbose, data.steps, f"Epoch {epoch + 1}/{epochs}")
        watch("on_epoch_begin", epoch, {})
        step = 0
        with arrays.recycling(pool):
            for step, batch in enumerate(data, 1):
                if each_batch:
                    watch("on_train_batch_begin", step - 1, {})
                model.prepare_for(batch.inputs)
                value, y_pred = take_step(
                    aim, model.course, model.trainable_weights, batch.inputs, batch.targets, batch.weights
                )
                aim.take(value, batch.targets, y_pred)
                if each_batch:
                    watch("on_train_batch_end", step - 1, aim.logs())
                if progress.due:
                    progress.update(step, aim.logs())
                del batch, y_pred
                if model.stop_training and each_batch:
                    break
        _some(step, "x")
        data.steps = progress.steps = data.steps or step
        logs = aim.logs()
        if validation is not None and (epoch + 1) % validation_freq == 0:
            logs |= evaluate(model, aim, validation, watch, prefix="val_")
        watch("on_epoch_end", epoch, logs)
        progress.end(step, logs)
        if model.stop_training:
            break
    watch("on_train_end", logs)
    return history


def evaluate(
    model: "Model", aim: Aim, data: Batches, watch: CallbackList, *, verbose: int = 0, prefix: str = ""
) -> dict[str, float]:
    """The loss and the metrics on batches, as in inference; see `Model.evaluate`."""
    aim.reset()
    progress = Progress(verbose, data.steps)
    each_batch = watch.watches_batches("on_test_batch_begin", "on_test_batch_end")
    watch("on_test_begin", {})
    added, step = 0.0, 0
    data.rewind()
    for step, batch in enumerate(data, 1):
        if each_batch:
            watch("on_test_batch_begin", step - 1, {})
        model.prepare_for(batch.inputs)
        if step == 1:
            added = penalty(model.trainable_weights)
        y_pred = model.predict_on_batch(batch.inputs if len(batch.inputs) > 1 else batch.inputs[0])
        one_output(len(y_pred) if isinstance(y_pred, list) else 1)
        aim.take(aim.loss(batch.targets, y_pred, batch.weights) + added, batch.targets, y_pred)
        if each_batch:
            watch("on_test_batch_end", step - 1, aim.logs())
        if progress.due:
            progress.update(step, aim.logs())
    _some(step, "validation_data" if prefix else "x")
    logs = aim.logs()
    progress.end(step, logs)
    watch("on_test_end", logs)
    return {prefix + name: value for name, value in logs.items()}


def _some(steps: int, name: str) -> None:
    """There must have been batches: means of none would be told as a loss of 0."""
    if not steps:
        raise ValueError(
            f"{name} gave no batches: it must be an iterable that begins anew each time, or a number of steps be given "
            "(a generator ends once and for all)"
        )


def validation_of(model: "Model", data: Any, batch_size: int | None, steps: int | None) -> Batches:
    """`validation_data`: (x, y), (x, y, weights), or an iterable of batches."""
    if is_iterable(data):
        return batches_of(model, data, None, None, None, steps=steps)
    x, y, weights = unpacked(tuple(data))
    return batches_of(model, x, y, weights, batch_size, steps=steps)
