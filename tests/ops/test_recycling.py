"""Recycled memory: handed out again once nothing refers to it, and not before."""

import threading

import numpy as np

import cnnfast
from cnnfast.ops import arrays

SHAPE = (64, 64)


def start(array: np.ndarray) -> int:
    return int(array.ctypes.data)


def test_memory_comes_back_when_nothing_refers_to_it() -> None:
    pool = arrays.Pool()
    with arrays.recycling(pool):
        first = arrays.allocate("a", SHAPE, np.float32)
        at = start(first)
        view = first[1:].reshape(-1)[::2]
        del first
        assert start(arrays.allocate("b", SHAPE, np.float32)) != at, "a view still refers to it"
        held = memoryview(view)
        del view
        assert start(arrays.allocate("b", SHAPE, np.float32)) != at, "a buffer still refers to it"
        del held
        second = arrays.allocate("c", (63, 64), np.float32)
        assert start(second) == at or pool.size >= 2 * 64 * 64 * 4
        third = arrays.allocate("d", SHAPE, np.float64)
        assert start(third) != start(second)
    assert start(arrays.allocate("e", SHAPE, np.float32)) != at


def test_small_arrays_and_other_threads_are_left_alone() -> None:
    pool = arrays.Pool()
    found = []
    with arrays.recycling(pool):
        arrays.allocate("a", (8,), np.float32)
        thread = threading.Thread(target=lambda: found.append(arrays.allocate("b", SHAPE, np.float32)))
        thread.start()
        thread.join()
        assert pool.size == 0
        inner = arrays.Pool()
        with arrays.recycling(inner):
            arrays.allocate("c", SHAPE, np.float32)
        assert inner.size > 0
        assert pool.size == 0
        arrays.allocate("d", SHAPE, np.float32)
        assert pool.size > 0


def test_ops_draw_on_it() -> None:
    pool = arrays.Pool()
    x = np.ones((1, 32, 32, 8), np.float32)
    with arrays.recycling(pool):
        places = set()
        for _ in range(4):
            y = cnnfast.relu(x)
            places.add(start(y))
            assert start(y) % arrays.CACHE_LINE == 0
            del y
    assert len(places) == 1


def test_a_pool_lets_go_of_what_it_does_not_need() -> None:
    pool = arrays.Pool()
    for size in range(1 << 20, 9 << 20, 1 << 19):
        pool.take(size)
    assert pool.size <= 2 * (9 << 20)
