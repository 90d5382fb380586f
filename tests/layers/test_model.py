"""Sequential and Model: graphs, names, weights, plans and their buffers, and errors that name the layer."""

import re
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import cnnfast
from cnnfast import Input, Model, Sequential, layers
from cnnfast.layers import (
    Activation,
    Add,
    BatchNormalization,
    Concatenate,
    Conv2D,
    Cropping2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePooling2D,
    Layer,
    MaxPooling2D,
    Multiply,
    Reshape,
    UpSampling2D,
)

pytestmark = pytest.mark.usefixtures("strict")


@pytest.fixture(autouse=True)
def _seeded() -> None:
    cnnfast.set_random_seed(7)


def block(x: Any, filters: int) -> Any:
    """A residual block whose skip is a 1x1 convolution."""
    y = Conv2D(filters, 3, padding="same", use_bias=False)(x)
    y = Activation("relu")(BatchNormalization()(y))
    y = Conv2D(filters, 3, padding="same")(y)
    return Activation("relu")(Add()([y, Conv2D(filters, 1)(x)]))


def branching() -> Model:
    """Skips, a U-Net's concatenation, views in the middle, an activation that is not fused."""
    x = Input((8, 8, 3), name="picture")
    a = block(x, 4)
    b = block(MaxPooling2D(2)(a), 6)
    up = Concatenate()([UpSampling2D(2)(b), a])
    c = Dropout(0.3)(Conv2D(5, 3, padding="same", activation="softmax")(up))
    gate = Reshape((1, 1, 5))(Dense(5, activation="sigmoid")(GlobalAveragePooling2D()(c)))
    return Model(x, Dense(3, activation="softmax")(Flatten()(Cropping2D(1)(Multiply()([c, gate])))))


def two_by_two() -> Model:
    """Two inputs, and outputs of which one is read again, one is a view, and one an input's own view."""
    a, b = Input((4, 4, 2)), Input((4, 4, 2))
    total = Add()([a, b])
    return Model([a, b], [Conv2D(3, 3)(total), total, Flatten()(total), Flatten()(b)], name="pair")


MODELS: dict[str, Callable[[], Model]] = {
    "branching": branching,
    "lenet": cnnfast.models.LeNet5,
    "views alone": lambda: Sequential([Flatten(input_shape=(4, 4, 2)), Dropout(0.5), Reshape((2, 16))]),
    "view first and last": lambda: Sequential(
        [Reshape((4, 4, 2), input_shape=(32,)), Conv2D(3, 3, activation="relu"), Dropout(0.5), Flatten()]
    ),
    "one layer": lambda: Sequential([Dense(3, input_shape=(5,))]),
    "nested": lambda: Sequential([branching_features(), Flatten(), Dense(4)]),
}


def branching_features() -> Model:
    x = Input((8, 8, 3))
    return Model(x, block(x, 4), name="features")


def inputs_of(model: Model, n: int, rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((n, *model.input_shape[1:]), np.float32)


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_plan_predict_and_forward_agree(make: Callable[[], Model], rng: np.random.Generator) -> None:
    model = make()
    plan = model.plan((3, *model.input_shape[1:]))
    for n in (3, 1, 5, 0, 3):
        x = inputs_of(model, n, rng)
        before = x.copy()
        expected = model.predict(x)
        assert expected.shape == (n, *model.output_shape[1:])
        np.testing.assert_allclose(expected, model(x), rtol=1e-5, atol=1e-6)  # forward folds nothing
        for y in (plan(x), model.predict(x), model.predict(x, batch_size=2), plan(x, out=np.empty_like(expected))):
            np.testing.assert_array_equal(y, expected)
            assert not np.shares_memory(y, x)
        np.testing.assert_array_equal(x, before)


def test_layers_of_my_own_are_run_in_double_precision_too(rng: np.random.Generator) -> None:
    model = branching()
    x = rng.standard_normal((2, 8, 8, 3))
    y = model(x)
    assert y.dtype == np.float64
    np.testing.assert_allclose(model.predict(x), y, rtol=1e-5, atol=1e-6)


def test_several_inputs_and_outputs(rng: np.random.Generator) -> None:
    model = two_by_two()
    x = [rng.standard_normal((5, 4, 4, 2), np.float32) for _ in range(2)]
    plan = model.plan((5, 4, 4, 2), (5, 4, 4, 2))
    for results in (model.predict(x), model.predict(x, batch_size=2), plan(*x), model(x)):
        conv, total, flat, given = results
        np.testing.assert_array_equal(total, x[0] + x[1])
        np.testing.assert_array_equal(flat, (x[0] + x[1]).reshape(5, -1))
        np.testing.assert_array_equal(given, x[1].reshape(5, -1))
        np.testing.assert_array_equal(conv, model.layers[3](total))
    with pytest.raises(ValueError, match="out must be None"):
        plan(*x, out=np.empty((5, 2, 2, 3), np.float32))
    with pytest.raises(ValueError, match="has 2 inputs, got 1"):
        plan(x[0])
    with pytest.raises(ValueError, match=r"pair \(Functional\) has 4 outputs"):
        model(model.inputs)
    with pytest.raises(ValueError, match=r"shape \(5, 4, 4, 2\), got \(4, 4, 4, 2\)"):
        plan(x[0], x[1][:4])


def test_inputs_of_unlike_batches_are_refused() -> None:
    model = two_by_two()
    with pytest.raises(ValueError, match="as many images for each input"):
        model.predict([np.ones((64, 4, 4, 2)), np.ones((100, 4, 4, 2))])
    with pytest.raises(ValueError, match="one batch"):
        model.plan((1, 4, 4, 2), (7, 4, 4, 2))


def test_an_out_that_is_columns_of_a_wider_array() -> None:
    """The last step is a dense layer's, which writes rows that lie together."""
    x, wide = np.ones((2, 32, 32, 1), np.float32), np.zeros((2, 20), np.float32)
    plan = cnnfast.models.LeNet5().plan(x.shape)
    plan(x, out=wide[:, :10])
    np.testing.assert_array_equal(wide[:, :10], plan(x))
    assert not wide[:, 10:].any()


def test_buffers_are_shared() -> None:
    """A chain of equal layers needs two buffers, however long it is; a skip one more."""
    size = 8 * 8 * 4 * 4
    layers = [Conv2D(4, 3, padding="same", input_shape=(8, 8, 4)) for _ in range(9)]
    assert Sequential(layers).plan((1, 8, 8, 4)).buffer_size == 2 * size
    x = y = Conv2D(4, 1)(Input((8, 8, 4)))
    for _ in range(5):
        y = Conv2D(4, 1)(y)
    assert Model(x.inputs[0], Conv2D(4, 1)(Add()([x, y]))).plan((1, 8, 8, 4)).buffer_size == 3 * size


def test_a_plan_keeps_no_array_of_its_callers(rng: np.random.Generator) -> None:
    model = branching()
    plan = model.plan((2, 8, 8, 3))
    x = inputs_of(model, 2, rng)
    before = sys.getrefcount(x)
    y = plan(x)
    assert sys.getrefcount(x) == before
    assert sys.getrefcount(y) == 2
    first = y.copy()
    plan(inputs_of(model, 2, rng))
    np.testing.assert_array_equal(y, first)


def test_threads_share_a_plan(rng: np.random.Generator) -> None:
    model = branching()
    plan = model.plan((1, 8, 8, 3))
    xs = [inputs_of(model, 1 + i % 3, rng) for i in range(8)]
    expected = [model.predict(x) for x in xs]
    wrong: list[int] = []

    def work(i: int) -> None:
        for _ in range(50):
            if not np.array_equal(plan(xs[i]), expected[i]):
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize(
    ("x", "out", "error", "words"),
    [
        (np.zeros((1, 8, 8, 3)), None, TypeError, "float32 array, got float64"),
        ([[1.0]], None, TypeError, "float32 array, got float64"),
        (np.zeros((1, 8, 9, 3), np.float32), None, ValueError, r"\(N, 8, 8, 3\), got \(1, 8, 9, 3\)"),
        (np.zeros((1, 8, 8, 3), np.float32), np.zeros((1, 4), np.float32), ValueError, "out must have shape"),
        (np.zeros((1, 8, 8, 3), np.float32), np.zeros((1, 3)), TypeError, "out must have dtype float32"),
    ],
)
def test_what_a_plan_refuses(x: Any, out: Any, error: type[Exception], words: str) -> None:
    plan = branching().plan((1, 8, 8, 3))
    with pytest.raises(error, match=words):
        plan(x, out=out)


def test_out_may_not_overlap_an_input() -> None:
    plan = Sequential([Conv2D(3, 3, padding="same", input_shape=(8, 8, 3))]).plan((1, 8, 8, 3))
    x = np.zeros((1, 8, 8, 3), np.float32)
    with pytest.raises(ValueError, match="out must not overlap"):
        plan(x, out=x)


def test_an_out_that_is_strided_is_written_as_well(rng: np.random.Generator) -> None:
    model = branching()
    x = inputs_of(model, 4, rng)
    wide = np.zeros((4, 6), np.float32)
    model.plan(x.shape)(x, out=wide[:, ::2])
    np.testing.assert_array_equal(wide[:, ::2], model.predict(x))
    assert not wide[:, 1::2].any()


def test_weights_that_are_set_reach_predict_and_not_a_plan(rng: np.random.Generator) -> None:
    model = branching()
    x = inputs_of(model, 2, rng)
    old, plan = model.predict(x), model.plan(x.shape)
    conv = model.get_layer("conv2d_1")
    conv.set_weights([weight * 2 for weight in conv.get_weights()])
    new = model.predict(x)
    assert not np.array_equal(new, old)
    np.testing.assert_allclose(new, model(x), rtol=1e-5)  # batch normalisation is folded into the weights
    np.testing.assert_array_equal(plan(x), old)
    norm = model.get_layer("batch_normalization")
    norm.set_weights([weight + 1 for weight in norm.get_weights()])
    np.testing.assert_allclose(model.predict(x), model(x), rtol=1e-5)
    np.testing.assert_array_equal(plan(x), old)


def test_predict_keeps_few_plans() -> None:
    model = Sequential([Conv2D(2, 3, input_shape=(None, None, 1)), GlobalAveragePooling2D()])
    for size in range(3, 12):
        assert model.predict(np.zeros((1, size, size, 1))).shape == (1, 2)
    assert len(model._plans) == cnnfast.model.PLANS


def test_get_and_set_weights_are_keras_order() -> None:
    model = branching()
    names = [f"{layer.name}/{weight.name}" for layer in model.layers for weight in layer.weights]
    assert names[:6] == [
        "conv2d/kernel", "batch_normalization/gamma", "batch_normalization/beta", "batch_normalization/moving_mean",
        "batch_normalization/moving_variance", "conv2d_1/kernel",
    ]  # fmt: skip
    other = branching()
    other.set_weights(model.get_weights())
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match="weights must be"):
        other.set_weights(model.get_weights()[1:])


def test_a_seed_makes_a_network_repeatable_whatever_is_looked_at_first() -> None:
    cnnfast.set_random_seed(3)
    first = branching()
    cnnfast.set_random_seed(3)
    second = branching()
    assert second.layers[-1].get_weights()
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(branching().get_weights()[0], first.get_weights()[0])


def test_names() -> None:
    model = Sequential([Conv2D(2, 3, input_shape=(9, 9, 1)), Conv2D(2, 3, name="conv2d_1"), Conv2D(2, 3)])
    assert [layer.name for layer in model.layers] == ["conv2d", "conv2d_1", "conv2d_2"]
    assert model.get_layer("conv2d_2") is model.layers[2] is model.get_layer(index=-1)
    with pytest.raises(ValueError, match="name must be one of conv2d, conv2d_1, conv2d_2, got 'dense'"):
        model.get_layer("dense")
    with pytest.raises(ValueError, match="name must be unique in a network, got two layers 'conv2d'"):
        model.add(Conv2D(2, 3, name="conv2d"))
    assert len(model.layers) == 3


def test_errors_name_the_layer_and_leave_the_network_as_it_was() -> None:
    model = Sequential([Conv2D(2, 3, input_shape=(4, 4, 1)), MaxPooling2D(2)])
    late = Conv2D(2, 3)
    with pytest.raises(ValueError, match=r"^conv2d_1 \(Conv2D\): weight must fit the padded input"):
        model.add(late)
    assert late.name == "conv2d"
    model.add(Flatten())
    with pytest.raises(ValueError, match=r"^conv2d_1 \(Conv2D\): its input must have 4 dimensions"):
        model.add(late)
    assert model.output_shape == (None, 2)
    with pytest.raises(TypeError, match=r"layer must be a cnnfast.layers.Layer, got 'dense'"):
        model.add("dense")
    with pytest.raises(ValueError, match=r"sequential \(Sequential\) takes inputs of shape"):
        model.predict(np.zeros((1, 5, 5, 1)))
    with pytest.raises(TypeError, match="x must hold numbers"):
        model.predict(np.array(["a"]))
    with pytest.raises(ValueError, match="batch_size must be >= 1"):
        model.predict(np.zeros((1, 4, 4, 1)), batch_size=0)
    with pytest.raises(ValueError, match="must be the first"):
        model.add(Input((3,)))


def test_a_network_that_is_told_its_shape_late(rng: np.random.Generator) -> None:
    model = Sequential([Conv2D(2, 3), Flatten(), Dense(3)])
    with pytest.raises(ValueError, match=r"sequential \(Sequential\) does not know its input's shape"):
        model.count_params()
    assert model.predict(rng.random((2, 6, 6, 1))).shape == (2, 3)
    assert model.input_shape == (None, 6, 6, 1)
    wrong = Sequential([Flatten(), Conv2D(2, 3)])
    with pytest.raises(ValueError, match=r"conv2d \(Conv2D\): its input must have 4"):
        wrong.build((None, 6, 6, 1))
    assert not wrong.built
    assert len(wrong.layers) == 2


def test_a_new_head_on_an_old_network(rng: np.random.Generator) -> None:
    """Transfer learning: take the head away, freeze what is left, put another on."""
    base = cnnfast.models.LeNet5()
    head = base.pop()
    assert head.name == "dense_2"
    base.trainable = False
    model = Sequential([base, Dense(3, activation="softmax")])
    x = rng.random((2, 32, 32, 1)).astype(np.float32)
    assert model.predict(x).shape == (2, 3)
    assert model.count_params() == 61706 - 850 + 84 * 3 + 3
    assert sum(weight.size for weight in model.trainable_weights) == 84 * 3 + 3
    np.testing.assert_array_equal(model.layers[1](base.predict(x)), model.predict(x))


def test_features_of_a_layer_within() -> None:
    model = cnnfast.models.LeNet5()
    features = Model(model.inputs, [layer.output for layer in model.layers[:2]])
    maps, pooled = features.predict(np.ones((1, 32, 32, 1)))
    assert maps.shape == (1, 28, 28, 6)
    assert pooled.shape == (1, 14, 14, 6)
    assert features.layers[0].name == "input_layer"


def test_a_layer_that_is_shared() -> None:
    dense = Dense(4)
    a, b = Input((4,)), Input((4,))
    model = Model([a, b], Add()([dense(a), dense(dense(b))]))
    assert model.count_params() == 20
    ones = np.ones((1, 4), np.float32)
    np.testing.assert_allclose(model.predict([ones, ones]), dense(ones) + dense(dense(ones)), rtol=1e-6)
    with pytest.raises(AttributeError, match="was called 3 times"):
        _ = dense.output


def test_a_graph_that_is_cut() -> None:
    a, b = Input((4,), name="left"), Input((4,), name="right")
    with pytest.raises(ValueError, match=r"outputs must depend on the inputs alone, and need right \(InputLayer\)"):
        Model(a, Add()([a, b]))
    with pytest.raises(TypeError, match="outputs must be a Tensor"):
        Model(a, np.zeros(3))
    with pytest.raises(TypeError, match="has no values"):
        np.asarray(a)
    with pytest.raises(TypeError, match="every input must be a Tensor"):
        Add()([a, np.zeros((1, 4), np.float32)])


def test_a_branching_networks_table(capsys: pytest.CaptureFixture[str]) -> None:
    branching().summary()
    text = capsys.readouterr().out
    assert text.startswith('Model: "functional"')
    assert "Connected to" in text
    assert "picture (InputLayer)" in text
    assert re.search(r"│ add \(Add\) +│ \(None, 8, 8, 4\) +│ +0 │ conv2d_1 +│\n│ +│ +│ +│ conv2d_2 +│\n", text)
    model = branching()
    frozen = sum(w.size for layer in model.layers for w in layer.weights if not w.trainable)
    assert frozen == 2 * (4 + 6)
    assert f"Non-trainable params: {frozen} " in text


class Double(Layer):
    """A layer as a user would write one: two methods."""

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def call(self, x: Any, out: Any = None) -> Any:
        return np.multiply(x, 2, out=out)


def test_a_layer_of_ones_own() -> None:
    model = Sequential([Double(input_shape=(3,)), Double()])
    assert model.predict(np.ones((2, 3))).tolist() == [[4.0] * 3] * 2
    assert model.layers[1].name == "double_1"


@pytest.mark.parametrize("shape", [(1, 32, 32), "32", (1, 0, 32, 1), (1, 32, 32, 1.5)])
def test_shapes_that_cannot_be_planned(shape: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="shape"):
        cnnfast.models.LeNet5().plan(shape)


def random_graph(rng: np.random.Generator) -> Model:
    """A graph of maps (4, 4, C): each step reads some tensors made before, often more than once; several outputs."""
    made = inputs = [Input((4, 4, int(rng.integers(1, 4)))) for _ in range(rng.integers(1, 3))]
    made = list(made)
    for _ in range(rng.integers(1, 14)):
        x = made[rng.integers(len(made))]
        same = [each for each in made if each.shape == x.shape]
        kind = rng.integers(6)
        if kind == 0:
            y = Conv2D(int(rng.integers(1, 5)), 3, padding="same", activation=rng.choice(["relu", "softmax"]))(x)
        elif kind == 1:
            y = Add()([x, same[rng.integers(len(same))]])
        elif kind == 2:
            y = Concatenate()([x, made[rng.integers(len(made))]])
        elif kind == 3:
            y = Dropout(0.5)(x)
        elif kind == 4:
            y = Reshape((4, 4, -1))(Flatten()(x))
        else:
            y = MaxPooling2D(3, strides=1, padding="same")(x)
        made.append(y)
    outputs = [made[i] for i in rng.choice(len(made), size=min(len(made), int(rng.integers(1, 4))), replace=False)]
    needed = {id(each): each for output in outputs for each in origins(output)}
    return Model([each for each in inputs if id(each) in needed], outputs)


def origins(tensor: Any) -> list[Any]:
    if not tensor.inputs:
        return [tensor]
    return [origin for each in tensor.inputs for origin in origins(each)]


@pytest.mark.parametrize("seed", range(80))
def test_buffers_of_random_graphs(seed: int) -> None:
    """A value that is overwritten before its last reader would show."""
    rng = np.random.default_rng(seed)
    model = random_graph(rng)
    plan = model.plan(*((2, *tensor.shape[1:]) for tensor in model.inputs))
    for n in (2, 3):
        x = [rng.standard_normal((n, *tensor.shape[1:]), np.float32) for tensor in model.inputs]
        expected, y = model(x), plan(*x)
        for a, b in zip(*([z] if len(model.outputs) == 1 else z for z in (y, expected)), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_inputs_that_lie_oddly(make: Callable[[], Model], rng: np.random.Generator) -> None:
    """Reversed, strided, unaligned, read-only and foreign arrays."""
    model = make()
    x = inputs_of(model, 4, rng)
    expected = model.predict(x)
    plan = model.plan(x.shape)
    strided = np.repeat(x, 2, axis=-1)[..., ::2]
    raw = np.zeros(x.nbytes + 1, np.uint8)[1:].view(np.float32).reshape(x.shape)
    raw[...] = x
    reverse = np.ascontiguousarray(x[::-1])[::-1]
    frozen = x.copy()
    frozen.flags.writeable = False
    for odd in (strided, raw, reverse, frozen, np.asfortranarray(x)):
        np.testing.assert_array_equal(plan(odd), expected)
        np.testing.assert_array_equal(model.predict(odd), expected)
    np.testing.assert_array_equal(model.predict(x.astype(">f4")), expected)
    np.testing.assert_array_equal(model.predict(x.tolist()), expected)


def test_a_plan_of_lines_keeps_its_weights(rng: np.random.Generator) -> None:
    model = Sequential([layers.Conv1D(3, 2, input_shape=(6, 2))])
    x = rng.standard_normal((1, 6, 2)).astype(np.float32)
    plan = model.plan(x.shape)
    before = plan(x).copy()
    model.set_weights([2 * weight for weight in model.get_weights()])
    np.testing.assert_array_equal(plan(x), before)
    np.testing.assert_allclose(model.predict(x), 2 * before, rtol=1e-5)


def test_a_function_is_not_taken_for_ours_by_its_name(rng: np.random.Generator) -> None:
    def softmax(x: Any) -> Any:
        return x * 0 + 7

    model = Sequential([layers.Dense(3, activation=softmax, input_shape=(2,))])
    x = rng.standard_normal((4, 2)).astype(np.float32)
    assert (model.predict(x) == 7).all()
    assert (model(x) == 7).all()


def test_a_frozen_layer_may_have_any_activation(rng: np.random.Generator) -> None:
    model = Sequential([layers.Dense(3, activation=np.square, trainable=False, input_shape=(2,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    x = rng.standard_normal((4, 2)).astype(np.float32)
    model.fit(x, x[:, :1], verbose=0)
    model.layers[0].trainable = True
    with pytest.raises(ValueError, match="activation must be one whose gradient is known"):
        model.fit(x, x[:, :1], verbose=0)
