"""A network's plan whose runs are one call of the engine gives what its layers give one by one."""

from pathlib import Path

import numpy as np
import pytest

import cnnfast
from cnnfast.layers import Conv2D, Dense, Flatten, Input, MaxPooling2D, Softmax
from cnnfast.sequential import Sequential

X = np.random.default_rng(3).standard_normal((3, 12, 10, 2), dtype=np.float32)


def network(*after: object) -> Sequential:
    first = [Input((12, 10, 2)), Conv2D(5, 3, activation="tanh"), MaxPooling2D(2), Flatten()]
    return Sequential([*first, Dense(7, activation="softmax"), *after])


def one_by_one(model: Sequential, x: np.ndarray) -> np.ndarray:
    for layer in model.layers:
        x = layer(x)
    return x


def odd_start(x: np.ndarray) -> np.ndarray:
    """x where no float may start."""
    raw = np.empty(x.nbytes + 1, np.uint8)[1:]
    raw[:] = np.frombuffer(x.tobytes(), np.uint8)
    return raw.view(np.float32).reshape(x.shape)


# Softmax as a layer is a run of Python's; in the middle it parts the chain in two.
@pytest.mark.parametrize("after", [(), (Softmax(),), (Softmax(), Dense(3))], ids=["one", "python last", "two"])
def test_chain_gives_the_layers_bits(after: tuple[object, ...]) -> None:
    model = network(*after)
    plan, expected = model.plan(X.shape), one_by_one(model, X)
    strided = np.repeat(X, 2, axis=2)[:, :, ::2]
    for x in (X, strided, odd_start(X), np.asfortranarray(X)):
        np.testing.assert_array_equal(plan(x), expected)
    out = np.empty_like(expected)
    assert plan(X, out=out) is out
    np.testing.assert_array_equal(out, expected)
    assert plan(X[:0]).shape == (0, *expected.shape[1:])
    np.testing.assert_array_equal(plan(X[:1]), expected[:1])


@pytest.mark.parametrize(
    ("x", "error", "words"),
    [
        ((memoryview(X.view(np.int32)),), TypeError, "float32 array, got int32"),
        ((X.view(np.int32),), TypeError, "float32 array, got int32"),
        ((X.view(">f4"),), TypeError, "float32 array, got >f4"),
        ((X.reshape(3, 10, 12, 2),), ValueError, r"\(N, 12, 10, 2\), got \(3, 10, 12, 2\)"),
        ((X.reshape(3, -1),), ValueError, r"\(N, 12, 10, 2\), got \(3, 240\)"),
        ((), ValueError, "1 inputs, got 0"),
        ((X, X), ValueError, "1 inputs, got 2"),
    ],
)
def test_chain_refuses(x: tuple[object, ...], error: type[Exception], words: str) -> None:
    plan = network().plan(X.shape)
    for _ in range(2):
        with pytest.raises(error, match=words):
            plan(*x)  # type: ignore[arg-type]
        plan(X)


def test_chain_takes_out_as_it_lies(tmp_path: Path) -> None:
    """Whatever the last call's batch: contiguous, strided, unaligned; neither read-only nor x's own memory."""
    model = Sequential([Input((12, 10, 2)), Conv2D(2, 3, padding="same", activation="tanh")])
    plan, expected = model.plan(X.shape), one_by_one(model, X)
    for n in (3, 1, 0, 3):
        x, y = X[:n], expected[:n]
        file = np.memmap(tmp_path / "y", np.float32, "w+", shape=X.shape)[:n]
        strided = np.empty((n, 12, 10, 4), np.float32)[..., ::2]
        for out in (np.empty_like(y), file, strided, odd_start(np.zeros_like(y))):
            assert plan(x, out=out) is out
            np.testing.assert_array_equal(out, y)
    both = np.zeros((2, *X.shape), np.float32)
    shifted = both.reshape(-1)[1 : 1 + X.size].reshape(X.shape)
    frozen = np.zeros_like(X)
    frozen.flags.writeable = False
    for x, out, words in ((X, frozen, "writable"), (both[0], both[0], "overlap"), (both[0], shifted, "overlap")):
        plan(X)
        with pytest.raises(ValueError, match=words):
            plan(x, out=out)
    assert not both.any()
    both[0] = X
    np.testing.assert_array_equal(plan(both[0], out=both[1]), expected)


def test_chain_follows_the_number_of_threads() -> None:
    model, before = network(), cnnfast.get_num_threads()
    plan, expected = model.plan(X.shape), one_by_one(model, X)
    try:
        for n in (1, 3, 2):
            cnnfast.set_num_threads(n)
            np.testing.assert_array_equal(plan(X), expected)
    finally:
        cnnfast.set_num_threads(before)
