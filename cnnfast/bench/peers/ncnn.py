"""ncnn in float32. Its layout is its own (CHW, packed); it knows no batch, so images go one by one."""

# mypy: disable-error-code="import-not-found,import-untyped"

import tempfile
from pathlib import Path
from typing import Any

import ncnn
import numpy as np

from . import Arrays, Engine, Request, Runnable, Unsupported

MAGIC = 7767517  # of ncnn's text format
FLOAT32 = b"\0\0\0\0"  # the tag before a weight


class Ncnn(Engine):
    def __init__(self, threads: int) -> None:
        self.threads, self.version = threads, str(ncnn.__version__)

    def prepare(self, request: Request, arrays: Arrays) -> Runnable:
        net = self.net(request["steps"], arrays)
        chw = np.ascontiguousarray(arrays["x"].transpose(0, 3, 1, 2))
        images = [ncnn.Mat(image) for image in chw]
        last: list[Any] = []

        def run() -> None:
            last.clear()
            for image in images:
                extractor = net.create_extractor()
                extractor.input("t0", image)
                last.append(extractor.extract(f"t{len(request['steps'])}")[1])

        shape = request["steps"][-1]["y_shape"]

        def output() -> Any:
            results = np.stack([np.array(y).reshape(shape[3], shape[1], shape[2]) for y in last])
            return results.transpose(0, 2, 3, 1)

        return Runnable(run, output, keep=chw)  # which the images only borrow

    def net(self, steps: list[dict[str, Any]], arrays: Arrays) -> Any:
        net = ncnn.Net()
        net.opt.num_threads = self.threads
        for narrow in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
            setattr(net.opt, narrow, False)
        lines = [line(i, step) for i, step in enumerate(steps)]
        text = [str(MAGIC), f"{len(lines) + 1} {len(lines) + 1}", "Input in 0 1 t0", *lines]
        with tempfile.TemporaryDirectory() as folder:
            param, weights = Path(folder, "net.param"), Path(folder, "net.bin")
            param.write_text("\n".join(text) + "\n")
            weights.write_bytes(b"".join(payload(step, arrays) for step in steps))
            if net.load_param(str(param)) or net.load_model(str(weights)):
                raise Unsupported("ncnn did not load the layer")
        return net


def line(i: int, step: dict[str, Any]) -> str:
    """One line of ncnn's text format; the numbers of the settings are ncnn's."""
    kind, (r, s), (dy, dx), (top, bottom, left, right) = step["kind"], step["kernel"], step["dilation"], step["pad"]
    window = {1: s, 11: r, 2: dx, 12: dy, 3: step["stride"][1], 13: step["stride"][0]}
    if kind in ("conv", "conv_transpose"):
        name = ("Convolution" if kind == "conv" else "Deconvolution") + ("DepthWise" if step["groups"] > 1 else "")
        size = int(np.prod(step["weight_shape"]))
        settings = window | {0: step["y_shape"][3], 4: left, 14: top, 15: right, 16: bottom, 5: 1, 6: size}
        if step["groups"] > 1:
            settings[7] = step["groups"]
    else:
        name, (dy, dx) = "Pooling", step["stride"]
        settings = {
            0: 0 if kind == "max_pool" else 1,
            1: s,
            11: r,
            2: dx,
            12: dy,
            3: left,
            13: top,
            14: right,
            15: bottom,
        }
        settings |= {5: 1, 6: 1} | ({4: 1} if kind == "global_avg_pool" else {})
    return f"{name} l{i} 1 1 t{i} t{i + 1} " + " ".join(f"{key}={value}" for key, value in settings.items())


def payload(step: dict[str, Any], arrays: Arrays) -> bytes:
    if "weight" not in step:
        return b""
    weight = arrays[step["weight"]].reshape(step["weight_shape"])
    out_in = weight.transpose(3, 2, 0, 1) if step["kind"] == "conv" else weight.transpose(2, 3, 0, 1)
    return FLOAT32 + bytes(np.ascontiguousarray(out_in).tobytes()) + bytes(arrays[step["bias"]].tobytes())


def load(threads: int) -> Engine:
    return Ncnn(threads)
