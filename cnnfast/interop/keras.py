"""Keras 3's layers, computed by cnnfast under Keras' torch and jax backends.

They are subclasses of Keras' own of the same names: the same arguments, weights, configurations and files, trained by
the same `fit`. What cnnfast does not take (float16, tensors on a GPU) Keras computes as always.
"""

from typing import Any

try:
    import keras
except ImportError as error:
    raise ImportError('cnnfast.interop.keras needs Keras: pip install "cnnfast[keras]", and torch or jax') from error

from cnnfast.interop.keras_window import Window, pool_of, transposed_of, window_of

if keras.backend.backend() == "torch":
    from cnnfast.interop import keras_torch as run
elif keras.backend.backend() == "jax":
    from cnnfast.interop import keras_jax as run  # type: ignore[no-redef]
else:
    raise ImportError(
        f'cnnfast.interop.keras needs the backend "torch" or "jax", got "{keras.backend.backend()}": set KERAS_BACKEND '
        "before Keras is imported"
    )

__all__ = [
    "AveragePooling2D", "Conv2D", "Conv2DTranspose", "Dense", "DepthwiseConv2D", "MaxPooling2D", "SeparableConv2D",
    "convert",
]  # fmt: skip

_registered = keras.saving.register_keras_serializable(package="cnnfast")
_functions = keras.activations
FUSED: dict[Any, Any] = {
    _functions.linear: None, None: None, _functions.relu: "relu", _functions.relu6: "relu6",
    _functions.leaky_relu: ("leaky_relu", 0.2), _functions.sigmoid: "sigmoid", _functions.tanh: "tanh",
    _functions.gelu: "gelu", _functions.silu: "silu", _functions.hard_silu: "hardswish", _functions.elu: "elu",
    _functions.selu: "selu", _functions.hard_sigmoid: "hardsigmoid", _functions.mish: "mish",
    _functions.softplus: "softplus",
}  # fmt: skip
"""Keras' activations, without arguments -> cnnfast's."""
ALONE = "activation"
"""Of those that cnnfast has not."""


def _activated(layer: Any, compute: Any) -> Any:
    """activation(compute(what of it can be fused))."""
    fused = FUSED.get(layer.activation, ALONE)
    if fused in run.FUSED:
        return compute(fused)
    return layer.activation(compute(None))


def _values(*variables: Any) -> list[Any]:
    """The backend's tensors, in the layer's compute dtype."""
    return [None if each is None else keras.ops.convert_to_tensor(each) for each in variables]


@_registered
class Conv2D(keras.layers.Conv2D):
    """`keras.layers.Conv2D`, computed by cnnfast."""

    def call(self, inputs: Any) -> Any:
        if not run.takes(inputs):
            return super().call(inputs)
        kernel, bias = _values(self.kernel, self.bias)
        window = window_of(self, inputs.shape, self.groups)
        return _activated(self, lambda fused: run.conv2d(window, inputs, kernel, bias, fused))


@_registered
class DepthwiseConv2D(keras.layers.DepthwiseConv2D):
    """`keras.layers.DepthwiseConv2D`, computed by cnnfast."""

    def call(self, inputs: Any) -> Any:
        if not run.takes(inputs):
            return super().call(inputs)
        kernel, bias = _values(self.kernel, self.bias)
        window = window_of(self, inputs.shape, kernel.shape[2])
        return _activated(self, lambda fused: run.conv2d(window, inputs, run.depthwise(kernel), bias, fused))


@_registered
class SeparableConv2D(keras.layers.SeparableConv2D):
    """`keras.layers.SeparableConv2D`, computed by cnnfast."""

    def call(self, inputs: Any) -> Any:
        if not run.takes(inputs):
            return super().call(inputs)
        depthwise, pointwise, bias = _values(self.depthwise_kernel, self.pointwise_kernel, self.bias)
        window = window_of(self, inputs.shape, depthwise.shape[2])
        between = run.conv2d(window, inputs, run.depthwise(depthwise), None, None)
        one = Window(window.layout)
        return _activated(self, lambda fused: run.conv2d(one, between, pointwise, bias, fused))


@_registered
class Conv2DTranspose(keras.layers.Conv2DTranspose):
    """`keras.layers.Conv2DTranspose`, computed by cnnfast."""

    def call(self, inputs: Any) -> Any:
        window, size = transposed_of(self, inputs.shape)
        if window is None or not run.takes(inputs):
            return super().call(inputs)
        kernel, bias = _values(self.kernel, self.bias)
        return _activated(self, lambda fused: run.conv_transpose2d(window, size, inputs, kernel, bias, fused))


@_registered
class MaxPooling2D(keras.layers.MaxPooling2D):
    """`keras.layers.MaxPooling2D`, computed by cnnfast."""

    def call(self, inputs: Any) -> Any:
        if not run.takes(inputs):
            return super().call(inputs)
        return run.max_pool2d(pool_of(self, inputs.shape), self.pool_size, inputs)


@_registered
class AveragePooling2D(keras.layers.AveragePooling2D):
    """`keras.layers.AveragePooling2D`, computed by cnnfast."""

    def call(self, inputs: Any) -> Any:
        if not run.takes(inputs):
            return super().call(inputs)
        return run.avg_pool2d(pool_of(self, inputs.shape), self.pool_size, inputs)


@_registered
class Dense(keras.layers.Dense):
    """`keras.layers.Dense`, computed by cnnfast."""

    def call(self, inputs: Any, training: Any = None) -> Any:
        if not run.takes(inputs):
            return super().call(inputs, training=training)
        kernel, bias = _values(self.kernel, self.bias)
        return _activated(self, lambda fused: run.linear(inputs, kernel, bias, fused))


TWINS: dict[type, Any] = {
    kind.__mro__[1]: kind
    for kind in (Conv2D, DepthwiseConv2D, SeparableConv2D, Conv2DTranspose, MaxPooling2D, AveragePooling2D, Dense)
}
"""Keras' class -> ours."""


def convert(model: Any) -> Any:
    """A copy of a Keras model whose layers are computed by cnnfast where it has them.

    Parameters
    ----------
    model : a functional or Sequential model, models within it included; it stays as it is

    Returns
    -------
    a model of the same names, configuration and weights, not compiled; a layer of Keras' own that cnnfast has is one of
    this module's, others are as they were, subclasses of somebody's own too

    Raises
    ------
    ValueError, TypeError : as `keras.models.clone_model`: a model that is a class of somebody's own cannot be copied

    Examples
    --------
    >>> import keras
    >>> from cnnfast.interop.keras import convert
    >>> model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(4, 3), keras.layers.Flatten()])
    >>> [type(layer).__module__ for layer in convert(model).layers]
    ['cnnfast.interop.keras', 'keras.src.layers.reshaping.flatten']
    """
    if not isinstance(model, keras.Model):
        raise TypeError(f"model must be a keras.Model, got {type(model).__name__}")
    made = keras.models.clone_model(model, clone_function=_twin, recursive=True)
    made.set_weights(model.get_weights())
    return made


def _twin(layer: Any) -> Any:
    return TWINS.get(type(layer), type(layer)).from_config(layer.get_config())
