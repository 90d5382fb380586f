"""Every op on a CUDA device beside cuDNN, through torch, on the layers of ResNet-50, VGG16 and MobileNet v1.

    python benchmarks/gpu.py --batch 32 > table.md      # on a machine with a GPU and torch built for CUDA
    python benchmarks/gpu.py --dry-run                   # makes every plan, and needs neither

prints a table in Markdown with its date, device and command. Times are the medians of CUDA events around single calls
on one stream, after a warm-up, so that a small layer's has the host's part in it. Float32 is measured with TF32 off on
both sides, TF32 and the halves apart. The last column is what ops bound by memory are judged by: the bytes that must
move a second, as a part of what torch's copy moves.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import cnnfast
from cnnfast.bench.problem import Problem
from cnnfast.bench.problems import select

OPS = ("conv2d", "depthwise_conv2d", "max_pool2d", "avg_pool2d", "global_avg_pool2d")
NETWORKS = "resnet50/|vgg16/|mobilenet_v1/"
SETTINGS = {  # name -> (dtype, precision, torch's allow_tf32)
    "float32": ("float32", "default", False), "TF32": ("float32", "fast", True),
    "float16": ("float16", "default", True), "bfloat16": ("bfloat16", "default", True),
}  # fmt: skip
ROUNDS, WARM = 50, 5


class Row(NamedTuple):
    """A layer as measured: milliseconds of cnnfast and of torch, and the bytes that must move."""

    layer: str
    op: str
    setting: str
    ours: float
    theirs: float
    bytes: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--only", default=NETWORKS, help="layers: the beginning of a name or of network/name")
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--layout", choices=("NHWC", "NCHW"), default="NHWC", help="how tensors lie; torch's are NCHW")
    parser.add_argument("--dry-run", action="store_true", help="make every plan, without a device")
    options = parser.parse_args()
    problems = [problem for problem in select(options.only) if problem.op in OPS]
    if options.dry_run:
        for problem in problems:
            print(f"{problem.name}: {', '.join(planned(problem, options.batch, options.settings))}")
        return
    torch = torch_on_a_device()
    rows = list(measured(torch, problems, options))
    if options.only == NETWORKS:
        rows.append(network(torch))
    print(report(torch, rows))


def torch_on_a_device() -> Any:
    try:
        import torch
    except ImportError:
        sys.exit("benchmarks/gpu.py needs torch, built for CUDA: pip install torch; --dry-run needs none")
    if not torch.cuda.is_available():
        sys.exit("benchmarks/gpu.py needs a CUDA device and torch built for it; --dry-run needs none")
    return torch


def planned(problem: Problem, batch: int, settings: list[str]) -> Iterator[str]:
    """The steps of each plan on an sm_90, of shapes alone."""
    from cnnfast.backends.cuda import conv
    from cnnfast.backends.cuda.arrays import contiguous_strides
    from cnnfast.backends.cuda.problem import Conv

    if problem.op not in ("conv2d", "depthwise_conv2d"):
        yield f"{problem.op} is planned when it is called"
        return
    _, P, Q, K = problem.y_shape
    groups = problem.c if problem.op == "depthwise_conv2d" else problem.groups
    x, y = (batch, problem.h, problem.w, problem.c), (batch, P, Q, K)
    weight = (problem.r, problem.s, problem.c // groups, K)
    strides: Any = [contiguous_strides(each) for each in (x, weight, y)]
    for setting in settings:
        dtype, precision, _ = SETTINGS[setting]
        plan = conv.plan(
            Conv(*x, K, problem.r, problem.s, P, Q, problem.stride, problem.padding, problem.dilation, groups, dtype,
                 precision, *strides, has_bias=True, cc=(9, 0))
        )  # fmt: skip
        yield f"{setting} {' + '.join(step.kernel.name.partition('(')[0] for step in plan.steps)}"


def measured(torch: Any, problems: list[Problem], options: Any) -> Iterator[Row]:
    for setting in options.settings:
        dtype, precision, tf32 = SETTINGS[setting]
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = tf32
        torch.backends.cudnn.benchmark = True
        for problem in problems:
            ours, theirs, size = calls(torch, problem, options, getattr(torch, dtype), precision)
            yield Row(problem.name, problem.op, setting, median(torch, ours), median(torch, theirs), size)
        for name, ours, theirs, size in elementwise(torch, options.batch, getattr(torch, dtype)):
            yield Row(name, name, setting, median(torch, ours), median(torch, theirs), size)


def calls(
    torch: Any, problem: Problem, options: Any, dtype: Any, precision: str
) -> tuple[Callable[[], Any], Callable[[], Any], int]:  # fmt: skip
    """The layer in cnnfast and in torch, whose x is the same memory, and the bytes that it reads and writes."""
    functional, nhwc = torch.nn.functional, options.layout == "NHWC"
    _, H, W, C = problem.x_shape
    x = torch.randn(options.batch, H, W, C, device="cuda").to(dtype)
    lying = x if nhwc else x.permute(0, 3, 1, 2).contiguous()
    theirs = x.permute(0, 3, 1, 2) if nhwc else lying
    stride, (top, left) = problem.stride, (problem.padding[0][0], problem.padding[1][0])
    how: dict[str, Any] = {"stride": stride, "padding": problem.padding, "layout": options.layout}
    moved = x.element_size() * options.batch * (H * W * C + math.prod(problem.y_shape[1:]))
    if problem.op == "global_avg_pool2d":
        return (
            lambda: cnnfast.global_avg_pool2d(lying, layout=options.layout),
            lambda: functional.adaptive_avg_pool2d(theirs, 1), moved,
        )  # fmt: skip
    if problem.is_pool:
        pool, of_torch = getattr(cnnfast, problem.op), getattr(functional, problem.op)
        return (
            lambda: pool(lying, problem.kernel_size, **how),
            lambda: of_torch(theirs, problem.kernel_size, stride, (top, left)), moved,
        )  # fmt: skip
    groups = C if problem.op == "depthwise_conv2d" else problem.groups
    K = problem.y_shape[3]
    weight = torch.randn(K, C // groups, problem.r, problem.s, device="cuda").to(dtype)
    bias = torch.randn(K, device="cuda").to(dtype)
    own = weight
    if nhwc:
        weight = weight.contiguous(memory_format=torch.channels_last)
        own = own.permute(2, 3, 1, 0).contiguous()
        own = own.reshape(problem.r, problem.s, C, -1) if problem.op == "depthwise_conv2d" else own
    op = getattr(cnnfast, problem.op)
    more = {} if problem.op == "depthwise_conv2d" else {"groups": groups}
    out = op(lying, own, bias, precision=precision, **how, **more)
    return (
        lambda: op(lying, own, bias, precision=precision, out=out, **how, **more),
        lambda: functional.conv2d(theirs, weight, bias, stride, (top, left), 1, groups), moved,
    )  # fmt: skip


def network(torch: Any) -> Row:
    """ResNet-50 at batch 1 in float32, batch normalisation folded in both: our CUDA graph beside torch's."""
    from torch.fx.experimental.optimization import fuse
    from torch_networks import NETWORKS as networks  # beside this file
    from torch_networks import initialised

    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    x = torch.randn(1, 224, 224, 3, device="cuda")
    plan = cnnfast.models.ResNet50().plan(tuple(x.shape))
    net = fuse(initialised(networks["resnet50"](), (1, 3, 224, 224)).eval())
    net = net.to("cuda", memory_format=torch.channels_last)
    graph, theirs = torch.cuda.CUDAGraph(), x.permute(0, 3, 1, 2)
    with torch.no_grad():
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):  # torch asks for runs before a capture
            for _ in range(WARM):
                net(theirs)
        torch.cuda.current_stream().wait_stream(side)
        with torch.cuda.graph(graph):
            net(theirs)
    ours = median(torch, lambda: plan(x))
    return Row("ResNet-50, batch 1", "network", "float32", ours, median(torch, graph.replay), 0)


def elementwise(torch: Any, batch: int, dtype: Any) -> Iterator[tuple[str, Callable[[], Any], Callable[[], Any], int]]:
    """Ops that memory bounds, on ResNet-50's largest activation."""
    functional = torch.nn.functional
    x = torch.randn(batch, 256, 56, 56, device="cuda").to(dtype)
    vectors = [torch.rand(256, device="cuda").to(dtype) for _ in range(4)]
    out, size = torch.empty_like(x), x.element_size() * x.numel()
    yield "copy", lambda: out.copy_(x), lambda: out.copy_(x), 2 * size
    yield "relu", lambda: cnnfast.relu(x, out=out), lambda: torch.relu(x), 2 * size
    yield "add", lambda: cnnfast.add(x, x, out=out), lambda: torch.add(x, x, out=out), 3 * size
    yield (
        "batch_norm", lambda: cnnfast.batch_norm(x, *vectors, layout="NCHW", out=out),
        lambda: functional.batch_norm(x, *vectors), 2 * size,
    )  # fmt: skip


def median(torch: Any, work: Callable[[], Any]) -> float:
    """Milliseconds of a call."""
    for _ in range(WARM):
        work()
    times = []
    for _ in range(ROUNDS):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        work()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end))
    return statistics.median(times)


def report(torch: Any, rows: list[Row]) -> str:
    """The table, and each op's geometric mean of torch's time over ours."""
    copies = {row.setting: row.bytes / row.theirs / 1e6 for row in rows if row.op == "copy"}
    lines = [
        f"{time.strftime('%Y-%m-%d')}, {torch.cuda.get_device_name()}, torch {torch.__version__}, cuDNN "
        f"{torch.backends.cudnn.version()}, `python {' '.join(sys.argv)}`", "",
        "| layer | op | setting | ms | torch, ms | torch / ours | of the copy's bandwidth |", "| --- " * 7 + "|",
    ]  # fmt: skip
    for row in rows:
        part = row.bytes / row.ours / 1e6 / copies[row.setting]
        lines.append(
            f"| {row.layer} | {row.op} | {row.setting} | {row.ours:.4f} | {row.theirs:.4f} | "
            f"{row.theirs / row.ours:.2f} | {part:.0%} |"
        )
    lines += ["", "| op | setting | geometric mean of torch / ours |", "| --- | --- | --- |"]
    for op, setting in dict.fromkeys((row.op, row.setting) for row in rows if row.op != "copy"):
        ratios = [row.theirs / row.ours for row in rows if (row.op, row.setting) == (op, setting)]
        lines.append(f"| {op} | {setting} | {statistics.geometric_mean(ratios):.2f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
