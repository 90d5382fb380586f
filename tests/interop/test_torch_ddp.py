"""Two processes that learn together (DDP over gloo) through cnnfast's ops learn what one does on both their batches."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="pip install torch==2.13.0")

STEPS, EACH = 5, 8


def network() -> Any:
    import cnnfast.interop.torch as ct

    nn = torch.nn
    torch.manual_seed(0)
    return ct.convert(
        nn.Sequential(
            nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 8, 3), nn.ReLU(),
            nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 3),
        ).double()
    )  # fmt: skip


def batch() -> tuple[Any, Any]:
    seed = torch.Generator().manual_seed(1)
    x = torch.randn(2 * EACH, 1, 10, 10, dtype=torch.float64, generator=seed)
    return x, torch.arange(2 * EACH) % 3


def learn(net: Any, x: Any, target: Any) -> list[Any]:
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    for _ in range(STEPS):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(x), target).backward()
        optimizer.step()
    return [each.detach() for each in net.parameters()]


def worker(rank: int, folder: str) -> None:
    import torch.distributed as dist

    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    x, target = batch()
    mine = slice(rank * EACH, (rank + 1) * EACH)
    learnt = learn(torch.nn.parallel.DistributedDataParallel(network()), x[mine], target[mine])
    torch.save(learnt, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_learn_what_one_does(tmp_path: Path) -> None:
    if not (torch.distributed.is_available() and torch.distributed.is_gloo_available()):
        pytest.skip("this torch has no gloo")
    command = [sys.executable, "-P", __file__]  # new processes, as a launcher starts them
    workers = [subprocess.Popen([*command, str(rank), str(tmp_path)], stderr=subprocess.PIPE) for rank in range(2)]
    try:
        errors = [each.communicate(timeout=90)[1].decode() for each in workers]
    finally:
        for each in workers:
            each.kill()
    assert [each.returncode for each in workers] == [0, 0], errors
    together = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    alone = learn(network(), *batch())
    for first, second, expected in zip(*together, alone, strict=True):
        assert torch.equal(first, second)
        torch.testing.assert_close(first, expected, rtol=1e-10, atol=1e-12)


if __name__ == "__main__":
    worker(int(sys.argv[1]), sys.argv[2])
