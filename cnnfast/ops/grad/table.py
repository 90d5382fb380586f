"""Which function of `cnnfast.grad` gives the gradient of which input of an op. Layers and the tests read it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

GRADIENTS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType({
})  # fmt: skip
"""op -> input -> function; one function under several inputs gives their gradients as a tuple, in the op's order."""
