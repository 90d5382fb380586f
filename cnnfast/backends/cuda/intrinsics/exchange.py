"""What the simulator lacks for instructions of a whole warp: its threads tell each other what they hold."""

import threading
from typing import Any


def together(value: Any) -> list[Any]:
    """The value that each thread of the block has at this call, by thread. Every thread of the block must come here.

    One barrier suffices: the two tables take turns, and whoever writes one again has passed the barrier at which all
    had read it.
    """
    thread: Any = threading.current_thread()
    turn = thread.turn = 1 - getattr(thread, "turn", 0)
    block = thread._manager
    x, y, z = block._block_dim
    table: list[Any] = block.__dict__.setdefault(f"table{turn}", [None] * (x * y * z))
    table[thread.thread_id] = value
    thread.syncthreads()
    return list(table)


def warp(value: Any) -> tuple[list[Any], int]:
    """The values of this thread's warp by lane, and its own lane."""
    thread: Any = threading.current_thread()
    lane = thread.thread_id % 32
    first = thread.thread_id - lane
    return together(value)[first : first + 32], lane
