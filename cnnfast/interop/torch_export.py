"""Programs of `torch.export`, to run here."""

from collections import Counter
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import ConstantArgument, InputKind, InputSpec, OutputKind, OutputSpec, TensorArgument
from torch.utils import _pytree as pytree

from cnnfast.interop.torch_lowering import Unsupported, evaluate
from cnnfast.interop.torch_partition import split

HELD = (InputKind.PARAMETER, InputKind.BUFFER, InputKind.CONSTANT_TENSOR)


class ExportedNetwork:
    """A program of `torch.export`, run here where it is supported, and by torch where not; made by `load`.

    It is for inference: its outputs have no gradients. It holds the program's own parameters and buffers, and sees
    when they change.

    Attributes
    ----------
    partitions : how many programs of ours it holds
    left : what torch runs: how often, by the op's name and why
    """

    def __init__(self, program: ExportedProgram) -> None:
        flat = program.run_decompositions({})  # what is mutated is an output; ops stay whole
        module, signature = flat.graph_module, flat.graph_signature
        nodes = [node for node in module.graph.nodes if node.op == "placeholder"]
        specs = list(signature.input_specs)
        odd = [each.kind.name for each in specs if each.kind not in (*HELD, InputKind.USER_INPUT)]
        if odd:
            raise ValueError(f"program must take tensors alone, got {odd}")
        self._held = [self._tensor(flat, each) if each.kind in HELD else None for each in specs]
        self._users = [
            (i, each.arg, nodes[i].meta.get("val")) for i, each in enumerate(specs) if each.kind is InputKind.USER_INPUT
        ]  # fmt: skip
        self._results = [(each, _place(each, specs)) for each in signature.output_specs]
        self._in_spec, self._out_spec = flat.call_spec.in_spec, flat.call_spec.out_spec
        self._ranges = flat.range_constraints
        fixed = [node for node, each in zip(nodes, specs, strict=True) if each.kind in HELD]
        self._run, self._part = split(module, fixed)

    @staticmethod
    def _tensor(program: ExportedProgram, spec: InputSpec) -> torch.Tensor:
        name = str(spec.target)
        found = program.state_dict[name] if name in program.state_dict else program.constants[name]
        assert isinstance(found, torch.Tensor)
        return found

    @property
    def partitions(self) -> int:
        return sum(not each.reason for each in self._part.programs)

    @property
    def left(self) -> Counter[tuple[str, str]]:
        found = Counter(self._part.left)
        for program, ops in zip(self._part.programs, self._part.ops, strict=True):
            if program.reason:
                found["a program", program.reason] += ops
        return found

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What the exported module gives for these.

        Raises
        ------
        ValueError, TypeError : the arguments are not those that it was exported for
        """
        given, spec = pytree.tree_flatten((args, kwargs))
        if spec != self._in_spec:
            raise ValueError(f"the program takes {self._in_spec}, got {spec}")
        self._check(given)
        inputs: list[Any] = self._held.copy()
        for (i, _, _), x in zip(self._users, given, strict=True):
            inputs[i] = x
        outputs = []
        with torch.no_grad():
            for result, (spec, place) in zip(self._run(*inputs), self._results, strict=True):
                if place is not None:  # what the module changes
                    inputs[place].copy_(result)
                else:
                    outputs.append(spec.arg.value if isinstance(spec.arg, ConstantArgument) else result)
        return pytree.tree_unflatten(outputs, self._out_spec)

    def _check(self, given: list[Any]) -> None:
        """That these are what it was exported for."""
        symbols: dict[Any, int] = {}
        sizes: list[tuple[str, Any, int]] = []
        for x, (_, argument, example) in zip(given, self._users, strict=True):
            name = argument.name
            if isinstance(argument, ConstantArgument) and x != argument.value:
                raise ValueError(f"{name} must be {argument.value!r}, as it was exported, got {x!r}")
            if not isinstance(argument, TensorArgument):
                continue
            if not isinstance(x, torch.Tensor) or x.dtype is not example.dtype:
                kind = x.dtype if isinstance(x, torch.Tensor) else type(x).__name__
                raise TypeError(f"{name} must be a tensor of {example.dtype}, got {kind}")
            if x.dim() != example.dim():
                raise ValueError(f"{name} must have shape {tuple(example.shape)}, got {tuple(x.shape)}")
            for size, wanted in zip(x.shape, example.shape, strict=True):
                if isinstance(wanted, torch.SymInt) and wanted.node.expr.is_Symbol:
                    symbols.setdefault(wanted.node.expr, size)
                sizes.append((name, wanted, size))
        for symbol, size in symbols.items():
            limits = self._ranges.get(symbol)
            if limits is not None and not limits.lower <= size <= limits.upper:
                raise ValueError(f"size {symbol} must be in [{limits.lower}, {limits.upper}], got {size}")
        for name, wanted, size in sizes:
            if evaluate(wanted, symbols) != size:
                raise ValueError(f"{name} must have a size {wanted} there, as it was exported, got {size}")


def _place(result: OutputSpec, specs: list[InputSpec]) -> int | None:
    """The input that an output is the new value of; None of those that the module gives."""
    if result.kind is OutputKind.USER_OUTPUT:
        return None
    if result.kind is OutputKind.USER_INPUT_MUTATION:
        return [each.arg.name for each in specs].index(str(result.target))
    if result.kind is not OutputKind.BUFFER_MUTATION:
        raise ValueError(f"program must give tensors alone, got {result.kind.name}")
    return [each.target for each in specs].index(result.target)


def load(program: ExportedProgram) -> ExportedNetwork:
    """A program of `torch.export`, to be called with tensors as its module is.

    Raises
    ------
    TypeError : it is not an exported program
    ValueError : it takes what is no tensor and no constant

    Examples
    --------
    >>> import torch
    >>> x = torch.zeros(1, 3, 8, 8)
    >>> net = load(torch.export.export(torch.nn.Conv2d(3, 8, 3), (x,)))
    >>> net(x).shape, net.partitions
    (torch.Size([1, 8, 6, 6]), 1)
    """
    if not isinstance(program, ExportedProgram):
        raise TypeError(f"program must be a torch.export.ExportedProgram, got {type(program).__name__}")
    try:
        return ExportedNetwork(program)
    except Unsupported as error:
        raise ValueError(f"program cannot be read: {error}") from error
