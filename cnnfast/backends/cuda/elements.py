"""What arrays on a device hold: how each dtype lies in memory, is read, and is computed with.

Halves lie as 16-bit integers, since neither NumPy nor C has the brain kind; they are computed with in float32.
"""

from typing import Any, Final, NamedTuple

from .intrinsics import memory
from .toolchain import pointer, types


class Element(NamedTuple):
    """One dtype. `load(p, i)` and `store(p, i, value)` are device functions of the computed type; `load_wide(p, i)` and
    `store_wide(p, i, values)` move `width` elements in one 16-byte access, where address and i allow it."""

    name: str
    bytes: int
    stored: Any
    computed: Any
    load: Any
    store: Any
    load_wide: Any
    store_wide: Any

    @property
    def pointer(self) -> Any:
        """A kernel parameter's type."""
        return pointer(self.stored)

    @property
    def width(self) -> int:
        """Elements in 16 bytes."""
        return 16 // self.bytes


ELEMENTS: Final = {
    row.name: row
    for row in (
        Element("float32", 4, types.float32, types.float32, *memory.accesses("float32")),
        Element("float64", 8, types.float64, types.float64, *memory.accesses("float64")),
        Element("float16", 2, types.uint16, types.float32, *memory.accesses("float16")),
        Element("bfloat16", 2, types.uint16, types.float32, *memory.accesses("bfloat16")),
    )
}
