"""fit and its kin: a small problem is learned, to the same bits; what is frozen stays; data in every form."""

import re
import signal
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import cnnfast
from cnnfast import Input, Model, Sequential, layers
from cnnfast.callbacks import Callback, LambdaCallback
from cnnfast.optimizers import SGD, Adam
from cnnfast.regularizers import L1, L2

N = 48


def pictures(n: int = N, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Bars, lying or standing."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 0.3, (n, 8, 8, 1)).astype(np.float32)
    y = rng.integers(0, 2, n)
    for picture, standing in zip(x, y, strict=True):
        at = rng.integers(1, 7)
        picture[(slice(None), at) if standing else (at, slice(None))] += 1.5
    return x, y


def network(seed: int = 5, **settings: Any) -> Sequential:
    cnnfast.set_random_seed(seed)
    model = Sequential([
        layers.Conv2D(8, 3, use_bias=False, input_shape=(8, 8, 1), **settings),
        layers.BatchNormalization(momentum=0.8),
        layers.ReLU(),
        layers.MaxPooling2D(),
        layers.Flatten(),
        layers.Dropout(0.2),
        layers.Dense(2, activation="softmax"),
    ])  # fmt: skip
    model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
    return model


def trained(**settings: Any) -> Sequential:
    model = network()
    model.fit(*pictures(), batch_size=16, epochs=2, verbose=0, **settings)
    return model


def same(a: Any, b: Any) -> bool:
    return all(one.tobytes() == other.tobytes() for one, other in zip(a.get_weights(), b.get_weights(), strict=True))


def test_it_learns(capsys: pytest.CaptureFixture[str]) -> None:
    model = network()
    x, y = pictures()
    model.compile(Adam(0.01), "sparse_categorical_crossentropy", ["accuracy"])
    history = model.fit(x, y, batch_size=16, epochs=15, validation_data=pictures(seed=1))
    assert list(history.history) == ["accuracy", "loss", "val_accuracy", "val_loss"]
    assert history.epoch == list(range(15))
    assert history.history["accuracy"][-1] > 0.95
    assert history.history["val_accuracy"][-1] > 0.9
    loss, accuracy = model.evaluate(*pictures(seed=1), verbose=0)
    assert (loss, accuracy) == (history.history["val_loss"][-1], history.history["val_accuracy"][-1])
    assert accuracy == (model.predict(pictures(seed=1)[0]).argmax(-1) == pictures(seed=1)[1]).mean()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Epoch 1/15"
    assert re.match(r"3/3 \[=+\] \d+s \d+[mu]s/step - accuracy: [\d.]+ - loss: ", lines[1]), lines[1]


def test_the_same_seed_gives_the_same_bits() -> None:
    before = cnnfast.get_num_threads()
    try:
        cnnfast.set_num_threads(1)
        one = trained()
        cnnfast.set_num_threads(2)
        two = trained()
    finally:
        cnnfast.set_num_threads(before)
    again = trained()
    assert same(one, two)
    assert same(two, again)
    assert not same(one, trained(shuffle=False))


def test_what_is_frozen_stays_to_the_byte() -> None:
    base = network()
    base.pop()
    for layer in base.layers:
        assert layer.trainable
    base.trainable = False
    before = [weight.tobytes() for weight in base.get_weights()]
    model = Sequential([base, layers.Dense(2, activation="softmax")])
    head = model.layers[1].get_weights()
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(*pictures(), epochs=2, verbose=0)
    assert [weight.tobytes() for weight in base.get_weights()] == before
    assert (model.layers[1].get_weights()[0] != head[0]).any()
    base.trainable = True
    base.layers[0].trainable = False
    model.fit(*pictures(), epochs=1, verbose=0)
    assert base.get_weights()[0].tobytes() == before[0]
    assert [weight.tobytes() for weight in base.get_weights()][1:] != before[1:]


def test_validation_split_takes_the_last() -> None:
    x, y = pictures()
    one = network()
    history = one.fit(x, y, batch_size=16, epochs=1, validation_split=0.25, verbose=0).history
    two = network()
    expected = two.fit(x[:36], y[:36], 16, validation_data=(x[36:], y[36:]), verbose=0).history
    assert history == expected
    assert same(one, two)
    for share in (1.5, -0.1, 0.99):
        with pytest.raises(ValueError, match="validation_split"):
            one.fit(x, y, validation_split=share, verbose=0)


def test_a_last_layer_without_its_activation_learns_alike() -> None:
    x, y = pictures()
    joined = network()
    logits = network()
    last = logits.layers[-1]
    weights = last.get_weights()
    logits.pop()
    logits.add(layers.Dense(2))
    logits.layers[-1].set_weights(weights)
    for model, name in ((joined, False), (logits, True)):
        model.compile(SGD(0.1), cnnfast.losses.SparseCategoricalCrossentropy(from_logits=name))
        cnnfast.set_random_seed(1)
        model.fit(x, y, 16, epochs=2, verbose=0)
    for a, b in zip(joined.get_weights(), logits.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


class Endless:
    """An iterable that can be begun anew, of a length it does not tell."""

    def __iter__(self) -> Iterator[Any]:
        x, y = pictures()
        for i in range(0, N, 16):
            yield x[i : i + 16], y[i : i + 16]


@pytest.mark.parametrize("kind", ["lists", "bytes", "iterable", "iterator", "steps"])
def test_data_in_every_form(kind: str) -> None:
    x, y = pictures()
    expected = network()
    expected.fit(x, y, 16, epochs=2, shuffle=False, verbose=0)
    model = network()
    if kind == "lists":
        model.fit(x.tolist(), y.tolist(), 16, epochs=2, shuffle=False, verbose=0)
    elif kind == "iterable":
        model.fit(Endless(), epochs=2, verbose=0)
    elif kind == "iterator":
        model.fit(iter([*Endless(), *Endless()]), epochs=2, steps_per_epoch=3, verbose=0)
    elif kind == "steps":
        model.fit(x, y, 16, epochs=3, steps_per_epoch=2, shuffle=False, verbose=0)
    else:
        picked = (x * 40).clip(0, 255).astype(np.uint8)
        model.fit(picked, y, 16, epochs=2, shuffle=False, verbose=0)
        expected = network()
        expected.fit(picked.astype(np.float32), y, 16, epochs=2, shuffle=False, verbose=0)
    assert same(model, expected)
    np.testing.assert_array_equal(model.predict(Endless()), model.predict(x))


def test_weights_of_samples_and_classes() -> None:
    x, y = pictures()
    by_sample, by_class, plain = network(), network(), network()
    weights = np.where(y == 1, 3.0, 0.5)
    a = by_sample.fit(x, y, 16, sample_weight=weights, shuffle=False, verbose=0).history
    b = by_class.fit(x, y, 16, class_weight={0: 0.5, 1: 3.0}, shuffle=False, verbose=0).history
    plain.fit(x, y, 16, shuffle=False, verbose=0)
    assert a == b
    assert same(by_sample, by_class)
    assert not same(by_sample, plain)
    with pytest.raises(ValueError, match="class_weight and sample_weight"):
        plain.fit(x, y, sample_weight=weights, class_weight={0: 1.0}, verbose=0)
    one_hot = network()
    one_hot.compile("adam", "categorical_crossentropy")
    one_hot.fit(x, np.eye(2)[y], 16, class_weight={0: 0.5, 1: 3.0}, shuffle=False, verbose=0)
    for one, other in zip(one_hot.get_weights(), by_class.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_regularizers_are_in_the_loss_and_the_gradients() -> None:
    x, y = pictures(16)
    plain, large = network(), network(kernel_regularizer=L2(0.1))
    for model in (plain, large):
        model.pop()
        model.pop()
        model.add(layers.Dense(2, activation="softmax", kernel_initializer="ones"))
        model.compile(SGD(0.5), "sparse_categorical_crossentropy")
    kernel = large.layers[0].get_weights()[0]
    loss, expected = (model.train_on_batch(x, y) for model in (large, plain))
    assert loss == pytest.approx(expected + 0.1 * float((kernel**2).sum()), rel=1e-5)
    np.testing.assert_allclose(
        large.layers[0].get_weights()[0], plain.layers[0].get_weights()[0] - 0.5 * 0.2 * kernel, rtol=1e-4, atol=1e-6
    )
    assert large.test_on_batch(x, y) > float(0.1 * (large.layers[0].get_weights()[0] ** 2).sum())
    assert L1(0.5).gradient(np.array([-2.0, 0.0, 3.0])).tolist() == [-0.5, 0, 0.5]
    with pytest.raises(ValueError, match="kernel_regularizer must be one of"):
        layers.Dense(2, kernel_regularizer="l3").ready((None, 3))


def test_single_batches() -> None:
    x, y = pictures(16)
    model = network()
    first = model.train_on_batch(x, y, return_dict=True)
    assert list(first) == ["accuracy", "loss"]
    for _ in range(30):
        loss, _ = model.train_on_batch(x, y)
    assert loss < first["loss"]
    assert model.test_on_batch(x, y) == model.evaluate(x, y, verbose=0)
    assert model.metrics_names == ["loss", "accuracy"]
    np.testing.assert_array_equal(model.predict_on_batch(x), model.predict(x))


def test_several_inputs() -> None:
    cnnfast.set_random_seed(0)
    a, b = Input((3,)), Input((2,))
    model = Model([a, b], layers.Dense(1)(layers.Concatenate()([a, b])))
    model.compile(SGD(0.1), "mse")
    rng = np.random.default_rng(0)
    x = [rng.normal(0, 1, (64, 3)), rng.normal(0, 1, (64, 2))]
    history = model.fit(x, x[0].sum(1) - x[1].sum(1), epochs=40, verbose=0, validation_split=0.25)
    assert history.history["val_loss"][-1] < 1e-3
    with pytest.raises(ValueError, match="x must be a list of 2 arrays"):
        model.fit(x[0], x[0].sum(1), verbose=0)


def test_it_is_built_by_its_first_data() -> None:
    model = Sequential([layers.Flatten(), layers.Dense(2, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(*pictures(), verbose=0)
    assert model.output_shape == (None, 2)


def test_an_interrupt_leaves_the_model_usable() -> None:
    model = network()
    x, y = pictures()

    def interrupt(batch: int, logs: Any) -> None:
        if batch == 1:
            raise KeyboardInterrupt

    class Broken(layers.Dense):
        def forward(self, x: Any, training: bool = False) -> Any:
            y, _ = super().forward(x, training)

            def backprop(grad_output: Any, inputs: bool = True, of_logits: bool = False) -> Any:
                raise KeyboardInterrupt

            return y, backprop

    with pytest.raises(KeyboardInterrupt):
        model.fit(x, y, 16, verbose=0, callbacks=[LambdaCallback(on_train_batch_end=interrupt)])
    kept = model.get_weights()
    within = Sequential([*model.layers[:-1], Broken(2, activation="softmax")])
    within.compile("adam", "sparse_categorical_crossentropy")
    with pytest.raises(KeyboardInterrupt):
        within.fit(x, y, 16, verbose=0)
    assert all(np.isfinite(each).all() for each in model.get_weights())
    assert kept[0].tobytes() == model.get_weights()[0].tobytes()
    model.fit(x, y, 16, verbose=0)
    assert np.isfinite(model.evaluate(x, y, verbose=0)).all()


def test_plans_see_the_new_weights_and_old_plans_keep_theirs() -> None:
    model = network()
    x, y = pictures(16)
    plan = model.plan(x.shape)
    before = plan(x)
    predicted = model.predict(x)
    model.fit(x, y, verbose=0, epochs=3)
    np.testing.assert_array_equal(plan(x), before)
    np.testing.assert_array_equal(plan(x[:5]), before[:5])
    assert (model.predict(x) != predicted).any()


def test_models_train_in_threads() -> None:
    expected, results = trained(shuffle=False), {}

    def run(i: int) -> None:
        results[i] = models[i]
        models[i].fit(*pictures(), 16, epochs=2, shuffle=False, verbose=0)

    models = [network(), network()]
    threads = [threading.Thread(target=run, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(same(expected, model) for model in results.values())


def test_errors_say_what_is_wrong() -> None:
    x, y = pictures(16)
    model = network()
    fresh = Sequential([layers.Dense(2, input_shape=(3,))])
    for call in (fresh.fit, fresh.evaluate, fresh.train_on_batch):
        with pytest.raises(ValueError, match=r"sequential \(Sequential\) must be compiled before"):
            call(x, y)
    with pytest.raises(ValueError, match="x, y and sample_weight must be as many, got 16, 15"):
        model.fit(x, y[:15], verbose=0)
    with pytest.raises(ValueError, match=r"takes inputs of shape \(None, 8, 8, 1\), got \(16, 8, 7, 1\)"):
        model.fit(x[:, :, :7], y, verbose=0)
    with pytest.raises(ValueError, match="y must hold a class number for each"):
        model.fit(x, np.eye(3)[y], verbose=0)
    with pytest.raises(ValueError, match="y must be given"):
        model.fit(x, verbose=0)
    with pytest.raises(ValueError, match="y must not be given"):
        model.fit(Endless(), y, verbose=0)
    with pytest.raises(TypeError, match="callbacks must be"):
        model.fit(x, y, verbose=0, callbacks=[print])
    with pytest.raises(TypeError, match="x must hold numbers"):
        model.fit(np.array(["a"] * 16), y, verbose=0)
    for name, value in (("batch_size", 0), ("epochs", -1), ("steps_per_epoch", 0), ("initial_epoch", 1.5)):
        with pytest.raises((ValueError, TypeError), match=name):
            model.fit(x, y, verbose=0, **{name: value})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="optimizer must be one of"):
        model.compile("lion", "mse")
    with pytest.raises(ValueError, match="loss must be one of"):
        model.compile("sgd", "mae2")
    model.compile("adam", "sparse_categorical_crossentropy")
    assert np.isnan(model.fit(x * np.nan, y, verbose=0).history["loss"][0])


def test_hooks_are_called_in_turn() -> None:
    called: list[str] = []

    class Recorder(Callback):
        pass

    for name in vars(Callback):
        if name.startswith("on_"):
            setattr(Recorder, name, lambda self, *args, name=name: called.append(name))
    model = network()
    model.fit(*pictures(32), batch_size=16, verbose=0, callbacks=Recorder(), validation_data=pictures(16))
    batch = ["on_train_batch_begin", "on_train_batch_end"]
    test = ["on_test_begin", "on_test_batch_begin", "on_test_batch_end", "on_test_end"]
    assert called == ["on_train_begin", "on_epoch_begin", *batch, *batch, *test, "on_epoch_end", "on_train_end"]


def test_batches_of_none_are_refused() -> None:
    model, (x, y) = network(), pictures(16)
    for call in (
        lambda: model.fit(iter([(x, y)]), epochs=2, verbose=0), lambda: model.evaluate(iter([]), verbose=0),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="x gave no batches"):
            call()
    with pytest.raises(ValueError, match="validation_data gave no batches"):
        model.fit(x, y, epochs=2, verbose=0, validation_data=iter([(x, y)]))
    for method in (model.fit, model.evaluate, model.train_on_batch):
        with pytest.raises(ValueError, match="x must hold at least one image, got none"):
            method(x[:0], y[:0])


def test_metrics_of_one_name_are_numbered() -> None:
    model, top = network(), cnnfast.metrics.SparseTopKCategoricalAccuracy
    first, second, third = top(1, "top"), top(2, "top"), top(2, "loss")
    model.compile("sgd", "sparse_categorical_crossentropy", [first, second, third])
    assert model.metrics_names == ["loss", "top", "top_1", "loss_1"]
    loss, *found = model.evaluate(*pictures(), verbose=0)
    assert found == [first.result(), second.result(), third.result()]
    assert found[0] < found[1] == found[2] == 1 != loss
    assert second.name == "top"


def test_each_validation_begins_anew() -> None:
    model = network()
    model.compile(SGD(0.0), "sparse_categorical_crossentropy")
    seen: list[float] = []
    model.layers[1].trainable = False
    for _ in range(2):
        data = {"validation_data": Endless(), "validation_steps": 2}
        seen += model.fit(*pictures(16), epochs=2, verbose=0, **data).history["val_loss"]
    assert len(set(seen)) == 1


def test_batches_that_are_lists() -> None:
    one, two = network(), network()
    one.fit(Endless(), verbose=0)
    two.fit([[x, y] for x, y in Endless()].__iter__(), verbose=0)
    assert same(one, two)


def test_class_weight_needs_a_class_for_each_image() -> None:
    model, (x, _) = network(), pictures(16)
    for data, rule in (([x], "no targets"), ([(x, np.zeros((16, 8, 8), int))], r"one class .* got y \(16, 8, 8\)")):
        with pytest.raises(ValueError, match=f"class_weight .*{rule}"):
            model.fit(iter(data), class_weight={0: 2.0}, verbose=0)


def test_models_of_two_outputs_are_refused() -> None:
    a = Input((3,))
    model = Model(a, [layers.Dense(1)(a), layers.Dense(2)(a)])
    model.compile("sgd", "mse")
    for method in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match=r"only a model of one output can be .* this one has 2"):
            method(np.zeros((4, 3)), np.zeros((4, 1)), verbose=0)


def test_an_interrupt_waits_for_the_step() -> None:
    class Interrupted(SGD):
        def step(self, *args: Any) -> None:
            signal.raise_signal(signal.SIGINT)
            super().step(*args)

    model, handler = network(), signal.getsignal(signal.SIGINT)
    model.compile(Interrupted(0.1), "sparse_categorical_crossentropy")
    before = [weight.values.copy() for weight in model.trainable_weights]
    with pytest.raises(KeyboardInterrupt):
        model.fit(*pictures(16), verbose=0)
    assert all((weight.values != old).any() for weight, old in zip(model.trainable_weights, before, strict=True))
    assert model.optimizer.iterations == 1
    assert signal.getsignal(signal.SIGINT) is handler
