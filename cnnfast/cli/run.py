"""`cnnfast run`: an ONNX model, or LeNet-5 as it was trained on digits, on an image or an array: its top classes or its
outputs, and where the time goes."""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from cnnfast.bench import profile
from cnnfast.bench.tables import LEFT, Column, milliseconds, number, percent
from cnnfast.cli import digits, values
from cnnfast.cli.console import Console
from cnnfast.cli.pictures import opened
from cnnfast.datasets.folders import eight_bits
from cnnfast.onnx import Model, load
from cnnfast.ops import runtime
from cnnfast.ops.arrays import Array

EXAMPLES = """examples:
  cnnfast run resnet50.onnx --input cat.jpg --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225
  cnnfast run unet.onnx --input x.npy --profile --trace unet.json
  cnnfast run model.onnx --profile             random numbers of the input's shape
  cnnfast run lenet5 --input digit.png         one digit, dark on light or light on dark

A picture becomes RGB (or grey, for one channel) of the input's size, divided by 255; --mean and --std come after that.
An .npy file is taken as it is; a model of several inputs wants one --input each. A trace is for chrome://tracing or
ui.perfetto.dev.
"""
DIGITS = "lenet5"
TOP, LEAST_CLASSES, OPEN, RUNS = 5, 10, 1, 20
COLUMNS = (
    Column("node", LEFT), Column("op", LEFT), Column("algorithm", LEFT), Column("ms"), Column("time"),
    Column("of peak"), Column("of floor"), Column("read"), Column("written"),
)  # fmt: skip


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "run", help="an ONNX model on an image or an array, and a profile of it", description=__doc__, epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("model", metavar="MODEL.onnx", help=f"a file, or {DIGITS}: trained on handwritten digits")
    parser.add_argument(
        "--input", type=Path, nargs="+", default=[], metavar="IMAGE|NPY", help="default: random numbers"
    )
    parser.add_argument(
        "--mean", type=values.floats, metavar="A,B,C", help="taken from a picture's channels (default 0)"
    )
    parser.add_argument(
        "--std", type=values.floats, metavar="A,B,C", help="a picture's channels are divided by it (default 1)"
    )
    parser.add_argument(
        "--profile", action="store_true", help=f"time, algorithm and bytes of every node, of {RUNS} runs"
    )
    parser.add_argument("--trace", type=Path, metavar="FILE", help="write the profile as a Chrome trace")
    parser.add_argument("--threads", type=values.count, metavar="N", help="default: as cnnfast would take")
    parser.set_defaults(run=run, parser=parser)


def run(arguments: argparse.Namespace) -> int:
    if arguments.trace is not None and not arguments.trace.absolute().parent.is_dir():
        raise ValueError(f"trace must be in a folder that exists, got {arguments.trace}")
    if arguments.threads is not None:
        runtime.set_num_threads(arguments.threads)
    console = Console()
    if arguments.model == DIGITS:
        if arguments.profile or arguments.trace or arguments.mean or arguments.std:
            raise ValueError(f"{DIGITS} takes --input and --threads alone")
        show(console, "digit", digits.classify(arguments.input))
        return 0
    model = load(Path(arguments.model))
    inputs = inputs_of(model, arguments.input, arguments.mean, arguments.std)
    if not arguments.input:
        console.remark("no --input: random numbers")
    for value, y in zip(model.outputs, model(*inputs), strict=True):
        show(console, value.name, y)
    if arguments.profile or arguments.trace is not None:
        executable = model.executable(*(x.shape for x in inputs), dtypes=[x.dtype for x in inputs])
        found = profile.profile(executable, inputs, RUNS)
        if arguments.profile:
            report(console, found)
        if arguments.trace is not None:
            arguments.trace.write_text(json.dumps({"traceEvents": profile.trace(found)}))
            console.line(f"wrote {arguments.trace}")
    return 0


def inputs_of(
    model: Model, files: list[Path], mean: tuple[float, ...] | None, std: tuple[float, ...] | None
) -> list[Array]:
    """An array for each of the model's inputs: from files, or random but the same every time."""
    if files and len(files) != len(model.inputs):
        raise ValueError(
            f"the model has {len(model.inputs)} inputs ({', '.join(each.name for each in model.inputs)}), "
            f"got {len(files)} --input"
        )
    random = np.random.default_rng(0)
    found = []
    for i, value in enumerate(model.inputs):
        dtype = value.dtype or np.dtype(np.float32)
        shape = tuple(size if isinstance(size, int) and size else OPEN for size in value.shape or ())
        if not files:
            found.append(random.standard_normal(shape).astype(dtype) if dtype.kind == "f" else np.zeros(shape, dtype))
        elif files[i].suffix == ".npy":
            x = np.load(files[i], allow_pickle=False)
            found.append(x.astype(dtype) if dtype.kind == x.dtype.kind == "f" else x)
        else:
            found.append(picture(files[i], value.shape, mean, std).astype(dtype))
    return found


def picture(path: Path, shape: Any, mean: tuple[float, ...] | None, std: tuple[float, ...] | None) -> Array:
    """A picture as the input of a network that takes (N, C, H, W), or (N, H, W, C)."""
    if shape is None or len(shape) != 4 or not {1, 3} & {shape[1], shape[3]}:
        raise ValueError(f"a picture needs an input of (N, C, H, W) or (N, H, W, C) with 1 or 3 channels, got {shape}")
    first = shape[1] in (1, 3)
    channels, (height, width) = (shape[1], shape[2:]) if first else (shape[3], shape[1:3])
    with opened(path) as image:
        turned = eight_bits(image).convert("RGB" if channels == 3 else "L")
        size = [
            there if isinstance(there, int) else own for there, own in zip((width, height), turned.size, strict=True)
        ]
        x = np.asarray(turned.resize((size[0], size[1])), np.float32).reshape(size[1], size[0], channels) / 255
    for numbers in (mean, std):
        if numbers is not None and len(numbers) not in (1, channels):
            raise ValueError(f"mean and std must have {channels} numbers, or one, got {numbers}")
    x = (x - np.asarray(mean or 0, np.float32)) / np.asarray(std or 1, np.float32)
    return np.ascontiguousarray(x.transpose(2, 0, 1) if first else x)[None]


def show(console: Console, name: str, y: Array) -> None:
    """The top classes of what looks like scores, else an output's shape and range."""
    rows = y.reshape(len(y), -1) if y.ndim > 1 and y.size == y.shape[0] * y.shape[1] else None
    if rows is None or rows.shape[1] < LEAST_CLASSES or y.dtype.kind != "f":
        spread = f", {y.min():.6g} to {y.max():.6g}, mean {y.mean():.6g}" if y.size and y.dtype.kind in "fiu" else ""
        console.line(f"{name}: {y.shape} {y.dtype}{spread}")
        return
    for i, scores in enumerate(rows):
        best = np.argsort(-scores, kind="stable")[:TOP]
        title = f"{name}{f', image {i}' if len(rows) > 1 else ''}: the top of {len(scores)} classes"
        console.line(title)
        console.table("", (Column("class"), Column("score")), [[str(each), f"{scores[each]:.4f}"] for each in best])


def report(console: Console, found: profile.Profile) -> None:
    """A row for each step, and their sums."""
    total = sum(part.seconds for part in found.parts)
    peak = found.roof.peak_gflops if found.roof else None
    rows = [
        [part.name, part.op, part.algorithm, milliseconds(part.seconds), percent(part.seconds / total),
         percent(part.flops / part.seconds / peak / 1e9 if peak and part.flops else None),
         percent(part.floor / part.seconds if part.floor else None), size(part.read), size(part.written)]
        for part in found.parts
    ]  # fmt: skip
    console.table("step by step", COLUMNS, rows)
    console.line(f"{len(rows)} steps: {milliseconds(total)} ms one by one, {milliseconds(found.whole)} ms in one run")
    if found.floor:
        flops = sum(part.flops for part in found.parts)
        console.line(
            f"floor {milliseconds(found.floor)} ms, {percent(found.floor / found.whole)} of the run: "
            f"{number(flops / 1e9, 2)} GFLOP at {number(peak)} GFLOP/s, or the bytes, step by step"
        )


def size(count: float) -> str:
    """Bytes with a unit."""
    return f"{count / 2**20:.1f} MB" if count >= 2**20 else f"{count / 2**10:.1f} kB"
