"""Tensors that are not what they seem: views of their own memory, negatives, tangents, subclasses, odd addresses."""

import threading
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="pip install torch==2.13.0")

import torch.nn.functional as F
from torch import nn
from torch.autograd import forward_ad

import cnnfast.interop.torch as ct
from cnnfast.interop import torch_export, torch_weights


def frozen(*shape: int) -> Any:
    return nn.Parameter(torch.randn(*shape), requires_grad=False)


def test_a_weight_turned_in_place_is_seen() -> None:
    x, weight = torch.randn(4, 8), frozen(8, 8)
    for _ in range(2):
        torch.testing.assert_close(ct.linear(x, weight), F.linear(x, weight))
    weight.data = weight.data.t()
    torch.testing.assert_close(ct.linear(x, weight), F.linear(x, weight))
    images, kernel = torch.randn(1, 3, 8, 8), frozen(4, 3, 3, 3)
    for _ in range(2):
        ct.conv2d(images, kernel)
    kernel.data = kernel.data.transpose(2, 3)
    torch.testing.assert_close(ct.conv2d(images, kernel), F.conv2d(images, kernel), rtol=1e-4, atol=1e-5)
    kernel.data = kernel.data.transpose(2, 3)[:2]
    assert ct.conv2d(images, kernel).shape == (1, 2, 6, 6)


def test_an_exported_network_sees_it_too() -> None:
    net = nn.Conv2d(3, 4, 3).eval()
    x = torch.randn(1, 3, 8, 8)
    exported = torch.export.export(net, (x,))
    loaded = torch_export.load(exported)
    torch.testing.assert_close(loaded(x), net(x), rtol=1e-4, atol=1e-5)
    weight = exported.state_dict["weight"]
    weight.data = weight.data.transpose(2, 3)
    torch.testing.assert_close(loaded(x), F.conv2d(x, weight, net.bias), rtol=1e-4, atol=1e-5)


def test_tangents_are_not_lost() -> None:
    x, weight = torch.randn(1, 3, 8, 8), frozen(4, 3, 3, 3)
    ct.conv2d(x, weight)
    for call in (lambda x: ct.conv2d(x, weight), lambda x: ct.max_pool2d(x, 2)):
        with forward_ad.dual_level(), pytest.raises(NotImplementedError, match="forward-mode"):
            call(forward_ad.make_dual(x, torch.ones_like(x)))


def test_negatives() -> None:
    first, second, x = torch.randn(3, 4, requires_grad=True), torch.randn(3, 4, requires_grad=True), torch.randn(2, 4)
    found = []
    for linear in (ct.linear, F.linear):
        z = torch.complex(linear(x, first), linear(x, second))
        (z.conj() * (1 + 2j)).real.sum().backward()
        found.append((first.grad.clone(), second.grad.clone()))
        first.grad = second.grad = None
    torch.testing.assert_close(found[0], found[1])
    images = torch._neg_view(torch.randn(1, 3, 8, 8))
    weight = frozen(4, 3, 3, 3)
    for _ in range(2):
        torch.testing.assert_close(ct.conv2d(images, weight), F.conv2d(images, weight), rtol=1e-4, atol=1e-5)
    ct.conv2d(images.resolve_neg(), weight)
    torch.testing.assert_close(ct.conv2d(images, weight), F.conv2d(images, weight), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ct.max_pool2d(images, 2), F.max_pool2d(images, 2))
    dense = frozen(5, 8)
    torch.testing.assert_close(ct.linear(images, dense), F.linear(images, dense))


def test_an_output_lies_as_its_own_input_says() -> None:
    weight = frozen(8, 1, 3, 3)
    last, plain = torch.empty(4, 1, 28, 28, memory_format=torch.channels_last).normal_(), torch.randn(4, 1, 28, 28)
    for x in (last, plain, last, plain):
        assert ct.conv2d(x, weight).stride() == F.conv2d(x, weight).stride()


def test_odd_addresses() -> None:
    memory = bytearray(4 * 3 * 64 + 1)
    x = torch.frombuffer(memory, dtype=torch.float32, offset=1).view(1, 3, 8, 8)
    x.copy_(torch.randn(1, 3, 8, 8))
    weight = frozen(4, 3, 3, 3)
    for _ in range(2):
        torch.testing.assert_close(ct.conv2d(x, weight), F.conv2d(x.clone(), weight), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ct.max_pool2d(x, 2), F.max_pool2d(x.clone(), 2))


@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
def test_a_scale_that_is_no_whole_number_is_torchs(mode: str) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 2, 1)

        def forward(self, x: Any) -> Any:
            return F.interpolate(self.conv(x), scale_factor=2.1 if mode == "bilinear" else 3.2, mode=mode)

    net, x = Net().eval(), torch.arange(9.0).reshape(1, 1, 3, 3)
    loaded = torch_export.load(torch.export.export(net, (x,)))
    torch.testing.assert_close(loaded(x), net(x))


def test_threads_that_see_many_sizes() -> None:
    weight, errors = frozen(2, 1, 3, 3), []

    def work(seed: int) -> None:
        try:
            for i in range(200):
                ct.conv2d(torch.ones(1, 1, 4 + (i * seed) % 23, 5), weight)
        except Exception as error:  # a thread's is nobody's else
            errors.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in (3, 5, 7, 11)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not errors
    torch_weights.forget(weight)


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="no empty dimension but N"):
        ct.conv2d(torch.ones(1, 3, 0, 5), frozen(4, 3, 3, 3), padding=2)
    with pytest.raises((ValueError, TypeError, RuntimeError), match="output_padding"):
        ct.conv_transpose2d(torch.ones(1, 3, 4, 5), frozen(3, 2, 3, 3), stride=2, output_padding=(1,))
