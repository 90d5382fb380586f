"""Optimizers: how gradients change weights. Keras' rules and defaults."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, Unpack

import numpy as np

from cnnfast.layers.weight import Weight
from cnnfast.ops import checks, update
from cnnfast.ops.arrays import Array
from cnnfast.training.schedules import Schedule


class Options(TypedDict, total=False):
    """The keywords that every optimizer takes."""

    weight_decay: float | None
    clipnorm: float | None
    clipvalue: float | None
    global_clipnorm: float | None
    name: str | None


class Optimizer:
    """What all of them have in common.

    Parameters
    ----------
    learning_rate : a number, or a schedule: a function of the step. It may be set at any time.
    weight_decay : weights shrink by this share of the learning rate before each step (decoupled, as in AdamW)
    clipnorm : the longest gradient of one weight; longer ones are scaled down
    clipvalue : the largest number in a gradient
    global_clipnorm : the longest gradient of all weights together

    Attributes
    ----------
    iterations : the steps taken
    """

    def __init__(self, learning_rate: float | Schedule, **options: Unpack[Options]) -> None:
        for given in options.keys() - Options.__annotations__.keys():
            raise TypeError(f"{type(self).__name__} has no argument {given!r}")
        self._rate: float | Schedule
        self.learning_rate = learning_rate
        self.name = options.get("name") or type(self).__name__.lower()
        decay = options.get("weight_decay")
        self.weight_decay = 0.0 if decay is None else _at_least_0("weight_decay", decay)
        self.clipnorm = _positive("clipnorm", options.get("clipnorm"))
        self.clipvalue = _positive("clipvalue", options.get("clipvalue"))
        self.global_clipnorm = _positive("global_clipnorm", options.get("global_clipnorm"))
        if sum(each is not None for each in (self.clipnorm, self.clipvalue, self.global_clipnorm)) > 1:
            raise ValueError("only one of clipnorm, clipvalue and global_clipnorm may be given")
        self.iterations = 0
        self._state: dict[Weight, list[Array]] = {}

    @property
    def learning_rate(self) -> float:
        """The rate of the next step."""
        return float(self._rate(self.iterations)) if callable(self._rate) else self._rate

    @learning_rate.setter
    def learning_rate(self, value: float | Schedule) -> None:
        if callable(value):
            self._rate = value
            return
        self._rate = _at_least_0("learning_rate", value)

    @property
    def follows_a_schedule(self) -> bool:
        """Whether the learning rate is a schedule's, and so not for a callback to set."""
        return callable(self._rate)

    def apply(self, weights: Sequence[Weight]) -> None:
        """One step: change every weight that has a gradient, by it."""
        changed = [weight for weight in weights if weight.grad is not None]
        self._clip(changed)
        rate = self.learning_rate
        for weight in changed:
            state = self._state.get(weight)
            if state is None:
                state = self._state[weight] = [np.zeros(weight.shape, np.float32) for _ in self.slots]
            assert weight.grad is not None
            with weight.changing() as values:
                self.step(values, weight.grad, rate, *state)
        self.iterations += 1

    def step(self, values: Array, gradient: Array, rate: float, *state: Array) -> None:
        """Change one weight's values, and what is kept for it, in place."""
        raise NotImplementedError(f"{type(self).__name__} must define step")

    @property
    def slots(self) -> tuple[str, ...]:
        """The names of the arrays that it keeps for each weight."""
        return ()

    def _clip(self, weights: Sequence[Weight]) -> None:
        if self.clipvalue is not None:
            for weight in weights:
                weight.grad = np.clip(_grad(weight), -self.clipvalue, self.clipvalue)
        elif self.clipnorm is not None:
            for weight in weights:
                weight.grad = _shortened(_grad(weight), _square(_grad(weight)), self.clipnorm)
        elif self.global_clipnorm is not None:
            square = sum(_square(_grad(weight)) for weight in weights)
            for weight in weights:
                weight.grad = _shortened(_grad(weight), square, self.global_clipnorm)


class SGD(Optimizer):
    """weight -= learning_rate * gradient; with a momentum the velocity, a fading sum of such steps, is added instead.

    Parameters
    ----------
    momentum : how much of the velocity a step keeps
    nesterov : the gradient is taken to be that of where the velocity leads
    the others : see Optimizer

    References
    ----------
    Sutskever et al., "On the importance of initialization and momentum in deep learning", ICML 2013.
    """

    def __init__(
        self, learning_rate: float | Schedule = 0.01, momentum: float = 0.0, nesterov: bool = False,
        **options: Unpack[Options],
    ) -> None:  # fmt: skip
        super().__init__(learning_rate, **options)
        self.momentum = _share("momentum", momentum)
        self.nesterov = checks.boolean("nesterov", nesterov)

    @property
    def slots(self) -> tuple[str, ...]:
        return ("velocity",) if self.momentum else ()

    def step(self, values: Array, gradient: Array, rate: float, *state: Array) -> None:
        velocity = state[0] if state else None
        update.sgd(values, gradient, velocity, rate, self.momentum, self.nesterov, weight_decay=self.weight_decay)


class RMSprop(Optimizer):
    """weight -= learning_rate * gradient / sqrt(velocity + epsilon), velocity a fading mean of gradient**2.

    Parameters
    ----------
    rho : how much of the velocity a step keeps
    momentum, centered : as in Keras: a momentum of such steps; the variance of the gradient instead of its square
    epsilon : added to the velocity
    the others : see Optimizer
    """

    def __init__(
        self, learning_rate: float | Schedule = 0.001, rho: float = 0.9, momentum: float = 0.0, epsilon: float = 1e-7,
        centered: bool = False, **options: Unpack[Options],
    ) -> None:  # fmt: skip
        super().__init__(learning_rate, **options)
        self.rho, self.momentum = _share("rho", rho), _share("momentum", momentum)
        self.epsilon = _at_least_0("epsilon", epsilon)
        self.centered = checks.boolean("centered", centered)

    @property
    def slots(self) -> tuple[str, ...]:
        return "velocity", *(("momentum",) if self.momentum else ()), *(("mean",) if self.centered else ())

    def step(self, values: Array, gradient: Array, rate: float, *state: Array) -> None:
        kept = dict(zip(self.slots, state, strict=True))
        update.rmsprop(
            values, gradient, kept["velocity"], rate, self.rho, self.epsilon,
            momentum=self.momentum, momentum_buffer=kept.get("momentum"), average_grad=kept.get("mean"),
            weight_decay=self.weight_decay,
        )  # fmt: skip


class Adam(Optimizer):
    """weight -= learning_rate * mean / (sqrt(velocity) + epsilon): fading means of gradient and gradient**2, freed of
    their beginning at 0.

    Parameters
    ----------
    beta_1, beta_2 : how much of mean and velocity a step keeps
    epsilon : added to the root
    amsgrad : the largest velocity so far stands under the root
    the others : see Optimizer

    References
    ----------
    Kingma and Ba, "Adam: a method for stochastic optimization", arXiv:1412.6980.
    """

    def __init__(
        self, learning_rate: float | Schedule = 0.001, beta_1: float = 0.9, beta_2: float = 0.999,
        epsilon: float = 1e-7, amsgrad: bool = False, **options: Unpack[Options],
    ) -> None:  # fmt: skip
        super().__init__(learning_rate, **options)
        self.amsgrad = checks.boolean("amsgrad", amsgrad)
        self.beta_1, self.beta_2 = _below_1("beta_1", beta_1), _below_1("beta_2", beta_2)
        self.epsilon = _at_least_0("epsilon", epsilon)

    @property
    def slots(self) -> tuple[str, ...]:
        return ("mean", "velocity", "largest") if self.amsgrad else ("mean", "velocity")

    def step(self, values: Array, gradient: Array, rate: float, *state: Array) -> None:
        mean, velocity, *largest = state
        update.adam(
            values, gradient, mean, velocity, rate, self.iterations + 1, beta_1=self.beta_1, beta_2=self.beta_2,
            epsilon=self.epsilon, weight_decay=self.weight_decay, velocity_hat=largest[0] if largest else None,
        )  # fmt: skip


class AdamW(Adam):
    """Adam with weight_decay 0.004.

    References
    ----------
    Loshchilov and Hutter, "Decoupled weight decay regularization", arXiv:1711.05101.
    """

    def __init__(
        self, learning_rate: float | Schedule = 0.001, weight_decay: float = 0.004, beta_1: float = 0.9,
        beta_2: float = 0.999, epsilon: float = 1e-7, amsgrad: bool = False, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay=weight_decay, **options)


NAMED: Mapping[str, type[Optimizer]] = {"sgd": SGD, "rmsprop": RMSprop, "adam": Adam, "adamw": AdamW}


def get(value: object) -> Optimizer:
    """The optimizer that `optimizer=` asks for: Keras' name in any case, or an Optimizer.

    >>> get("Adam").learning_rate
    0.001
    """
    if isinstance(value, Optimizer):
        return value
    if isinstance(value, type) and issubclass(value, Optimizer):
        made: Any = value
        return made()  # type: ignore[no-any-return]
    made = NAMED[checks.choice("optimizer", value.lower() if isinstance(value, str) else value, NAMED)]
    return made()  # type: ignore[no-any-return]


def _positive(name: str, value: float | None) -> float | None:
    return None if value is None else checks.number(name, value, positive=True)


def _at_least_0(name: str, value: float) -> float:
    number = checks.number(name, value)
    if number < 0:
        raise ValueError(f"{name} must be >= 0, got {value!r}")
    return number


def _below_1(name: str, value: float) -> float:
    number = checks.number(name, value)
    if not 0 <= number < 1:
        raise ValueError(f"{name} must be from 0 to below 1, got {value!r}")
    return number


def _share(name: str, value: float) -> float:
    number = checks.number(name, value)
    if not 0 <= number <= 1:
        raise ValueError(f"{name} must be from 0 to 1, got {value!r}")
    return number


def _grad(weight: Weight) -> Array:
    assert weight.grad is not None
    return weight.grad


def _square(gradient: Array) -> float:
    return float(np.square(gradient).sum(dtype=np.float64))


def _shortened(gradient: Array, square: float, limit: float) -> Array:
    return gradient * np.float32(limit / max(math.sqrt(square), limit))
