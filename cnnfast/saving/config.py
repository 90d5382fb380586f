"""Networks as plain data, in the form in which Keras 3 writes them, and back.

A class is looked up among the layers of cnnfast by its name. Nothing that a file names is imported, and code in it
(Lambda layers, custom objects) is refused.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any, NamedTuple

from cnnfast import layers as known
from cnnfast.layers.base import Layer
from cnnfast.layers.input import InputLayer
from cnnfast.layers.tensor import Tensor
from cnnfast.model import Model
from cnnfast.sequential import Sequential

OURS = "cnnfast.layers"
TWINS = "cnnfast.interop.keras"
MODULES = (
    "keras.layers", "keras", "keras.models", "keras.src.models.functional", "keras.src.models.sequential", OURS, TWINS
)  # fmt: skip
"""Where Keras says that a class lies. Operations on tensors (keras.src.ops.numpy) share layers' names and are none."""

NOT_IN_KERAS = ("MinPooling2D", "LocalResponseNormalization")
EXTRA = ("ceil_mode",)
"""Arguments that Keras has not: they are written where they matter."""

LAYERS = 4096
"""Of a file, at most: what a network costs grows with their square."""

OWN_CLASS = "a class of your own cannot be saved whole: save_weights saves its weights"

Place = tuple[str, int]
"""A layer's name, and the how-many-eth of its calls."""


def entry(layer: Layer) -> dict[str, Any]:
    """A layer or a network with its class: {"module": "keras.layers", "class_name": "Dense", "config": ...}.

    >>> from cnnfast.layers import Dense
    >>> entry(Dense(3, name="d"))["config"]["units"]
    3
    """
    name = layer.kind
    if isinstance(layer, Model):
        if type(layer) not in (Model, Sequential):
            raise ValueError(f"{layer.label}: {OWN_CLASS}")
        module = "keras" if name == "Sequential" else "keras.src.models.functional"
        return {"module": module, "class_name": name, "config": layer.get_config(), "registered_name": name}
    if _class(name) is not type(layer):
        raise ValueError(f"{layer.label}: {OWN_CLASS}")
    with layer.named():
        config = layer.get_config()
    own = [each for each in EXTRA if config.get(each)]
    config = {key: value for key, value in config.items() if key not in EXTRA or key in own}
    if own or name in NOT_IN_KERAS or not _padding_of_keras(name, config):
        return {"module": OURS, "class_name": name, "config": config, "registered_name": None}
    return {"module": "keras.layers", "class_name": name, "config": config, "registered_name": None}


def _padding_of_keras(name: str, config: Mapping[str, Any]) -> bool:
    return name == "ZeroPadding2D" or isinstance(config.get("padding", ""), str)


def _class(name: object) -> type[Layer] | None:
    found = getattr(known, name, None) if isinstance(name, str) and name in known.__all__ else None
    return found if isinstance(found, type) and issubclass(found, Layer) and found is not Layer else None


def config_of(model: Model) -> dict[str, Any]:
    """See `Model.get_config`."""
    result: dict[str, Any] = {"name": model.name, "trainable": model.trainable}
    if isinstance(model, Sequential):
        result["layers"] = [entry(layer) for layer in model.layers]
        if model.built:
            (start,) = model.inputs
            result["layers"].insert(0, _input_entry(start, _starts(model)[id(start)]))
            result["build_input_shape"] = start.shape
        return result
    starts = _starts(model)
    places = dict(_places(model, starts))
    entries: dict[str, dict[str, Any]] = {}
    for tensor in model.traced:
        name = places[id(tensor)][0]
        begins = id(tensor) in starts
        if name not in entries:
            told = _input_entry(tensor, starts[id(tensor)]) if begins else entry(tensor.layer)
            entries[name] = {**told, "name": name, "inbound_nodes": []}
        if not begins:
            inputs = [_reference(each, places) for each in tensor.inputs]
            arguments = inputs if len(inputs) == 1 else [inputs]
            entries[name]["inbound_nodes"].append({"args": arguments, "kwargs": {}})
    result["layers"] = list(entries.values())
    result["input_layers"] = [[*places[id(tensor)], 0] for tensor in model.inputs]
    result["output_layers"] = [[*places[id(tensor)], 0] for tensor in model.outputs]
    return result


def _starts(model: Model) -> dict[int, str]:
    """The inputs' ids and names. A network that is cut out of another begins at tensors that are no Input."""
    taken = {tensor.layer.name for tensor in model.traced}
    free = (name for i in count() if (name := f"input_layer_{i}") not in taken)
    return {id(each): each.layer.name if isinstance(each.layer, InputLayer) else next(free) for each in model.inputs}


def _input_entry(tensor: Tensor, name: str) -> dict[str, Any]:
    config = InputLayer(tensor.shape[1:], tensor.shape[0], name).get_config()
    return {"module": "keras.layers", "class_name": "InputLayer", "config": config, "registered_name": None}


def _places(model: Model, starts: Mapping[int, str]) -> Iterator[tuple[int, Place]]:
    """Every tensor's id, and its place."""
    calls: dict[str, int] = {}
    for tensor in model.traced:
        begins = id(tensor) in starts
        name = starts[id(tensor)] if begins else tensor.layer.name
        index = calls.get(name, 0 if begins else _first(tensor.layer))
        calls[name] = index + 1
        yield id(tensor), (name, index)


def _first(layer: Layer) -> int:
    """The number of a layer's first call. Keras counts the making of a network as one."""
    return 1 if layer.kind == "Functional" else 0


def _reference(tensor: Tensor, places: Mapping[int, Place]) -> dict[str, Any]:
    config = {"shape": tensor.shape, "dtype": "float32", "keras_history": [*places[id(tensor)], 0]}
    return {"class_name": "__keras_tensor__", "config": config}


# And back.


class Call(NamedTuple):
    """A layer's call on what other calls give."""

    place: Place
    layer: Layer
    inputs: Sequence[Place]


def layer_of(told: Any) -> Layer:
    """The layer or the network of an entry.

    Raises
    ------
    ValueError : it is none of ours, or has a setting that ours have not; the message names the layer
    """
    if not isinstance(told, Mapping) or not isinstance(told.get("config"), Mapping):
        raise ValueError("a layer must be told by its class_name and config")
    name, config = told.get("class_name"), told["config"]
    label = f"{str(told.get('name') or config.get('name'))[:80]} ({str(name)[:80]})"
    _check_class(told, label)
    try:
        if name in ("Sequential", "Functional", "Model"):
            return model_of(config, Sequential if name == "Sequential" else Model)
        found = _class(name)
        assert found is not None
        return found.from_config(config)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{label}: {error}") from error


def _check_class(told: Mapping[str, Any], label: str) -> None:
    name, module, registered = (told.get(key) for key in ("class_name", "module", "registered_name"))
    if name in ("Lambda", "__lambda__"):
        raise ValueError(f"{label} holds code, which is never run")
    if module not in MODULES or registered not in (None, name, f"cnnfast>{name}" if module == TWINS else name):
        raise ValueError(f"{label} must be a layer of Keras or cnnfast, got one of {module} registered as {registered}")
    if name not in ("Sequential", "Functional", "Model") and _class(name) is None:
        raise ValueError(f"{label} is no layer that cnnfast has")


def model_of(config: Mapping[str, Any], kind: type[Model]) -> Model:
    """See `Model.from_config`."""
    told = config.get("layers")
    if not isinstance(told, list | tuple):
        raise ValueError("layers must be a list")
    if len(told) > LAYERS:
        raise ValueError(f"a network must have at most {LAYERS} layers")
    found = [layer_of(each) for each in told]
    name, trainable = config.get("name"), config.get("trainable", True)
    if kind is Sequential:
        return Sequential(found, name, trainable)
    if kind is not Model:
        raise TypeError(f"{kind.__name__} is a class of your own: Model.from_config makes a Model")
    inputs = [each.output for each in found if isinstance(each, InputLayer)]
    tensors = {(each.layer.name, 0): each for each in inputs}
    _connect(list(_calls(told, found)), tensors)
    ends = [[_found(tensors, place) for place in _ends(config.get(key))] for key in ("input_layers", "output_layers")]
    return Model(ends[0], ends[1], name, trainable)


def _connect(calls: Sequence[Call], tensors: dict[Place, Any]) -> None:
    """Call every layer as soon as its inputs are there, each in its order."""
    waiting: dict[Place, list[Call]] = {}
    ready = list(reversed(calls))
    while ready:
        call = ready.pop()
        name, index = call.place
        before = [(name, index - 1)] if index > _first(call.layer) else []
        missing = next((place for place in (*before, *call.inputs) if place not in tensors), None)
        if missing is not None:
            waiting.setdefault(missing, []).append(call)
            continue
        given = [tensors[place] for place in call.inputs]
        tensors[call.place] = call.layer(given[0] if len(given) == 1 else given)
        ready += reversed(waiting.pop(call.place, []))
    for place, left in waiting.items():
        raise ValueError(f"{left[0].layer.label} is called on {place[0]}, which nothing gives")


def _calls(told: Sequence[Any], found: Sequence[Layer]) -> Iterator[Call]:
    names = set()
    for each, layer in zip(told, found, strict=True):
        if layer.name in names or each.get("name", layer.name) != layer.name:
            raise ValueError(f"{layer.label} must have a name of its own")
        names.add(layer.name)
        nodes = each.get("inbound_nodes")
        if not isinstance(nodes, list | tuple) or (isinstance(layer, InputLayer) and nodes):
            raise ValueError(f"{layer.label}: inbound_nodes must be a list of calls")
        for index, node in enumerate(nodes, _first(layer)):
            with layer.named():
                yield Call((layer.name, index), layer, _inputs(node))


def _inputs(node: Any) -> list[Place]:
    """What a call's arguments are: layers' outputs, and nothing else that would mean something in inference."""
    arguments = node.get("args") if isinstance(node, Mapping) else None
    keywords = node.get("kwargs") if isinstance(node, Mapping) else None
    if not isinstance(arguments, list | tuple) or len(arguments) != 1 or not isinstance(keywords, Mapping):
        raise ValueError("it must be called on an input, or on a list of them, as Keras 3 writes it")
    if any(keywords.values()):
        raise ValueError(f"it must be called without settings, got {', '.join(map(str, keywords))}")
    inputs = arguments[0] if isinstance(arguments[0], list | tuple) else [arguments[0]]
    return [_place(_history(each)) for each in inputs]


def _history(reference: Any) -> Any:
    told = reference.get("config") if isinstance(reference, Mapping) else None
    if not isinstance(told, Mapping) or reference.get("class_name") != "__keras_tensor__":
        raise ValueError("it must be called on what layers give")
    return told.get("keras_history")


def _place(told: Any) -> Place:
    if isinstance(told, list | tuple) and len(told) == 3 and isinstance(told[0], str) and type(told[1]) is int:
        if told[2] != 0:
            raise ValueError(f"only the first output of a network within can be read on, got that of {told[0]}")
        return told[0], told[1]
    raise ValueError("an output must be told by its layer's name and two numbers")


def _ends(told: Any) -> list[Place]:
    """One output or a list of them."""
    if isinstance(told, list | tuple) and told and isinstance(told[0], str):
        told = [told]
    if not isinstance(told, list | tuple):
        raise ValueError("input_layers and output_layers must be lists")
    return [_place(each) for each in told]


def _found(tensors: Mapping[Place, Any], place: Place) -> Any:
    if place not in tensors:
        raise ValueError(f"no layer gives the output {place[0]!r}")
    return tensors[place]
