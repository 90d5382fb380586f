"""What is kept for arguments as users gave them: found for equal ones of equal types, under the same settings."""

import os
from typing import Any

import numpy as np
import pytest

import cnnfast
from cnnfast.backends import native
from cnnfast.backends.native import Kept
from cnnfast.ops.prepared import kept


def make(*_: Any) -> None: ...


def key(of: Kept, given: tuple[Any, ...]) -> Any:
    return of.key(make, 0, ((1, 2), np.dtype("f4")), given)


def test_equal_arguments_of_other_types_are_others() -> None:
    some = Kept(9)
    some.keep(key(some, (1, (2, None), "same")), 3)
    assert some.get(key(some, (1, (2, None), "same"))) == 3
    assert some.get(key(some, (1, [2, None], "same"))) == 3
    for other in [(True, (2, None), "same"), (1.0, (2, None), "same"), (1, (2, 2), "same"), (1, (2, None), None)]:
        assert some.get(key(some, other)) is some.missing
    assert some.get(some.key(make, 1, ((1, 2), np.dtype("f4")), (1, (2, None), "same"))) is some.missing
    assert some.get(some.key(key, 0, ((1, 2), np.dtype("f4")), (1, (2, None), "same"))) is some.missing


DEEP: tuple[Any, ...] = ()
for _ in range(10**5):
    DEEP = (DEEP,)
ENDLESS: list[Any] = []
ENDLESS.append(ENDLESS)


OTHERS = [(True, 1), (1.0, 1), [1, True], np.int64(1), b"x", make, ENDLESS, (ENDLESS,), pytest.param(DEEP, id="deep")]


@pytest.mark.parametrize("given", OTHERS)
def test_what_no_key_can_tell_apart_has_none(given: Any) -> None:
    assert key(Kept(9), (1, given)) is None


def test_there_is_a_most() -> None:
    some = Kept(3)
    for i in range(100):
        some.keep(key(some, (i,)), i)
        assert some.get(key(some, (i,))) == i
        assert len(some) <= 3


def test_settings_are_part_of_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = native.get_num_threads(), native.get_max_workspace()
    some = Kept(99)
    keys = [key(some, (1,))]
    try:
        native.set_num_threads(before[0] + 1)
        keys.append(key(some, (1,)))
        native.set_max_workspace(before[1] + 123456789)
        keys.append(key(some, (1,)))
    finally:
        native.set_num_threads(before[0])
        native.set_max_workspace(before[1])
    other = "strict" if os.environ.get("CNNFAST_PRECISION") != "strict" else "fast"
    monkeypatch.setenv("CNNFAST_PRECISION", other)
    keys.append(key(some, (1,)))
    assert len(set(keys)) == 4


def test_lists_are_tuples() -> None:
    """The second call finds what the first one made."""
    x = np.arange(16.0, dtype=np.float32).reshape(1, 4, 4, 1)
    expected = cnnfast.max_pool2d(x, (2, 1), (2, 2))
    count = len(kept)
    assert np.array_equal(cnnfast.max_pool2d(x, [2, 1], [2, 2]), expected)
    assert len(kept) == count


def test_a_pool_found_again_refuses_what_does_not_fit() -> None:
    """And the careful way says why, or makes do."""
    x = np.arange(32.0, dtype=np.float32).reshape(1, 4, 4, 2)
    y = cnnfast.max_pool2d(x, 2)
    with pytest.raises(ValueError, match=r"out must have shape \(1, 2, 2, 2\)"):
        cnnfast.max_pool2d(x, 2, out=np.empty((1, 2, 2, 1), np.float32))
    with pytest.raises(TypeError, match="out must have dtype float32"):
        cnnfast.max_pool2d(x, 2, out=np.empty(y.shape, complex))
    with pytest.raises(TypeError, match=r"out must be a numpy\.ndarray"):
        cnnfast.max_pool2d(x, 2, out=[1.0])
    with pytest.raises(ValueError, match="overlap"):
        cnnfast.max_pool2d(x, 2, out=x[:, :2, :2])
    strided = np.zeros((1, 4, 2, 2), np.float32)
    assert cnnfast.max_pool2d(x, 2, out=strided[:, ::2]) is not None
    assert np.array_equal(strided[:, ::2], y)
    assert np.array_equal(cnnfast.max_pool2d(np.repeat(x, 2, axis=3)[..., ::2], 2), y)
