"""What each callback does, on logs that are made up and in a training."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnnfast import Sequential, layers
from cnnfast.callbacks import (
    Callback,
    CSVLogger,
    EarlyStopping,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
    TerminateOnNaN,
)
from cnnfast.optimizers import SGD, schedules

X = np.random.default_rng(0).normal(0, 1, (16, 3)).astype(np.float32)
Y = X.sum(1)


def model_of(rate: float = 0.1) -> Sequential:
    model = Sequential([layers.Dense(1, input_shape=(3,), kernel_initializer="zeros")])
    model.compile(SGD(rate), "mse")
    return model


def told(callback: Callback, values: list[float], name: str = "val_loss") -> tuple[Any, int]:
    """Epochs with these values of one log: the model, and how many there were."""
    model = model_of()
    callback.set_model(model)
    callback.on_train_begin()
    count = 0
    for epoch, value in enumerate(values):
        model.set_weights([np.full((3, 1), epoch), np.zeros(1)])
        callback.on_epoch_begin(epoch)
        callback.on_epoch_end(epoch, {name: value})
        count += 1
        if model.stop_training:
            break
    callback.on_train_end()
    return model, count


def test_early_stopping() -> None:
    assert told(EarlyStopping(patience=2), [3, 2, 2.5, 2.1, 1])[1] == 4
    assert told(EarlyStopping(patience=2), [3, 2, 2.5, 1.9, 1])[1] == 5
    assert told(EarlyStopping(patience=1, min_delta=0.5), [3, 2.8, 2.7])[1] == 2
    assert told(EarlyStopping("val_accuracy", patience=1), [0.5, 0.6, 0.6, 0.7], "val_accuracy")[1] == 3
    assert told(EarlyStopping(patience=1, start_from_epoch=2), [1, 2, 3, 4, 5])[1] == 4
    assert told(EarlyStopping(patience=2, baseline=1.0), [3, 2, 1.5, 0.5])[1] == 4
    model, _ = told(EarlyStopping(patience=2, restore_best_weights=True), [3, 1, 2, 4, 0])
    assert model.get_weights()[0][0] == 1
    model, _ = told(EarlyStopping(patience=2), [3, 1, 2, 4, 0])
    assert model.get_weights()[0][0] == 3
    with pytest.raises(ValueError, match="monitor must be one of loss, got 'val_loss'"):
        told(EarlyStopping(), [1.0], "loss")


def test_checkpoints(tmp_path: Path) -> None:
    told(ModelCheckpoint(tmp_path / "best.npz", save_best_only=True, save_weights_only=True), [3, 1, 2])
    kept = model_of()
    kept.load_weights(tmp_path / "best.npz")
    assert kept.get_weights()[0][0] == 1
    told(ModelCheckpoint(tmp_path / "{epoch:02d}-{val_loss:.1f}.npz", save_weights_only=True), [3, 1])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["01-3.0.npz", "02-1.0.npz", "best.npz"]


def test_learning_rates() -> None:
    model = model_of(1.0)
    history = model.fit(X, Y, epochs=3, verbose=0, callbacks=[LearningRateScheduler(lambda epoch, rate: rate / 2)])
    assert history.history["learning_rate"] == [0.5, 0.25, 0.125]
    model.fit(X, Y, epochs=1, verbose=0, callbacks=LearningRateScheduler(lambda epoch: 0.75))
    assert model.optimizer.learning_rate == 0.75
    model, _ = told(ReduceLROnPlateau(factor=0.5, patience=2), [3, 2, 2, 2, 2, 2, 2])
    assert model.optimizer.learning_rate == 0.1 * 0.5**2
    model, _ = told(ReduceLROnPlateau(factor=0.5, patience=1, cooldown=2), [3, 3, 3, 3, 3])
    assert model.optimizer.learning_rate == 0.1 * 0.5**2
    model, _ = told(ReduceLROnPlateau(factor=0.1, patience=1, min_lr=0.05), [3, 3, 3, 3, 3])
    assert model.optimizer.learning_rate == 0.05
    with pytest.raises(ValueError, match="factor must be below 1"):
        ReduceLROnPlateau(factor=1.0)


def test_csv(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    history = model_of().fit(X, Y, epochs=2, verbose=0, callbacks=[CSVLogger(path)]).history
    assert path.read_text() == "epoch,loss\n" + "".join(f"{i},{loss}\n" for i, loss in enumerate(history["loss"]))
    model_of().fit(X, Y, epochs=1, verbose=0, callbacks=[CSVLogger(path, append=True)])
    assert len(path.read_text().splitlines()) == 4
    model_of().fit(X, Y, epochs=1, verbose=0, callbacks=[CSVLogger(path, separator=";")])
    assert path.read_text().startswith("epoch;loss\n0;")


def test_functions() -> None:
    seen: list[Any] = []
    callback = LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append((epoch, logs["loss"])))
    history = model_of().fit(X, Y, epochs=2, verbose=0, callbacks=[callback])
    assert seen == list(enumerate(history.history["loss"]))
    with pytest.raises(TypeError, match="no hook 'on_epoch'"):
        LambdaCallback(on_epoch=print)


def test_a_loss_that_is_not_a_number(capsys: pytest.CaptureFixture[str]) -> None:
    history = model_of().fit(X * np.nan, Y, epochs=3, verbose=0, callbacks=[TerminateOnNaN()])
    assert history.epoch == [0]
    assert "Invalid loss" in capsys.readouterr().out


def test_a_callback_may_stop_the_training() -> None:
    class Stop(Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.model.stop_training = epoch == 1

    assert model_of().fit(X, Y, epochs=9, verbose=0, callbacks=[Stop()]).epoch == [0, 1]
    assert model_of().fit(X, Y, epochs=3, initial_epoch=1, verbose=0).epoch == [1, 2]


@pytest.mark.parametrize("kind", [EarlyStopping, ReduceLROnPlateau, ModelCheckpoint])
def test_epochs_without_validation_are_passed_over(kind: Any, tmp_path: Path) -> None:
    def fit(monitor: str, **data: Any) -> Any:
        given = {"filepath": tmp_path / "best.npz", "save_best_only": True} if kind is ModelCheckpoint else {}
        callback = kind(monitor=monitor, **given)
        return model_of().fit(X, Y, epochs=3, verbose=0, callbacks=callback, **data).history

    assert len(fit("val_loss", validation_data=(X, Y), validation_freq=2)["val_loss"]) == 1
    with pytest.raises(ValueError, match="monitor must be one of"):
        fit("val_loss")
    for monitor in ("los", "val_los"):
        with pytest.raises(ValueError, match="monitor must be one of"):
            fit(monitor, validation_data=(X, Y), validation_freq=2)


@pytest.mark.parametrize("callback", [LearningRateScheduler(lambda epoch: 0.1), ReduceLROnPlateau("loss")])
def test_a_schedule_is_not_replaced(callback: Callback) -> None:
    model = model_of()
    model.compile(SGD(schedules.ExponentialDecay(0.1, 10, 0.5)), "mse")
    with pytest.raises(TypeError, match="learning_rate must be a number where"):
        model.fit(X, Y, verbose=0, callbacks=callback)
    assert model.optimizer.follows_a_schedule


def test_where_checkpoints_go(tmp_path: Path) -> None:
    told(ModelCheckpoint(tmp_path / "a" / "b" / "{epoch}.npz"), [1])
    assert (tmp_path / "a" / "b" / "1.npz").exists()
    for name, alone in (("best.txt", False), ("best.weights.h5", False), ("best.keras", True)):
        with pytest.raises(ValueError, match=f"filepath must end in .*, got '{name}'"):
            ModelCheckpoint(name, save_weights_only=alone)
    with pytest.raises(ValueError, match="filepath must name what the epoch has, epoch, loss, got"):
        told(ModelCheckpoint(tmp_path / "{val_loss}.npz"), [1], "loss")


def test_csv_has_columns_for_a_later_validation(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    model_of().fit(X, Y, epochs=2, verbose=0, callbacks=CSVLogger(path), validation_data=(X, Y), validation_freq=2)
    header, first, second = (line.split(",") for line in path.read_text().splitlines())
    assert header == ["epoch", "loss", "val_loss"]
    assert first[2] == "NA" != second[2]
