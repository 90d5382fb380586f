"""Resizing as one op of torch's: its own is taken apart into gathers before a backend sees it."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import fx

from cnnfast.interop.torch_aten import upsample
from cnnfast.interop.torch_lowering import Lowering, Value, rule

_library = torch.library.Library("cnnfast_graph", "DEF")
_library.define("resize(Tensor x, SymInt[] size, str mode, bool align_corners) -> Tensor")


def _resize(x: torch.Tensor, size: Any, mode: str, align_corners: bool) -> torch.Tensor:
    return F.interpolate(x, tuple(size), mode=mode, align_corners=align_corners if mode == "bilinear" else None)


def _fake(x: torch.Tensor, size: Any, mode: str, align_corners: bool) -> torch.Tensor:
    return x.new_empty((*x.shape[:2], *size))


_library.impl("resize", _resize, "CompositeExplicitAutograd")
_library.impl("resize", _fake, "Meta")
RESIZE = torch.ops.cnnfast_graph.resize.default


@rule(RESIZE)
def _rule(low: Lowering, x: Value, size: Any, mode: str, align_corners: bool) -> str:
    settings: dict[str, Any] = {"align_corners": align_corners} if mode == "bilinear" else {}
    return upsample(low, x, size, mode=mode, **settings)


def keep_interpolate(module: fx.GraphModule) -> None:
    """Let `interpolate` by whole factors be that op in a graph of Dynamo's: it has no gradient."""
    changed = False
    for node in list(module.graph.nodes):
        found = _of(node) if node.op == "call_function" and node.target is F.interpolate else None
        if found is not None:
            x, mode, corners = found
            size = node.meta["example_value"].shape[2:]
            with module.graph.inserting_before(node):
                made = module.graph.call_function(RESIZE, (x, list(size), mode, corners))
            made.meta = dict(node.meta)
            node.replace_all_uses_with(made)
            module.graph.erase_node(node)
            changed = True
    if changed:
        module.recompile()


def _of(node: fx.Node) -> tuple[fx.Node, str, bool] | None:
    """x, mode and align_corners of a resizing that is one of ours."""
    names = ("input", "size", "scale_factor", "mode", "align_corners", "recompute_scale_factor", "antialias")
    given = dict(zip(names, node.args, strict=False)) | dict(node.kwargs)
    x, y = given["input"], node.meta.get("example_value")
    before = x.meta.get("example_value") if isinstance(x, fx.Node) else None
    mode, corners = given.get("mode", "nearest"), bool(given.get("align_corners"))
    if before is None or y is None or before.dim() != 4 or mode not in ("nearest", "bilinear"):
        return None
    if given.get("antialias") or before.dtype is not torch.float32 or before.device.type != "cpu":
        return None
    sizes = [*before.shape[2:], *y.shape[2:]]
    if not all(isinstance(size, int) for size in sizes):
        return None
    (H, W, P, Q) = sizes
    scale = given.get("scale_factor")
    factors = scale if isinstance(scale, tuple | list) else (scale, scale)
    exact = scale is None or tuple(factors) == (P / H, Q / W)
    return (x, mode, corners) if P % H == Q % W == 0 and exact else None
