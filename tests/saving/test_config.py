"""Networks as plain data: every layer and every architecture comes back, and what is not ours is refused by name."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cnnfast import Model, Sequential, layers
from cnnfast.layers import (
    Activation,
    Add,
    BatchNormalization,
    Concatenate,
    Conv1D,
    Conv2D,
    Conv2DTranspose,
    Conv3D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    Flatten,
    Input,
    InputLayer,
    Layer,
    ReLU,
    SeparableConv2D,
    initializers,
)
from cnnfast.models import MODELS
from cnnfast.saving.config import entry, layer_of

MAPS = (6, 7, 4)

SET: list[tuple[Layer, Any]] = [
    (layers.ELU(0.5), MAPS), (Activation("gelu"), MAPS), (layers.AdaptiveAveragePooling2D((2, 3)), MAPS),
    (layers.AveragePooling2D((2, 3), padding="SAME"), MAPS), (BatchNormalization(scale=False, epsilon=0.1), MAPS),
    (Conv1D(3, 2, padding="causal", dilation_rate=2), (9, 4)),
    (Conv2D(4, (1, 2), 2, ((0, 1), (1, 0)), groups=2, use_bias=False, kernel_initializer="he_normal"), MAPS),
    (Conv2DTranspose(3, 2, strides=3, output_padding=1, activation="elu"), MAPS), (Conv3D(2, 2, name="v"), (3, *MAPS)),
    (layers.Cropping2D(((1, 0), (0, 2))), MAPS), (Dense(3, "softmax", bias_initializer="ones", trainable=False), MAPS),
    (DepthwiseConv2D(3, depth_multiplier=2, activation="leaky_relu"), MAPS), (Dropout(0.3, seed=4), MAPS),
    (Flatten(), MAPS), (layers.GlobalAveragePooling2D(keepdims=True), MAPS), (layers.GlobalMaxPooling2D(), MAPS),
    (layers.LeakyReLU(0.1), MAPS), (layers.LocalResponseNormalization(3, k=2.0), MAPS),
    (layers.MaxPooling2D(3, strides=2, ceil_mode=True), MAPS), (layers.MinPooling2D(2), MAPS),
    (layers.PReLU("ones"), MAPS), (ReLU(6), MAPS), (layers.Reshape((2, -1)), MAPS), (layers.Softmax(1), MAPS),
    (SeparableConv2D(3, 2, padding="same", strides=2, use_bias=False, dilation_rate=1, activation="tanh"), MAPS),
    (layers.UpSampling2D((1, 2), interpolation="bilinear"), MAPS), (layers.ZeroPadding2D((1, 2)), MAPS),
    (layers.RandomFlip("vertical", seed=3), MAPS), (layers.RandomCrop(3, 2, seed=1), MAPS),
    (layers.RandomRotation((-0.1, 0.2), "constant", fill_value=0.5), MAPS), (layers.RandomZoom(0.2, seed=2), MAPS),
    (layers.RandomTranslation(0.1, (0.0, 0.3), interpolation="nearest"), MAPS),
    (layers.RandomContrast(0.4, value_range=(0, 1)), MAPS),
]  # fmt: skip


@pytest.mark.parametrize(("layer", "shape"), SET, ids=lambda value: getattr(value, "kind", ""))
def test_a_layer_comes_back(layer: Layer, shape: tuple[int, ...], rng: np.random.Generator) -> None:
    model = Sequential([Input(shape), layer])
    told = json.loads(json.dumps(entry(layer)))
    copy = layer_of(told)
    assert type(copy) is type(layer)
    assert copy.trainable == layer.trainable
    again = Sequential([Input(shape), copy])
    assert copy.get_config() == layer.get_config() == type(layer).from_config(layer.get_config()).get_config()
    again.set_weights([rng.random(weight.shape) for weight in model.weights])
    model.set_weights(again.get_weights())
    x = rng.standard_normal((2, *shape)).astype(np.float32)
    np.testing.assert_array_equal(again.predict(x), model.predict(x))


def test_every_layer_is_tried() -> None:
    classes = {name for name in layers.__all__ if isinstance(getattr(layers, name), type)}
    tried = {layer.kind for layer, _ in SET} | {"Layer", "InputLayer", "Add", "Multiply", "Concatenate"}
    assert tried == classes


@pytest.mark.parametrize("name", MODELS)
def test_an_architecture_comes_back(name: str) -> None:
    model = MODELS[name]()
    told = json.loads(json.dumps(model.get_config()))
    copy = type(model).from_config(told)
    assert json.loads(json.dumps(copy.get_config())) == told
    assert [layer.label for layer in copy.layers] == [layer.label for layer in model.layers]
    assert [weight.shape for weight in copy.weights] == [weight.shape for weight in model.weights]
    assert copy.output_shape == model.output_shape


def test_keras_words() -> None:
    """What Keras 3.15.1 says of the same layer, but for what means nothing here."""
    given: dict[str, Any] = dict(filters=4, kernel_size=3, strides=2, padding="same", activation="relu", name="c",
                                  kernel_regularizer="l2")  # fmt: skip
    theirs = {
        "name": "c", "trainable": True, "filters": 4, "kernel_size": (3, 3), "strides": (2, 2), "padding": "same",
        "data_format": "channels_last", "dilation_rate": (1, 1), "groups": 1, "activation": "relu", "use_bias": True,
        "kernel_initializer": {"module": "keras.initializers", "class_name": "GlorotUniform", "config": {"seed": None},
                               "registered_name": None},
        "bias_initializer": {"module": "keras.initializers", "class_name": "Zeros", "config": {},
                             "registered_name": None},
        "kernel_regularizer": {"module": "keras.regularizers", "class_name": "L2", "config": {"l2": 0.01},
                               "registered_name": None}, "bias_regularizer": None,
    }  # fmt: skip
    assert Conv2D(**given).get_config() == theirs | {"data_format": None}
    assert Conv2D.from_config(theirs | {"bias_constraint": None, "dtype": "float32"}).filters == 4
    assert entry(Conv2D(**given))["module"] == "keras.layers"


@pytest.mark.parametrize(
    "layer", [Conv2D(2, 3, padding=1), layers.MaxPooling2D(ceil_mode=True), layers.MinPooling2D()], ids=str
)
def test_what_keras_has_not_is_told_so(layer: Layer) -> None:
    assert entry(layer)["module"] == "cnnfast.layers"


def test_initializers_come_back() -> None:
    for name in initializers.NAMED:
        layer = Dense(3, kernel_initializer=name)
        assert Dense.from_config(json.loads(json.dumps(layer.get_config()))).get_config() == layer.get_config()
    layer = Dense(3, kernel_initializer=initializers.RandomNormal(1.0, 0.25, seed=3))
    a, b = (Sequential([Input((4,)), each]).get_weights()[0] for each in (layer, Dense.from_config(layer.get_config())))
    np.testing.assert_array_equal(a, b)


def network() -> Model:
    """Two inputs, two outputs, a layer called twice, a network within called twice, and one within that."""
    a, b = Input((8, 8, 2), name="a"), Input((8, 8, 2), batch_size=2, name="b")
    deep = Sequential([ReLU(), Conv2D(3, 3)], name="deep")
    x = inner = Input((8, 8, 2))
    within = Model(inner, deep(Conv2D(2, 3, padding="same", activation="tanh")(x)), name="within", trainable=False)
    twice = Conv2D(3, 1, name="twice")
    p, q = twice(twice(within(a))), within(b)
    return Model([a, b], [Add()([p, q]), Dense(4)(Flatten()(Concatenate()([q, p])))], name="net")


def test_a_network_with_everything(rng: np.random.Generator) -> None:
    model = network()
    told = json.loads(json.dumps(model.get_config()))
    copy = Model.from_config(told)
    copy.set_weights(model.get_weights())
    x = [rng.random((2, 8, 8, 2), np.float32) for _ in range(2)]
    for ours, theirs in zip(copy.predict(x), model.predict(x), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert not copy.get_layer("within").trainable
    assert json.loads(json.dumps(copy.get_config())) == told
    told["layers"].reverse()  # Keras looks for what can be called next
    assert Model.from_config(told).output_shape == model.output_shape


def test_a_network_that_is_cut_out_of_another(rng: np.random.Generator) -> None:
    whole = Sequential([Input((8, 8, 1)), Conv2D(2, 3), ReLU(), Flatten(), Dense(3, name="input_layer_0")])
    head = Model(whole.layers[0].output, whole.outputs)
    copy = Model.from_config(head.get_config())
    copy.set_weights(head.get_weights())
    x = rng.random((2, 6, 6, 2), np.float32)
    np.testing.assert_array_equal(copy.predict(x), head.predict(x))


def test_a_sequential_that_waits_for_its_input() -> None:
    copy = Sequential.from_config(Sequential([Conv2D(2, 3), Flatten()]).get_config())
    assert not copy.built
    copy.build((None, 4, 4, 1))
    assert copy.output_shape == (None, 8)


# what is refused


def test_what_cannot_be_saved_is_named() -> None:
    class Mine(Dense):
        """A class of a user's own."""

    class Net(Sequential):
        """Another."""

    for layer, words in (
        (Mine(2, name="m"), r"m \(Mine\): a class of your own"), (Net(name="n"), r"n \(Net\): a class of your own"),
        (Dense(2, activation=np.abs, name="d"), r"d \(Dense\): activation must be a name"),
        (Dense(2, kernel_initializer=lambda *_: 0, name="d"), r"d \(Dense\): kernel_initializer must be one of"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            Sequential([Input((3,)), layer]).get_config()


def dense(**changed: Any) -> dict[str, Any]:
    return json.loads(json.dumps(entry(Dense(2, name="d")))) | changed


def set_to(name: str, value: Any) -> Callable[[], dict[str, Any]]:
    return lambda: dense(config={**dense()["config"], name: value})


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "a lambda": (lambda: dense(class_name="Lambda", config={"name": "l", "function": {}}), r"\(Lambda\) holds code"),
    "somebody's class": (lambda: dense(class_name="Attention"), r"d \(Attention\) is no layer that cnnfast has"),
    "a custom object": (lambda: dense(registered_name="mine>Dense"), r"d \(Dense\) must be a layer .* mine>Dense"),
    "a module": (lambda: dense(module="os.path"), r"d \(Dense\) must be a layer of Keras or .* one of os.path"),
    "a module within": (lambda: dense(module="keras.src.ops.numpy", class_name="Add"), r"\(Add\) must be a layer"),
    "the base class": (lambda: dense(class_name="Layer"), r"d \(Layer\) is no layer"),
    "a name of the package": (lambda: dense(class_name="Input"), r"d \(Input\) is no layer"),
    "a module's name": (lambda: dense(class_name="config"), r"d \(config\) is no layer"),
    "no config": (lambda: dense(config=None), "a layer must be told by its class_name and config"),
    "no dict": (lambda: [], "a layer must be told"),
    "a class that is a list": (lambda: dense(class_name=["Dense"]), "is no layer"),
    "a word it has not": (set_to("lora_rank", 4), r"d \(Dense\): lora_rank must be None, the only one .* got 4"),
    "a precision": (set_to("dtype", {"config": {"name": "mixed_float16"}}), r"d \(Dense\): dtype must be 'float32'"),
    "a quantity": (set_to("units", "many"), r"d \(Dense\): units must be"),
    "a size": (set_to("units", -1), r"d \(Dense\): units must be >= 1"),
    "an object": (set_to("units", {"class_name": "x"}), r"d \(Dense\): units must be plain"),
    "a function": (set_to("activation", {"class_name": "function", "config": "mine"}), r"d \(Dense\): activation must"),
    "a list for a function": (set_to("activation", ["relu"]), r"d \(Dense\): activation must be one of"),
    "a lambda within": (set_to("activation", {"class_name": "__lambda__", "config": {}}), r"d \(Dense\): activation"),
    "an initializer": (set_to("kernel_initializer", {"module": "os", "class_name": "Zeros", "config": {}}),
                       r"d \(Dense\): kernel_initializer must be one of"),
    "a regularizer": (set_to("kernel_regularizer", {"module": "keras.regularizers", "class_name": "L3", "config": {}}),
                      r"d \(Dense\): kernel_regularizer must be one of"),
    "an initializer's words": (set_to("kernel_initializer", {"module": "keras.initializers", "class_name": "Constant",
                               "config": {"value": []}}), r"d \(Dense\): kernel_initializer: value must be plain"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused_layers(case: str) -> None:
    make, words = REFUSED[case]
    with pytest.raises(ValueError, match=words):
        layer_of(make())


def changed(change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    x = Input((4,), name="x")
    told = json.loads(json.dumps(Model(x, Dense(2, name="b")(Dense(3, name="a")(x))).get_config()))
    change(told)
    return told


NETWORKS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "no layers": (lambda told: told.pop("layers"), "layers must be a list"),
    "many layers": (lambda told: told.update(layers=told["layers"] * 2000), "at most 4096 layers"),
    "one name twice": (lambda told: told["layers"].append(told["layers"][2]), r"b \(Dense\) must have a name"),
    "another name": (lambda told: told["layers"][2].update(name="c"), r"b \(Dense\) must have a name of its own"),
    "a circle": (lambda told: history(told, 1, ["b", 0, 0]), r"a \(Dense\) is called on b, which nothing gives"),
    "nothing": (lambda told: history(told, 1, ["z", 0, 0]), r"a \(Dense\) is called on z, which nothing gives"),
    "a later call": (lambda told: history(told, 2, ["a", 1, 0]), r"b \(Dense\) is called on a, which nothing gives"),
    "another output": (lambda told: history(told, 2, ["a", 0, 1]), r"b \(Dense\): only the first output"),
    "a bad history": (lambda told: history(told, 2, "a"), r"b \(Dense\): an output must be told by"),
    "a number": (lambda told: told["layers"][2]["inbound_nodes"][0].update(args=[2]), r"b \(Dense\): .* what layers"),
    "two arguments": (lambda told: told["layers"][2]["inbound_nodes"][0]["args"].append(2), r"b \(Dense\): .* on an"),
    "in training": (lambda told: told["layers"][2]["inbound_nodes"][0].update(kwargs={"training": True}),
                    r"b \(Dense\): it must be called without settings, got training"),
    "no nodes": (lambda told: told["layers"][2].pop("inbound_nodes"), r"b \(Dense\): inbound_nodes must be"),
    "no end": (lambda told: told.update(output_layers=["q", 0, 0]), "no layer gives the output 'q'"),
    "a bad end": (lambda told: told.update(output_layers=7), "must be lists"),
    "a shape": (lambda told: told["layers"][0]["config"].update(batch_shape=[None, -4]), r"x \(InputLayer\): shape"),
    "no shape": (lambda told: told["layers"][0]["config"].pop("batch_shape"), r"x \(InputLayer\): batch_shape must be"),
    "a number for a name": (lambda told: told["layers"][2].update(config={"units": 2, "name": 3}), r"name must"),
}  # fmt: skip


def history(told: dict[str, Any], layer: int, value: Any) -> None:
    told["layers"][layer]["inbound_nodes"][0]["args"][0]["config"]["keras_history"] = value


@pytest.mark.parametrize("case", NETWORKS)
def test_refused_networks(case: str) -> None:
    change, words = NETWORKS[case]
    with pytest.raises((ValueError, TypeError), match=words):
        Model.from_config(changed(change))


def test_an_input_alone_is_no_start() -> None:
    assert isinstance(layer_of(entry(InputLayer((3,), name="i"))), InputLayer)
