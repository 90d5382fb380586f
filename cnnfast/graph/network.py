"""A graph as something to run: for each set of input shapes it is specialised, improved and lowered once."""

from collections.abc import Hashable, Mapping

from cnnfast.graph import ops, passes
from cnnfast.graph.executable import Executable
from cnnfast.graph.ir import Graph, Spec
from cnnfast.graph.lower import lower
from cnnfast.graph.specialise import specialise
from cnnfast.graph.table import Ready

assert ops, "the table of ops must be filled before a graph is read"


class Network:
    """A graph, and what was made of it for one size of image: it serves any batch of that size.

    The graph and its constants must not be changed afterwards.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._plans: dict[Hashable, Ready] = {}

    def executable(self, specs: Mapping[str, Spec]) -> Executable:
        """Make it ready for inputs of these specs.

        Raises
        ------
        ValueError, TypeError : a node does not take the shapes that come to it; the message names it
        """
        return Executable(lower(improved(self.graph, specs), self._plans))


def improved(graph: Graph, specs: Mapping[str, Spec]) -> Graph:
    """The graph for inputs of these specs, with every pass applied."""
    known = specialise(graph, specs)
    for each in passes.PASSES:
        each(known)
    return known
