"""Features of a frozen network on disk: computed once, read in every epoch of training what stands on them."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from cnnfast.model import Model
from cnnfast.ops import checks
from cnnfast.ops.arrays import Array
from cnnfast.ops.files import replacing
from cnnfast.ops.runtime import config


def cached_features(model: Model, x: Any, path: str | os.PathLike[str], batch_size: int = 32) -> Array:
    """What `model.predict` gives of x, from a file where it was computed before with these weights, of this x.

    To train a head on a network that does not change, its features are computed once: `head.fit(features, y)`. They are
    bit for bit those of the full forward, `model.predict(x, batch_size)` of a model that has not run before.

    Parameters
    ----------
    model : the frozen part: a network with one output
    x : pictures; or an iterable of batches, or of pairs (x, y) of which x is taken, which gives the same ones each time
        it is iterated over: a Dataset with shuffle=False
    path : a folder, made where there is none. The file in it is named after what it was computed of: the network, its
        weights, x, batch_size, the version and the instruction set. Files of other networks stay until you delete them.
    batch_size : see `predict`

    Returns
    -------
    features : (N, ...) float32, read-only, of which only what is used is read from the disk

    Raises
    ------
    ValueError, TypeError : x does not fit, is not the same twice, or the model has several outputs or a layer of a
        class of your own
    OSError : the folder or the file cannot be written; the file is there whole or not at all

    Examples
    --------
    >>> import numpy as np, cnnfast, tempfile
    >>> from cnnfast.datasets import cached_features
    >>> model = cnnfast.models.LeNet5()
    >>> base = cnnfast.Model(model.inputs, model.get_layer("flatten").output)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     features = cached_features(base, np.zeros((10, 32, 32, 1)), folder)
    >>> features.shape
    (10, 400)
    """
    if len(model.outputs) != 1 or len(model.inputs) != 1:
        raise ValueError(f"model must have one input and one output, got {len(model.inputs)} and {len(model.outputs)}")
    size = checks.integer("batch_size", batch_size, minimum=1)
    count, digest = _digest_of(x, size)
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{model.name.replace(os.sep, '_')}-{_key(model, size, digest)}.npy"
    features = _read(file)
    if features is None or len(features) != count:
        _write(file, model, x, size, (count, digest))
        features = _read(file)
    if features is None:
        raise ValueError(f"{file} was changed by somebody else as it was written")
    return features


def _key(model: Model, batch_size: int, data: str) -> str:
    """Of everything that the features' bits depend on."""
    found = hashlib.sha256()
    engine = config()
    told = [model.get_config(), batch_size, data, engine["cnnfast"], engine["isa"], os.environ.get("CNNFAST_PRECISION")]
    found.update(json.dumps(told).encode())
    for weight in model.weights:
        found.update(weight.values.data)
    return found.hexdigest()[:32]


def _batches(x: Any, batch_size: int) -> Iterator[Array]:
    """x in parts; an array in batches, as `predict` cuts it."""
    if isinstance(x, Iterator):
        raise TypeError("x must be an array or what can be iterated over twice, got an iterator")
    if isinstance(x, Iterable) and not hasattr(x, "__array__") and not isinstance(x, list | tuple):
        for batch in x:
            yield np.asarray(batch[0] if isinstance(batch, tuple) else batch)
        return
    array = np.asarray(x)
    for begin in range(0, len(array), batch_size):
        yield array[begin : begin + batch_size]


def _digest_of(x: Any, batch_size: int) -> tuple[int, str]:
    """How many pictures there are, and a digest of all."""
    found, count = hashlib.sha256(), 0
    for batch in _batches(x, batch_size):
        _add(found, batch)
        count += len(batch)
    return count, found.hexdigest()


def _add(digest: Any, batch: Array) -> None:
    if batch.ndim == 0 or batch.dtype.kind not in "fiub":
        raise TypeError(f"x must hold batches of numbers, got {batch.dtype} of shape {batch.shape}")
    digest.update(f"{batch.dtype.str}{batch.shape}".encode())
    digest.update(np.ascontiguousarray(batch).data)


def _write(file: Path, model: Model, x: Any, batch_size: int, expected: tuple[int, str]) -> None:
    """Through a plan of its own: those that `predict` keeps may be for batches of another size, with other bits."""
    count, found, plan = 0, hashlib.sha256(), None
    with replacing(file) as name, open(name, "wb") as to:
        for batch in _batches(x, batch_size):
            _add(found, batch)
            plan = plan or model.plan(batch.shape)
            features = np.ascontiguousarray(plan(np.asarray(batch, np.float32)))
            if count == 0:
                _begin(to, (expected[0], *features.shape[1:]))
            to.write(features.data)
            count += len(batch)
        if (count, found.hexdigest()) != expected:
            raise ValueError("x must give the same batches in the same order each time: a Dataset with shuffle=False")
        if count == 0:
            _begin(to, (0, *(size or 1 for size in model.output_shape[1:])))


def _begin(file: Any, shape: tuple[int, ...]) -> None:
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})


def _read(file: Path) -> Array | None:
    """The features, where the file is there and whole."""
    try:
        found: Array = np.load(file, mmap_mode="r", allow_pickle=False)
    except (FileNotFoundError, ValueError, EOFError):
        return None
    return found
