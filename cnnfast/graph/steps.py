"""One run of a network."""

from typing import NamedTuple

from cnnfast.graph.ir import Node
from cnnfast.graph.table import Runner


class Step(NamedTuple):
    """run(*sources) gives the targets; with `into` it writes its one target's array, `out`."""

    run: Runner
    sources: tuple[str, ...]
    targets: tuple[str, ...]
    into: bool
    nodes: tuple[Node, ...]
