"""Numba's CUDA compiler, or a word on what to install; and whether its simulator stands in for a device.

With NUMBA_ENABLE_CUDASIM=1 every kernel runs as Python, on NumPy arrays: slow, and exact enough to prove its indices.
"""

from typing import Any

try:
    from numba import cuda, types
    from numba.cuda.core import config  # numba-cuda's own: Numba by itself has an older CUDA target
except ImportError as error:
    raise ImportError(
        'arrays on a CUDA device need numba-cuda: pip install "cnnfast[cuda]" (for drivers of CUDA 12: '
        f"pip install numba-cuda[cu12]); {error}"
    ) from error

__all__ = ["QUADS", "SIMULATED", "cuda", "device", "pointer", "types"]

SIMULATED = bool(config.ENABLE_CUDASIM)
QUADS = None if SIMULATED else 16
"""The alignment of shared memory that is read and written 16 bytes at a time; by itself it has an element's."""


def pointer(scalar: Any) -> Any:
    """The type of a kernel's array: an address, indexed as memory. Four times cheaper to give than an array of Numba's,
    and the simulator gives a flat NumPy array in its place.
    """
    return types.CPointer(scalar)


def device(function: Any) -> Any:
    """A function that kernels call. It is inlined where it is called: one compiled by itself would need a device."""
    return function if SIMULATED else cuda.jit(device=True, inline="always")(function)
