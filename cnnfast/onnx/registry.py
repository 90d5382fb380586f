"""The ONNX ops that are known: each is a row of the graph's table, `onnx.<op>@<opset it came with>`."""

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cnnfast.graph.ir import Graph, Node
from cnnfast.graph.table import op

DOMAINS = ("", "ai.onnx")


@dataclass(frozen=True)
class Known:
    """An op from the opset `since` on.

    attributes : the ONNX attributes it takes; those that must be given are in `required`
    counts_outputs : it has an argument `n_outputs`: how many a node wants
    least, most : how many inputs it takes; none of the first `least` may be left out
    check : check(attributes), n_outputs among them, raises ValueError for what is not supported
    """

    name: str
    since: int
    attributes: frozenset[str]
    required: frozenset[str]
    counts_outputs: bool
    least: int
    most: float
    check: Callable[[dict[str, Any]], object] | None = None

    @property
    def row(self) -> str:
        return f"onnx.{self.name}@{self.since}"


KNOWN: dict[str, list[Known]] = {}


def onnx_op(
    name: str, since: int = 1, check: Callable[[dict[str, Any]], object] | None = None, **settings: Any
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The decorator of run(*inputs, **attributes): arrays (None where one is left out), and attributes by ONNX's names.

    `settings` are those of `graph.table.Row`. The function's keywords are the attributes that it knows; a model with
    others is refused when it is loaded, as is one whose attributes make `check` raise ValueError. A file's op is the
    latest that is not newer than the file's opset.
    """

    def put(run: Callable[..., Any]) -> Callable[..., Any]:
        keywords = [
            each for each in inspect.signature(run).parameters.values() if each.kind is inspect.Parameter.KEYWORD_ONLY
        ]  # fmt: skip
        names = frozenset(each.name for each in keywords) - {"n_outputs"}
        required = frozenset(each.name for each in keywords if each.default is inspect.Parameter.empty) - {"n_outputs"}
        counts = any(each.name == "n_outputs" for each in keywords)
        known = Known(name, since, names, required, counts, *_inputs(run), check)
        op(known.row, **settings)(run)
        KNOWN.setdefault(name, []).append(known)
        return run

    return put


def _inputs(run: Callable[..., Any]) -> tuple[int, float]:
    """How many arrays a function takes: at least, at most."""
    each = inspect.signature(run).parameters.values()
    placed = [one for one in each if one.kind is one.POSITIONAL_OR_KEYWORD and not one.name.startswith("_")]
    least = sum(one.default is one.empty for one in placed)
    return least, math.inf if any(one.kind is one.VAR_POSITIONAL for one in each) else len(placed)


def find(name: str, opset: int) -> Known | None:
    """The op as this opset means it; None where it is not known."""
    fitting = [known for known in KNOWN.get(name, ()) if known.since <= opset]
    return max(fitting, key=lambda known: known.since, default=None)


def one_of(attribute: str, *allowed: Any) -> Callable[[dict[str, Any]], None]:
    """A `check`: that an attribute, where it is given, is one of these."""

    def check(attributes: dict[str, Any]) -> None:
        if attribute in attributes and attributes[attribute] not in allowed:
            raise ValueError(f"{attribute} must be one of {allowed}, got {attributes[attribute]!r}")

    return check


def becomes(name: str, **fixed: Any) -> Callable[[Graph, Node], str | None]:
    """A `simplify` for an op that is another of the table with the same inputs, and no attributes but these."""

    def better(graph: Graph, node: Node) -> str:
        return graph.add(name, node.inputs, node.name, **fixed)

    return better
