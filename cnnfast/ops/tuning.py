"""`algorithm="tune"`: every row of the table that takes a problem is measured once, and the fastest one is remembered.

What is remembered is keyed by the processor, the ISA, the threads, the op's table and the whole problem: shapes, dtype
and every attribute, batch and `max_workspace` among them. `load_tuning` and CNNFAST_CACHE_DIR add to it; "auto" never
looks at it.
"""

import os
import threading
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from cnnfast.backends import native
from cnnfast.ops import runtime, tuning_file
from cnnfast.ops.stopwatch import fastest
from cnnfast.ops.tuning_file import Entry, Key

TUNE = "tune"
Make = Callable[[str | None], native.Plan]
"""The plan of a problem with the row of this name, or with the one that "auto" takes; ValueError: it does not."""

_known: dict[Key, Entry] = {}
_loads = 0
_measuring = threading.RLock()
"""One measurement at a time: two at once would disturb each other."""


def _unlock() -> None:
    global _measuring
    _measuring = threading.RLock()


os.register_at_fork(after_in_child=_unlock)  # whoever held it is not in the child


def load_tuning(path: str | os.PathLike[str]) -> int:
    """Use what was measured before, here or on another machine, where `algorithm="tune"` is asked for.

    What a file says goes before what this process has measured. A problem that the file does not have, for this CPU
    model, ISA and number of threads, is measured; so is one whose row in the file no longer takes it.

    Parameters
    ----------
    path : a file of `save_tuning` or `cnnfast tune --output`

    Returns
    -------
    How many results the file has

    Raises
    ------
    OSError : the file cannot be read
    ValueError : it is damaged, of another version, or names an op or algorithm that is not here; nothing was loaded

    Examples
    --------
    >>> import numpy as np, cnnfast, os, tempfile
    >>> x, w = np.ones((1, 8, 8, 4), np.float32), np.ones((3, 3, 4, 4), np.float32)
    >>> y = cnnfast.conv2d(x, w, algorithm="tune")
    >>> path = os.path.join(tempfile.mkdtemp(), "tuning.json")
    >>> cnnfast.save_tuning(path) == cnnfast.load_tuning(path)
    True
    """
    global _loads
    entries = tuning_file.read(Path(path))
    with _measuring:
        _known.update((entry.key, entry) for entry in entries)
        _loads += 1
    return len(entries)


def save_tuning(path: str | os.PathLike[str]) -> int:
    """Write all that `algorithm="tune"` has measured or loaded in this process to a file for `load_tuning`.

    Parameters
    ----------
    path : the file; one that is there is replaced

    Returns
    -------
    How many results were written

    Raises
    ------
    OSError : the file cannot be written; one that was there is as before

    Examples
    --------
    >>> import cnnfast, os, tempfile
    >>> cnnfast.save_tuning(os.path.join(tempfile.mkdtemp(), "tuning.json")) >= 0
    True
    """
    entries = known()
    tuning_file.write(Path(path), entries)
    return len(entries)


def known() -> tuple[Entry, ...]:
    """All results of this process, in the order in which they came."""
    with _measuring:
        return tuple(_known.values())


def state() -> int:
    """What a plan of "tune" depends on beside its problem and the backend's settings."""
    return _loads


def tuned(op: str, problem: Mapping[str, Any], make: Make) -> native.Plan:
    """The plan of the fastest row of the table `op`, as remembered or else measured now."""
    frozen = tuple(sorted((name, tuning_file.frozen(value)) for name, value in problem.items()))
    key = Key(runtime.cpu_name(), native.isa(), native.get_num_threads(), op, frozen)
    plan = _remembered(key, make)
    if plan is None:
        with _measuring:
            plan = _remembered(key, make) or _measured(key, make, problem)
    return plan


def best(key: Key, candidates: Callable[[], Mapping[str, Callable[[], float]]]) -> str | None:
    """The fastest of a CUDA device's algorithms, as remembered or else measured now: each candidate gives its seconds.

    None where there is nothing to choose.
    """
    with _measuring:
        entry = recalled(key)
        if entry is None:
            seconds = {name: measure() for name, measure in candidates().items()}
            if len(seconds) < 2:
                return next(iter(seconds), None)
            entry = _remember(key, seconds)
        return entry.algorithm


def recalled(key: Key) -> Entry | None:
    """What is remembered of a problem."""
    return _known.get(key) or _from_cache(key)


def _remember(key: Key, seconds: Mapping[str, float]) -> Entry:
    entry = Entry(
        key, min(seconds, key=seconds.__getitem__), {name: round(1e6 * each, 3) for name, each in seconds.items()}
    )
    _known[key] = entry
    _to_cache(entry)
    return entry


def _remembered(key: Key, make: Make) -> native.Plan | None:
    """None where nothing is, or where the row that is does not take the problem: another kernel, another table."""
    entry = recalled(key)
    if entry is not None:
        with suppress(ValueError):
            return make(entry.algorithm)
    return None


def _measured(key: Key, make: Make, problem: Mapping[str, Any]) -> native.Plan:
    chosen = make(None)
    plans = {}
    for row in chosen.info()["candidates"]:
        if row["accepts"]:
            with suppress(ValueError):  # it wants more than max_workspace
                plans[row["algorithm"]] = make(row["algorithm"])
    if len(plans) < 2:
        return chosen
    seconds = fastest({name: _run_of(plan, problem) for name, plan in plans.items()})
    return plans[_remember(key, seconds).algorithm]


def _run_of(plan: native.Plan, problem: Mapping[str, Any]) -> Callable[[], object]:
    """A run of the plan's own batch on numbers like a user's: noise, or small integers."""
    n, rng = problem["x"][0], np.random.default_rng(0)
    shape, dtype = plan.input_shape(n), np.dtype(plan.input_dtype)
    if dtype.kind == "f":
        x = rng.standard_normal(shape, np.float32).astype(dtype, copy=False)
    else:
        x = rng.integers(0, 2, shape, dtype)  # within what any sum was found safe for
    y = np.empty(plan.output_shape(n), plan.output_dtype)
    indices = np.empty(y.shape, np.int64) if problem.get("return_indices") else None
    return lambda: plan.run(x, None, y, indices)


def _cache_path(key: Key) -> Path | None:
    folder = os.environ.get("CNNFAST_CACHE_DIR")
    return Path(folder) / "tuning" / f"{tuning_file.digest(key)}.json" if folder else None


def _from_cache(key: Key) -> Entry | None:
    path = _cache_path(key)
    if path is None or not path.exists():
        return None
    found = next((entry for entry in tuning_file.read(path) if entry.key == key), None)
    if found is not None:
        _known[key] = found
    return found


def _to_cache(entry: Entry) -> None:
    path = _cache_path(entry.key)
    if path is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        tuning_file.write(path, (entry,))
    except OSError as error:  # the result stands, for this process
        warnings.warn(f"CNNFAST_CACHE_DIR keeps no tuning result: {error}", RuntimeWarning, stacklevel=2)
