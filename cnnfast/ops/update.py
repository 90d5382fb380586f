"""The optimizers' steps, as Keras 3 defines them: each changes a weight and its state in place.

Every function takes the weight, its gradient, then the arrays of state, all of one shape and dtype (float32 or
float64), writable and C-contiguous but for the gradient, which is read alone and may lie as it likes. None of them may
share memory. Where `weight_decay` is given, weight * learning_rate * weight_decay is taken off the weight first,
whatever the optimizer (decoupled: Loshchilov and Hutter, "Decoupled weight decay regularization", arXiv:1711.05101).
"""

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cnnfast.backends import native
from cnnfast.ops import arrays, checks, pointwise
from cnnfast.ops.arrays import Array


def sgd(
    weight: Array, grad: ArrayLike, velocity: Array | None, learning_rate: float, momentum: float = 0.0,
    nesterov: bool = False, *, weight_decay: float = 0.0,
) -> None:  # fmt: skip
    """weight += velocity, after velocity = momentum * velocity - learning_rate * grad.

    With `nesterov`, weight += momentum * velocity - learning_rate * grad instead; without momentum,
    weight -= learning_rate * grad.

    Parameters
    ----------
    weight, velocity : changed; velocity is None where momentum is 0, else begins as zeros
    grad : of weight's shape and dtype
    learning_rate, weight_decay : >= 0
    momentum : in [0, 1]
    nesterov : Sutskever et al., "On the importance of initialization and momentum in deep learning", 2013

    Raises
    ------
    ValueError : a shape does not match, an array cannot be written or shares memory, or a value is out of its range
    TypeError : an argument has the wrong type or dtype
    Nothing has been changed then.

    Examples
    --------
    >>> import numpy as np
    >>> weight, velocity = np.ones(2), np.zeros(2)
    >>> sgd(weight, np.ones(2), velocity, 0.5, momentum=0.5)
    >>> weight.tolist(), velocity.tolist()
    ([0.5, 0.5], [-0.5, -0.5])
    """
    given = learning_rate, weight_decay, momentum, nesterov
    try:
        rate, decay, keep, ahead = _seen_sgd_numbers(*given)
    except TypeError:  # what no cache takes, or no number, of which this says which it is
        rate, decay, keep, ahead = _sgd_numbers(*given)
    if (velocity is None) != (keep == 0):
        raise ValueError(f"velocity must be an array with a momentum, else None, got momentum {momentum!r}")
    rest = velocity, None, None, rate, rate * decay, keep
    plain = type(grad) is np.ndarray  # a masked one is refused
    if plain and native.update_weight("sgd", weight, grad, *rest, nesterov=ahead):
        return
    g = _checked(weight, grad, **_given(velocity=velocity))
    _ran(native.update_weight("sgd", weight, g, *rest, nesterov=ahead), weight)


def _sgd_numbers(
    learning_rate: object, weight_decay: object, momentum: object, nesterov: object
) -> tuple[float, float, float, bool]:
    rate, decay = _at_least_0("learning_rate", learning_rate), _at_least_0("weight_decay", weight_decay)
    return rate, decay, _share("momentum", momentum), checks.boolean("nesterov", nesterov)


_seen_sgd_numbers = lru_cache(maxsize=128, typed=True)(_sgd_numbers)
"""A step's weights all have the same ones, and to check them takes as long as to change a small weight."""


def rmsprop(
    weight: Array, grad: ArrayLike, velocity: Array, learning_rate: float, rho: float = 0.9, epsilon: float = 1e-7, *,
    momentum: float = 0.0, momentum_buffer: Array | None = None, average_grad: Array | None = None,
    weight_decay: float = 0.0,
) -> None:  # fmt: skip
    """weight -= learning_rate * grad / sqrt(velocity + epsilon), after velocity = rho * velocity + (1 - rho) * grad**2.

    With a momentum, that step is added to momentum * momentum_buffer, which is taken off the weight. With average_grad
    (Keras' `centered`), average_grad = rho * average_grad + (1 - rho) * grad, and its square is taken off velocity
    under the root.

    Parameters
    ----------
    weight, velocity : changed; velocity begins as zeros
    grad : of weight's shape and dtype
    learning_rate, epsilon, weight_decay : >= 0
    rho, momentum : in [0, 1]
    momentum_buffer : changed; None where momentum is 0, else begins as zeros
    average_grad : changed; None, or begins as zeros

    Raises
    ------
    As `sgd`.

    Examples
    --------
    >>> import numpy as np
    >>> weight, velocity = np.ones(1), np.zeros(1)
    >>> rmsprop(weight, np.ones(1), velocity, 0.25, rho=0.75, epsilon=0.0)
    >>> weight.tolist(), velocity.tolist()
    ([0.5], [0.25])

    References
    ----------
    Tieleman and Hinton, "Lecture 6.5 - rmsprop", 2012.
    """
    rate, decay = _at_least_0("learning_rate", learning_rate), _at_least_0("weight_decay", weight_decay)
    old, small, keep = _share("rho", rho), _at_least_0("epsilon", epsilon), _share("momentum", momentum)
    if (momentum_buffer is None) != (keep == 0):
        raise ValueError(f"momentum_buffer must be an array with a momentum, else None, got momentum {momentum!r}")
    state, settings = (velocity, momentum_buffer, average_grad), (rate, rate * decay, keep, old, small)
    plain = type(grad) is np.ndarray and velocity is not None
    if plain and native.update_weight("rmsprop", weight, grad, *state, *settings):
        return
    g = _checked(weight, grad, velocity=velocity, **_given(momentum_buffer=momentum_buffer, average_grad=average_grad))
    _ran(native.update_weight("rmsprop", weight, g, *state, *settings), weight)


def adam(
    weight: Array, grad: ArrayLike, momentum: Array, velocity: Array, learning_rate: float, step: int, *,
    beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-7, weight_decay: float = 0.0,
    velocity_hat: Array | None = None,
) -> None:  # fmt: skip
    """weight -= rate * momentum / (sqrt(velocity) + epsilon): Adam, and with a weight_decay AdamW.

    momentum += (grad - momentum) * (1 - beta_1) and velocity += (grad**2 - velocity) * (1 - beta_2) come first;
    rate = learning_rate * sqrt(1 - beta_2**step) / (1 - beta_1**step). The epsilon is the paper's "epsilon hat", as in
    Keras: torch's is this one divided by sqrt(1 - beta_2**step). With velocity_hat (amsgrad), the largest velocity so
    far takes velocity's place under the root.

    Parameters
    ----------
    weight, momentum, velocity : changed; momentum and velocity begin as zeros
    grad : of weight's shape and dtype
    learning_rate, epsilon, weight_decay : >= 0
    step : 1 at the first
    beta_1, beta_2 : in [0, 1)
    velocity_hat : changed; None, or begins as zeros

    Raises
    ------
    As `sgd`.

    Examples
    --------
    >>> import numpy as np
    >>> weight, momentum, velocity = np.ones(1), np.zeros(1), np.zeros(1)
    >>> adam(weight, np.full(1, 8.0), momentum, velocity, 0.25, step=1, epsilon=0.0)
    >>> weight.round(6).tolist()
    [0.75]

    References
    ----------
    Kingma and Ba, "Adam: a method for stochastic optimization", arXiv:1412.6980, section 2.
    """
    rate, decay = _at_least_0("learning_rate", learning_rate), _at_least_0("weight_decay", weight_decay)
    small, count = _at_least_0("epsilon", epsilon), checks.integer("step", step, minimum=1, limit=2**63)
    first, second = _below_1("beta_1", beta_1), _below_1("beta_2", beta_2)
    corrected = rate * math.sqrt(1 - second**count) / (1 - first**count)
    state, settings = (momentum, velocity, velocity_hat), (corrected, rate * decay, first, second, small)
    plain = type(grad) is np.ndarray and momentum is not None and velocity is not None
    if plain and native.update_weight("adam", weight, grad, *state, *settings):
        return
    g = _checked(weight, grad, momentum=momentum, velocity=velocity, **_given(velocity_hat=velocity_hat))
    _ran(native.update_weight("adam", weight, g, *state, *settings), weight)


def _ran(done: bool, weight: Array) -> None:
    """The backend takes whatever was checked, but for arrays without elements, of which there is nothing to do."""
    if not done and weight.size:
        raise RuntimeError(f"the backend refused arrays that were checked: weight {weight.shape} {weight.dtype}")


def _checked(weight: object, grad: object, **state: object) -> Array:
    """Why the backend refused: an error; or the gradient, contiguous, where that was all there was."""
    kept = _in_place("weight", weight, None)
    others = {name: _in_place(name, value, kept) for name, value in state.items()}
    g = pointwise.as_floats("grad", grad)
    if g.dtype != kept.dtype:
        raise TypeError(f"grad must have weight's dtype {kept.dtype}, got {g.dtype}")
    if g.shape != kept.shape:
        raise ValueError(f"grad must have weight's shape {kept.shape}, got {g.shape}")
    changed = {"weight": kept, **others}
    for name, value in changed.items():
        for other, read in {**changed, "grad": g}.items():
            if other != name and np.may_share_memory(value, read):
                raise ValueError(f"{name} must not share memory with {other}")
    return arrays.contiguous("grad", g)


def _given(**state: object) -> dict[str, object]:
    return {name: value for name, value in state.items() if value is not None}


def _in_place(name: str, value: object, like: Array | None) -> Array:
    """value, which a step may change."""
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{name} must be a numpy.ndarray, which is changed, got {type(value).__name__}")
    array: np.ndarray[Any, Any] = pointwise.as_floats(name, value)
    if like is not None and array.dtype != like.dtype:
        raise TypeError(f"{name} must have weight's dtype {like.dtype}, got {array.dtype}")
    if like is not None and array.shape != like.shape:
        raise ValueError(f"{name} must have weight's shape {like.shape}, got {array.shape}")
    if not array.flags.writeable:
        raise ValueError(f"{name} must be writable, got a read-only array")
    if not (array.flags.c_contiguous and array.flags.aligned):
        raise ValueError(f"{name} must be C-contiguous, got strides {array.strides} for shape {array.shape}")
    return array


def _at_least_0(name: str, value: object) -> float:
    found = checks.number(name, value)
    if found < 0:
        raise ValueError(f"{name} must be >= 0, got {value!r}")
    return found


def _share(name: str, value: object) -> float:
    found = checks.number(name, value)
    if not 0 <= found <= 1:
        raise ValueError(f"{name} must be in [0, 1], got {value!r}")
    return found


def _below_1(name: str, value: object) -> float:
    found = checks.number(name, value)
    if not 0 <= found < 1:
        raise ValueError(f"{name} must be in [0, 1), got {value!r}")
    return found
