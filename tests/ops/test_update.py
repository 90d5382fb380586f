"""The optimizers' steps: against Keras 3's rules written out in float64, and torch's where they are the same."""

from typing import Any

import numpy as np
import pytest

from cnnfast.backends import native
from cnnfast.ops import update

FLOATS = [np.float32, np.float64]
SIZES = [(1,), (3, 5), (17,), (3, 3, 8, 16), (100_003,)]
STEPS = 4

State = dict[str, np.ndarray]


def plain_sgd(s: State, g: np.ndarray, t: int, *, lr: float, momentum: float, nesterov: bool, decay: float) -> None:
    s["weight"] -= s["weight"] * lr * decay
    if not momentum:
        s["weight"] -= lr * g
        return
    s["velocity"] = momentum * s["velocity"] - lr * g
    s["weight"] += momentum * s["velocity"] - lr * g if nesterov else s["velocity"]


def plain_rmsprop(s: State, g: np.ndarray, t: int, *, lr: float, momentum: float, centered: bool, decay: float) -> None:
    s["weight"] -= s["weight"] * lr * decay
    s["velocity"] = 0.9 * s["velocity"] + 0.1 * g**2
    under = s["velocity"] + 1e-7
    if centered:
        s["average_grad"] = 0.9 * s["average_grad"] + 0.1 * g
        under = under - s["average_grad"] ** 2
    step = lr * g / np.sqrt(under)
    if momentum:
        s["momentum_buffer"] = step = momentum * s["momentum_buffer"] + step
    s["weight"] -= step


def plain_adam(s: State, g: np.ndarray, t: int, *, lr: float, amsgrad: bool, decay: float) -> None:
    s["weight"] -= s["weight"] * lr * decay
    s["momentum"] += (g - s["momentum"]) * (1 - 0.9)
    s["velocity"] += (g**2 - s["velocity"]) * (1 - 0.999)
    v = s["velocity"]
    if amsgrad:
        s["velocity_hat"] = v = np.maximum(s["velocity_hat"], v)
    alpha = lr * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
    s["weight"] -= s["momentum"] * alpha / (np.sqrt(v) + 1e-7)


def run(rng: Any, shape: tuple[int, ...], dtype: Any, names: list[str], step: Any, plain: Any) -> None:
    """Both from the same weights, over some steps: they end the same, to rounding."""
    exact = {name: np.zeros(shape) for name in ("weight", *names)}
    exact["weight"] = rng.standard_normal(shape)
    ours = {name: value.astype(dtype) for name, value in exact.items()}
    for t in range(1, STEPS + 1):
        g = rng.standard_normal(shape).astype(dtype)
        kept = g.copy()
        plain(exact, g.astype(np.float64), t)
        step(ours, g, t)
        assert np.array_equal(g, kept)
    unit = 2.0**-24 if dtype == np.float32 else 2.0**-53
    for name, value in exact.items():
        assert ours[name].dtype == dtype
        np.testing.assert_allclose(ours[name], value, rtol=100 * unit, atol=100 * unit, err_msg=name)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, False), (0.9, False), (0.9, True)])
def test_sgd(momentum: float, nesterov: bool, decay: float, shape: Any, dtype: Any, isa: str, rng: Any) -> None:
    def step(s: State, g: np.ndarray, t: int) -> None:
        update.sgd(s["weight"], g, s.get("velocity"), 0.1, momentum, nesterov, weight_decay=decay)

    def plain(s: State, g: np.ndarray, t: int) -> None:
        plain_sgd(s, g, t, lr=0.1, momentum=momentum, nesterov=nesterov, decay=decay)

    run(rng, shape, dtype, ["velocity"] if momentum else [], step, plain)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("momentum", [0.0, 0.5])
@pytest.mark.parametrize("centered", [False, True])
def test_rmsprop(momentum: float, centered: bool, decay: float, shape: Any, dtype: Any, isa: str, rng: Any) -> None:
    def step(s: State, g: np.ndarray, t: int) -> None:
        update.rmsprop(
            s["weight"], g, s["velocity"], 0.01, momentum=momentum, momentum_buffer=s.get("momentum_buffer"),
            average_grad=s.get("average_grad"), weight_decay=decay,
        )  # fmt: skip

    def plain(s: State, g: np.ndarray, t: int) -> None:
        plain_rmsprop(s, g, t, lr=0.01, momentum=momentum, centered=centered, decay=decay)

    names = ["velocity"] + ["momentum_buffer"] * (momentum > 0) + ["average_grad"] * centered
    run(rng, shape, dtype, names, step, plain)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("amsgrad", [False, True])
def test_adam(amsgrad: bool, decay: float, shape: Any, dtype: Any, isa: str, rng: Any) -> None:
    def step(s: State, g: np.ndarray, t: int) -> None:
        update.adam(
            s["weight"], g, s["momentum"], s["velocity"], 0.01, t, velocity_hat=s.get("velocity_hat"),
            weight_decay=decay,
        )  # fmt: skip

    def plain(s: State, g: np.ndarray, t: int) -> None:
        plain_adam(s, g, t, lr=0.01, amsgrad=amsgrad, decay=decay)

    run(rng, shape, dtype, ["momentum", "velocity"] + ["velocity_hat"] * amsgrad, step, plain)


def torchs(torch: Any, kind: str, weight: np.ndarray, grads: list[np.ndarray], **settings: Any) -> np.ndarray:
    parameter = torch.nn.Parameter(torch.from_numpy(weight.copy()))
    optimizer = getattr(torch.optim, kind)([parameter], **settings)
    for g in grads:
        parameter.grad = torch.from_numpy(g.copy())
        optimizer.step()
    return np.asarray(parameter.detach().numpy())


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_is_torchs(nesterov: bool, torch: Any, rng: Any) -> None:
    """torch keeps velocity without the learning rate and its sign, which is the same while the rate stays."""
    weight, grads = rng.standard_normal(1000), [rng.standard_normal(1000) for _ in range(5)]
    theirs = torchs(torch, "SGD", weight, grads, lr=0.1, momentum=0.9, nesterov=nesterov)
    velocity = np.zeros(1000)
    for g in grads:
        update.sgd(weight, g, velocity, 0.1, 0.9, nesterov)
    np.testing.assert_allclose(weight, theirs, rtol=1e-12, atol=1e-13)


def test_adamw_is_torchs(torch: Any, rng: Any) -> None:
    """torch's epsilon is ours divided by the correction's root: without one the rules are the same."""
    weight, grads = rng.standard_normal(1000), [rng.standard_normal(1000) for _ in range(5)]
    theirs = torchs(torch, "AdamW", weight, grads, lr=0.01, eps=0.0, weight_decay=0.1)
    momentum, velocity = np.zeros(1000), np.zeros(1000)
    for t, g in enumerate(grads, 1):
        update.adam(weight, g, momentum, velocity, 0.01, t, epsilon=0.0, weight_decay=0.1)
    np.testing.assert_allclose(weight, theirs, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("centered", [False, True])
def test_rmsprop_is_torchs(centered: bool, torch: Any, rng: Any) -> None:
    """torch adds its epsilon outside the root: without one the rules are the same."""
    weight, grads = rng.standard_normal(1000), [rng.standard_normal(1000) for _ in range(5)]
    settings = {"lr": 0.01, "alpha": 0.9, "eps": 0.0, "momentum": 0.5, "centered": centered}
    theirs = torchs(torch, "RMSprop", weight, grads, **settings)
    velocity, buffer, average = (np.zeros(1000) for _ in range(3))
    for g in grads:
        update.rmsprop(
            weight, g, velocity, 0.01, epsilon=0.0, momentum=0.5, momentum_buffer=buffer,
            average_grad=average if centered else None,
        )  # fmt: skip
    np.testing.assert_allclose(weight, theirs, rtol=1e-10, atol=1e-11)


def test_same_bits(rng: Any) -> None:
    """Whatever the ISA (with FMA), the threads, and the tail a number falls into."""
    size = 300_003
    begin = [rng.standard_normal(size, dtype=np.float32) for _ in range(2)]

    def step(part: slice) -> list[np.ndarray]:
        weight, g = (each[part].copy() for each in begin)
        state = [np.zeros_like(weight) for _ in range(5)]
        update.sgd(weight, g, state[0], 0.1, 0.9, True, weight_decay=0.01)
        update.rmsprop(weight, g, state[1], 0.01, momentum=0.9, momentum_buffer=state[2])
        update.adam(weight, g, state[3], state[4], 0.01, 3)
        return [weight, *state]

    isa, threads = native.isa(), native.get_num_threads()
    whole = step(slice(None))
    try:
        for count in (1, 3):
            native.set_num_threads(count)
            assert all(np.array_equal(a, b) for a, b in zip(step(slice(None)), whole, strict=True))
        for offset in range(1, 20):
            part = slice(offset, offset + 77)
            assert all(np.array_equal(a, b[part]) for a, b in zip(step(part), whole, strict=True))
        for other in native.isas():
            if "baseline" not in (other, isa):
                native.set_isa(other)
                assert all(np.array_equal(a, b) for a, b in zip(step(slice(None)), whole, strict=True)), other
    finally:
        native.set_isa(isa)
        native.set_num_threads(threads)


def test_gradients_may_lie_anyhow(rng: Any) -> None:
    weight, g = np.zeros((4, 6)), rng.standard_normal((6, 4)).T
    update.sgd(weight, g, None, 1.0)
    assert np.array_equal(weight, -g)
    update.sgd(weight[:0], g[:0], None, 1.0)


W = np.ones(4, np.float32)
G = np.ones(4, np.float32)
V = np.zeros(4, np.float32)
READ_ONLY = np.ones(4, np.float32)
READ_ONLY.flags.writeable = False
BAD: list[Any] = [
    (update.sgd, (READ_ONLY, G, None, 0.1), {}, ValueError, "weight must be writable"),
    (update.sgd, ([1.0], G, None, 0.1), {}, TypeError, "weight must be a numpy.ndarray"),
    (update.sgd, (W.astype(int), G, None, 0.1), {}, TypeError, "weight must have a dtype"),
    (update.sgd, (np.ones(8, np.float32)[::2], G, None, 0.1), {}, ValueError, "weight must be C-contiguous"),
    (update.sgd, (W, G[:3], None, 0.1), {}, ValueError, "grad must have weight's shape (4,), got (3,)"),
    (update.sgd, (W, G.astype(float), None, 0.1), {}, TypeError, "grad must have weight's dtype float32"),
    (update.sgd, (W, W, None, 0.1), {}, ValueError, "weight must not share memory with grad"),
    (update.sgd, (W, G, W, 0.1, 0.9), {}, ValueError, "must not share memory"),
    (update.sgd, (W, G, V[:3], 0.1, 0.9), {}, ValueError, "velocity must have weight's shape"),
    (update.sgd, (W, G, None, 0.1, 0.9), {}, ValueError, "velocity must be an array with a momentum"),
    (update.sgd, (W, G, V, 0.1), {}, ValueError, "velocity must be an array with a momentum, else None"),
    (update.sgd, (W, G, None, -0.1), {}, ValueError, "learning_rate must be >= 0"),
    (update.sgd, (W, G, None, np.nan), {}, ValueError, "learning_rate must be finite"),
    (update.sgd, (W, G, V, 0.1, 1.5), {}, ValueError, "momentum must be in [0, 1]"),
    (update.sgd, (W, G, V, 0.1, 0.9, 1), {}, TypeError, "nesterov must be True or False"),
    (update.sgd, (W, G, None, 0.1), {"weight_decay": -1}, ValueError, "weight_decay must be >= 0"),
    (update.rmsprop, (W, G, V, 0.1, 2), {}, ValueError, "rho must be in [0, 1]"),
    (update.rmsprop, (W, G, V, 0.1), {"momentum": 0.9}, ValueError, "momentum_buffer must be an array"),
    (update.rmsprop, (W, G, V, 0.1), {"average_grad": V}, ValueError, "must not share memory"),
    (update.rmsprop, (W, G, None, 0.1), {}, TypeError, "velocity must be a numpy.ndarray"),
    (update.adam, (W, G, V, V.copy(), 0.1, 0), {}, ValueError, "step must be >= 1"),
    (update.adam, (W, G, V, V.copy(), 0.1, 1), {"beta_1": 1}, ValueError, "beta_1 must be in [0, 1)"),
    (update.adam, (W, G, V, V.copy(), 0.1, 1), {"epsilon": -1}, ValueError, "epsilon must be >= 0"),
    (update.adam, (W, G, V, V, 0.1, 1), {}, ValueError, "must not share memory"),
]


@pytest.mark.parametrize("case", BAD, ids=lambda case: f"{case[0].__name__}-{case[4][:40]}")
def test_refused(case: Any) -> None:
    call, given, keywords, error, words = case
    with pytest.raises(error) as raised:
        call(*given, **keywords)
    assert words in str(raised.value)
    assert (W == 1).all()
    assert not V.any()


def test_numbers_that_no_cache_takes() -> None:
    """They are called by name; and True is no rate though 1 is."""
    weight = np.ones(2)
    update.sgd(weight, np.ones(2), None, 1)
    for rate in ([0.1], np.array(0.5), True):
        with pytest.raises(TypeError, match="learning_rate"):
            update.sgd(weight, np.ones(2), None, rate)
    assert weight.tolist() == [0.0, 0.0]
