"""What comes next, made by a thread while what is there is used."""

import threading
from collections.abc import Iterator
from queue import Empty, Full, Queue
from typing import Any, TypeVar

Item = TypeVar("Item")

WAIT = 0.1
"""Seconds after which a thread that waits for room looks whether anybody still wants what it makes."""


def prefetched(source: Iterator[Item], ahead: int) -> Iterator[Item]:
    """The items of source, `ahead` of which at most are made before they are asked for.

    The thread begins with the first item and ends with the last, with an error, which is raised here in its turn, or
    when the iterator is closed or forgotten.

    >>> list(prefetched(iter(range(3)), 1))
    [0, 1, 2]
    """
    made: Queue[tuple[bool, Any]] = Queue(ahead)
    stop = threading.Event()

    def put(item: tuple[bool, Any]) -> bool:
        while not stop.is_set():
            try:
                made.put(item, timeout=WAIT)
                return True
            except Full:
                continue
        return False

    def work() -> None:
        try:
            for item in source:
                if not put((True, item)):
                    return
            put((False, None))
        except BaseException as error:
            put((False, error))

    thread = threading.Thread(target=work, name="cnnfast prefetch", daemon=True)
    thread.start()
    try:
        while True:
            there, item = made.get()
            if not there:
                break
            yield item
        if item is not None:
            raise item
    finally:
        stop.set()
        while thread.is_alive():
            try:  # room for what the thread may be putting
                made.get_nowait()
            except Empty:
                thread.join(WAIT)
