"""The passes, in the order in which they run: each changes a specialised graph for the better."""

from collections.abc import Callable
from typing import Final

from cnnfast.graph.ir import Graph
from cnnfast.graph.passes.batch_norm import fold_batch_norm
from cnnfast.graph.passes.dense import fold_flatten, to_linear
from cnnfast.graph.passes.depthwise import to_depthwise
from cnnfast.graph.passes.edges import fold_transposes
from cnnfast.graph.passes.epilogue import fuse_activation, fuse_residual
from cnnfast.graph.passes.layout import to_channels_last
from cnnfast.graph.passes.pad import fold_pad
from cnnfast.graph.passes.patterns import name_activations
from cnnfast.graph.passes.simplify import simplify
from cnnfast.graph.passes.tidy import tidy

PASSES: Final[tuple[Callable[[Graph], None], ...]] = (
    simplify, tidy, name_activations, to_channels_last, to_depthwise, to_linear, fold_flatten, fold_pad,
    fold_batch_norm, fuse_residual, fuse_activation, tidy,
    fold_transposes,
)  # fmt: skip
