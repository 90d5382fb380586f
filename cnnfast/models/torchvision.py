"""torchvision's names for the layers of these models, and `load_torch`, which reads its state dicts."""

import re
from collections.abc import Callable, Mapping, Sequence

from cnnfast import weights
from cnnfast.layers import Conv2D, MaxPooling2D
from cnnfast.model import Model

Names = dict[str, str]


def load_torch(
    model: Model, filepath: weights.FilePath, names: Mapping[str, str] | None = None, ignored: Sequence[str] = ()
) -> None:  # fmt: skip
    """Give a model the weights of a torch state dict: torchvision's for a model of cnnfast.models, or one's own.

    The file is what `safetensors.torch.save_file(module.state_dict(), path)` writes, or `numpy.savez` with the same
    names and arrays. They are put in the layers' order, channels last; so are a Linear's columns after a Flatten.

    Parameters
    ----------
    model : it has exactly the file's layers
    filepath : a .safetensors or .npz file; torch's pickles (.pt, .pth) run code when they are read, and never are
    names : torch's module for the names of layers, {"conv1": "features.0"}; by default torchvision's, and a layer's
        own name where there is none
    ignored : beginnings of names in the file that the model may lack, ("fc.",) for one without its top;
        num_batches_tracked is always ignored

    Raises
    ------
    OSError : the file cannot be read
    ValueError : a name is missing or unexpected, a shape is another, or the file is damaged; no weight was changed
    ImportError : the package safetensors is not installed

    Examples
    --------
    >>> import numpy as np, tempfile
    >>> from cnnfast import Sequential
    >>> from cnnfast.layers import Dense
    >>> from cnnfast.models import load_torch
    >>> model = Sequential([Dense(2, input_shape=(3,), name="fc")])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.savez(f"{folder}/w.npz", **{"fc.weight": np.ones((2, 3)), "fc.bias": np.zeros(2)})
    ...     load_torch(model, f"{folder}/w.npz")
    >>> model.get_weights()[0].shape
    (3, 2)
    """
    if names is None:
        names = torchvision_names(model)
    weights.load_state_dict(model, filepath, names, (*ignored, *IGNORED.get(model.name, ())))


def torchvision_names(model: Model) -> Names:
    """torchvision's module for each layer of a model that has other names, by the model's name."""
    rule = RULES.get(model.name)
    return rule(model) if rule else {}


def _vgg(model: Model) -> Names:
    return _features(model) | {"fc1": "classifier.0", "fc2": "classifier.3", "predictions": "classifier.6"}


def _alexnet(model: Model) -> Names:
    return _features(model) | {"fc6": "classifier.1", "fc7": "classifier.4", "fc8": "classifier.6"}


def _features(model: Model) -> Names:
    """Convolutions, ReLUs and pools count in one sequence."""
    names, i = {}, 0
    for layer in model.layers:
        if isinstance(layer, Conv2D):
            names[layer.name] = f"features.{i}"
        i += 2 if isinstance(layer, Conv2D) else isinstance(layer, MaxPooling2D)
    return names


def _resnet(model: Model) -> Names:
    names = {"conv1_conv": "conv1", "conv1_bn": "bn1", "predictions": "fc"}
    for layer in model.layers:
        found = re.fullmatch(r"conv(\d)_block(\d+)_(\d)_(conv|bn)", layer.name)
        if found:
            stage, block, k, kind = found.groups()
            part = f"downsample.{int(kind == 'bn')}" if k == "0" else f"{kind}{k}"
            names[layer.name] = f"layer{int(stage) - 1}.{int(block) - 1}.{part}"
    return names


def _mobilenet_v2(model: Model) -> Names:
    names = {
        "Conv1": "features.0.0", "bn_Conv1": "features.0.1", "Conv_1": "features.18.0", "Conv_1_bn": "features.18.1",
        "predictions": "classifier.1",
    }  # fmt: skip
    for layer in model.layers:
        found = re.fullmatch(r"(?:block_(\d+)|expanded_conv)_(expand|depthwise|project)(_BN)?", layer.name)
        if found:
            block, part, norm = int(found[1] or 0), found[2], found[3] is not None
            i = ("expand", "depthwise", "project").index(part) - (block == 0)
            inner = f"{i + norm}" if part == "project" else f"{i}.{int(norm)}"
            names[layer.name] = f"features.{block + 1}.conv.{inner}"
    return names


RULES: dict[str, Callable[[Model], Names]] = {
    "alexnet_one_tower": _alexnet,
    "vgg16": _vgg,
    "vgg19": _vgg,
    **dict.fromkeys(("resnet18", "resnet34", "plain34", "resnet50", "resnet152"), _resnet),
    "mobilenet_v2": _mobilenet_v2,
}
"""By the model's name; googlenet_bn and squeezenet1_1 have torchvision's names themselves."""

IGNORED = {"googlenet_bn": ("aux1.", "aux2.")}
"""Beginnings of names that torchvision's published files have more than a model that only infers."""
