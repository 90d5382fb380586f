"""The networks that torchvision does not have: written once more, in torch's functions, with the same weights."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cnnfast import Model, set_random_seed
from cnnfast.models import FCN8s, FCN32s, GoogLeNet, Plain34, TinyYOLOv2, UNet, fcn, unet

Net = Callable[[Any, dict[str, Any], Any], Any]


def check(torch: Any, model: Model, network: Net, x: Any) -> None:
    """The error against float64 is at most 4 times that of torch's own float32 (trust's bound for a network)."""
    weights = {layer.name: [torch.tensor(weight) for weight in layer.get_weights()] for layer in model.layers}
    double = {name: [each.double() for each in those] for name, those in weights.items()}
    image = torch.tensor(x).permute(0, 3, 1, 2)
    theirs, exact = network(torch.nn.functional, weights, image), network(torch.nn.functional, double, image.double())
    outputs = [[each] if hasattr(each, "shape") else each for each in (model.predict(x), theirs, exact)]
    for y, near, truth in zip(*outputs, strict=True):
        truth, near = (to_last(each.numpy()) for each in (truth, near))
        scale = np.abs(truth).max()
        assert y.shape == truth.shape
        assert np.abs(y - truth).max() <= 4 * np.abs(near - truth).max() + 1e-7 * scale
        assert truth.std() > 1e-3 * scale, "outputs that say nothing"


def to_last(array: Any) -> Any:
    return np.moveaxis(array, 1, -1) if array.ndim == 4 else array


def shaken(model: Model, rng: np.random.Generator) -> Model:
    """Biases, scales and statistics that are not 0 and 1."""
    model.set_weights([weight + 0.1 * rng.random(weight.shape, np.float32) * (weight.ndim == 1)
                       for weight in model.get_weights()])  # fmt: skip
    return model


def conv(f: Any, weights: list[Any], x: Any, stride: int = 1, padding: int | None = None) -> Any:
    kernel, *bias = weights
    sides = kernel.shape[0] // 2 if padding is None else padding
    return f.conv2d(x, kernel.permute(3, 2, 0, 1), *bias, stride=stride, padding=sides)


def norm(f: Any, weights: list[Any], x: Any) -> Any:
    gamma, beta, mean, variance = weights
    return f.batch_norm(x, mean, variance, gamma, beta, eps=1e-5)


def googlenet(f: Any, w: dict[str, Any], x: Any) -> Any:
    def relu(name: str, x: Any, stride: int = 1) -> Any:
        return f.relu(conv(f, w[name], x, stride))

    def pool(x: Any) -> Any:
        return f.max_pool2d(x, 3, 2, ceil_mode=True)

    def lrn(x: Any) -> Any:
        return f.local_response_norm(x, 5, 1e-4, 0.75, 1.0)

    def dense(name: str, x: Any) -> Any:
        return f.linear(x, w[name][0].T, w[name][1])

    def head(name: str, x: Any) -> Any:
        x = relu(f"{name}/conv", f.avg_pool2d(x, 5, 3)).permute(0, 2, 3, 1).flatten(1)
        return f.softmax(dense(f"{name}/classifier", f.relu(dense(f"{name}/fc", x))), -1)

    import torch

    x = lrn(pool(relu("conv1/7x7_s2", x, 2)))
    x = pool(lrn(relu("conv2/3x3", relu("conv2/3x3_reduce", x))))
    heads = []
    for module in ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"):
        at = f"inception_{module}/"
        x = torch.cat([
            relu(at + "1x1", x), relu(at + "3x3", relu(at + "3x3_reduce", x)),
            relu(at + "5x5", relu(at + "5x5_reduce", x)), relu(at + "pool_proj", f.max_pool2d(x, 3, 1, 1)),
        ], 1)  # fmt: skip
        if module == "4a":
            heads.append(head("loss1", x))
        if module == "4d":
            heads.append(head("loss2", x))
        if module in ("3b", "4e"):
            x = pool(x)
    return [f.softmax(dense("loss3/classifier", x.mean((2, 3))), -1), *heads]


def plain34(f: Any, w: dict[str, Any], x: Any) -> Any:
    def step(name: str, x: Any, stride: int) -> Any:
        return f.relu(norm(f, w[f"{name}_bn"], conv(f, w[f"{name}_conv"], x, stride)))

    x = f.max_pool2d(step("conv1", x, 2), 3, 2, 1)
    for stage, blocks in ((2, 3), (3, 4), (4, 6), (5, 3)):
        for block in range(1, blocks + 1):
            for k in (1, 2):
                x = step(f"conv{stage}_block{block}_{k}", x, 2 if stage > 2 and block == k == 1 else 1)
    return f.linear(x.mean((2, 3)), w["predictions"][0].T, w["predictions"][1])


def tiny_yolo(f: Any, w: dict[str, Any], x: Any) -> Any:
    for i in range(1, 9):
        x = f.leaky_relu(norm(f, w[f"bn{i}"], conv(f, w[f"conv{i}"], x)), 0.1)
        if i == 6:
            x = f.max_pool2d(f.pad(x, (0, 1, 0, 1), value=-float("inf")), 2, 1)
        elif i < 6:
            x = f.max_pool2d(x, 2)
    return conv(f, w["conv9"], x)


def up(f: Any, weights: list[Any], x: Any, stride: int) -> Any:
    kernel, *bias = weights
    return f.conv_transpose2d(x, kernel.permute(3, 2, 0, 1), *bias, stride=stride)


def u(padding: int) -> Net:
    def network(f: Any, w: dict[str, Any], x: Any) -> Any:
        import torch

        def double(name: str, x: Any) -> Any:
            for k in (1, 2):
                x = f.relu(conv(f, w[f"{name}_conv{k}"], x, padding=padding))
            return x

        across = []
        for level in range(5):
            x = double(f"down{level}", f.max_pool2d(x, 2) if level else x)
            across.append(x)
        for level in (3, 2, 1, 0):
            x = up(f, w[f"up{level}_upconv"], x, 2)
            cut = (across[level].shape[-1] - x.shape[-1]) // 2
            x = double(f"up{level}", torch.cat([f.pad(across[level], (-cut, -cut, -cut, -cut)), x], 1))
        return conv(f, w["logits"], x)

    return network


def fully_convolutional(coarse: bool) -> Net:
    def network(f: Any, w: dict[str, Any], x: Any) -> Any:
        H, W = x.shape[2:]
        pools = []
        for block, count in enumerate((2, 2, 3, 3, 3), 1):
            for k in range(1, count + 1):
                x = f.relu(conv(f, w[f"conv{block}_{k}"], x, padding=100 if block == k == 1 else 1))
            pools.append(x := f.max_pool2d(x, 2, ceil_mode=True))
        x = f.relu(conv(f, w["fc6"], x, padding=0))
        x = conv(f, w["score_fr"], f.relu(conv(f, w["fc7"], x)))
        if coarse:
            return up(f, w["upscore"], x, 32)[:, :, 19 : 19 + H, 19 : 19 + W]
        for name, score, offset, pool in (
            ("upscore2", "score_pool4", 5, pools[3]), ("upscore_pool4", "score_pool3", 9, pools[2]),
        ):  # fmt: skip
            x = up(f, w[name], x, 2)
            h, v = x.shape[2:]
            x = x + conv(f, w[score], pool)[:, :, offset : offset + h, offset : offset + v]
        return up(f, w["upscore8"], x, 8)[:, :, 31 : 31 + H, 31 : 31 + W]

    return network


CASES: dict[str, tuple[Callable[[], Model], Net]] = {
    "GoogLeNet": (lambda: GoogLeNet(aux=True), googlenet),
    "Plain-34": (lambda: Plain34(input_shape=(64, 64, 3)), plain34),
    # at 96 torch sums its last 3x3 maps so well that 4 times its error is less than its own at 416
    "Tiny-YOLOv2": (lambda: TinyYOLOv2(input_shape=(192, 192, 3)), tiny_yolo),
    "U-Net, valid": (lambda: UNet(input_shape=(188, 220, 1)), u(0)),
    "U-Net, same": (lambda: UNet("same", (64, 48, 1)), u(1)),
    "FCN-8s": (lambda: FCN8s((40, 53, 3)), fully_convolutional(False)),
    "FCN-32s": (lambda: FCN32s((40, 53, 3)), fully_convolutional(True)),
}


@pytest.mark.parametrize("name", CASES)
def test_the_same_network_in_torch(
    torch: Any, name: str, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    monkeypatch.setattr(unet, "FILTERS", 4)  # narrow: the arithmetic of sizes is what is tried
    monkeypatch.setattr(fcn, "FEATURES", 24)
    monkeypatch.setattr(fcn, "D", ((2, 4), (2, 8), (3, 8), (3, 12), (3, 12)))
    set_random_seed(5)
    make, network = CASES[name]
    model = shaken(make(), rng)
    with torch.no_grad():
        check(torch, model, network, rng.random((1, *model.input_shape[1:]), np.float32))
