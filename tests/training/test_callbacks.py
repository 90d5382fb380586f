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
from cnnfast.optimizers import SGD

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
