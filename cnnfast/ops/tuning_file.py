"""The file of tuning results: JSON, with nothing in it but names and numbers.

{"format": "cnnfast tuning", "version": 1, "results": [
 {"cpu": "...", "isa": "avx512", "threads": 2, "op": "conv2d",
  "problem": {"x": [1, 56, 56, 64], "weights": [[3, 3, 64, 64], null], "dtype": "float32", "stride": [1, 1], ...},
  "algorithm": "direct", "microseconds": {"direct": 812.4, "im2col": 1020.9}}, ...]}
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from cnnfast.backends import native
from cnnfast.ops.files import replacing

ON_DEVICE = "cuda."
"""What the op of a result of a CUDA device starts with; its cpu is the device's name, its isa as "sm_90", and its
algorithm a row's name, or "row:2" for a tile of it. What a row takes shows when it is used."""

FORMAT, VERSION = "cnnfast tuning", 1
_FIELDS = {"cpu": str, "isa": str, "threads": int, "op": str, "problem": dict, "algorithm": str, "microseconds": dict}


class Key(NamedTuple):
    """What a result belongs to; `problem` is (name, value) pairs in the names' order, the lists in it tuples."""

    cpu: str
    isa: str
    threads: int
    op: str
    problem: tuple[tuple[str, Any], ...]


class Entry(NamedTuple):
    """A result: the fastest row, and what each measured one took."""

    key: Key
    algorithm: str
    microseconds: dict[str, float]


def frozen(value: Any) -> Any:
    """value with tuples for its lists."""
    return tuple(frozen(each) for each in value) if isinstance(value, list | tuple) else value


def digest(key: Key) -> str:
    """A file name for the key."""
    return hashlib.sha256(json.dumps(key).encode()).hexdigest()[:32]


def write(path: Path, entries: Iterable[Entry]) -> None:
    """Write the file at once: whoever reads it meanwhile finds the old one or the new one, whole."""
    results = [
        {**entry.key._asdict(), "problem": dict(entry.key.problem), "algorithm": entry.algorithm,
         "microseconds": entry.microseconds}
        for entry in entries
    ]  # fmt: skip
    lines = ",\n".join(" " + json.dumps(result) for result in results)
    text = f'{{"format": {json.dumps(FORMAT)}, "version": {VERSION}, "results": [\n{lines}\n]}}\n'
    with replacing(path) as name:
        Path(name).write_text(text, encoding="utf-8")


def read(path: Path) -> list[Entry]:
    """The file's results; ValueError where anything in it is not as it must be."""
    try:
        data = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} must be a tuning file in JSON: {error}") from None
    if not isinstance(data, dict) or data.get("format") != FORMAT or not isinstance(data.get("results"), list):
        raise ValueError(f"{path} must be a tuning file of cnnfast, with its format and results")
    if data.get("version") != VERSION:
        raise ValueError(f"{path} must be of version {VERSION}, got {data.get('version')!r}: tune again")
    entries = []
    for number, result in enumerate(data["results"]):
        try:
            entries.append(_entry(result))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path}, result {number}: {error}") from None
    return entries


def _entry(result: Any) -> Entry:
    if not isinstance(result, dict) or result.keys() != _FIELDS.keys():
        raise ValueError(f"a result must have {', '.join(_FIELDS)} and nothing else")
    for name, kind in _FIELDS.items():
        if type(result[name]) is not kind:
            raise ValueError(f"{name} must be of type {kind.__name__}, got {str(result[name])[:60]!r}")
    op, rows = result["op"], native.algorithms(result["op"])
    if not rows and not op.startswith(ON_DEVICE):
        raise ValueError(f"op must be one that has algorithms, got {op!r}")
    for algorithm in (result["algorithm"], *result["microseconds"]):
        if rows and algorithm not in rows:
            raise ValueError(f"algorithm must be one of {', '.join(rows)} for {op}, got {algorithm!r}")
    if any(type(each) not in (int, float) for each in result["microseconds"].values()):
        raise ValueError(f"microseconds must be numbers, got {result['microseconds']}")
    problem = tuple(sorted((name, frozen(value)) for name, value in result["problem"].items()))
    try:
        hash(problem)
    except TypeError:
        raise ValueError("problem must hold names, numbers and lists of them") from None
    key = Key(result["cpu"], result["isa"], result["threads"], op, problem)
    return Entry(key, result["algorithm"], result["microseconds"])
