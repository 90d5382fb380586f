"""Twins of torch's modules, and networks converted to them."""

import copy
import io
import pickle
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="pip install torch==2.13.0")

import cnnfast.interop.torch as ct
from cnnfast.interop.torch.modules import TWINS

nn: Any = torch.nn


def network() -> Any:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 3, padding="same", groups=8, padding_mode="reflect"), nn.AvgPool2d(3, 2, 1),
        nn.Conv2d(8, 16, 3, stride=2, padding=1, dilation=(1, 2)), nn.ReLU(), nn.ConvTranspose2d(16, 8, 3, 2, 1, 1),
        nn.AdaptiveAvgPool2d((2, 2)), nn.Flatten(), nn.Linear(32, 4),
    )  # fmt: skip


def test_twins_are_torchs_in_name_and_kind() -> None:
    before = network()
    after = ct.convert(before)
    assert list(after.state_dict()) == list(before.state_dict())
    assert repr(after) == repr(before)
    for old, new in zip(before.modules(), after.modules(), strict=True):
        assert isinstance(new, type(old))
        assert type(new) is TWINS.get(type(old), type(old))
    assert type(before[0]) is nn.Conv2d, "convert copies"
    assert {type(each).__name__ for each in TWINS.values()} == {"type"}
    inplace = ct.convert(before, inplace=True)
    assert inplace is before
    assert type(before[0]) is ct.Conv2d


@pytest.mark.parametrize("last", [False, True], ids=["contiguous", "channels_last"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_a_converted_network_computes_the_same(dtype: Any, last: bool) -> None:
    theirs = network().to(dtype)
    x = torch.randn(4, 3, 16, 16, dtype=dtype)
    if last:
        theirs, x = theirs.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
    ours = ct.convert(theirs)
    close = {"rtol": 1e-4, "atol": 1e-4} if dtype == torch.float32 else {"rtol": 1e-9, "atol": 1e-11}
    for each in (ours, theirs):
        each.train()
    torch.testing.assert_close(ours(x), theirs(x), **close)
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict(), **close)  # running statistics too
    for each in (ours, theirs):
        each(x).square().sum().backward()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        rtol = 1e-3 if dtype == torch.float32 else 1e-8
        torch.testing.assert_close(a.grad, b.grad, rtol=rtol, atol=10 * close["atol"])
    for each in (ours, theirs):
        each.eval()
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x), **close)


def test_copies_pickles_and_state_dicts() -> None:
    ours = ct.convert(network()).eval()
    x = torch.randn(1, 3, 16, 16)
    with torch.no_grad():
        y = ours(x)
        for other in (copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))):
            assert type(other[0]) is ct.Conv2d
            assert torch.equal(other(x), y)
        file = io.BytesIO()
        torch.save(ours.state_dict(), file)
        file.seek(0)
        theirs = network()
        theirs.load_state_dict(torch.load(file, weights_only=True))
        torch.testing.assert_close(theirs.eval()(x), y, rtol=1e-4, atol=1e-4)
        ours.load_state_dict(nn.Sequential(*(copy.deepcopy(each) for each in theirs)).state_dict())


def test_hooks_parametrizations_and_subclasses_stay() -> None:
    class Mine(nn.Conv2d):
        def forward(self, x: Any) -> Any:
            return super().forward(x) + 1

    seen = []
    net = nn.Sequential(Mine(1, 1, 1), nn.Conv2d(1, 1, 1), nn.AvgPool2d(2, divisor_override=3))
    net[1].register_forward_hook(lambda *args: seen.append(1))
    nn.utils.parametrizations.weight_norm(net[1])
    x = torch.randn(1, 1, 4, 4)
    after = ct.convert(net)
    torch.testing.assert_close(after(x), net(x))
    assert type(after[0]) is Mine
    assert type(after[2]) is nn.AvgPool2d
    assert seen == [1, 1]


def test_output_size_and_momentum_none() -> None:
    up = nn.ConvTranspose2d(2, 3, 3, stride=2, padding=1)
    x = torch.randn(1, 2, 4, 4)
    torch.testing.assert_close(ct.convert(up)(x, output_size=[8, 8]), up(x, output_size=[8, 8]))
    theirs = nn.BatchNorm2d(2, momentum=None)
    ours = ct.convert(theirs)
    for _ in range(3):
        image = torch.randn(2, 2, 3, 3)
        torch.testing.assert_close(ours(image), theirs(image))
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict())


def losses(net: Any, dtype: Any) -> list[float]:
    seed = torch.Generator().manual_seed(3)
    x = torch.randn(32, 1, 12, 12, dtype=dtype, generator=seed)
    target = x.mean((1, 2, 3)).gt(0).long()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    found = []
    for _ in range(15):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(x), target)
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return found


def test_a_float64_network_learns_as_with_torch() -> None:
    torch.manual_seed(0)
    theirs = nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 8, 3), nn.Tanh(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2),
    ).double()  # fmt: skip
    ours = ct.convert(theirs)
    mine, expected = losses(ours, torch.float64), losses(theirs, torch.float64)
    assert expected[-1] < 0.9 * expected[0]
    assert mine == pytest.approx(expected, rel=1e-8)
