"""PyTorch, eager, channels_last: its usual way to be called and its fastest one for a single layer."""

# mypy: disable-error-code="import-not-found,import-untyped,untyped-decorator"

from typing import Any

import torch
from torch.nn import functional

from . import Arrays, Engine, Request, Runnable, Unsupported


class Torch(Engine):
    def __init__(self, threads: int) -> None:
        torch.set_num_threads(threads)
        torch.set_grad_enabled(False)
        self.version = str(torch.__version__)

    def prepare(self, request: Request, arrays: Arrays) -> Runnable:
        x = torch.from_numpy(arrays["x"]).permute(0, 3, 1, 2)  # NHWC memory: channels_last
        nodes = [node(step, arrays) for step in request["steps"]]
        last: dict[str, Any] = {}

        @torch.inference_mode()
        def run() -> None:
            y = x
            for apply in nodes:
                y = apply(y)
            last["y"] = y

        return Runnable(run, lambda: last["y"].permute(0, 2, 3, 1).contiguous().numpy())


def node(step: dict[str, Any], arrays: Arrays) -> Any:
    top, bottom, left, right = step["pad"]
    if (top, left) != (bottom, right):
        raise Unsupported("padding that differs from side to side")
    kind, window = step["kind"], dict(stride=step["stride"], padding=(top, left))
    if kind == "global_avg_pool":
        return lambda x: functional.adaptive_avg_pool2d(x, 1)
    if kind == "max_pool":
        return lambda x: functional.max_pool2d(x, step["kernel"], **window)
    if kind == "avg_pool":
        return lambda x: functional.avg_pool2d(x, step["kernel"], **window)
    weight = torch.from_numpy(arrays[step["weight"]].reshape(step["weight_shape"])).permute(3, 2, 0, 1)
    weight = weight.contiguous(memory_format=torch.channels_last)
    bias = torch.from_numpy(arrays[step["bias"]])
    window |= dict(dilation=step["dilation"], groups=step["groups"])
    convolve = functional.conv2d if kind == "conv" else functional.conv_transpose2d
    return lambda x: convolve(x, weight, bias, **window)


def load(threads: int) -> Engine:
    return Torch(threads)
