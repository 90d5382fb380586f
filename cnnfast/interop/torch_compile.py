"""`torch.compile(model, backend="cnnfast")`: a network of torch's runs here, by one line.

What is supported of a graph becomes one program of ours for each stretch of it: batch normalisation folded, residuals
and activations part of the layer before them, weights packed once. The rest stays torch's.
"""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import fx
from torch._dynamo.backends.common import aot_autograd

from cnnfast.interop import torch_resize, torch_training
from cnnfast.interop.torch_partition import Part, split

logger = logging.getLogger("cnnfast.torch")


@dataclass
class Explanation:
    """What `backend` made of a model.

    Attributes
    ----------
    graphs : how many graphs torch gave: more than one where it could not look through the Python between them
    partitions : how many programs of ours they hold
    ops : for each program, the ops of aten's that are in it
    left : what torch runs: how often, by the op's name and why
    """

    graphs: int = 0
    partitions: int = 0
    ops: list[int] = field(default_factory=list)
    left: Counter[tuple[str, str]] = field(default_factory=Counter)

    def __str__(self) -> str:
        lines = [f"{self.graphs} graphs, {self.partitions} programs of {self.ops} ops"]
        lines += [f"torch runs {count} x {op}: {why}" for (op, why), count in self.left.most_common()]
        return "\n".join(lines)


def backend(
    module: fx.GraphModule, example_inputs: Sequence[Any], *, options: dict[str, Any] | None = None,
    mode: str | None = None,
) -> Callable[..., Any]:  # fmt: skip
    """The backend `"cnnfast"` of `torch.compile`: float32 on the CPU runs here, anything else by torch.

    Without gradients whole stretches of the network are one program each. With them (a parameter that requires a
    gradient, outside `torch.no_grad()`), convolutions, pools and dense layers run here, forwards and backwards, one by
    one. A weight that is changed, in place or by another, is seen by its address and `_version`; a change
    through `.data` or an array over its memory is not, as autograd does not see it either.

    Parameters
    ----------
    module, example_inputs : what torch gives
    options : {"verbose": True} prints what runs where
    mode : torch's; it changes nothing

    Raises
    ------
    ValueError : an option is not known

    Examples
    --------
    >>> import torch
    >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU()).eval()
    >>> fast = torch.compile(model, backend="cnnfast")
    >>> with torch.no_grad():
    ...     fast(torch.zeros(1, 3, 8, 8)).shape
    torch.Size([1, 8, 6, 6])
    """
    settings = dict(options or {})
    verbose = settings.pop("verbose", False)
    if settings:
        raise ValueError(f"options must be verbose alone, got {sorted(settings)}")

    def tell(part: Part) -> None:
        made = Explanation()
        _count(made, part)
        (print if verbose else logger.debug)(f"cnnfast: {made}")

    return _compile(module, example_inputs, tell)


def _compile(module: fx.GraphModule, example_inputs: Sequence[Any], tell: Callable[[Part], None]) -> Any:
    grad = torch.is_grad_enabled() and any(
        isinstance(x, torch.Tensor) and x.requires_grad for x in example_inputs
    )  # fmt: skip
    if not grad:
        torch_resize.keep_interpolate(module)
    compiler = aot_autograd(
        fw_compiler=torch_training.compile_graph, bw_compiler=torch_training.compile_graph,
        inference_compiler=partial(_inference, tell=tell),
    )  # fmt: skip
    return compiler(module, example_inputs)


def _inference(module: fx.GraphModule, example_inputs: Sequence[Any], tell: Callable[[Part], None]) -> Any:
    """What runs a graph of aten ops whose inputs are the parameters too."""
    context = torch._guards.TracingContext.try_get()
    metadata = context.fw_metadata if context is not None else None
    places = set(metadata.static_input_indices or ()) if metadata is not None else set()
    inputs = [node for node in module.graph.nodes if node.op == "placeholder"]
    fixed = [node for i, node in enumerate(inputs) if i in places]
    fixed += [node for node in module.graph.nodes if node.op == "get_attr"]
    run, part = split(module, fixed)
    tell(part)

    def boxed(args: list[Any]) -> Any:
        given = tuple(args)
        args.clear()
        return run(*given)

    boxed._boxed_call = True  # type: ignore[attr-defined]
    return boxed


def _count(made: Explanation, part: Part) -> None:
    made.graphs += 1
    kept = [i for i, program in enumerate(part.programs) if not program.reason]
    made.partitions += len(kept)
    made.ops += [part.ops[i] for i in kept]
    made.left += part.left
    for program, ops in zip(part.programs, part.ops, strict=True):
        if program.reason:
            made.left["a program", program.reason] += ops


def explain(model: Callable[..., Any], *args: Any, **kwargs: Any) -> Explanation:
    """Run a model once without gradients, and tell what of it runs here.

    Parameters
    ----------
    model : a module or a function
    args, kwargs : what to call it with

    Returns
    -------
    What was made of it: printed, a line for each op that is left to torch

    Examples
    --------
    >>> import torch
    >>> made = explain(torch.nn.Conv2d(3, 8, 3), torch.zeros(1, 3, 8, 8))
    >>> made.partitions, sum(made.left.values())
    (1, 0)
    """
    parts: list[Part] = []
    with torch.no_grad():
        torch.compile(model, backend=partial(_compile, tell=parts.append))(*args, **kwargs)
    made = Explanation()
    for part in parts:
        _count(made, part)
    return made


def _register() -> None:
    """Make the name known where the package is not installed, and torch finds no entry point."""
    from torch._dynamo.backends import registry

    if "cnnfast" not in registry.list_backends(exclude_tags=()):
        registry.register_backend(backend, name="cnnfast")


_register()
