"""Graphs in tests: run node by node as they stand, and as what is made of them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cnnfast.graph import table
from cnnfast.graph.ir import Graph, Spec
from cnnfast.graph.network import Network, improved


def interpret(graph: Graph, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Every node run as it stands, in NumPy's order: what the passes must not change."""
    values: dict[str, Any] = {**graph.constants, **feed}
    for node in graph.nodes:
        results = table.evaluate(node, [values[name] if name else None for name in node.inputs])
        values.update((name, result) for name, result in zip(node.outputs, results, strict=False) if name)
    return [values[name] for name in graph.outputs]


def ops_of(graph: Graph, feed: dict[str, np.ndarray]) -> list[str]:
    """The ops of the improved graph, in order."""
    return [node.op for node in improved(graph, {name: Spec.of(x) for name, x in feed.items()}).nodes]


@pytest.fixture
def same() -> Callable[..., list[str]]:
    """Check that a graph and what is made of it give the same; the ops that are left."""

    def check(graph: Graph, tolerance: float = 1e-5, **feed: np.ndarray) -> list[str]:
        executable = Network(graph).executable({name: Spec.of(x) for name, x in feed.items()})
        for _ in range(2):  # the second run finds the buffers of the first
            results = executable.run([feed[name] for name in graph.inputs])
            for y, expected in zip(results, interpret(graph, feed), strict=True):
                assert y.dtype == expected.dtype
                assert y.shape == expected.shape
                np.testing.assert_allclose(y, expected, rtol=tolerance, atol=tolerance)
        return ops_of(graph, feed)

    return check
