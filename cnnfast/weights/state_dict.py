"""torch's state dicts: names of parameters by module, and arrays whose channels come first."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from cnnfast.layers.activation import PReLU
from cnnfast.layers.base import Layer
from cnnfast.layers.conv import Conv
from cnnfast.layers.conv_transpose import Conv2DTranspose
from cnnfast.layers.dense import Dense
from cnnfast.layers.depthwise import DepthwiseConv2D, SeparableConv2D
from cnnfast.layers.normalization import BatchNormalization
from cnnfast.layers.reshape import Flatten
from cnnfast.layers.tensor import Tensor
from cnnfast.layers.weight import Weight
from cnnfast.ops.arrays import Array
from cnnfast.weights.places import Place, Sizes

if TYPE_CHECKING:
    from cnnfast.model import Model

NAMES = {
    "kernel": "weight", "depthwise_kernel": "weight", "alpha": "weight", "bias": "bias",
    "gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var",
}  # fmt: skip
"""torch's names of weights, by ours."""

UNUSED = "num_batches_tracked"
"""torch counts its training steps beside a normalisation's statistics."""

LAYERS = (Conv, Conv2DTranspose, Dense, DepthwiseConv2D, BatchNormalization, PReLU)


def places(model: "Model", names: Mapping[str, str]) -> dict[str, Place]:
    """Every weight under torch's name: its layer's, or what `names` has for that, a dot, and "weight" or the like."""
    inputs: dict[Layer, Tensor] = {tensor.layer: tensor.inputs[0] for tensor in model.traced if tensor.inputs}
    result = {}
    for layer in model.layers:
        if not layer.weights:
            continue
        if not isinstance(layer, LAYERS) or isinstance(layer, SeparableConv2D):
            raise ValueError(f"{layer.label}: no one module of torch has its weights, so a state dict cannot name them")
        for weight in layer.weights:
            name = f"{names.get(layer.name, layer.name)}.{NAMES[weight.name]}"
            result[name] = _place(layer, weight, flattened(inputs[layer]))
    return result


def _place(layer: Layer, weight: Weight, maps: Sizes | None) -> Place:
    shape = weight.shape
    if isinstance(layer, DepthwiseConv2D) and len(shape) == 4:
        *window, channels, multiplier = shape
        return Place(
            weight, (channels * multiplier, 1, *window),
            lambda stored: stored.reshape(channels, multiplier, *window).transpose(2, 3, 0, 1),
        )  # fmt: skip
    if len(shape) > 1:
        inner = (shape[-1], *maps[-1:], *maps[:-1]) if maps else (shape[-1], shape[-2], *shape[:-2])
        stored_shape = (shape[-1], math.prod(maps)) if maps else inner
        return Place(weight, stored_shape, lambda stored: _last(stored.reshape(inner)).reshape(shape))
    if maps and weight.name != "bias":
        return Place(weight, shape, lambda stored: _last(stored.reshape(1, maps[-1], *maps[:-1])).reshape(shape))
    return Place(weight, shape)


def _last(stored: Array) -> Array:
    """(K, C, ...) as (..., C, K): kernels of convolutions, of transposed ones (C, K) as (K, C), and of dense layers."""
    return np.moveaxis(stored, (0, 1), (-1, -2))


def flattened(tensor: Tensor) -> Sizes | None:
    """The maps (H, W, C) of which a tensor is a row: torch flattens them channels first, so its order is another."""
    while True:
        layer, inputs = tensor.layer, tensor.inputs
        if len(inputs) != 1 or isinstance(layer, Dense):
            return None
        if isinstance(layer, Flatten) and len(inputs[0].shape) > 2:
            return tuple(size or 0 for size in inputs[0].shape[1:])
        if inputs[0].shape != tensor.shape:
            return None
        tensor = inputs[0]
