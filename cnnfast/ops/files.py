"""Files that are written at once."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[str]:
    """A file to write, beside path, whose place it takes at the end: readers find the old one or the new one, whole.

    It is on the disk before it takes the name, and the name before this ends, so a power cut leaves one of the two. A
    process that is killed leaves its part of a file as `.NAME.*`.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    try:
        yield name
        os.chmod(name, 0o644)
        _flush(name)
        os.replace(name, path)
        _flush(path.parent)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(name)
        raise


def _flush(path: str | Path) -> None:
    """Everything of a file, or of a folder's names, onto the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
