"""Packed weights are kept while they hold, and no longer: every way of changing a weight is seen."""

import gc
import weakref
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="pip install torch==2.13.0")

import cnnfast.interop.torch as ct
from cnnfast.interop import torch_weights

F: Any = torch.nn.functional


def layer(seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return ct.Conv2d(3, 8, 3, padding=1).requires_grad_(False)


def check(conv: Any, x: Any) -> None:
    torch.testing.assert_close(conv(x), F.conv2d(x, conv.weight, conv.bias, padding=1), rtol=1e-4, atol=1e-4)


CHANGES = {
    "in place": lambda conv: conv.weight.mul_(2),
    "one element": lambda conv: conv.weight[3, 1, 2, 2].fill_(9.0),
    "bias": lambda conv: conv.bias.add_(1),
    "load_state_dict": lambda conv: conv.load_state_dict(layer(1).state_dict()),
    "data set": lambda conv: setattr(conv.weight, "data", torch.randn(8, 3, 3, 3)),
    "new parameter": lambda conv: setattr(conv, "weight", torch.nn.Parameter(torch.randn(8, 3, 3, 3))),
    "new bias": lambda conv: setattr(conv, "bias", torch.nn.Parameter(torch.randn(8))),
    "no bias": lambda conv: setattr(conv, "bias", None),
    "behind torch's back: .data": lambda conv: conv.weight.data.mul_(-1),
    "behind torch's back: NumPy": lambda conv: conv.weight.numpy().__imul__(3),
    "behind torch's back: bias": lambda conv: conv.bias.data.zero_(),
    "step": lambda conv: step(conv),
}


def step(conv: Any) -> None:
    conv.requires_grad_(True)
    conv(torch.ones(1, 3, 4, 4)).sum().backward()
    torch.optim.SGD(conv.parameters(), lr=0.1).step()
    conv.requires_grad_(False)


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_seen(change: str) -> None:
    conv, x = layer(), torch.randn(1, 3, 6, 6)
    for _ in range(3):
        check(conv, x)
    CHANGES[change](conv)
    for _ in range(3):
        check(conv, x)
    CHANGES[change](conv)
    with torch.inference_mode():
        check(conv, x)


def test_linear_and_transposed_weights_too() -> None:
    dense, up = ct.Linear(4, 5), ct.ConvTranspose2d(2, 3, 2)
    x, image = torch.randn(2, 4), torch.randn(1, 2, 3, 3)
    with torch.no_grad():
        for _ in range(3):
            torch.testing.assert_close(dense(x), F.linear(x, dense.weight, dense.bias))
            torch.testing.assert_close(up(image), F.conv_transpose2d(image, up.weight, up.bias))
            dense.weight.mul_(2)
            up.weight.mul_(2)


def test_other_calls_with_the_same_weight() -> None:
    weight = torch.nn.Parameter(torch.randn(4, 4, 3, 3))
    x = torch.randn(2, 4, 8, 8)
    last = x.contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        for _ in range(2):
            for image in (x, last, x[:1], x[..., 1:], x.transpose(2, 3), x.double().float()):
                for how in ((1, 0), (2, 1), (1, 1)):
                    y, expected = ct.conv2d(image, weight, None, *how), F.conv2d(image, weight, None, *how)
                    torch.testing.assert_close(y, expected, rtol=1e-4, atol=1e-4)
            y = ct.conv_transpose2d(x, weight)
            torch.testing.assert_close(y, F.conv_transpose2d(x, weight), rtol=1e-4, atol=1e-4)
            for residual in (None, torch.ones(2, 4, 6, 6)):
                y = ct.conv2d(x, weight, activation="relu", residual=residual)
                expected = F.conv2d(x, weight) + (0 if residual is None else residual)
                torch.testing.assert_close(y, expected.relu(), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(ct.conv2d(x.double(), weight.double()), F.conv2d(x.double(), weight.double()))


def test_the_same_bits_whatever_was_called_before() -> None:
    x, learning = torch.randn(1, 16, 32, 32), torch.nn.Parameter(torch.randn(16, 16, 3, 3))
    first = ct.conv2d(x, learning).detach()
    with torch.no_grad():
        inference = ct.conv2d(x, learning), ct.conv2d(x, learning)
    assert torch.equal(*inference)
    assert torch.equal(ct.conv2d(x, learning).detach(), first)
    with torch.inference_mode():
        assert torch.equal(ct.conv2d(x, learning), inference[0])


def test_what_was_packed_goes_with_the_tensor() -> None:
    made = []

    class Thing:
        pass

    def make() -> Thing:
        thing = Thing()
        made.append(weakref.ref(thing))
        return thing

    weight = torch.randn(3)
    assert torch_weights.keep((weight, None), "key", make) is torch_weights.keep((weight, None), "key", make)
    assert torch_weights.keep((weight,), "other", make) is not None
    assert len(made) == 2
    for i in range(torch_weights.MOST):
        torch_weights.keep((weight,), i, make)
    assert [ref() is None for ref in made[:2]] == [True, True], "no more than MOST of one tensor"
    weight.add_(1)
    torch_weights.keep((weight,), 0, make)
    assert len(made) == torch_weights.MOST + 3
    del weight
    gc.collect()
    assert all(ref() is None for ref in made)


def test_forget() -> None:
    weight, other = torch.randn(2), torch.randn(2)
    seen = []
    for each in (weight, other):
        torch_weights.keep((each,), "key", lambda: seen.append(1))
    ct.forget(weight)
    for each in (weight, other):
        torch_weights.keep((each,), "key", lambda: seen.append(2))
    assert seen == [1, 1, 2]
    ct.forget()
    torch_weights.keep((other,), "key", lambda: seen.append(3))
    assert seen == [1, 1, 2, 3]


def test_an_inference_tensor_has_no_version_and_is_never_kept() -> None:
    with torch.inference_mode():
        weight, x = torch.randn(2, 3, 3, 3), torch.randn(1, 3, 5, 5)
        for _ in range(2):
            torch.testing.assert_close(ct.conv2d(x, weight), F.conv2d(x, weight), rtol=1e-4, atol=1e-4)
            weight[0, 0, 0, 0] += 1
    assert torch_weights.stamp(weight) is None


def test_threads_share_a_layer() -> None:
    from concurrent.futures import ThreadPoolExecutor

    conv = layer()
    images = [torch.randn(n, 3, 8, 8) for n in (1, 2, 1, 3)]
    with torch.no_grad():
        expected = [conv(x) for x in images]

    def work(i: int) -> bool:
        with torch.no_grad():
            return all(torch.equal(conv(images[i]), expected[i]) for _ in range(200))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(4)))
