"""The same call again, which does not go through torch's dispatcher: what waits there still sees what it is to see."""

from collections.abc import Iterator
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="pip install torch==2.13.0")

import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

import cnnfast.interop.torch as ct

OP = torch.ops.cnnfast.conv2d.default


class Known:
    """A call that has been made twice, and torch's answer."""

    def __init__(self) -> None:
        torch.manual_seed(3)
        self.x, self.weight = torch.randn(1, 3, 8, 8), nn.Parameter(torch.randn(4, 3, 3, 3), requires_grad=False)
        self.bias = nn.Parameter(torch.randn(4), requires_grad=False)
        for _ in range(2):
            self.check(self.x)

    def __call__(self, x: Any) -> Any:
        return ct.conv2d(x, self.weight, self.bias, padding=1)

    def check(self, x: Any) -> None:
        torch.testing.assert_close(self(x), F.conv2d(x, self.weight, self.bias, padding=1), rtol=1e-4, atol=1e-5)


@pytest.fixture
def known() -> Iterator[Known]:
    with torch.no_grad():
        yield Known()


def test_it_is_a_quick_call(known: Known, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else nothing here would prove anything."""
    functional = pytest.importorskip("cnnfast.interop.torch.functional")
    monkeypatch.setattr(functional, "_batched", None)  # the way through the dispatcher
    known(known.x)
    with pytest.raises(TypeError):
        known(torch.randn(1, 3, 9, 9))


def test_values_that_change(known: Known) -> None:
    known.check(torch.randn(1, 3, 8, 8))
    known.weight.mul_(2)
    known.check(known.x)
    known.weight.data[0, 0, 0, 0] = 7
    known.check(known.x)
    known.bias.add_(1)
    known.check(known.x)


def test_tensors_of_other_kinds(known: Known) -> None:
    x = known.x
    known.check(x.to(memory_format=torch.channels_last))
    known.check(torch.randn(1, 8, 3, 8).transpose(1, 2))
    known.check(torch._neg_view(x))
    known.check(torch._efficientzerotensor(x.shape) + 0)
    with pytest.raises(TypeError):
        known(x.double())
    for odd in (x.to_sparse(), x.to_mkldnn(), torch.quantize_per_tensor(x, 0.1, 0, torch.qint8)):
        with pytest.raises((RuntimeError, TypeError, NotImplementedError, ValueError)):
            known(odd)
    assert known(x.to("meta")).device.type == "meta"  # of the same shape, and without memory


@pytest.mark.parametrize(
    "how", [{"padding": 2}, {"stride": 2}, {"stride": (1, 2)}, {"dilation": 2}, {"padding": "same"}, {}]
)
def test_other_options(known: Known, how: dict[str, Any]) -> None:
    for _ in range(3):
        found, right = (f(known.x, known.weight, known.bias, **how) for f in (ct.conv2d, F.conv2d))
        torch.testing.assert_close(found, right, rtol=1e-4, atol=1e-5)
    known.check(known.x)


@pytest.mark.parametrize("bad", [1.0, (1.0, 1.0), "1"])
def test_what_only_looks_like_the_options(known: Known, bad: Any) -> None:
    with pytest.raises((RuntimeError, TypeError, ValueError)):
        ct.conv2d(known.x, known.weight, known.bias, padding=bad)
    known.check(known.x)


def test_one_picture(known: Known) -> None:
    for _ in range(2):
        known.check(known.x[0])


def test_modes_see_it(known: Known) -> None:
    seen = []

    class Functions(TorchFunctionMode):
        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            seen.append(str(function))
            return function(*args, **(kwargs or {}))

    class Dispatched(TorchDispatchMode):
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            seen.append(str(function))
            return function(*args, **(kwargs or {}))

    for mode in (Functions(), Dispatched()):
        seen.clear()
        with mode:
            known(known.x)
        assert any("cnnfast" in name for name in seen), seen
    with torch.profiler.profile() as profile:
        known(known.x)
    assert any("cnnfast::conv2d" in event.key for event in profile.key_averages())


def test_transforms_and_tracing(known: Known) -> None:
    traced = torch.jit.trace(lambda x: known(x), (known.x,))
    assert "cnnfast::conv2d" in str(traced.graph)
    other = torch.randn(1, 3, 8, 8)
    torch.testing.assert_close(traced(other), known(other))
    torch.testing.assert_close(torch.func.functionalize(known)(other), known(other))
    with torch.autocast("cpu", torch.bfloat16):
        assert known(known.x).dtype == OP(known.x, known.weight, known.bias, [1, 1], [1, 1]).dtype
    compiled = torch.compile(lambda x: known(x) + 1, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(other), known(other) + 1)


def test_gradients_are_asked_for_again(known: Known) -> None:
    x = known.x.clone().requires_grad_()
    with torch.enable_grad():
        known(x).sum().backward()
    assert x.grad is not None
    known.weight.requires_grad_()
    with torch.enable_grad():
        known(known.x).sum().backward()
    assert known.weight.grad is not None
    known.check(known.x)


def test_dense_layers() -> None:
    with torch.inference_mode():
        x = torch.randn(5, 6)
    weight = nn.Parameter(torch.randn(3, 6), requires_grad=False)
    with torch.no_grad():
        for rows in (5, 5, 2, 5):
            torch.testing.assert_close(ct.linear(x[:rows], weight), F.linear(x[:rows], weight))
        weight.zero_()
        assert not ct.linear(x, weight).any()


def test_a_class_of_tensors_sees_every_call(known: Known) -> None:
    seen = []

    class Logged(torch.Tensor):
        @classmethod
        def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            seen.append(str(function))
            return super().__torch_function__(function, types, args, kwargs)

    weight = known.weight.detach().clone().as_subclass(Logged)
    for _ in range(3):
        seen.clear()
        assert isinstance(ct.conv2d(known.x, weight), Logged)
        assert any("cnnfast" in name for name in seen)


def test_a_weight_that_turns_negative(known: Known) -> None:
    known.weight.data = torch._neg_view(known.weight.data)
    known.check(known.x)
