"""Which parts of an FX graph of aten ops are ours, and what is left to torch."""

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import fx
from torch.fx.passes.infra.partitioner import CapabilityBasedPartitioner
from torch.fx.passes.operator_support import OperatorSupportBase

from cnnfast.interop import torch_aten
from cnnfast.interop.torch_lowering import Lowering, Unsupported, first, hints, is_getitem
from cnnfast.interop.torch_program import Program

aten = torch_aten.aten
HEAVY = (
    "convolution", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "addmm", "mm", "matmul",
    "linear", "max_pool2d", "max_pool2d_with_indices", "avg_pool2d", "_adaptive_avg_pool2d", "adaptive_avg_pool2d",
)  # fmt: skip
"""A part without any of these is as fast by torch."""
FREE = ("placeholder", "output", "get_attr")


@dataclass
class Part:
    """One graph that came from torch.

    programs : its parts that run here
    ops : for each of them, how many ops it holds
    left : what torch runs: how often, by the op's name and why
    """

    programs: list[Program] = field(default_factory=list)
    ops: list[int] = field(default_factory=list)
    left: Counter[tuple[str, str]] = field(default_factory=Counter)


class _Support(OperatorSupportBase):
    """Which nodes have a rule that takes them, each looked at by itself."""

    def __init__(self, graph: fx.Graph, fixed: Collection[fx.Node]) -> None:
        self.why: dict[fx.Node, str] = {}
        low = Lowering(hints(graph))
        for node in graph.nodes:
            value = node.meta.get("val")
            try:
                if node.op == "call_function":
                    _check_parts(node)
                    low.run(node)
                elif isinstance(value, torch.Tensor):
                    low.put(node, node.name, node in fixed)
                continue
            except Unsupported as reason:
                self.why[node] = str(reason)
            except (TypeError, ValueError, AttributeError, KeyError, IndexError, ArithmeticError) as error:
                self.why[node] = f"{type(error).__name__}: {error}"
            if isinstance(first(value), torch.Tensor) and isinstance(value, torch.Tensor):
                try:
                    low.put(node, node.name, False)
                except Unsupported:
                    continue

    def is_node_supported(self, submodules: Any, node: fx.Node) -> bool:
        return node.op == "call_function" and node not in self.why


def _check_parts(node: fx.Node) -> None:
    """That of an op of several outputs only those are read that a rule may give."""
    if not is_getitem(node) and isinstance(node.meta.get("val"), tuple | list):
        whole = [user for user in node.users if not is_getitem(user)]
        several = node.target not in (aten.split.Tensor, aten.split_with_sizes.default, aten.chunk.default)
        if whole or (several and any(user.args[1] != 0 and user.users for user in node.users)):
            raise Unsupported("more than its first output is read")


def split(module: fx.GraphModule, fixed: Collection[fx.Node]) -> tuple[Callable[..., Any], Part]:
    """What runs a graph of aten ops, our programs within it, and what there is of either.

    Parameters
    ----------
    module : the graph; it is changed
    fixed : its inputs that are parameters
    """
    support = _Support(module.graph, fixed)
    names = {node.name for node in fixed}
    partitioner = CapabilityBasedPartitioner(module, support, allows_single_node_partition=True)
    found = [
        part for part in partitioner.propose_partitions() if any(_is_heavy(node) for node in part.nodes)
    ]  # fmt: skip
    ours = {node for part in found for node in part.nodes}
    report = Part()
    for node in module.graph.nodes:
        if node.op not in FREE and node not in ours and not is_getitem(node) and not _is_size(node):
            report.left[str(node.target), support.why.get(node, "nothing near it is worth a program")] += 1
    fused = partitioner.fuse_partitions(found)
    for node in fused.graph.nodes:
        if node.op != "call_module":
            continue
        inner = getattr(fused, str(node.target))
        given = [each.op in ("placeholder", "get_attr") and each.name in names for each in node.args]
        program = Program(inner, given)
        setattr(fused, str(node.target), _Module(program))
        report.programs.append(program)
        report.ops.append(sum(each.op == "call_function" and not is_getitem(each) for each in inner.graph.nodes))
    fused.recompile()
    only = _alone(fused)
    return only or fused, report


def _is_size(node: fx.Node) -> bool:
    return isinstance(node.meta.get("val"), torch.SymInt | int)


def _is_heavy(node: fx.Node) -> bool:
    packet = getattr(node.target, "overloadpacket", None)
    return packet is not None and packet.__name__ in HEAVY


class _Module(torch.nn.Module):
    """A program where an FX graph wants a module."""

    def __init__(self, program: Program) -> None:
        super().__init__()
        self.program = program

    def forward(self, *args: Any) -> Any:
        return self.program(*args)


def _alone(module: fx.GraphModule) -> Callable[..., Any] | None:
    """The program that is all that a graph is, called with less in between; None where there is more."""
    calls = [node for node in module.graph.nodes if node.op not in ("placeholder", "output")]
    inputs = [node for node in module.graph.nodes if node.op == "placeholder"]
    (output,) = (node for node in module.graph.nodes if node.op == "output")
    if len(calls) != 1 or calls[0].op != "call_module" or list(output.args[0]) != calls:
        return None
    program = getattr(module, str(calls[0].target)).program
    places = [inputs.index(node) for node in calls[0].args]

    def run(*args: Any) -> tuple[Any, ...]:
        return (program(*[args[i] for i in places]),)

    return run
