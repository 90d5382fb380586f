"""A graph as something to run: for each set of input shapes it is specialised, improved and lowered once."""

from collections import OrderedDict
from collections.abc import Hashable, Mapping
from threading import Lock

from cnnfast.graph import ops, passes
from cnnfast.graph.executable import Executable
from cnnfast.graph.ir import Graph, Spec
from cnnfast.graph.lower import Plans, lower
from cnnfast.graph.specialise import specialise
from cnnfast.ops.linear import LinearPlan
from cnnfast.ops.plan import Plan

assert ops, "the table of ops must be filled before a graph is read"


KEPT = 8
"""For how many sizes of image what was planned is kept: those used last."""


class Network:
    """A graph, and what was made of it for some sizes of image: each serves any batch of that size.

    The graph and its constants must not be changed afterwards.

    Parameters
    ----------
    graph : the graph
    packed : that of another network, made of the same weights, whose packed weights are to serve here too
    """

    def __init__(self, graph: Graph, packed: dict[Hashable, Plan | LinearPlan] | None = None) -> None:
        self.graph = graph
        self._plans: OrderedDict[Hashable, Plans] = OrderedDict()
        self._packed = {} if packed is None else packed
        self._lock = Lock()

    def executable(self, specs: Mapping[str, Spec], consume: bool = False) -> Executable:
        """Make it ready for inputs of these specs.

        consume : for these and no others: each weight goes as soon as it is packed. Whatever comes of it, nothing can
            be made of this network afterwards.

        Raises
        ------
        ValueError, TypeError : a node does not take the shapes that come to it; the message names it
        MemoryError : a value or the plans are larger than the machine's memory
        """
        graph = improved(self.graph, specs)
        if consume:
            self.graph.constants.clear()
        with self._lock:
            return Executable(lower(graph, self._plans_of(specs, graph.sized), consume))

    def _plans_of(self, specs: Mapping[str, Spec], sized: bool) -> Plans:
        """Those of one size of image; where weights may depend on the whole shape, of that."""
        size = tuple((name, spec.shape[0 if sized else 1 :], spec.dtype) for name, spec in specs.items())
        plans = self._plans.setdefault(size, Plans(self._packed))
        self._plans.move_to_end(size)
        if len(self._plans) > KEPT:
            self._plans.popitem(last=False)
        return plans


def improved(graph: Graph, specs: Mapping[str, Spec]) -> Graph:
    """The graph for inputs of these specs, with every pass applied."""
    known = specialise(graph, specs)
    for each in passes.PASSES:
        each(known)
    return known
