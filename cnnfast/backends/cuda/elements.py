"""What arrays on a device hold: how each dtype lies in memory, is read, and is computed with.

Halves lie as 16-bit integers, since neither NumPy nor C has the brain kind; they are computed with in float32.
"""

from functools import cache
from typing import Any, Final, NamedTuple

from .generate import generated, tuple_of
from .intrinsics import memory
from .toolchain import device, pointer, types


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

INDEX: Final = Element("int64", 8, types.int64, types.int64, *memory.accesses("int64"))
"""What a pool's indices are."""


@cache
def access(dtype: str, lanes: int) -> tuple[Any, Any]:
    """(load, store) of `lanes` elements side by side: a value where lanes is 1, else a tuple in as few accesses of at
    most 16 bytes as can be; lanes and index are multiples of the elements in such an access."""
    element = INDEX if dtype == INDEX.name else ELEMENTS[dtype]
    if lanes == 1:
        return element.load, element.store
    if lanes == element.width:
        return element.load_wide, element.store_wide
    if lanes % element.width:
        load, store, step = element.load, element.store, 1
    else:
        load, store, step = element.load_wide, element.store_wide, element.width
    starts = range(0, lanes, step)
    parts = [f"load(p, i + {at}){'' if step > 1 else ','}" for at in starts]
    joined = " + ".join(parts) if step > 1 else " ".join(parts)
    members = [tuple_of(f"v[{at + lane}]" for lane in range(step)) for at in starts]
    stores = [f"store(p, i + {at}, {part})" for at, part in zip(starts, members, strict=True)]
    return (
        device(generated("load_lanes", ["p", "i"], [f"return ({joined})"], load=load)),
        device(generated("store_lanes", ["p", "i", "v"], stores, store=store)),
    )


def wide_needs(dtype: str) -> tuple[str, str]:
    """What the PTX of 16-byte loads and stores holds."""
    count = 2 if dtype in ("float64", "int64") else 4
    return f"ld.global.v{count}", f"st.global.v{count}"
