"""Files that torch itself writes: the module and the network loaded from its state dict give the same outputs."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnnfast import Model, Sequential
from cnnfast.layers import BatchNormalization, Conv2D, Conv2DTranspose, Dense, Flatten, MaxPooling2D, PReLU
from cnnfast.models import ResNet18, load_torch


def resnet18(torch: Any) -> Any:
    """torchvision's names and order."""
    nn, f = torch.nn, torch.nn.functional

    class Block(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, channels: int, filters: int, stride: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(channels, filters, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(filters)
            self.conv2 = nn.Conv2d(filters, filters, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(filters)
            if channels != filters:
                shortcut = nn.Conv2d(channels, filters, 1, stride, bias=False)
                self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(filters))

        def forward(self, x: Any) -> Any:
            y = self.bn2(self.conv2(f.relu(self.bn1(self.conv1(x)))))
            return f.relu(y + (self.downsample(x) if hasattr(self, "downsample") else x))

    class ResNet(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
            self.bn1 = nn.BatchNorm2d(64)
            self.layer1 = nn.Sequential(Block(64, 64, 1), Block(64, 64, 1))
            self.layer2 = nn.Sequential(Block(64, 128, 2), Block(128, 128, 1))
            self.layer3 = nn.Sequential(Block(128, 256, 2), Block(256, 256, 1))
            self.layer4 = nn.Sequential(Block(256, 512, 2), Block(512, 512, 1))
            self.fc = nn.Linear(512, 1000)

        def forward(self, x: Any) -> Any:
            x = f.max_pool2d(f.relu(self.bn1(self.conv1(x))), 3, 2, 1)
            x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
            return self.fc(x.mean((2, 3)))

    return ResNet()


def compare(torch: Any, module: Any, model: Model, path: Path, names: dict[str, str] | None = None) -> None:
    pytest.importorskip("safetensors", reason='pip install "cnnfast[weights]"')
    from safetensors.torch import save_file

    x = np.random.default_rng(3).random((2, *model.input_shape[1:]), np.float32)
    with torch.no_grad():
        image = torch.tensor(x).permute(0, 3, 1, 2)
        module.train()(image)  # statistics that are not 0 and 1
        save_file(module.eval().state_dict(), path)
        theirs, exact = module(image).numpy(), module.double()(image.double()).numpy()
    load_torch(model, path, names)
    ours = model.predict(x)
    assert np.abs(ours - exact).max() <= 4 * np.abs(theirs - exact).max() + 1e-7 * np.abs(exact).max()
    assert exact.std() > 1e-3 * np.abs(exact).max()


def test_resnet18(torch: Any, tmp_path: Path) -> None:
    torch.manual_seed(1)
    compare(torch, resnet18(torch), ResNet18(input_shape=(64, 64, 3)), tmp_path / "resnet18.safetensors")


def test_a_network_of_ones_own(torch: Any, tmp_path: Path) -> None:
    """Groups, a transposed convolution, PReLU, and a Linear after a Flatten."""
    torch.manual_seed(1)
    nn = torch.nn
    module = nn.Sequential(
        nn.Conv2d(4, 8, 3, groups=2), nn.BatchNorm2d(8), nn.PReLU(8), nn.ConvTranspose2d(8, 6, 3, 2),
        nn.MaxPool2d(3, 2), nn.Flatten(), nn.Linear(7 * 6 * 6, 5),
    )  # fmt: skip
    model = Sequential([
        Conv2D(8, 3, groups=2, input_shape=(9, 8, 4)), BatchNormalization(epsilon=1e-5), PReLU(),
        Conv2DTranspose(6, 3, 2), MaxPooling2D(3, 2), Flatten(), Dense(5),
    ])  # fmt: skip
    names = {layer.name: str(i) for i, layer in enumerate(model.layers)}
    compare(torch, module, model, tmp_path / "mine.safetensors", names)
