"""The lectures' worked examples, as far as their ops exist, on both backends."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cnnfast
from cnnfast import filters, layers
from cnnfast.backends import reference
from cnnfast.ops import shapes

EXAMPLES = json.loads((Path(__file__).parent / "data" / "worked_examples.json").read_text())

LATER = {"iou", "nms", "target_vector", "yolo_output_shape"}  # of later issues: detection
POOLS = ("max_pool2d", "avg_pool2d", "min_pool2d")


def examples(*ops: str) -> list[Any]:
    found = [pytest.param(example, id=example["id"]) for example in EXAMPLES if example["op"] in ops]
    assert found
    return found


def pair(n: int) -> tuple[int, int]:
    return n, n


def image(example: dict[str, Any]) -> np.ndarray:
    return np.array(example["input"], np.float32)[np.newaxis, :, :, np.newaxis]


@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "int64"])
@pytest.mark.parametrize("engine", ["native", "reference"])
@pytest.mark.parametrize("example", examples("conv2d"))
def test_conv2d(example: dict[str, Any], engine: str, dtype: str) -> None:
    params = example["params"]
    x = image(example)
    if np.abs(x).max() > 127 and dtype == "int8":
        dtype = "int16"
    x = x.astype(dtype)
    weight = np.array(example["kernel"], dtype)[:, :, np.newaxis, np.newaxis]
    if engine == "native":
        y = cnnfast.conv2d(x, weight, stride=params["stride"], padding=params["padding"])
    else:
        sides = (pair(params["padding"]), pair(params["padding"]))
        y = reference.conv2d(x, weight, stride=pair(params["stride"]), padding=sides)
    assert y[0, :, :, 0].tolist() == example["expected"]


@pytest.mark.parametrize("engine", ["native", "reference"])
@pytest.mark.parametrize("example", examples(*POOLS))
def test_pool(example: dict[str, Any], engine: str) -> None:
    params = example["params"]
    assert params["padding"] == 0
    kernel, stride, ceil_mode = params["kernel"], params["stride"], params["ceil_mode"]
    if engine == "native":
        y = getattr(cnnfast, example["op"])(image(example), kernel, stride, ceil_mode=ceil_mode)
    else:
        pool = getattr(reference, example["op"])
        y = pool(image(example), kernel_size=pair(kernel), stride=pair(stride), ceil_mode=ceil_mode)
    assert y[0, :, :, 0].tolist() == example["expected"]


@pytest.mark.parametrize("example", examples("conv2d_output_shape", "pool2d_output_shape"))
def test_output_shape(example: dict[str, Any]) -> None:
    params, size, kernel = example["params"], example["input"], example["kernel"]
    rule = shapes.conv_size if example["op"].startswith("conv") else shapes.pool_size
    y = [rule(size[i], kernel[i], params["stride"], pair(params["padding"])) for i in range(2)]
    assert y + kernel[3:] == example["expected"]


@pytest.mark.parametrize("example", examples("conv2d_output_shape"))
def test_output_shape_of_a_plan(example: dict[str, Any]) -> None:
    size, kernel = example["input"], example["kernel"]
    channels, filters = kernel[2:] if len(kernel) == 4 else (1, 1)
    weight = np.zeros((*kernel[:2], channels, filters), np.float32)
    options = {"stride": example["params"]["stride"], "padding": example["params"]["padding"]}
    plan = cnnfast.plan_conv2d((1, *size[:2], channels), weight, **options)
    assert plan.output_shape() == (1, *example["expected"][:2], filters)


@pytest.mark.parametrize("example", examples("same_padding"))
def test_same_padding(example: dict[str, Any]) -> None:
    kernel = example["kernel"][0]
    for size in range(kernel, kernel + 9):
        assert shapes.same_padding(size, kernel, stride=1) == pair(example["expected"])


@pytest.mark.parametrize("example", examples("solve_padding"))
def test_solve_padding(example: dict[str, Any]) -> None:
    size, kernel, out = example["input"][0], example["kernel"][0], example["params"]["out"][0]
    padding = shapes.same_padding(size, kernel, stride=1)
    assert padding == pair(example["expected"]["padding"])
    assert size + sum(padding) == example["expected"]["padded"][0]
    assert shapes.conv_size(size, kernel, padding=padding) == out


@pytest.mark.parametrize("example", examples("conv2d_param_count", "pool_param_count"))
def test_param_count(example: dict[str, Any]) -> None:
    """f*f*c_in*c_out + c_out; pooling has none."""
    kernel = example["kernel"]
    count = 0 if kernel is None else int(np.prod(kernel)) + kernel[3]
    assert count == example["expected"]


def macs(size: list[int], kernel: list[int], padding: str = "valid") -> int:
    """Multiply-adds of a convolution, from the FLOPs its plan reports; padding taps count."""
    weight = np.zeros(kernel, np.float32)
    return int(cnnfast.plan_conv2d((1, *size), weight, padding=padding).explain().flops) // 2


@pytest.mark.parametrize("example", examples("conv2d_macs"))
def test_macs(example: dict[str, Any]) -> None:
    kernels = example["kernel"] if isinstance(example["kernel"][0], list) else [example["kernel"]]
    size, total = example["input"], 0
    for kernel in kernels:
        total += macs(size, kernel, example["params"]["padding"])
        size = [*size[:2], kernel[3]]
    assert total == example["expected"]


@pytest.mark.parametrize("example", examples("separable_macs"))
def test_separable_macs(example: dict[str, Any]) -> None:
    """Costs 1/K + 1/(R*S) of the full convolution."""
    size, kernel, expected = example["input"], example["kernel"], example["expected"]
    R, S, C = kernel["depthwise"]
    K = kernel["pointwise"][3]
    depthwise = np.zeros((R, S, C, 1), np.float32)
    plan = cnnfast.plan_depthwise_conv2d((1, *size), depthwise)
    _, P, Q, _ = plan.output_shape()
    assert int(plan.explain().flops) // 2 == expected["depthwise"]
    assert macs([P, Q, C], kernel["pointwise"]) == expected["pointwise"]
    assert macs(size, [R, S, C, K]) == expected["normal"]
    separable = cnnfast.plan_separable_conv2d((1, *size), depthwise, np.zeros(kernel["pointwise"], np.float32))
    assert int(separable.explain().flops) // 2 == expected["depthwise"] + expected["pointwise"]
    assert round(1 / K + 1 / (R * S), 4) == expected["ratio"]


@pytest.mark.parametrize("engine", ["native", "reference"])
@pytest.mark.parametrize("example", examples("pad2d"))
def test_pad2d(example: dict[str, Any], engine: str) -> None:
    """Padding alone: a convolution with the 1x1 kernel [1]."""
    x, weight, n = image(example), np.ones((1, 1, 1, 1), np.float32), example["params"]["padding"]
    if engine == "native":
        y = cnnfast.conv2d(x, weight, padding=n)
    else:
        y = reference.conv2d(x, weight, padding=(pair(n), pair(n)))
    assert y[0, :, :, 0].tolist() == example["expected"]


@pytest.mark.parametrize("example", examples("conv_layer_shapes"))
def test_layer_shapes(example: dict[str, Any]) -> None:
    """a is m x nH x nW x nC for W of f x f x nC_prev x nC, with n = floor((n_prev + 2p - f)/s) + 1."""
    m, size, channels, filters, f, p, s = 3, 9, 2, 5, 3, 1, 2
    plan = cnnfast.plan_conv2d((m, size, size, channels), np.zeros((f, f, channels, filters)), stride=s, padding=p)
    n = (size + 2 * p - f) // s + 1
    assert plan.output_shape() == (m, n, n, filters)
    assert example["expected"]["a"] == "m x nH x nW x nC"


def network(example: dict[str, Any]) -> cnnfast.Sequential:
    """The chain of layers that an example lists in Keras' words."""
    model = cnnfast.Sequential([cnnfast.Input(tuple(example["input"]))])
    for row in example["params"]["layers"]:
        words = {"kernel": "kernel_size", "stride": "strides", "pool": "pool_size"}
        settings = {words.get(word, word): value for word, value in row.items() if word != "type"}
        model.add(getattr(layers, row["type"])(**settings))
    return model


@pytest.mark.parametrize("example", examples("model_summary"))
def test_model_summary(example: dict[str, Any]) -> None:
    model = network(example)
    rows = [[type(layer).__name__, list(layer.output.shape[1:]), layer.count_params()] for layer in model.layers]
    assert rows == example["expected"]["layers"]
    assert model.count_params() == example["expected"]["total_params"]


@pytest.mark.parametrize("example", examples("model_param_count"))
def test_model_param_count(example: dict[str, Any]) -> None:
    made = {"alexnet-2012": lambda: cnnfast.models.AlexNet(groups=2), "LeNet-5": cnnfast.models.LeNet5}
    model, expected = made[example["params"]["model"]](), example["expected"]
    assert list(model.input_shape[1:]) == example["input"]
    assert model.count_params() == (expected if isinstance(expected, int) else expected["keras_variant"])


@pytest.mark.usefixtures("strict")
@pytest.mark.parametrize("example", examples("model_output_shape"))
def test_sliding_window(example: dict[str, Any]) -> None:
    """Each output cell (i, j) of the network on a large picture is its output on the 14x14 crop at (2i, 2j)."""
    model = network(example)
    assert list(model.output_shape[1:]) == example["expected"]
    P, Q, _ = example["expected"]
    x = np.random.default_rng(3).random((1, *example["input"]), np.float32)
    small = cnnfast.Sequential([cnnfast.Input((None, None, 3)), *network(example).layers])
    small.set_weights(model.get_weights())
    crops = np.concatenate([x[:, 2 * i : 2 * i + 14, 2 * j : 2 * j + 14] for i in range(P) for j in range(Q)])
    np.testing.assert_array_equal(small.predict(crops).reshape(P, Q, -1), model.predict(x)[0])


@pytest.mark.parametrize("example", examples("dense_param_count"))
def test_dense_param_count(example: dict[str, Any]) -> None:
    params = example["params"]
    dense = layers.Dense(params["units"], use_bias=params["bias"])
    dense.ready(layers.Flatten().ready((None, *example["input"])))
    assert dense.count_params() == example["expected"]


@pytest.mark.parametrize("example", examples("flatten", "flatten_shape"))
def test_flatten(example: dict[str, Any]) -> None:
    if example["op"] == "flatten":
        assert layers.Flatten()(image(example))[0].tolist() == example["expected"]
    else:
        assert list(layers.Flatten().compute_output_shape((None, *example["input"]))[1:]) == example["expected"]


@pytest.mark.parametrize("example", examples("kernel"))
def test_kernel(example: dict[str, Any]) -> None:
    """A named filter is the lecture's divided by its sum, so that brightness stays."""
    kernel = np.array(example["kernel"], float)
    assert kernel.sum() == example["params"]["sum"] == example["expected"]
    named = [name for name, matrix in filters.FILTERS.items() if np.allclose(matrix * kernel.sum(), kernel)]
    assert len(named) == 1


def test_every_example_is_tested_or_waits() -> None:
    """So that an op that arrives in the file, or in cnnfast, is not passed over."""
    tested = {
        "conv2d", *POOLS, "conv2d_output_shape", "pool2d_output_shape", "same_padding", "solve_padding",
        "conv2d_param_count", "pool_param_count", "conv2d_macs", "separable_macs", "pad2d", "conv_layer_shapes",
        "model_summary", "model_param_count", "model_output_shape", "dense_param_count", "flatten", "flatten_shape",
        "kernel",
    }  # fmt: skip
    assert {example["op"] for example in EXAMPLES} == tested | LATER
    assert not [op for op in LATER if hasattr(cnnfast, op)]
