"""`torch.compile(model, backend="cnnfast")`: held to torch's own results in float64, and to what must be seen."""

import copy
import doctest
import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="pip install torch==2.13.0")

from torch import nn
from torch.nn import functional as F

from cnnfast.graph import lower
from cnnfast.interop import torch_compile, torch_export, torch_program, torch_training
from cnnfast.interop.torch_compile import explain
from cnnfast.ops.plan import Plan


@pytest.fixture(autouse=True)
def _fresh() -> None:
    torch._dynamo.reset()
    torch.manual_seed(0)


def randomised(net: nn.Module) -> nn.Module:
    """With statistics that are not those of nothing seen."""
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            for values in (layer.weight, layer.bias, layer.running_mean, layer.running_var):
                nn.init.uniform_(values, 0.5, 1.5)
    return net.eval()


def check(net: nn.Module, *inputs: Any, left: int = 0, partitions: int = 1) -> None:
    """The result of a network, against float64 and torch's own error."""
    made = explain(net, *inputs)
    assert (made.partitions, sum(made.left.values())) == (partitions, left), str(made)
    torch._dynamo.reset()
    with torch.no_grad():
        wide = copy.deepcopy(net).double()(*(x.double() for x in inputs))
        theirs = net(*inputs)
        y = torch.compile(net, backend="cnnfast")(*inputs)
    assert y.dtype is theirs.dtype
    assert y.shape == theirs.shape
    limit = 4 * (theirs - wide).abs().max().item() + 1e-6 * wide.abs().max().item()
    assert (y - wide).abs().max().item() <= limit


class Fn(nn.Module):
    """A convolution, and a function of it."""

    def __init__(self, f: Callable[[Any], Any], channels: int = 8) -> None:
        super().__init__()
        self.conv, self.f = nn.Conv2d(3, channels, 3, padding=1), f

    def forward(self, x: Any) -> Any:
        return self.f(self.conv(x))


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "relu": F.relu, "relu6": F.relu6, "hardtanh": lambda x: F.hardtanh(x, -0.5, 0.5), "clamp": lambda x: x.clamp(-0.2),
    "clamp_max": lambda x: x.clamp(max=0.2), "sigmoid": torch.sigmoid, "tanh": torch.tanh, "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"), "silu": F.silu, "hardswish": F.hardswish,
    "hardsigmoid": F.hardsigmoid, "leaky_relu": lambda x: F.leaky_relu(x, 0.2), "elu": F.elu, "selu": F.selu,
    "softplus": F.softplus, "mish": F.mish, "softplus_beta": lambda x: F.softplus(x, 2.0, 10.0),
    "max_pool2d": lambda x: F.max_pool2d(x, 3, 2, 1), "max_pool_ceil": lambda x: F.max_pool2d(x, 2, ceil_mode=True),
    "max_pool_dilated": lambda x: F.max_pool2d(x, 3, 1, 1, 2),
    "avg_pool2d": lambda x: F.avg_pool2d(x, 3, 2, 1), "avg_pool_inside": lambda x: F.avg_pool2d(
        x, 3, 2, 1, count_include_pad=False), "avg_pool_ceil": lambda x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True),
    "adaptive": lambda x: F.adaptive_avg_pool2d(x, (3, 2)), "global": lambda x: F.adaptive_avg_pool2d(x, 1),
    "mean": lambda x: x.mean((2, 3)), "mean_kept": lambda x: x.mean((-1, -2), keepdim=True),
    "amax": lambda x: x.amax((2, 3)), "adaptive_max": lambda x: F.adaptive_max_pool2d(x, 2),
    "add": lambda x: x + x * 0.5, "sub": lambda x: 1.5 - x, "sub_scaled": lambda x: torch.sub(x, x, alpha=2),
    "div": lambda x: x / 3, "by_channel": lambda x: x * x.mean((2, 3), keepdim=True).sigmoid(), "neg": lambda x: -x,
    "exp": torch.exp, "square": lambda x: x**2, "rsqrt": lambda x: (x**2 + 1).rsqrt(),
    "maximum": lambda x: torch.maximum(x, x * 0.1), "cat": lambda x: torch.cat([x, F.relu(x)], 1),
    "flatten": lambda x: x.flatten(1), "view": lambda x: x.view(x.shape[0], 2, -1), "permute": lambda x: x.permute(
        0, 2, 3, 1), "channels_swapped": lambda x: x.transpose(1, 2), "softmax": lambda x: F.softmax(x, 1),
    "log_softmax": lambda x: F.log_softmax(x, -1), "nearest": lambda x: F.interpolate(x, scale_factor=2),
    "nearest_size": lambda x: F.interpolate(x, (18, 30)),
    "bilinear": lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"),
    "corners": lambda x: F.interpolate(x, scale_factor=(2, 3), mode="bilinear", align_corners=True),
    "pad": lambda x: F.pad(x, (1, 2, 0, 3)), "pad_value": lambda x: F.pad(x, (1, 2), value=2.0),
    "reflect": lambda x: F.pad(x, (1, 2, 0, 3), mode="reflect"), "edge": lambda x: F.pad(x, (1,) * 4, mode="replicate"),
    "slice": lambda x: x[:, 2:6, 1:, ::2], "select": lambda x: x[:, -1], "split": lambda x: torch.cat(
        x.split([3, 5], 1)[::-1], 1), "chunk": lambda x: x.chunk(2, 1)[0] * x.chunk(2, 1)[1], "shuffle": lambda x:
    F.pixel_shuffle(x, 2), "dropout": lambda x: F.dropout(x, training=False), "clone": lambda x: x.contiguous().clone(),
    "squeeze": lambda x: x.unsqueeze(1).squeeze(1), "channel_shuffle": lambda x: x.view(
        x.shape[0], 2, 4, *x.shape[2:]).transpose(1, 2).flatten(1, 2),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function(name: str) -> None:
    check(Fn(FUNCTIONS[name]).eval(), torch.randn(2, 3, 9, 10))


LAYERS: dict[str, Callable[[], nn.Module]] = {
    "strided": lambda: nn.Conv2d(3, 8, (3, 5), (2, 1), (1, 2), bias=False),
    "dilated": lambda: nn.Conv2d(3, 8, 3, dilation=2), "same": lambda: nn.Conv2d(3, 8, 3, padding="same"),
    "grouped": lambda: nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 16, 3, groups=4)),
    "depthwise": lambda: nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 16, 3, groups=8)),
    "transposed": lambda: nn.ConvTranspose2d(3, 8, 3, 2, 1, output_padding=1),
    "transposed_groups": lambda: nn.ConvTranspose2d(3, 6, 2, 2, groups=3),
    "batch_norm": lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU()),
    "batch_norm_alone": lambda: nn.Sequential(nn.BatchNorm2d(3), nn.MaxPool2d(2)),
    "transposed_batch_norm": lambda: nn.Sequential(nn.ConvTranspose2d(3, 8, 2, 2), nn.BatchNorm2d(8)),
    "reflecting": lambda: nn.Conv2d(3, 8, 3, padding=1, padding_mode="reflect"),
    "prelu": lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.PReLU(8)),
    "linear": lambda: nn.Sequential(nn.Flatten(), nn.Linear(270, 7), nn.BatchNorm1d(7), nn.Softmax(-1)),
    "linear_without_bias": lambda: nn.Sequential(nn.Flatten(), nn.Linear(270, 7, bias=False)),
    "linear_of_pixels": lambda: nn.Linear(10, 4),
    "layer_norm": lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.LayerNorm([8, 7, 8])),
    "group_norm": lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8)),
    "line": lambda: nn.Sequential(nn.Flatten(2), nn.Conv1d(3, 8, 3, 2, 1), nn.BatchNorm1d(8), nn.ReLU()),
    "line_up": lambda: nn.Sequential(nn.Flatten(2), nn.ConvTranspose1d(3, 8, 4, 2, 1)),
    "volume": lambda: nn.Sequential(nn.Unflatten(1, (1, 3)), nn.Conv3d(1, 4, 2)),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer(name: str) -> None:
    check(randomised(LAYERS[name]()), torch.randn(2, 3, 9, 10))


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.n, self.b = nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.Conv2d(16, 16, 3, padding=1)
        self.d = nn.Linear(16, 5)

    def forward(self, x: Any) -> Any:
        x = F.max_pool2d(F.relu(self.n(self.a(x))), 2)
        x = F.relu(x + self.b(x))
        return self.d(x.mean((2, 3)))


@pytest.fixture
def net() -> nn.Module:
    return randomised(Small())


@pytest.fixture
def x() -> Any:
    return torch.randn(2, 3, 12, 12)


def close(y: Any, expected: Any) -> bool:
    return y.shape == expected.shape and bool((y - expected).abs().max() < 1e-5 * max(1, expected.abs().max()))


class Counting:
    """How often something is called."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
        self.count, real = 0, getattr(owner, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            self.count += 1
            return real(*args, **kwargs)

        monkeypatch.setattr(owner, name, call)


@torch.no_grad()
def test_a_batch_of_any_size_packs_nothing_anew(net: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    fast = torch.compile(net, backend="cnnfast")
    first = torch.randn(2, 3, 12, 12)
    torch._dynamo.mark_dynamic(first, 0)
    assert close(fast(first), net(first))
    packed = Counting(monkeypatch, lower.Plans, "put")
    for batch in (3, 7, 2, 5):
        x = torch.randn(batch, 3, 12, 12)
        assert close(fast(x), net(x))
    assert packed.count == 0


@torch.no_grad()
def test_shapes_that_change_by_themselves(net: nn.Module) -> None:
    fast = torch.compile(net, backend="cnnfast")
    for shape in ((2, 12, 12), (3, 12, 12), (1, 12, 12), (4, 16, 12), (4, 18, 20), (2, 12, 12), (0, 12, 12)):
        x = torch.randn(shape[0], 3, *shape[1:])
        y = fast(x)
        assert y.shape == (shape[0], 5)
        assert not shape[0] or close(y, net(x))


@torch.no_grad()
def test_programs_of_the_same_weights_pack_them_once(net: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    shared: list[bool] = []
    real = Plan.share
    monkeypatch.setattr(Plan, "share", lambda self, other: shared.append(real(self, other)) or shared[-1])
    fast = torch.compile(net, backend="cnnfast")
    fast(torch.randn(2, 3, 12, 12))
    assert not shared
    fast(torch.randn(3, 3, 12, 12))  # of any batch from here on
    assert shared.count(True) == 2  # the convolutions; pools have nothing to share


def step(net: nn.Module) -> None:
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
    with torch.enable_grad():
        net(torch.ones(1, 3, 12, 12)).square().sum().backward()
    optimizer.step()


CHANGES: dict[str, Callable[[Any], Any]] = {
    "in_place": lambda net: net.a.weight.mul_(2), "statistics": lambda net: net.n.running_mean.add_(1),
    "one_number": lambda net: net.d.bias[0].add_(1), "optimizer": step,
    "load_state_dict": lambda net: net.load_state_dict({k: v + 1 for k, v in net.state_dict().items()}),
    "another_parameter": lambda net: setattr(net.a, "weight", nn.Parameter(net.a.weight * 3)),
    "another_memory": lambda net: setattr(net.b.weight, "data", net.b.weight.data * 3),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
@torch.no_grad()
def test_a_change_of_the_weights_is_seen(net: nn.Module, x: Any, change: str) -> None:
    fast = torch.compile(net, backend="cnnfast")
    before = fast(x)
    CHANGES[change](net)
    assert close(fast(x), net(x))
    assert not close(fast(x), before)


@torch.no_grad()
def test_programs_are_made_once(net: nn.Module, x: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Counting(monkeypatch, torch_program, "Network")
    fast = torch.compile(net, backend="cnnfast")
    for _ in range(3):
        fast(x)
    assert made.count == 1
    net.a.bias.add_(1)
    fast(x)
    assert made.count == 2


@torch.no_grad()
def test_what_was_made_of_weights_goes_with_them(net: nn.Module, x: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    states: list[Any] = []
    real = torch_program.State
    monkeypatch.setattr(torch_program, "State", lambda weights: states.append(real(weights)) or states[-1])
    torch.compile(net, backend="cnnfast")(x)
    gone = weakref.ref(states.pop())
    assert gone() is not None
    net.a.weight = nn.Parameter(net.a.weight + 1)
    gc.collect()
    assert gone() is None


@torch.no_grad()
def test_memory_as_torch_has_it(net: nn.Module) -> None:
    first = net.a
    for format in (torch.contiguous_format, torch.channels_last):
        torch._dynamo.reset()
        x = torch.randn(2, 3, 12, 12).to(memory_format=format)
        y, theirs = torch.compile(first, backend="cnnfast")(x), first(x)
        assert close(y, theirs)
        assert y.stride() == theirs.stride()
    big = torch.randn(2, 3, 24, 40)
    for odd in (big[:, :, ::2, ::2], big[..., 7:27].transpose(2, 3), big[:1].expand(4, 3, 24, 40)):
        torch._dynamo.reset()
        assert close(torch.compile(net, backend="cnnfast")(odd), net(odd))


@torch.no_grad()
def test_outputs_are_memory_of_their_own(net: nn.Module, x: Any) -> None:
    fast = torch.compile(net, backend="cnnfast")
    kept, first = x.clone(), fast(x)
    held = first.clone()
    second = fast(x * 2)
    assert torch.equal(first, held)
    assert torch.equal(x, kept)
    assert first.data_ptr() != second.data_ptr()


@torch.no_grad()
def test_what_is_not_supported_stays_with_torch(net: nn.Module, x: Any) -> None:
    class Between(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 3)

        def forward(self, x: Any) -> Any:
            return self.b(torch.cumsum(self.a(x), 3)).flatten(1).sort(1)[0]

    made = explain(Between(), x)
    assert made.partitions == 2
    assert {name for name, _ in made.left} == {"aten.cumsum.default", "aten.sort.default"}
    assert "cumsum" in str(made)
    torch._dynamo.reset()
    between = Between()
    assert close(torch.compile(between, backend="cnnfast")(x), between(x))


@pytest.mark.parametrize("dtype", ["float64", "bfloat16", "float16", "complex64"])
@torch.no_grad()
def test_other_dtypes_are_torchs(x: Any, dtype: str) -> None:
    kind = getattr(torch, dtype)
    conv, images = nn.Conv2d(3, 4, 3).to(kind), x.to(kind)
    made = explain(conv, images)
    assert made.partitions == 0
    torch._dynamo.reset()
    assert torch.equal(torch.compile(conv, backend="cnnfast")(images), conv(images))


@torch.no_grad()
def test_weights_that_are_computed_are_torchs(x: Any) -> None:
    weight = torch.randn(4, 3, 3, 3)
    f = torch.compile(lambda x, w: F.relu(F.conv2d(x, w * 2)), backend="cnnfast")
    assert close(f(x, weight), F.relu(F.conv2d(x, weight * 2)))


def test_modes_of_autograd(net: nn.Module, x: Any) -> None:
    expected = net(x).detach()
    with torch.inference_mode():
        assert close(torch.compile(net, backend="cnnfast")(x), expected)
    torch._dynamo.reset()
    with torch.no_grad():
        assert close(torch.compile(net, backend="cnnfast")(x.clone().requires_grad_()), expected)
    torch._dynamo.reset()
    with torch.inference_mode():
        born = copy.deepcopy(net)  # its changes cannot be seen
        fast = torch.compile(born, backend="cnnfast")
        assert close(fast(x), expected)
        born.d.bias.add_(1)
        assert close(fast(x), expected + 1)


@torch.no_grad()
def test_training_mode_without_gradients(x: Any) -> None:
    net, other = Small().train(), Small().train()
    other.load_state_dict(net.state_dict())
    assert close(torch.compile(net, backend="cnnfast")(x), other(x))
    assert close(net.n.running_mean, other.n.running_mean)
    assert net.n.num_batches_tracked == 1


@torch.no_grad()
def test_threads_share_a_program(net: nn.Module) -> None:
    fast = torch.compile(net, backend="cnnfast")
    xs = [torch.randn(2, 3, 12, 12) for _ in range(4)]
    expected = [fast(x) for x in xs]
    wrong: list[int] = []

    def run(i: int) -> None:
        with torch.no_grad():
            wrong.extend(i for _ in range(20) if not torch.equal(fast(xs[i]), expected[i]))

    threads = [threading.Thread(target=run, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_options(net: nn.Module, x: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with torch.no_grad():
        torch.compile(net, backend="cnnfast", options={"verbose": True})(x)
    assert "1 graphs, 1 programs" in capsys.readouterr().out
    torch._dynamo.reset()
    with pytest.raises(Exception, match="options must be verbose alone"), torch.no_grad():
        torch.compile(net, backend="cnnfast", options={"freeze": True})(x)


@pytest.mark.parametrize("module", [torch_compile, torch_export, torch_program], ids=lambda each: each.__name__)
def test_examples_run(module: Any) -> None:
    assert doctest.testmod(module).failed == 0


def test_the_name_is_known() -> None:
    assert "cnnfast" in torch.compiler.list_backends()
    assert torch._dynamo.lookup_backend("cnnfast") is torch_compile.backend


class Learner(nn.Module):
    """Every op that has a kernel of ours in training."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.n = nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.up, self.b = nn.ConvTranspose2d(8, 8, 3, 2, 1, output_padding=1), nn.Conv2d(8, 8, 3, groups=8, dilation=2)
        self.line, self.d = nn.Conv1d(8, 8, 3, 2, 1), nn.Linear(64, 5)

    def forward(self, x: Any) -> Any:
        x = F.max_pool2d(F.relu(self.n(self.a(x))), 3, 2, 1)
        x = F.adaptive_avg_pool2d(self.b(F.avg_pool2d(self.up(x), 2)), 4)
        return self.d(self.line(x.flatten(2)).flatten(1))


def losses(net: nn.Module, run: Callable[[Any], Any], x: Any) -> list[float]:
    """Of six steps."""
    y = torch.arange(len(x)) % 5
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    found = []
    for _ in range(6):
        optimizer.zero_grad()
        loss = F.cross_entropy(run(x), y)
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return found


@pytest.mark.parametrize("last", [False, True], ids=["NCHW", "channels_last"])
@pytest.mark.parametrize(("dtype", "bound"), [("float64", 1e-13), ("float32", 1e-5)])
def test_a_net_trains_to_eagers_losses(
    dtype: str, bound: float, last: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: set[str] = set()

    def watched(name: str, kernel: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            result = kernel(*args, **kwargs)
            used.add(name)
            return result

        run.__name__ = name
        return run

    watching = {target: watched(each.__name__, each) for target, each in torch_training.KERNELS.items()}
    monkeypatch.setattr(torch_training, "KERNELS", watching)
    format = torch.channels_last if last else torch.contiguous_format
    net = Learner().to(getattr(torch, dtype)).to(memory_format=format)
    x = torch.randn(6, 3, 12, 12, dtype=getattr(torch, dtype)).to(memory_format=format)
    other = copy.deepcopy(net)
    expected = losses(net, net, x)
    found = losses(other, torch.compile(other, backend="cnnfast"), x)
    assert np.abs(np.array(found) - expected).max() < bound
    assert used == {each.__name__ for each in torch_training.KERNELS.values()}
    for name, value in net.state_dict().items():
        assert (other.state_dict()[name] - value).abs().max() < 10 * bound, name
    assert expected[-1] < expected[0]


def test_training_then_inference_sees_the_steps(net: nn.Module, x: Any) -> None:
    fast = torch.compile(net, backend="cnnfast")
    with torch.no_grad():
        fast(x)
    losses(net, fast, torch.randn(6, 3, 12, 12))
    with torch.no_grad():
        assert close(fast(x), net(x))


def test_a_batch_of_any_size_trains(net: nn.Module) -> None:
    other = copy.deepcopy(net).train()
    net.train()
    fast = torch.compile(net, backend="cnnfast")
    for batch in (4, 6, 8):
        x = torch.randn(batch, 3, 12, 12)
        assert abs(losses(net, fast, x)[-1] - losses(other, other, x)[-1]) < 1e-4


def test_gradients_of_an_input(net: nn.Module, x: Any) -> None:
    found = []
    for run in (net, torch.compile(net, backend="cnnfast")):
        images = x.clone().requires_grad_()
        run(images).sum().backward()
        found.append(images.grad)
    assert close(found[1], found[0])
