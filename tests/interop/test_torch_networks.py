"""Whole networks through torch.compile and torch.export; and one network from everywhere, to the same bits."""

import copy
import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="pip install torch==2.13.0")

from torch import nn
from torch.nn import functional as F

import cnnfast
from cnnfast import layers
from cnnfast.interop import torch_export
from cnnfast.interop.torch_compile import explain

FILE = Path(__file__).parents[2] / "benchmarks" / "torch_networks.py"
SHAPES = {"resnet50": 128, "mobilenet-v2": 128, "vgg16": 224, "unet": 96}


def networks() -> Any:
    """The networks that are measured."""
    spec = importlib.util.spec_from_file_location("torch_networks", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def _fresh() -> None:
    torch._dynamo.reset()
    torch.manual_seed(0)


@pytest.mark.parametrize("name", SHAPES)
@torch.no_grad()
def test_a_network_is_one_program_within_torchs_error(name: str) -> None:
    shape = (1, 3, SHAPES[name], SHAPES[name])
    them = networks()
    net, x = them.initialised(them.NETWORKS[name](), shape), torch.randn(*shape)
    made = explain(net, x)
    assert (made.graphs, made.partitions, dict(made.left)) == (1, 1, {}), str(made)
    torch._dynamo.reset()
    y, theirs = torch.compile(net, backend="cnnfast")(x), net(x)
    wide = net.double()(x.double())
    assert (y - wide).abs().max() <= 4 * (theirs - wide).abs().max()


class Net(nn.Module):
    """A residual, strides, a depthwise convolution, a pool, a dense layer after a flatten."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.an = nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16, eps=1e-3)
        self.b, self.bn = nn.Conv2d(16, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16, eps=1e-3)
        self.c, self.cn = nn.Conv2d(16, 16, 3, padding=1, groups=16), nn.BatchNorm2d(16)
        self.d, self.e = nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.Linear(32 * 4 * 4, 10)

    def forward(self, x: Any) -> Any:
        x = F.max_pool2d(torch.relu(self.an(self.a(x))), 2)
        x = torch.relu(x + self.bn(self.b(x)))
        x = F.relu6(self.cn(self.c(x)))
        return F.softmax(self.e(torch.relu(self.d(x)).flatten(1)), -1)


@pytest.fixture
def net() -> nn.Module:
    net = Net().eval()
    for layer in (net.an, net.bn, net.cn):
        for values in (layer.weight, layer.bias, layer.running_mean):
            nn.init.uniform_(values, -1, 1)
        nn.init.uniform_(layer.running_var, 1e-4, 1e-2)  # of eps' size: folding sees its every bit
    return net


def weights_of(net: nn.Module) -> dict[str, Any]:
    return {name: value.detach().numpy() for name, value in net.state_dict().items()}


def onnx_file(net: nn.Module) -> bytes:
    """The network as an exporter writes it."""
    onnx = pytest.importorskip("onnx", reason="pip install onnx")
    helper = onnx.helper
    nodes, last = [], "x"

    def add(op: str, *inputs: str, **attributes: Any) -> None:
        nonlocal last
        given, last = [last, *inputs], f"y{len(nodes)}"
        nodes.append(helper.make_node(op, given, [last], **attributes))

    def norm(name: str, eps: float) -> None:
        add("BatchNormalization", *(f"{name}.{each}" for each in ("weight", "bias", "running_mean", "running_var")),
            epsilon=eps)  # fmt: skip

    add("Conv", "a.weight", "a.bias", pads=[1] * 4)
    norm("an", 1e-3)
    add("Relu")
    add("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    skip = last
    add("Conv", "b.weight", pads=[1] * 4)
    norm("bn", 1e-3)
    add("Add", skip)
    add("Relu")
    add("Conv", "c.weight", "c.bias", pads=[1] * 4, group=16)
    norm("cn", 1e-5)
    add("Clip", "zero", "six")
    add("Conv", "d.weight", "d.bias", pads=[1] * 4, strides=[2, 2])
    add("Relu")
    add("Flatten")
    add("Gemm", "e.weight", "e.bias", transB=1)
    add("Softmax", axis=-1)
    values = {name: each for name, each in weights_of(net).items() if each.dtype == np.float32}
    values |= {"zero": np.float32(0), "six": np.float32(6)}
    initializers = [onnx.numpy_helper.from_array(np.asarray(each), name) for name, each in values.items()]
    shapes = {"x": ["N", 3, 16, 16], last: ["N", 10]}
    ends = [helper.make_tensor_value_info(name, 1, shape) for name, shape in shapes.items()]
    graph = helper.make_graph(nodes, "net", ends[:1], ends[1:], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    found: bytes = model.SerializeToString()
    return found


def as_model(net: nn.Module, layers: Any = layers, Model: Any = cnnfast.Model) -> Any:
    """The network in Keras' words, with its weights: cnnfast's layers, or Keras' own."""
    x = inputs = layers.Input((16, 16, 3))
    x = layers.Conv2D(16, 3, padding="same")(x)
    x = skip = layers.MaxPooling2D(2)(layers.ReLU()(layers.BatchNormalization(epsilon=1e-3)(x)))
    x = layers.BatchNormalization(epsilon=1e-3)(layers.Conv2D(16, 3, padding="same", use_bias=False)(x))
    x = layers.ReLU()(layers.Add()([skip, x]))
    x = layers.BatchNormalization(epsilon=1e-5)(layers.DepthwiseConv2D(3, padding="same")(x))
    x = layers.ZeroPadding2D(1)(layers.ReLU(6)(x))
    x = layers.Flatten()(layers.Conv2D(32, 3, strides=2, activation="relu")(x))
    model = Model(inputs, layers.Dense(10, activation="softmax")(x))
    model.set_weights(list(keras_weights(weights_of(net))))
    return model


def keras_weights(w: dict[str, Any]) -> Iterator[Any]:
    for conv, norm in (("a", "an"), ("b", "bn"), ("c", "cn")):
        yield w[f"{conv}.weight"].transpose((2, 3, 0, 1) if conv == "c" else (2, 3, 1, 0))
        if conv != "b":
            yield w[f"{conv}.bias"]
        yield from (w[f"{norm}.{each}"] for each in ("weight", "bias", "running_mean", "running_var"))
    yield w["d.weight"].transpose(2, 3, 1, 0)
    yield w["d.bias"]
    yield w["e.weight"].reshape(10, 32, 4, 4).transpose(2, 3, 1, 0).reshape(-1, 10)  # a picture lies channels last
    yield w["e.bias"]


@torch.no_grad()
def test_one_network_from_everywhere_gives_the_same_bits(net: nn.Module) -> None:
    x = torch.randn(3, 3, 16, 16)
    last = np.ascontiguousarray(x.numpy().transpose(0, 2, 3, 1))
    wide = copy.deepcopy(net).double()(x.double()).numpy()
    expected = torch.compile(net, backend="cnnfast")(x).numpy()
    assert np.abs(expected - wide).max() < 1e-5
    found = {
        "torch.export": torch_export.load(torch.export.export(net, (x,)))(x).numpy(),
        "channels_last": torch.compile(net, backend="cnnfast")(x.to(memory_format=torch.channels_last)).numpy(),
        "Model": as_model(net).plan((3, 16, 16, 3))(last),
        "predict": as_model(net).predict(last),
        "ONNX": cnnfast.onnx.load(onnx_file(net))(x.numpy())[0],
    }
    for name, y in found.items():
        assert np.array_equal(y, expected), (name, np.abs(y - expected).max())


@torch.no_grad()
def test_a_file_of_keras_has_these_bits_too(net: nn.Module, tmp_path: Path) -> None:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras", reason="writes the file: pip install keras")
    as_model(net, keras.layers, keras.Model).save(tmp_path / "net.keras")
    last = np.random.default_rng(0).standard_normal((3, 16, 16, 3), np.float32)
    y = cnnfast.load_model(tmp_path / "net.keras").plan((3, 16, 16, 3))(last)
    x = torch.from_numpy(last).permute(0, 3, 1, 2)
    np.testing.assert_array_equal(y, torch.compile(net, backend="cnnfast")(x).numpy())


@torch.no_grad()
def test_an_exported_program_of_any_batch(net: nn.Module) -> None:
    batch = torch.export.Dim("batch", min=1, max=16)
    program = torch.export.export(net, (torch.randn(2, 3, 16, 16),), dynamic_shapes=({0: batch},))
    loaded = torch_export.load(program)
    assert (loaded.partitions, dict(loaded.left)) == (1, {})
    for size in (2, 5, 1):
        x = torch.randn(size, 3, 16, 16)
        assert (loaded(x) - net(x)).abs().max() < 1e-6
    assert loaded.partitions == 1
    before = loaded(x)
    net.a.weight.mul_(2)  # the program holds the module's own
    assert (loaded(x) - net(x)).abs().max() < 1e-6
    assert not torch.equal(loaded(x), before)


def test_arguments_and_outputs_of_an_exported_program() -> None:
    class Many(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(2, 2, 1)

        def forward(self, x: Any, *, others: dict[str, Any], scale: float) -> Any:
            y = self.conv(x)
            return {"y": y * scale, "sum": [y + others["z"], None], "sorted": y.flatten().sort()[0]}

    net, x, z = Many(), torch.randn(1, 2, 3, 3), torch.randn(1, 2, 3, 3)
    given = {"others": {"z": z}, "scale": 2.0}
    loaded = torch_export.load(torch.export.export(net, (x,), given))
    found, expected = loaded(x, **given), net(x, **given)
    assert found.keys() == expected.keys()
    assert found["sum"][1] is None
    for y, other in ((found["y"], expected["y"]), (found["sum"][0], expected["sum"][0])):
        assert (y - other).abs().max() < 1e-6
    assert {name for name, _ in loaded.left} == {"aten.sort.default"}
    with pytest.raises(ValueError, match="scale must be 2"):
        loaded(x, others={"z": z}, scale=3.0)
    with pytest.raises(ValueError, match="the program takes"):
        loaded(x, z, scale=2.0)


@torch.no_grad()
def test_an_exported_program_in_training_mode_changes_its_buffers() -> None:
    net, x = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).train(), torch.randn(2, 3, 8, 8)
    other = copy.deepcopy(net)
    loaded = torch_export.load(torch.export.export(net, (x,)))
    assert (loaded(x) - other(x)).abs().max() < 1e-5
    assert (net[1].running_mean - other[1].running_mean).abs().max() < 1e-6
    assert net[1].num_batches_tracked == 1


@pytest.mark.parametrize(
    ("bad", "error", "says"),
    [
        (torch.zeros(1, 3, 16, 16, dtype=torch.float64), TypeError, "x must be a tensor of torch.float32"),
        (np.zeros((1, 3, 16, 16), np.float32), TypeError, "x must be a tensor of torch.float32, got ndarray"),
        (torch.zeros(3, 16, 16), ValueError, "x must have shape"),
        (torch.zeros(2, 3, 16, 16), ValueError, "x must have a size 1"),
        (torch.zeros(1, 3, 18, 16), ValueError, "x must have a size 16"),
    ],
)  # fmt: skip
def test_inputs_that_a_program_was_not_exported_for(net: nn.Module, bad: Any, error: Any, says: str) -> None:
    loaded = torch_export.load(torch.export.export(net, (torch.zeros(1, 3, 16, 16),)))
    with pytest.raises(error, match=says):
        loaded(bad)
    with pytest.raises(TypeError, match="program must be"):
        torch_export.load(net)
