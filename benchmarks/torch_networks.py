"""The networks of `training.py` and `torch_compile.py` in torch, as torchvision and the papers have them."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional


class LeNet5(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.c1, self.c3, self.c5 = nn.Conv2d(1, 6, 5), nn.Conv2d(6, 16, 5), nn.Conv2d(16, 120, 5)
        self.f6, self.output = nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x: Any) -> Any:
        x = functional.avg_pool2d(torch.tanh(self.c1(x)), 2)
        x = functional.avg_pool2d(torch.tanh(self.c3(x)), 2)
        return self.output(torch.tanh(self.f6(torch.tanh(self.c5(x)).flatten(1))))


def step(i: int, o: int, size: int, stride: int = 1, groups: int = 1, activation: Any = nn.ReLU) -> nn.Sequential:
    layers = [nn.Conv2d(i, o, size, stride, size // 2, groups=groups, bias=False), nn.BatchNorm2d(o)]
    return nn.Sequential(*layers, *([activation(inplace=True)] if activation else []))


class Residual(nn.Module):
    def __init__(self, i: int, width: int, o: int, stride: int, bottleneck: bool) -> None:
        super().__init__()
        last = step(width, o, 1 if bottleneck else 3, activation=None)
        first = [step(i, width, 1), step(width, width, 3, stride)] if bottleneck else [step(i, width, 3, stride)]
        self.body = nn.Sequential(*first, last)
        self.skip = step(i, o, 1, stride, activation=None) if stride != 1 or i != o else nn.Identity()

    def forward(self, x: Any) -> Any:
        return functional.relu(self.body(x) + self.skip(x))


def stages(i: int, widths: tuple[int, ...], blocks: tuple[int, ...], bottleneck: bool) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for n, (width, count) in enumerate(zip(widths, blocks, strict=True)):
        o = width * (4 if bottleneck else 1)
        for k in range(count):
            layers.append(Residual(i, width, o, 2 if n and k == 0 else 1, bottleneck))
            i = o
    return layers


def head(channels: int, classes: int) -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes)]


def resnet20() -> nn.Module:
    return nn.Sequential(step(3, 16, 3), *stages(16, (16, 32, 64), (3, 3, 3), False), *head(64, 10))


def resnet50() -> nn.Module:
    body = stages(64, (64, 128, 256, 512), (3, 4, 6, 3), True)
    return nn.Sequential(step(3, 64, 7, 2), nn.MaxPool2d(3, 2, 1), *body, *head(2048, 1000))


class Inverted(nn.Module):
    def __init__(self, i: int, o: int, stride: int, factor: int) -> None:
        super().__init__()
        wide = i * factor
        expand = [step(i, wide, 1, activation=nn.ReLU6)] if factor > 1 else []
        depthwise = step(wide, wide, 3, stride, wide, nn.ReLU6)
        self.body = nn.Sequential(*expand, depthwise, step(wide, o, 1, activation=None))
        self.adds = stride == 1 and i == o

    def forward(self, x: Any) -> Any:
        return x + self.body(x) if self.adds else self.body(x)


def mobilenet_v2() -> nn.Module:
    layers, i = [step(3, 32, 3, 2, activation=nn.ReLU6)], 32
    rows = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    for factor, o, count, stride in rows:
        for k in range(count):
            layers.append(Inverted(i, o, 1 if k else stride, factor))  # type: ignore[arg-type]
            i = o
    return nn.Sequential(*layers, step(320, 1280, 1, activation=nn.ReLU6), *head(1280, 1000))


def vgg16() -> nn.Module:
    layers: list[nn.Module] = []
    i = 3
    for count, o in ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)):
        for _ in range(count):
            layers += [nn.Conv2d(i, o, 3, padding=1), nn.ReLU(inplace=True)]
            i = o
        layers.append(nn.MaxPool2d(2))
    dense = [nn.Linear(25088, 4096), nn.ReLU(), nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout()]
    return nn.Sequential(*layers, nn.Flatten(), *dense, nn.Linear(4096, 1000))


def double(i: int, o: int) -> nn.Sequential:
    first, second = nn.Conv2d(i, o, 3, padding=1), nn.Conv2d(o, o, 3, padding=1)
    return nn.Sequential(first, nn.ReLU(inplace=True), second, nn.ReLU(inplace=True))


class UNet(nn.Module):
    """Maps keep their size."""

    def __init__(self, channels: int = 3, filters: int = 64, classes: int = 2) -> None:
        super().__init__()
        widths = [filters << level for level in range(5)]
        self.down = nn.ModuleList(double(i, o) for i, o in zip([channels, *widths], widths, strict=False))
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * o, o, 2, 2) for o in widths[3::-1])
        self.across = nn.ModuleList(double(2 * o, o) for o in widths[3::-1])
        self.logits = nn.Conv2d(filters, classes, 1)

    def forward(self, x: Any) -> Any:
        kept = []
        for level, down in enumerate(self.down):
            x = down(functional.max_pool2d(x, 2) if level else x)
            kept.append(x)
        kept.pop()
        for up, across in zip(self.up, self.across, strict=True):
            x = across(torch.cat([kept.pop(), up(x)], 1))
        return self.logits(x)


def initialised(net: nn.Module, shape: tuple[int, ...]) -> nn.Module:
    """He's normal weights, and statistics of a batch: what passes through has the size of what a trained net's has."""
    torch.manual_seed(0)
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = None  # the average of all that came
    with torch.no_grad():
        net.train()(torch.randn(2, *shape[1:]))
    return net.eval()


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "lenet5": LeNet5, "resnet20": resnet20, "mobilenet-v2": mobilenet_v2, "resnet50": resnet50,
    "vgg16": vgg16, "unet": UNet,
}  # fmt: skip
