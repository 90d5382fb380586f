"""Batches: of arrays, which may be shuffled, or as an iterable gives them."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np

from cnnfast.ops import arrays
from cnnfast.ops.arrays import Array


class Batch(NamedTuple):
    """Some images: an array for each of the network's inputs, their targets, and their weights if they have any."""

    inputs: list[Array]
    targets: Any
    weights: Array | None


class Batches:
    """Where batches come from. Iterating goes through all of them once.

    Attributes
    ----------
    steps : how many there are; None where only the end will tell
    """

    steps: int | None = None

    def rewind(self) -> None:
        """Let the next time begin with the first batch, where it would go on from the last."""

    def __iter__(self) -> Iterator[Batch]:
        raise NotImplementedError


class OfArrays(Batches):
    """Arrays cut into batches; the last may be smaller.

    Parameters
    ----------
    inputs, targets, weights : arrays of one length
    size : of a batch
    generator : for another order each time; None keeps the order
    """

    def __init__(
        self, inputs: Sequence[Array], targets: Array | None, weights: Array | None, size: int,
        generator: np.random.Generator | None = None,
    ) -> None:  # fmt: skip
        self.inputs, self.targets, self.weights = list(inputs), targets, weights
        self.size, self.generator = size, generator
        lengths = [len(each) for each in (*inputs, targets, weights) if each is not None]
        if len(set(lengths)) > 1:
            raise ValueError(f"x, y and sample_weight must be as many, got {', '.join(map(str, lengths))}")
        self.length = lengths[0]
        if not self.length:
            raise ValueError("x must hold at least one image, got none")
        self.steps = math.ceil(self.length / size)

    def __iter__(self) -> Iterator[Batch]:
        order = None if self.generator is None else self.generator.permutation(self.length)
        for i in range(0, self.length, self.size):
            part: Any = slice(i, i + self.size) if order is None else order[i : i + self.size]
            yield Batch(
                [as_float32(_taken(each, part)) for each in self.inputs],
                None if self.targets is None else self.targets[part],
                None if self.weights is None else self.weights[part],
            )

    def split(self, share: float) -> "tuple[OfArrays, OfArrays]":
        """The first ones, and the last `share` of all."""
        if not 0 < share < 1:
            raise ValueError(f"validation_split must be between 0 and 1, got {share!r}")
        at = math.floor(self.length * (1 - share))
        if at in (0, self.length):
            raise ValueError(f"validation_split {share} of {self.length} images leaves none on one side")
        return self._part(slice(0, at)), self._part(slice(at, None))

    def _part(self, part: slice) -> "OfArrays":
        targets = None if self.targets is None else self.targets[part]
        weights = None if self.weights is None else self.weights[part]
        return OfArrays([each[part] for each in self.inputs], targets, weights, self.size)


class OfIterable(Batches):
    """Batches (x, y), (x, y, weights) or x as an iterable gives them. One that ends is begun anew each time."""

    def __init__(self, source: Iterable[Any], inputs: int, steps: int | None = None) -> None:
        self.source, self.count, self.limit = source, inputs, steps
        self.steps = steps
        self._open: Iterator[Any] | None = None
        if steps is None:
            with suppress(TypeError):
                self.steps = len(source)  # type: ignore[arg-type]

    def rewind(self) -> None:
        self._open = None

    def __iter__(self) -> Iterator[Batch]:
        if self.limit is None:
            for each in self.source:
                yield self._batch(each)
            return
        for _ in range(self.limit):  # an epoch is so many batches, wherever the source ends
            if self._open is None:
                self._open = iter(self.source)
            try:
                each = next(self._open)
            except StopIteration:
                self._open = iter(self.source)
                try:
                    each = next(self._open)
                except StopIteration:
                    raise ValueError(f"x ran out of batches, steps_per_epoch is {self.limit}") from None
            yield self._batch(each)

    def _batch(self, each: Any) -> Batch:
        if isinstance(each, Batch):
            return each
        if isinstance(each, list) and self.count == 1:
            each = tuple(each)  # torch's DataLoader gives lists; for several inputs a list is x
        x, y, weights = unpacked(each)
        return Batch(as_inputs(x, self.count), y, None if weights is None else np.asarray(weights, np.float32))


class Weighted(Batches):
    """Batches whose images are weighted by their class."""

    def __init__(self, batches: Batches, weights: Mapping[int, float]) -> None:
        self.batches, self.steps = batches, batches.steps
        self.table = {int(number): float(weight) for number, weight in weights.items()}

    def __iter__(self) -> Iterator[Batch]:
        for batch in self.batches:
            if batch.weights is not None:
                raise ValueError("class_weight and sample_weight must not both be given")
            classes = _classes(batch.targets)
            yield batch._replace(weights=np.array([self.table.get(int(each), 1.0) for each in classes], np.float32))


def _classes(targets: Any) -> Array:
    """The class of each image, for class_weight."""
    if targets is None:
        raise ValueError("class_weight must not be given where batches have no targets, got x alone")
    y = np.asarray(targets)
    numbers = y.argmax(-1) if y.ndim > 1 and y.shape[-1] > 1 else y
    if y.shape[:1] != (numbers.size,):
        raise ValueError(f"class_weight needs one class for each image, y of (N,) or (N, classes), got y {y.shape}")
    return numbers.reshape(-1)


def is_iterable(x: Any) -> bool:
    """Whether x gives batches, and is not itself an array or a list."""
    if isinstance(x, np.ndarray | list | tuple) or any(hasattr(x, name) for name in ("__array__", "__dlpack__")):
        return False
    try:
        memoryview(x)
    except TypeError:
        return isinstance(x, Iterable)
    return False


def unpacked(batch: Any) -> tuple[Any, Any, Any]:
    """(x, y, weights) of what an iterable gives: a tuple of up to three, or x alone."""
    if not isinstance(batch, tuple):
        return batch, None, None
    if not 1 <= len(batch) <= 3:
        raise ValueError(f"a batch must be (x, y) or (x, y, sample_weight), got {len(batch)} things")
    x, y, weights = (*batch, None, None)[:3]
    return x, y, weights


def as_inputs(x: Any, count: int) -> list[Array]:
    """x as an array of float32 for each of the network's inputs."""
    return [as_float32(each) for each in as_arrays(x, count)]


def as_arrays(x: Any, count: int) -> list[Array]:
    """x as an array of numbers for each of the network's inputs, in the dtype it has."""
    given = list(x) if count > 1 and isinstance(x, list | tuple) else [x]
    if len(given) != count:
        raise ValueError(f"x must be a list of {count} arrays, one for each input, got {len(given)}")
    found = [arrays.as_array("x", each) for each in given]
    for each in found:
        if each.dtype.kind not in "fiub":
            raise TypeError(f"x must hold numbers, got dtype {each.dtype}")
        if each.ndim == 0:
            raise ValueError("x must hold images, got a number")
    return found


def as_float32(x: Array) -> Array:
    """x as float32, cast where it is another dtype."""
    array = arrays.as_array("x", x)
    if array.dtype == np.float32:
        return array
    if array.dtype.kind not in "fiub":
        raise TypeError(f"x must hold numbers, got dtype {array.dtype}")
    return array.astype(np.float32)


def _taken(array: Array, part: Any) -> Array:
    if isinstance(part, slice):
        return array[part]
    to = arrays.allocate("a batch", (len(part), *array.shape[1:]), array.dtype)
    return np.take(array, part, axis=0, out=to, mode="clip")  # "raise" would copy once more
