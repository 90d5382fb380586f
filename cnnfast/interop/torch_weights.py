"""What was made of torch tensors (packed weights, programs with constants), found again while they have not changed.

A tensor is told by itself, never by its address alone: a weak reference, its `_version`, where its numbers lie, and a
sample of them. In-place changes, `load_state_dict`, optimizers and `parameter.data = ...` are seen by the first three.
Writing through `.data`, a NumPy view or from another process leaves no trace there: what changes most numbers is
seen by the sample, what changes a few of a large tensor is not. `forget()` is for that.
"""

import weakref
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple, TypeVar

from torch import Tensor

from cnnfast.backends import native

MOST = 8
"""Things that are kept of one tensor: for so many sizes of image, say. The one made first goes first."""

Made = TypeVar("Made")


class Stamp(NamedTuple):
    """How a tensor was when it was looked at."""

    reference: Any
    version: int
    shape: Any
    strides: tuple[int, ...]
    address: int
    size: int
    sample: int

    def fits(self, tensor: Tensor) -> bool:
        """Whether this is the tensor, unchanged."""
        return (
            self.reference() is tensor
            and self.version == tensor._version
            and self.address == tensor.data_ptr()
            and self.shape == tensor.shape
            and self.strides == tensor.stride()
            and not tensor.is_neg()
            and self.sample == native.sample_at(self.address, self.size)
        )


def stamp(tensor: Tensor) -> Stamp | None:
    """The tensor as it is now; None where it cannot be told from its later self: an inference tensor has no version, a
    strided one no one piece of memory, a negative's holds other numbers, and what is not on this machine no memory that
    can be read."""
    if type(tensor).__torch_dispatch__ is not Tensor.__torch_dispatch__ or not tensor.is_cpu:
        return None
    if tensor.is_inference() or tensor.is_neg():
        return None
    size = tensor.numel() * tensor.element_size()
    if tensor.untyped_storage().nbytes() < tensor.storage_offset() * tensor.element_size() + size or not _dense(tensor):
        return None
    address = tensor.data_ptr()
    shape = tensor.shape, tensor.stride()
    return Stamp(weakref.ref(tensor), tensor._version, *shape, address, size, native.sample_at(address, size))


def _dense(tensor: Tensor) -> bool:
    """Whether the numbers lie without a gap, in any order of the axes."""
    step = 1
    for stride, size in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if size != 1 and stride != step:
            return False
        step *= size
    return True


_kept: dict[int, dict[Hashable, tuple[tuple[Stamp | None, ...], Any]]] = {}
"""Of each tensor, by its id (which is its own as long as it lives): what was made, of it and others, by key."""


def keep(tensors: Sequence[Tensor | None], key: Hashable, make: Callable[[], Made]) -> Made:
    """make(), or what it gave before for the same tensors and key if none of them has changed since.

    It is dropped with the first tensor, when a ninth thing is made of that (`MOST`), and by `forget`. It must not refer
    to the tensors, or they would live as long as it does.

    Parameters
    ----------
    tensors : what `make` reads; the first is a Tensor, the others may be None
    key : whatever else it depends on
    make : makes it

    Returns
    -------
    what make() gives, or gave
    """
    owner: Any = tensors[0]
    mine = _kept.get(id(owner))
    if mine is not None:
        found = mine.get(key)
        if found is not None and _fit(found[0], tensors):
            made: Made = found[1]
            return made
    stamps = tuple(None if each is None else stamp(each) for each in tensors)  # before make reads them
    made = make()
    if any(mark is None for mark, each in zip(stamps, tensors, strict=True) if each is not None):
        return made
    if mine is None:
        mine = _kept.setdefault(id(owner), {})
        weakref.finalize(owner, _kept.pop, id(owner), None).atexit = False
    mine.pop(key, None)
    for oldest in list(mine)[: max(0, len(mine) - MOST + 1)]:  # of a list: other threads may add some meanwhile
        mine.pop(oldest, None)
    mine[key] = stamps, made
    return made


def _fit(stamps: tuple[Stamp | None, ...], tensors: Sequence[Tensor | None]) -> bool:
    return len(stamps) == len(tensors) and all(
        each is None if mark is None else each is not None and mark.fits(each)
        for mark, each in zip(stamps, tensors, strict=True)
    )


_forgetters: list[Callable[[int | None], None]] = []


def on_forget(forgets: Callable[[int | None], None]) -> None:
    """Call this too when a tensor of an id is to be forgotten, or, with None, all are."""
    _forgetters.append(forgets)


def forget(tensor: Tensor | None = None) -> None:
    """Drop what is kept of a tensor, or of all: after a change that torch was not told of, or for the memory.

    >>> import torch, cnnfast.interop.torch as ct
    >>> ct.forget()
    """
    for each in list(_kept.values()) if tensor is None else [_kept.get(id(tensor), {})]:
        each.clear()
    for forgets in _forgetters:
        forgets(None if tensor is None else id(tensor))
