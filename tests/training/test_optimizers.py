"""Optimizers against their rules written out, in float64."""

from typing import Any

import numpy as np
import pytest

from cnnfast import optimizers
from cnnfast.layers.initializers import Zeros
from cnnfast.layers.weight import Weight
from cnnfast.optimizers import SGD, Adam, AdamW, Optimizer, RMSprop, schedules

rng = np.random.default_rng(0)
START = rng.normal(0, 1, (3, 4)).astype(np.float32)
GRADIENTS = [rng.normal(0, 1, (3, 4)).astype(np.float32) for _ in range(5)]


def weight(values: Any = START) -> Weight:
    made = Weight("kernel", np.shape(values), Zeros())
    made.assign(values)
    return made


def stepped(optimizer: Optimizer) -> Any:
    one = weight()
    for gradient in GRADIENTS:
        one.add_grad(gradient.copy())
        optimizer.apply([one])
        one.grad = None
    return one.values


def sgd(rate: float, momentum: float, nesterov: bool) -> Any:
    w, v = START.astype(float), np.zeros((3, 4))
    for g in GRADIENTS:
        v = momentum * v - rate * g
        w = w + (momentum * v - rate * g if nesterov else v)
    return w


@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, False), (0.9, False), (0.9, True)])
def test_sgd(momentum: float, nesterov: bool) -> None:
    np.testing.assert_allclose(stepped(SGD(0.1, momentum, nesterov)), sgd(0.1, momentum, nesterov), rtol=1e-5)


@pytest.mark.parametrize("momentum", [0.0, 0.5])
@pytest.mark.parametrize("centered", [False, True])
def test_rmsprop(momentum: float, centered: bool) -> None:
    w, v, m, a = START.astype(float), np.zeros((3, 4)), np.zeros((3, 4)), np.zeros((3, 4))
    for g in GRADIENTS:
        v = 0.9 * v + 0.1 * g.astype(float) ** 2
        a = 0.9 * a + 0.1 * g
        step = 0.01 * g / np.sqrt(v - (a**2 if centered else 0) + 1e-7)
        m = momentum * m + step
        w = w - m
    found = stepped(RMSprop(0.01, momentum=momentum, centered=centered))
    np.testing.assert_allclose(found, w, rtol=2e-5)


@pytest.mark.parametrize(("kind", "decay"), [(Adam, 0.0), (AdamW, 0.004)])
def test_adam(kind: Any, decay: float) -> None:
    w, m, v = START.astype(float), np.zeros((3, 4)), np.zeros((3, 4))
    for t, g in enumerate(GRADIENTS, 1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g.astype(float) ** 2
        w = w - w * decay * 0.01
        w = w - 0.01 * np.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / (np.sqrt(v) + 1e-7)
    np.testing.assert_allclose(stepped(kind(0.01)), w, rtol=2e-5)


def test_torch(torch: Any) -> None:
    pairs = [
        (SGD(0.1, 0.9, nesterov=True), lambda p: torch.optim.SGD(p, 0.1, 0.9, nesterov=True)),
        (AdamW(0.01, 0.1, epsilon=0.0), lambda p: torch.optim.AdamW(p, 0.01, eps=0.0, weight_decay=0.1)),
    ]
    for ours, make in pairs:
        parameter = torch.tensor(START.astype(float), requires_grad=True)
        theirs = make([parameter])
        for gradient in GRADIENTS:
            parameter.grad = torch.tensor(gradient.astype(float))
            theirs.step()
        np.testing.assert_allclose(stepped(ours), parameter.detach().numpy(), rtol=2e-5)


def test_clipping() -> None:
    def moved(optimizer: Optimizer, *gradients: Any) -> list[Any]:
        weights = [weight(np.zeros(2)) for _ in gradients]
        for one, gradient in zip(weights, gradients, strict=True):
            one.add_grad(np.array(gradient, np.float32))
        optimizer.apply(weights)
        return [one.values.tolist() for one in weights]

    assert moved(SGD(1.0, clipvalue=1.0), [3, -0.5]) == [[-1, 0.5]]
    found = moved(SGD(1.0, clipnorm=1.0), [3, 4], [0.3, 0.4])
    np.testing.assert_allclose(found, [[-0.6, -0.8], [-0.3, -0.4]], rtol=1e-6)
    np.testing.assert_allclose(moved(SGD(1.0, global_clipnorm=1.0), [3, 0], [0, 4]), [[-0.6, 0], [0, -0.8]], rtol=1e-6)
    np.testing.assert_allclose(moved(SGD(1.0, global_clipnorm=9.0), [3, 0], [0, 4]), [[-3, 0], [0, -4]], rtol=1e-6)
    assert moved(SGD(1.0, clipnorm=1.0), [0, 0]) == [[0, 0]]
    with pytest.raises(ValueError, match="only one of clipnorm"):
        SGD(clipnorm=1.0, clipvalue=1.0)


def test_weight_decay_and_what_has_no_gradient() -> None:
    one, other = weight(np.ones(2)), weight(np.ones(2))
    one.add_grad(np.zeros(2, np.float32))
    SGD(0.5, weight_decay=0.5).apply([one, other])
    assert one.values.tolist() == [0.75, 0.75]
    assert other.values.tolist() == [1, 1]
    assert other.version == 1


def test_learning_rates() -> None:
    optimizer = SGD(schedules.ExponentialDecay(1.0, 1, 0.5))
    rates = []
    for _ in range(3):
        rates.append(optimizer.learning_rate)
        optimizer.apply([])
    assert rates == [1.0, 0.5, 0.25]
    assert optimizer.iterations == 3
    optimizer.learning_rate = 0.3
    assert optimizer.learning_rate == 0.3
    warm = schedules.CosineDecay(0.0, 4, warmup_target=1.0, warmup_steps=2)
    assert [warm(i) for i in (0, 1, 2, 4, 6, 9)] == pytest.approx([0, 0.5, 1, 0.5, 0, 0])


def test_defaults_are_keras() -> None:
    assert (SGD().learning_rate, RMSprop().rho, Adam().epsilon, AdamW().weight_decay) == (0.01, 0.9, 1e-7, 0.004)
    assert isinstance(optimizers.get("ADAM"), Adam)
    assert isinstance(optimizers.get(SGD), SGD)
    for bad in ("ftrl", 3):
        with pytest.raises((ValueError, TypeError), match="optimizer"):
            optimizers.get(bad)
    with pytest.raises(TypeError, match="SGD has no argument 'decay'"):
        SGD(decay=1)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="momentum must be from 0 to 1"):
        SGD(momentum=2)


def test_values_that_somebody_holds_stay() -> None:
    one = weight()
    held = one.values
    one.add_grad(GRADIENTS[0])
    SGD(0.1).apply([one])
    np.testing.assert_array_equal(held, START)
    at = one.values.ctypes.data
    one.add_grad(GRADIENTS[0])
    SGD(0.1).apply([one])
    assert one.values.ctypes.data == at, "nobody holds them: they are changed in place"
    assert not one.values.flags.writeable


@pytest.mark.parametrize(
    ("kind", "name", "wrong"),
    [(Adam, "beta_1", 1.0), (Adam, "beta_2", 1), (AdamW, "weight_decay", -1), (RMSprop, "epsilon", -1e-3)],
)
def test_what_no_step_could_take_is_refused_at_once(kind: Any, name: str, wrong: float) -> None:
    with pytest.raises(ValueError, match=f"{name} must be .*, got {wrong}"):
        kind(**{name: wrong})
