"""Training steps (forwards, back, SGD with momentum) beside torch's: `python benchmarks/training.py [network ...]`.

Each network on one batch, cnnfast and torch (eager, channels last; with --compile also torch.compile) in turn in one
process, the median of several rounds; an engine runs for 50 ms before each sample, so that neither pays for the
other's threads and caches. --alone leaves torch out.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import cnnfast
from cnnfast.losses import SparseCategoricalCrossentropy
from cnnfast.optimizers import SGD

NETWORKS: dict[str, tuple[Callable[[], Any], tuple[int, ...], int, int]] = {
    "lenet5": (cnnfast.models.LeNet5, (64, 32, 32, 1), 10, 20),
    "resnet20": (cnnfast.models.ResNet20, (64, 32, 32, 3), 10, 15),
    "mobilenet-v2": (cnnfast.models.MobileNetV2, (8, 224, 224, 3), 1000, 9),
    "resnet50": (cnnfast.models.ResNet50, (4, 224, 224, 3), 1000, 7),
}
"""The network, a batch's shape, classes, rounds."""
WARM = 0.05  # seconds


def data(shape: tuple[int, ...], classes: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    return rng.standard_normal(shape, np.float32), rng.integers(0, classes, shape[0])


def ours(name: str) -> Callable[[], Any]:
    make, shape, classes, _ = NETWORKS[name]
    x, y = data(shape, classes)
    model = make()
    logits = model.layers[-1].last_activation != "softmax"
    model.compile(SGD(1e-3, momentum=0.9), SparseCategoricalCrossentropy(from_logits=logits))
    return lambda: model.train_on_batch(x, y)


def theirs(name: str, compiled: bool) -> Callable[[], Any]:
    import torch
    from torch_networks import NETWORKS as networks  # beside this file

    _, shape, classes, _ = NETWORKS[name]
    torch.manual_seed(0)
    net = networks[name]().train().to(memory_format=torch.channels_last)
    x, y = data(shape, classes)
    images = torch.from_numpy(np.moveaxis(x, 3, 1).copy()).to(memory_format=torch.channels_last)
    targets = torch.from_numpy(y)
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9)

    def loss(images: Any, targets: Any) -> Any:
        return torch.nn.functional.cross_entropy(net(images), targets)

    run = torch.compile(loss) if compiled else loss

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        run(images, targets).backward()
        optimizer.step()

    return step


def measure(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    samples: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            began = time.perf_counter()
            call()
            while time.perf_counter() - began < WARM:
                call()
            start = time.perf_counter()
            call()
            samples[name].append(time.perf_counter() - start)
    return samples


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", default=list(NETWORKS))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--alone", action="store_true")
    asked = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(asked.threads)
    cnnfast.set_num_threads(asked.threads)
    for name in asked.networks:
        calls = {"cnnfast": ours(name)}
        if not asked.alone:
            calls["torch"] = theirs(name, False)
        if asked.compile:
            calls["torch compiled"] = theirs(name, True)
        found = measure(calls, asked.rounds or NETWORKS[name][3])
        best = min((statistics.median(found[each]) for each in calls if each != "cnnfast"), default=0.0)
        for each, samples in found.items():
            median = statistics.median(samples)
            ratio = f", {best / median:.2f} x torch" if best and each == "cnnfast" else ""
            print(f"{name:13} {each:15} {median * 1e3:9.3f} ms (least {min(samples) * 1e3:.3f}){ratio}", flush=True)


if __name__ == "__main__":
    main()
