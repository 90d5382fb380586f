"""Each pass, before and after: what is left of a small graph, and that it gives what the graph gave."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cnnfast.graph import passes
from cnnfast.graph.ir import Graph, Spec
from cnnfast.graph.specialise import specialise

Same = Callable[..., list[str]]
NCHW = {"layout": "NCHW"}


def normal(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


class Pictures(Graph):
    """A graph of x, with constants made as they are needed."""

    def __init__(self) -> None:
        super().__init__(["x"], [])

    def conv(self, x: str, filters: int, channels: int, size: int = 3, *, bias: bool = True, **attributes: Any) -> str:
        weight = normal(filters, channels, size, size, seed=filters + channels) / np.float32(np.sqrt(channels) * size)
        inputs = [x, self.constant(weight)] + ([self.constant(normal(filters))] if bias else [])
        return self.add("conv2d", inputs, **{"padding": size // 2, **NCHW, **attributes})

    def norm(self, x: str, channels: int, **attributes: Any) -> str:
        mean, var, weight, bias = (normal(channels, seed=i) for i in range(4))
        constants = [self.constant(each) for each in (mean, np.abs(var) + 0.5, weight, bias)]
        return self.add("batch_norm", [x, *constants], **NCHW, **attributes)


def test_layout_moves_to_the_ends(same: Same) -> None:
    """Convolutions, a skip, a concatenation and a softmax over the channels: two transposes are left of it."""
    g = Pictures()
    a = g.add("tanh", [g.conv("x", 8, 3)])
    b = g.add("add", [a, g.constant(normal(8, 1, 1))])
    c = g.add("concatenate", [a, g.add("max_pool2d", [b], kernel_size=3, stride=1, padding=1, **NCHW)], axis=1)
    g.outputs = [g.add("softmax", [c], axis=1)]
    assert same(g, x=normal(2, 3, 7, 5)) == [
        "conv2d", "add", "max_pool2d", "concatenate", "softmax", "transpose"
    ]  # fmt: skip


def test_layout_gives_both_orders_where_both_are_asked_for(same: Same) -> None:
    g = Pictures()
    y = g.conv("x", 4, 3)
    z = g.add("reshape", [y], shape=(2, 4, 35))
    g.outputs = [z, g.add("transpose", [y], axes=(0, 2, 3, 1)), g.add("add", [y, "x2"])]
    g.inputs.append("x2")
    same(g, x=normal(2, 3, 7, 5), x2=normal(2, 4, 7, 5))


@pytest.mark.parametrize("shape", [(4, 1, 1), (1, 4, 1, 1), (1, 4, 7, 5), (5,), (7, 1), ()], ids=str)
def test_layout_of_what_is_repeated(same: Same, shape: tuple[int, ...]) -> None:
    g = Pictures()
    y = g.conv("x", 4, 3)
    g.outputs = [g.add("multiply", [g.constant(normal(*shape)), g.add("sigmoid", [y])])]
    assert same(g, x=normal(2, 3, 7, 5)).count("transpose") == 1


def test_batch_norm_scale_and_shift_are_weights(same: Same) -> None:
    g = Pictures()
    y = g.norm(g.conv("x", 6, 3, bias=False), 6)
    y = g.add("add", [g.add("multiply", [y, g.constant(normal(6, 1, 1))]), g.constant(normal(1, 6, 1, 1))])
    y = g.norm(g.conv(y, 6, 1, groups=6), 6)
    g.outputs = [g.add("relu", [y])]
    assert same(g, x=normal(1, 3, 9, 9)) == ["conv2d", "depthwise_conv2d"]


def test_batch_norm_stays_where_another_reads_the_convolution(same: Same) -> None:
    g = Pictures()
    y = g.conv("x", 6, 3)
    g.outputs = [g.norm(y, 6), y]
    assert "batch_norm" in same(g, x=normal(1, 3, 9, 9))


def test_batch_norm_folds_into_transposed_and_dense(same: Same) -> None:
    g = Pictures()
    up = g.add("conv_transpose2d", ["x", g.constant(normal(3, 4, 2, 2))], stride=2, **NCHW)
    flat = g.add("flatten", [g.norm(up, 4)])
    dense = g.add("linear", [flat, g.constant(normal(5, 4 * 36))])
    mean, var = g.constant(normal(5)), g.constant(np.abs(normal(5)) + 1)
    g.outputs = [g.add("batch_norm", [dense, mean, var, "", ""])]
    assert same(g, 1e-4, x=normal(2, 3, 3, 3)) == ["conv_transpose2d", "reshape", "linear"]


@pytest.mark.parametrize(
    ("op", "attributes"),
    [("relu", {}), ("relu6", {}), ("leaky_relu", {"negative_slope": 0.1}), ("elu", {"alpha": 0.5}), ("silu", {}),
     ("gelu", {"approximate": "tanh"}), ("softplus", {}), ("hardswish", {})],
)  # fmt: skip
def test_activation_is_the_layers(same: Same, op: str, attributes: dict[str, Any]) -> None:
    g = Pictures()
    g.outputs = [g.add(op, [g.conv("x", 4, 3)], **attributes)]
    assert same(g, x=normal(1, 3, 8, 8)) == ["conv2d"]


def test_residual_is_the_later_convolutions(same: Same) -> None:
    """A residual block with a convolution in its skip; both ways around."""
    for turned in (False, True):
        g = Pictures()
        first = g.add("relu", [g.conv("x", 4, 3)])
        main, skip = g.conv(g.conv(first, 4, 4), 4, 4), g.conv(first, 4, 4, 1)
        g.outputs = [g.add("relu", [g.add("add", [skip, main] if turned else [main, skip])])]
        assert same(g, x=normal(2, 3, 8, 8)) == [*["conv2d"] * 4, "transpose"]


def test_residual_that_is_repeated_stays_a_sum(same: Same) -> None:
    g = Pictures()
    pooled = g.add("adaptive_avg_pool2d", [g.conv("x", 4, 3)], output_size=1, **NCHW)
    g.outputs = [g.add("add", [g.conv("x", 4, 3), pooled])]
    assert "add" in same(g, x=normal(2, 3, 8, 8))


def test_a_sum_with_itself_is_no_residual(same: Same) -> None:
    g = Pictures()
    y = g.conv("x", 4, 3)
    g.outputs = [g.add("add", [y, y])]
    assert "add" in same(g, x=normal(2, 3, 8, 8))


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
def test_pad_is_the_convolutions(same: Same, mode: str) -> None:
    g = Pictures()
    border = ((1, 2), (0, 3))
    y = g.add("pad2d", ["x"], padding=border, mode=mode, **NCHW)
    g.outputs = [g.conv(y, 4, 3, padding=((0, 0), (0, 0)))]
    assert same(g, x=normal(1, 3, 6, 6)) == ["conv2d"]


def test_pad_with_a_value_or_before_a_max_pool_stays(same: Same) -> None:
    """A border of zeros is not the -inf that a max pool pads with."""
    g = Pictures()
    valued = g.add("pad2d", ["x"], padding=((1, 1), (1, 1)), value=0.5, **NCHW)
    zeros = g.add("pad2d", ["x"], padding=((1, 1), (1, 1)), **NCHW)
    g.outputs = [g.conv(valued, 4, 3), g.add("max_pool2d", [zeros], kernel_size=3, **NCHW)]
    assert same(g, x=normal(1, 3, 6, 6) - 3).count("pad2d") == 2


def test_dense_after_flatten_reads_pictures_as_they_lie(same: Same) -> None:
    g = Pictures()
    flat = g.add("flatten", [g.conv("x", 4, 3)])
    g.outputs = [g.add("linear", [flat, g.constant(normal(7, 4 * 30)), g.constant(normal(7))])]
    assert same(g, x=normal(2, 3, 6, 5)) == ["conv2d", "reshape", "linear"]


def test_edges_of_a_network_are_turned_by_its_convolutions(same: Same) -> None:
    """But an input that two read is turned once, and a convolution with a residual writes as that lies."""
    g = Pictures()
    g.outputs = [g.conv(g.conv("x", 4, 3, 1), 5, 4, 3, stride=2)]
    assert same(g, x=normal(2, 3, 8, 9)) == ["conv2d", "conv2d"]
    g = Pictures()
    g.outputs = [g.add("add", [g.conv("x", 3, 3), "x"])]
    assert same(g, x=normal(2, 3, 8, 9)) == ["transpose", "conv2d", "transpose"]


def test_flatten_that_others_read_keeps_its_order(same: Same) -> None:
    g = Pictures()
    flat = g.add("flatten", [g.conv("x", 4, 3)])
    g.outputs = [g.add("linear", [flat, g.constant(normal(7, 4 * 30))]), g.add("tanh", [flat])]
    assert same(g, x=normal(2, 3, 6, 5)) == ["conv2d", "reshape", "linear", "tanh"]


def test_product_with_a_matrix_is_dense(same: Same) -> None:
    g = Graph(["x"], [])
    product = g.add("matmul", ["x", g.constant(normal(6, 4))])
    g.outputs = [g.add("relu", [g.add("add", [product, g.constant(normal(4))])])]
    assert same(g, x=normal(2, 3, 6)) == ["linear"]


def test_tidy_removes_what_does_nothing(same: Same) -> None:
    g = Graph(["x"], [])
    y = g.add("identity", ["x"])
    y = g.add("transpose", [g.add("reshape", [y], shape=(2, 3, 1, 4))], axes=(0, 2, 1, 3))
    y = g.add("reshape", [g.add("flatten", [y])], shape=(0, 3, 4))
    g.add("tanh", ["x"])
    g.outputs = [g.add("relu", [g.add("concatenate", [y], axis=0)])]
    assert same(g, x=normal(2, 3, 4)) == ["relu"]


def test_constants_and_shapes_are_computed_beforehand() -> None:
    g = Graph(["x"], [])
    size = g.add("slice", [g.add("onnx.Shape@1", ["x"])], axes=(0,), starts=(0,), stops=(1,), steps=(1,))
    total = g.add("multiply", [size, g.constant(np.array([3], np.int64))])
    g.outputs = [total, g.add("relu", ["x"])]
    known = specialise(g, {"x": Spec((5, 2), np.dtype(np.float32))})
    assert [node.op for node in known.nodes] == ["relu"]
    assert known.constants[total].tolist() == [15]


def test_every_pass_explains_itself() -> None:
    assert all(each.__doc__ for each in passes.PASSES)
