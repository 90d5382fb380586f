"""Batches of arrays and files: every example once an epoch, orders by the seed, errors where they belong."""

import gc
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnnfast import set_random_seed
from cnnfast.datasets import Dataset, npz_dataset
from cnnfast.ops.arrays import Array

X, Y = np.arange(20).reshape(10, 2), np.arange(10)


def epoch(data: Any) -> list[int]:
    seen = []
    for x, y in data:
        np.testing.assert_array_equal(x, X[y])
        seen += y.tolist()
    return seen


def threads() -> int:
    return sum(thread.name == "cnnfast prefetch" for thread in threading.enumerate())


@pytest.mark.parametrize("ahead", [0, 1, 3])
@pytest.mark.parametrize(("size", "drop", "sizes"), [(3, False, [3, 3, 3, 1]), (3, True, [3, 3, 3]), (99, False, [10])])
def test_every_example_once(ahead: int, size: int, drop: bool, sizes: list[int]) -> None:
    data = Dataset(X, Y, size, drop_remainder=drop)
    data = data.prefetch(ahead) if ahead else data
    for _ in range(2):
        assert epoch(data) == list(range(sum(sizes)))
        assert [len(y) for _, y in data] == sizes
    assert len(data) == len(sizes)
    assert threads() == 0


def test_orders_are_the_seeds() -> None:
    first, second = ([epoch(data) for _ in range(3)] for data in (Dataset(X, Y, 3, shuffle=True, seed=5),
                                                                    Dataset(X, Y, 4, shuffle=True, seed=5).prefetch()))
    assert first == second
    assert len({*map(tuple, first)}) == 3, "an order of its own each epoch"
    assert all(sorted(each) == list(range(10)) for each in first)
    assert epoch(Dataset(X, Y, shuffle=True, seed=6)) != first[0]
    set_random_seed(1)
    drawn = epoch(Dataset(X, Y, shuffle=True))
    set_random_seed(1)
    assert epoch(Dataset(X, Y, shuffle=True)) == drawn


def test_map_runs_in_order_and_leaves_the_dataset() -> None:
    data = Dataset(X, Y, 4)
    mapped = data.map(lambda x, y: (x + 1, y)).map(lambda x, y: (x * 2, y)).prefetch(2)
    np.testing.assert_array_equal(np.concatenate([x for x, _ in mapped]), (X + 1) * 2)
    assert epoch(data) == list(range(10))


class Broken(RuntimeError):
    """What goes wrong in the thread."""


@pytest.mark.parametrize("ahead", [1, 5])
def test_an_error_in_the_thread_comes_in_its_turn(ahead: int) -> None:
    def third(x: Array, y: Array) -> tuple[Array, Array]:
        if y[0] == 4:
            raise Broken("third batch")
        return x, y

    batches = iter(Dataset(X, Y, 2).map(third).prefetch(ahead))
    assert [next(batches)[1][0] for _ in range(2)] == [0, 2]
    with pytest.raises(Broken, match="third batch"):
        next(batches)
    assert threads() == 0


def test_it_works_ahead_and_no_further() -> None:
    made: list[int] = []

    def note(x: Array, y: Array) -> tuple[Array, Array]:
        made.append(int(y[0]))
        return x, y

    batches: Iterator[Any] = iter(Dataset(X, Y, 1).map(note).prefetch(2))
    next(batches)
    deadline = time.monotonic() + 5
    while len(made) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)
    assert made == [0, 1, 2, 3], "one was given, two wait, one waits for room"


@pytest.mark.parametrize("leave", ["break", "error", "forget"])
def test_the_thread_ends_with_the_loop(leave: str) -> None:
    data = Dataset(X, Y, 1).prefetch(2)
    if leave == "forget":
        batches = iter(data)
        next(batches)
        del batches
    else:
        try:
            for _ in data:
                if leave == "error":
                    raise Broken
                break
        except Broken:
            pass
    gc.collect()
    assert threads() == 0


def test_an_npz(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x_train=X, y_train=Y, other=np.array([{}], object))
    assert epoch(npz_dataset(tmp_path / "d.npz", batch_size=4)) == list(range(10))
    assert len(npz_dataset(tmp_path / "d.npz", y="x_train", batch_size=5, shuffle=True, seed=0)) == 2
    for name in ("none", "other"):
        with pytest.raises(ValueError, match=r"d\.npz must be an \.npz with the arrays x_train and"):
            npz_dataset(tmp_path / "d.npz", y=name)
    with pytest.raises(FileNotFoundError):
        npz_dataset(tmp_path / "none.npz")
    (tmp_path / "d.npz").write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"d\.npz must be"):
        npz_dataset(tmp_path / "d.npz")


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="x and y must be as many, got 10 and 9"):
        Dataset(X, Y[:9])
    with pytest.raises(TypeError, match="y must be an array of numbers, got <U1"):
        Dataset(X, list("abcdefghij"))
    with pytest.raises(ValueError, match="batch_size must be >= 1"):
        Dataset(X, Y, 0)
    with pytest.raises(ValueError, match="seed must be >= 0"):
        Dataset(X, Y, seed=-1)
    with pytest.raises(TypeError, match="function must be one of"):
        Dataset(X, Y).map(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="batches must be >= 1"):
        Dataset(X, Y).prefetch(0)
    assert list(Dataset(X[:0], Y[:0])) == []
