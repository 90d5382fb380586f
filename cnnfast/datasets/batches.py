"""Data in batches: what training takes, epoch after epoch, from arrays, files or functions of them."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from cnnfast.datasets.prefetch import prefetched
from cnnfast.layers.initializers import next_seed
from cnnfast.ops import checks
from cnnfast.ops.arrays import Array

Batch = tuple[Array, Array]


class Dataset:
    """Batches (x, y), made anew each time it is iterated over: an epoch.

    Parameters
    ----------
    x, y : arrays with as many pictures as labels
    batch_size : of every batch but the last, which has what is left
    shuffle : whether each epoch has an order of its own
    seed : an integer >= 0 makes the orders repeatable; None takes one that `cnnfast.set_random_seed` leads to
    drop_remainder : whether a last batch that is smaller is left out

    Raises
    ------
    ValueError, TypeError : an argument is not as it must be

    Examples
    --------
    >>> import numpy as np
    >>> from cnnfast.datasets import Dataset
    >>> data = Dataset(np.arange(5), np.arange(5) % 2, batch_size=2)
    >>> len(data), [x.tolist() for x, y in data]
    (3, [[0, 1], [2, 3], [4]])
    """

    def __init__(
        self, x: Any, y: Any, batch_size: int = 32, *, shuffle: bool = False, seed: int | None = None,
        drop_remainder: bool = False,
    ) -> None:  # fmt: skip
        pictures, labels = np.asarray(x), np.asarray(y)
        for name, array in (("x", pictures), ("y", labels)):
            if array.ndim == 0 or array.dtype.kind not in "fiub":
                raise TypeError(f"{name} must be an array of numbers, got {array.dtype} of shape {array.shape}")
        if len(pictures) != len(labels):
            raise ValueError(f"x and y must be as many, got {len(pictures)} and {len(labels)}")
        self._begin(len(pictures), lambda rows: (pictures[rows], labels[rows]), batch_size, shuffle, seed)
        self.drop_remainder = checks.boolean("drop_remainder", drop_remainder)

    def _begin(
        self, count: int, read: Callable[[Array], Batch], batch_size: int, shuffle: bool, seed: int | None
    ) -> None:
        self.count, self._read = count, read
        self.batch_size = checks.integer("batch_size", batch_size, minimum=1)
        self.shuffle = checks.boolean("shuffle", shuffle)
        self.seed = next_seed() if seed is None else checks.integer("seed", seed, minimum=0, limit=2**64)
        self.drop_remainder = False
        self.class_names: list[str] = []
        self.file_paths: list[str] = []
        self._steps: list[Callable[..., Any]] = []
        self._ahead = 0
        self._epoch = 0

    @classmethod
    def of(
        cls, count: int, read: Callable[[Array], Batch], batch_size: int = 32, *, shuffle: bool = False,
        seed: int | None = None,
    ) -> "Dataset":  # fmt: skip
        """A dataset of `count` examples, of which read(indices) gives (x, y): what does not lie in memory.

        >>> import numpy as np
        >>> squares = Dataset.of(4, lambda i: (i, i * i), batch_size=3)
        >>> [y.tolist() for x, y in squares]
        [[0, 1, 4], [9]]
        """
        made = cls.__new__(cls)
        made._begin(checks.integer("count", count, minimum=0), read, batch_size, shuffle, seed)
        return made

    def __len__(self) -> int:
        """How many batches an epoch has."""
        whole, rest = divmod(self.count, self.batch_size)
        return whole + (rest > 0 and not self.drop_remainder)

    def __iter__(self) -> Iterator[Batch]:
        order = np.arange(self.count)
        if self.shuffle:
            order = np.random.default_rng((self.seed, self._epoch)).permutation(self.count)
        self._epoch += 1
        batches = self._batches([order[i : i + self.batch_size] for i in range(0, self.count, self.batch_size)])
        return prefetched(batches, self._ahead) if self._ahead else batches

    def _batches(self, parts: Sequence[Array]) -> Iterator[Batch]:
        for part in parts[: len(self)]:
            batch = self._read(part)
            for step in self._steps:
                batch = step(*batch)
            yield batch

    def map(self, function: Callable[..., Batch]) -> "Dataset":
        """This dataset with every batch as function(x, y) gives it.

        >>> import numpy as np
        >>> data = Dataset(np.full((2, 1), 255), [0, 1]).map(lambda x, y: (x / 255, y))
        >>> next(iter(data))[0].tolist()
        [[1.0], [1.0]]
        """
        if not callable(function):
            raise TypeError(f"function must be one of (x, y), got {function!r}")
        return self._with(_steps=[*self._steps, function])

    def prefetch(self, batches: int = 1) -> "Dataset":
        """This dataset with so many batches made ahead by a thread of its own, while training computes.

        What goes wrong in the thread is raised where the batch would have come; the thread ends with the loop.
        """
        return self._with(_ahead=checks.integer("batches", batches, minimum=1))

    def _with(self, **changed: Any) -> "Dataset":
        made = type(self).__new__(type(self))
        made.__dict__.update(self.__dict__ | changed)
        return made

    def __repr__(self) -> str:
        return f"<Dataset of {self.count} in {len(self)} batches>"
