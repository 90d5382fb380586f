"""Callbacks: what happens beside a training, in Keras' words."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnfast import weights
from cnnfast.ops import checks
from cnnfast.ops.arrays import Array

if TYPE_CHECKING:
    from cnnfast.model import Model
    from cnnfast.training.optimizers import Optimizer

Logs = dict[str, float]


class Callback:
    """What `fit` calls at its turns; one of your own defines some of them.

    Attributes
    ----------
    model : what is trained; `model.stop_training = True` ends the training after the epoch
    params : epochs, steps and verbose; validates: whether there is a validation after (some) epochs
    """

    model: "Model"
    params: Mapping[str, Any] = MappingProxyType({})

    def set_model(self, model: "Model") -> None:
        """Told before the training begins."""
        self.model = model

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Told before the training begins."""
        self.params = params

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Before the first epoch."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """After the last one."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Before an epoch; they count from 0."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """After an epoch and its validation; what is added to logs is kept in the history."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a step."""

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a step; logs are the means since the epoch began."""

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Before an evaluation or validation."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """After it."""

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of it."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of it."""


class CallbackList:
    """Several callbacks called in turn."""

    def __init__(self, callbacks: Sequence[Callback], model: "Model", **params: Any) -> None:
        self.callbacks = list(callbacks)
        for each in self.callbacks:
            if not isinstance(each, Callback):
                raise TypeError(f"callbacks must be cnnfast.callbacks.Callback, got {each!r}")
            each.set_model(model)
            each.set_params(params)

    def __call__(self, hook: str, *args: Any) -> None:
        """call("on_epoch_end", epoch, logs)."""
        for each in self.callbacks:
            getattr(each, hook)(*args)

    def watches_batches(self, *hooks: str) -> bool:
        """Whether any of them defines one of these hooks: else a batch's logs need not be made."""
        return any(
            getattr(each, hook) != getattr(Callback, hook).__get__(each) for each in self.callbacks for hook in hooks
        )


class History(Callback):
    """What `fit` gives back.

    Attributes
    ----------
    history : name -> its value after each epoch: "loss", "accuracy", "val_loss", ...
    epoch : the epochs' numbers
    """

    def __init__(self) -> None:
        self.history: dict[str, list[float]] = {}
        self.epoch: list[int] = []

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)


class Watcher(Callback):
    """A callback that watches one of the logs: which value is better.

    Parameters
    ----------
    monitor : "val_loss", "accuracy", ...
    mode : "min", "max", or "auto": max where the name says accuracy or the like
    min_delta : by how much a value must be better to count
    """

    def __init__(self, monitor: str, mode: str = "auto", min_delta: float = 0.0) -> None:
        self.monitor = monitor
        word = checks.choice("mode", mode, ("auto", "min", "max"))
        grows = ("acc", "accuracy", "auc", "precision", "recall")
        self.maximize = word == "max" or (word == "auto" and monitor.removeprefix("val_").endswith(grows))
        self.min_delta = abs(checks.number("min_delta", min_delta))

    @property
    def worst(self) -> float:
        """What any value is better than."""
        return -math.inf if self.maximize else math.inf

    def better(self, value: float, best: float) -> bool:
        """Whether value beats best."""
        return value - self.min_delta > best if self.maximize else value + self.min_delta < best

    def watched(self, logs: Logs | None) -> float | None:
        """The value after this epoch; None after one without validation, where another will have it."""
        found = logs or {}
        if self.monitor in found:
            return found[self.monitor]
        if self.monitor.startswith("val_") and self.params.get("validates") and "val_loss" not in found:
            return None
        raise ValueError(f"monitor must be one of {', '.join(found)}, got {self.monitor!r}")


class EarlyStopping(Watcher):
    """Stop the training once `monitor` has been no better for `patience` epochs.

    Parameters
    ----------
    monitor, min_delta, mode : see Watcher
    patience : epochs to wait
    baseline : the value to be beaten at first
    restore_best_weights : give the model the weights of the best epoch back at the end
    start_from_epoch : epochs before the watch begins
    """

    def __init__(
        self, monitor: str = "val_loss", min_delta: float = 0.0, patience: int = 0, verbose: int = 0,
        mode: str = "auto", baseline: float | None = None, restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(monitor, mode, min_delta)
        self.patience, self.verbose, self.baseline = checks.integer("patience", patience, minimum=0), verbose, baseline
        self.restore_best_weights = checks.boolean("restore_best_weights", restore_best_weights)
        self.start_from_epoch = checks.integer("start_from_epoch", start_from_epoch, minimum=0)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.wait, self.stopped_epoch, self.best_epoch = 0, 0, 0
        self.best = self.worst
        self.best_weights: list[Array] | None = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        value = self.watched(logs)
        if value is None or epoch < self.start_from_epoch:
            return
        self.wait += 1
        if self.better(value, self.best):
            self.best, self.best_epoch = value, epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            if self.baseline is None or self.better(value, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.stopped_epoch and self.verbose:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.best_weights is not None:
            self.model.set_weights(self.best_weights)
            if self.verbose:
                print(f"Restoring model weights from the end of the best epoch: {self.best_epoch + 1}.")


class ModelCheckpoint(Watcher):
    """Save the model, or its weights, after each epoch, or each that is better than all before.

    Parameters
    ----------
    filepath : "best.npz", or with the epoch and logs: "epoch{epoch:02d}-{val_loss:.2f}.npz"
    save_best_only : only where `monitor` has its best value so far
    save_weights_only : call `model.save_weights`, not `model.save`
    monitor, mode : see Watcher
    initial_value_threshold : the value to be beaten at first
    """

    def __init__(
        self, filepath: Any, monitor: str = "val_loss", verbose: int = 0, save_best_only: bool = False,
        save_weights_only: bool = False, mode: str = "auto", initial_value_threshold: float | None = None,
    ) -> None:  # fmt: skip
        super().__init__(monitor, mode)
        self.filepath, self.verbose = str(filepath), verbose
        self.save_best_only = checks.boolean("save_best_only", save_best_only)
        self.save_weights_only = checks.boolean("save_weights_only", save_weights_only)
        suffixes = tuple(weights.WRITTEN if self.save_weights_only else weights.WHOLE)
        if not self.filepath.lower().endswith(suffixes):  # told now, not after the first epoch
            raise ValueError(f"filepath must end in {', '.join(suffixes)}, got {self.filepath!r}")
        self.best = self.worst if initial_value_threshold is None else initial_value_threshold

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.save_best_only:
            value = self.watched(logs)
            if value is None or not self.better(value, self.best):
                return
            self.best = value
        path = self._path(epoch, logs or {})
        if self.verbose:
            print(f"Epoch {epoch + 1}: saving model to {path}")
        model: Any = self.model
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        (model.save_weights if self.save_weights_only else model.save)(path)

    def _path(self, epoch: int, logs: Logs) -> str:
        try:
            return self.filepath.format(epoch=epoch + 1, **logs)
        except (KeyError, IndexError):
            named = ", ".join(("epoch", *logs))
            raise ValueError(f"filepath must name what the epoch has, {named}, got {self.filepath!r}") from None


def _settable(optimizer: "Optimizer", callback: str) -> None:
    """A schedule would be lost by the first rate that is set."""
    if optimizer.follows_a_schedule:
        raise TypeError(f"learning_rate must be a number where {callback} sets it, got an optimizer with a schedule")


class LearningRateScheduler(Callback):
    """Set the learning rate before each epoch to schedule(epoch, learning_rate), or schedule(epoch)."""

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        self.schedule, self.verbose = schedule, verbose

    def on_train_begin(self, logs: Logs | None = None) -> None:
        _settable(self.model.optimizer, type(self).__name__)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        optimizer = self.model.optimizer
        try:
            rate = self.schedule(epoch, optimizer.learning_rate)
        except TypeError:
            rate = self.schedule(epoch)
        optimizer.learning_rate = float(rate)
        if self.verbose:
            print(f"Epoch {epoch + 1}: LearningRateScheduler setting learning rate to {float(rate)}.")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if logs is not None:
            logs["learning_rate"] = self.model.optimizer.learning_rate


class ReduceLROnPlateau(Watcher):
    """Multiply the learning rate by `factor` once `monitor` has been no better for `patience` epochs.

    Parameters
    ----------
    monitor, mode, min_delta : see Watcher
    factor : below 1
    patience : epochs to wait
    cooldown : epochs after a change in which it does not count
    min_lr : it stays at or above this
    """

    def __init__(
        self, monitor: str = "val_loss", factor: float = 0.1, patience: int = 10, verbose: int = 0, mode: str = "auto",
        min_delta: float = 1e-4, cooldown: int = 0, min_lr: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__(monitor, mode, min_delta)
        self.factor = checks.number("factor", factor)
        if self.factor >= 1:
            raise ValueError(f"factor must be below 1, got {factor!r}")
        self.patience, self.verbose = checks.integer("patience", patience, minimum=0), verbose
        self.cooldown, self.min_lr = checks.integer("cooldown", cooldown, minimum=0), checks.number("min_lr", min_lr)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        _settable(self.model.optimizer, type(self).__name__)
        self.best, self.wait, self.cooling = self.worst, 0, 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        optimizer, value = self.model.optimizer, self.watched(logs)
        assert logs is not None
        logs["learning_rate"] = optimizer.learning_rate
        if value is None:
            return
        if self.cooling:
            self.cooling, self.wait = self.cooling - 1, 0
        if self.better(value, self.best):
            self.best, self.wait = value, 0
        elif not self.cooling:
            self.wait += 1
            if self.wait >= self.patience and optimizer.learning_rate > self.min_lr:
                optimizer.learning_rate = max(optimizer.learning_rate * self.factor, self.min_lr)
                self.cooling, self.wait = self.cooldown, 0
                if self.verbose:
                    print(f"Epoch {epoch + 1}: ReduceLROnPlateau reducing learning rate to {optimizer.learning_rate}.")


class CSVLogger(Callback):
    """Write a line for each epoch to a CSV file.

    Parameters
    ----------
    filename : the file
    separator : between its columns
    append : go on with a file that is there
    """

    def __init__(self, filename: Any, separator: str = ",", append: bool = False) -> None:
        self.filename, self.separator, self.append = filename, separator, checks.boolean("append", append)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.names: list[str] = []
        if self.append:
            try:
                with open(self.filename) as file:
                    self.names = file.readline().rstrip("\n").split(self.separator)[1:]
            except FileNotFoundError:
                pass
        else:
            open(self.filename, "w").close()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        found = logs or {}
        with open(self.filename, "a") as file:
            if not self.names:
                self.names = self._columns(found)
                print("epoch", *self.names, sep=self.separator, file=file)
            print(epoch, *(found.get(name, "NA") for name in self.names), sep=self.separator, file=file)

    def _columns(self, logs: Logs) -> list[str]:
        """The logs of this epoch, and those of the validation where a later one has it."""
        wanted = [f"val_{name}" for name in sorted(self.model.metrics_names)] if self.params.get("validates") else []
        return [*logs, *(name for name in wanted if name not in logs)]


class LambdaCallback(Callback):
    """A callback of functions: LambdaCallback(on_epoch_end=lambda epoch, logs: print(logs))."""

    def __init__(self, **hooks: Callable[..., Any] | None) -> None:
        for name, function in hooks.items():
            if not name.startswith("on_") or not hasattr(Callback, name):
                raise TypeError(f"LambdaCallback has no hook {name!r}")
            if function is not None:
                setattr(self, name, function)


class TerminateOnNaN(Callback):
    """Stop the training at a loss that is not a number."""

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        loss = (logs or {}).get("loss", 0.0)
        if not np.isfinite(loss):
            print(f"Batch {batch}: Invalid loss, terminating training")
            self.model.stop_training = True
