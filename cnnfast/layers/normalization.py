"""BatchNormalization: by the batch's statistics in training, by those it keeps in inference; AlexNet's
LocalResponseNormalization."""

from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np

from cnnfast import grad
from cnnfast.graph.ir import Graph
from cnnfast.layers.base import Backprop, Layer, Options
from cnnfast.layers.sizes import known
from cnnfast.layers.tensor import Shape
from cnnfast.layers.weight import Weight
from cnnfast.ops import checks
from cnnfast.ops.arrays import Array
from cnnfast.ops.norm import batch_norm, local_response_norm
from cnnfast.ops.norm_train import batch_norm_train
from cnnfast.ops.options import Activation


class BatchNormalization(Layer):
    """(x - moving_mean) / sqrt(moving_variance + epsilon) * gamma + beta, each channel with its own numbers.

    In training mean and (biased) variance are those of the batch, and the moving ones come a step nearer to them:
    moving*momentum + batch*(1 - momentum). Where trainable is False it is in inference always, and nothing changes.

    Parameters
    ----------
    axis : the channels', which must be the last
    momentum : how much of the statistics a training step keeps
    epsilon : Keras' 1e-3, where torch has 1e-5
    center, scale : whether beta is added, and gamma multiplied
    beta_initializer, gamma_initializer, moving_mean_initializer, moving_variance_initializer : names or initializers

    References
    ----------
    Ioffe and Szegedy, "Batch normalization", arXiv:1502.03167.
    """

    def __init__(
        self, axis: int = -1, momentum: float = 0.99, epsilon: float = 1e-3, center: bool = True, scale: bool = True,
        beta_initializer: Any = "zeros", gamma_initializer: Any = "ones", moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones", **options: Unpack[Options],
    ) -> None:  # fmt: skip
        super().__init__(**options)
        self.axis = checks.integer("axis", axis, minimum=-1)
        self.momentum = checks.number("momentum", momentum)
        self.epsilon = checks.number("epsilon", epsilon, positive=True)
        self.center, self.scale = checks.boolean("center", center), checks.boolean("scale", scale)
        self.initializers = gamma_initializer, beta_initializer, moving_mean_initializer, moving_variance_initializer

    def build(self, input_shape: Shape) -> None:
        if self.axis not in (-1, len(input_shape) - 1):
            raise ValueError(f"axis must be the last of its input's shape {input_shape}, got {self.axis}")
        shape = (known(input_shape),)
        gamma, beta, mean, variance = self.initializers
        self.gamma = self.add_weight("gamma", shape, gamma) if self.scale else None
        self.beta = self.add_weight("beta", shape, beta) if self.center else None
        self.moving_mean = self.add_weight("moving_mean", shape, mean, trainable=False)
        self.moving_variance = self.add_weight("moving_variance", shape, variance, trainable=False)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def call(self, x: Array, out: Array | None = None) -> Array:
        return batch_norm(x, *(weight and weight.values for weight in self._four()), eps=self.epsilon, out=out)

    def nodes(self, graph: Graph, inputs: Sequence[str], shapes: Sequence[Any]) -> str:
        constants = [graph.constant(weight.values) if weight else "" for weight in self._four()]
        return graph.add("batch_norm", [*inputs, *constants], self.name, eps=self.epsilon)

    def forward(self, x: Array, training: bool = False, activation: Activation = None) -> tuple[Array, Backprop]:
        """See `Layer.forward`; with an activation ("relu" or "relu6") that follows, in the same passes."""
        gamma, beta = (weight.values if weight else None for weight in (self.gamma, self.beta))
        own = training and self.trainable
        if own:
            y, mean, var = batch_norm_train(x, gamma, beta, eps=self.epsilon, activation=activation)
            if len(x):
                self._move(self.moving_mean, mean)
                self._move(self.moving_variance, var)
        else:
            mean, var = self.moving_mean.values, self.moving_variance.values
            y = batch_norm(x, mean, var, gamma, beta, eps=self.epsilon, activation=activation)

        def backprop(grad_output: Array, inputs: bool = True) -> Array | None:
            learned = [weight for weight in (self.gamma, self.beta) if self.learns(weight)]
            if not inputs and not learned:
                return None
            grad_input, grad_gamma, grad_beta = grad.batch_norm(
                grad_output, x, mean, var, gamma, beta, eps=self.epsilon, training=own, activation=activation
            )
            for weight, gradient in ((self.gamma, grad_gamma), (self.beta, grad_beta)):
                if weight is not None and self.learns(weight):
                    weight.add_grad(gradient)
            return grad_input if inputs else None

        return y, backprop

    def _move(self, moving: Weight, batch: Array) -> None:
        """Keras' rule for a moving statistic."""
        kept = np.float32(self.momentum)
        with moving.changing() as values:
            values *= kept
            values += batch * (1 - kept)

    def _four(self) -> tuple[Any, ...]:
        """What batch_norm reads, in its order."""
        return self.moving_mean, self.moving_variance, self.gamma, self.beta


class LocalResponseNormalization(Layer):
    """x / (k + alpha / size * the sum of x**2 over `size` channels around each)**beta: torch's rule and defaults.

    The paper writes alpha without the division: its 1e-4 with n = 5 is alpha 5e-4 here.

    References
    ----------
    Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural networks", 2012, 3.3.
    """

    def __init__(
        self, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0, **options: Unpack[Options]
    ) -> None:
        super().__init__(**options)
        self.size = checks.integer("size", size, minimum=1)
        self.alpha, self.beta = checks.number("alpha", alpha), checks.number("beta", beta)
        self.k = checks.number("k", k)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def call(self, x: Array, out: Array | None = None) -> Array:
        return local_response_norm(x, self.size, self.alpha, self.beta, self.k, out=out)

    def forward(self, x: Array, training: bool = False) -> tuple[Array, Backprop]:
        def backprop(grad_output: Array, inputs: bool = True) -> Array | None:
            if not inputs:
                return None
            return grad.local_response_norm(grad_output, x, self.size, self.alpha, self.beta, self.k)

        return self.call(x), backprop

    def nodes(self, graph: Graph, inputs: Sequence[str], shapes: Sequence[Any]) -> str:
        return graph.add(
            "local_response_norm", inputs, self.name, size=self.size, alpha=self.alpha, beta=self.beta, k=self.k
        )
