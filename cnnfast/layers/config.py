"""Layers as plain data, under Keras 3's keys, and back: what a whole model's file says of each layer.

A layer's configuration is its constructor's arguments. Nothing is imported or called by a name that a file gives: a
class is one of `cnnfast.layers`, an initializer or an activation one of ours.
"""

import inspect
from collections.abc import Mapping
from types import ModuleType
from typing import Any, Unpack, get_args, get_origin

from cnnfast.layers import activations, initializers, regularizers

NEUTRAL: dict[str, tuple[Any, ...]] = {
    "dtype": ("float32",), "data_format": ("channels_last",), "sparse": (False,), "ragged": (False,),
    "optional": (False,), "synchronized": (False,), "renorm": (False,), "threshold": (0,),
}  # fmt: skip
"""Keras' settings that layers here have not, and the values at which nothing is missed; None is one for each."""

UNUSED = ("renorm_momentum",)
"""Keras' settings that mean something only beside another one."""

WRITTEN_OUT = ("strides", "shared_axes")
"""Arguments whose None stands for something that the layer works out, and Keras writes."""

PARTS = {"initializer": initializers, "regularizer": regularizers}
"""What an argument that ends so is one of."""


def _part_of(name: str) -> ModuleType | None:
    return PARTS.get(name.rpartition("_")[2])


def _kinds(part: ModuleType) -> dict[str, Any]:
    """Keras' classes of initializers or regularizers, by name."""
    mine = (each for each in vars(part).values() if isinstance(each, type) and each.__module__ == part.__name__)
    return {each.__name__: each for each in mine if each is not regularizers.Regularizer}


def parameters(cls: type) -> dict[str, Any]:
    """A layer's arguments and their defaults, those that it hands on to its base class among them.

    >>> from cnnfast.layers import GlobalAveragePooling2D
    >>> parameters(GlobalAveragePooling2D)
    {'data_format': None, 'keepdims': False, 'name': None, 'trainable': True}
    """
    found: dict[str, Any] = {}
    for each in cls.__mro__:
        init = each.__dict__.get("__init__")
        if init is None:
            continue
        more = None
        for parameter in list(inspect.signature(init).parameters.values())[1:]:
            if parameter.kind == parameter.VAR_KEYWORD:
                more = parameter.annotation
            elif parameter.kind != parameter.VAR_POSITIONAL:
                found.setdefault(parameter.name, parameter.default)
        if get_origin(more) is Unpack:
            for name in get_args(more)[0].__annotations__:
                found.setdefault(name, name == "trainable" or None)
            break
        if more is None:
            break
    found.pop("input_shape", None)  # an InputLayer says it
    return found


def of(layer: Any) -> dict[str, Any]:
    """See `Layer.get_config`."""
    positional, keywords = layer._arguments
    bound = inspect.signature(type(layer).__init__).bind(layer, *positional, **keywords).arguments
    given = {**bound, **keywords}
    result = {"name": layer.name, "trainable": layer.trainable}
    for name, default in parameters(type(layer)).items():
        if name not in result:
            result[name] = _encoded(layer, name, given.get(name, default))
    return result


def _encoded(layer: Any, name: str, value: Any) -> Any:
    """An argument as plain data: as the layer has checked it and written it out, but words as they were given."""
    part = _part_of(name)
    if part is not None:
        return None if value is None else _described(name, part.get(name, value), _kinds(part))
    if name == "activation":
        return _activation(value)
    kept = getattr(layer, name, value)
    if isinstance(value, str) or (value is None and name not in WRITTEN_OUT):
        return value.lower() if isinstance(value, str) else None
    if isinstance(kept, bool | int | float | tuple | None):
        return kept
    raise ValueError(f"{layer.label}: {name} must be plain to be saved, got {value!r}")


def _activation(value: Any) -> str:
    function = activations.get(value)
    if function.name not in activations.NAMED or callable(value):
        raise ValueError(f"activation must be a name of Keras' to be saved, got {value!r}")
    return function.name


def _described(name: str, value: Any, kinds: Mapping[str, Any]) -> dict[str, Any]:
    """An initializer or a regularizer by its class and its arguments."""
    kind = type(value)
    if kinds.get(kind.__name__) is not kind:
        raise ValueError(f"{name} must be one of {', '.join(kinds)} to be saved, got {value!r}")
    config = {each: getattr(value, each) for each in inspect.signature(kind).parameters}
    module = f"keras.{name.rpartition('_')[2]}s"
    return {"module": module, "class_name": kind.__name__, "config": config, "registered_name": None}


def arguments(cls: type, config: Mapping[str, Any]) -> dict[str, Any]:
    """What the class is to be called with, of a configuration that `of` or Keras 3 wrote."""
    known = parameters(cls)
    result = {}
    for name, value in config.items():
        if name in known:
            result[name] = _decoded(name, value)
            continue
        if name == "dtype" and isinstance(value, Mapping):
            value = _section(value, "config").get("name")
        if value is not None and name not in UNUSED and value not in NEUTRAL.get(name, ()):
            neutral = " or ".join(repr(each) for each in (*NEUTRAL.get(name, ()), None))
            raise ValueError(f"{name} must be {neutral}, the only one that cnnfast has, got {_brief(value)}")
    return result


def _decoded(name: str, value: Any) -> Any:
    part = _part_of(name)
    if part is not None and isinstance(value, Mapping):
        return _made(name, value, _kinds(part))
    if name == "activation":
        return _named_activation(value)
    if isinstance(value, Mapping):
        raise ValueError(f"{name} must be plain, got {_brief(value)}")
    return _tuples(value)


def _made(name: str, entry: Mapping[str, Any], kinds: Mapping[str, Any]) -> Any:
    kind = kinds.get(str(entry.get("class_name")))
    if entry.get("module") != f"keras.{name.rpartition('_')[2]}s" or kind is None:
        raise ValueError(f"{name} must be one of {', '.join(kinds)}, got {_brief(entry)}")
    given = _section(entry, "config")
    wanted = {each: given[each] for each in inspect.signature(kind).parameters if each in given}
    for each, value in wanted.items():
        seed = value is None and each == "seed"
        if not seed and type(value) not in (int, float, str):
            raise ValueError(f"{name}: {each} must be plain, got {_brief(value)}")
    return kind(**wanted)


def _named_activation(value: Any) -> Any:
    """A name; Keras writes a function of its own as an object that names it."""
    if isinstance(value, Mapping) and value.get("class_name") == "function":
        value = value.get("config")
    if value is not None and value not in (*activations.NAMED,):
        raise ValueError(f"activation must be one of {', '.join(activations.NAMED)}, got {_brief(value)}")
    return value


def _tuples(value: Any) -> Any:
    return tuple(_tuples(each) for each in value) if isinstance(value, list | tuple) else value


def _section(entry: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = entry.get(name)
    if not isinstance(part, Mapping):
        raise ValueError(f"{name} must be names and values, got {_brief(part)}")
    return part


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:97]}..."
