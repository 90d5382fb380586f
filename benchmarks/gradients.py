"""Gradients of convolutions beside torch's: `python benchmarks/gradients.py [regex of layers] [input weight]`.

For each layer: conv2d_weight with the bias's gradient, and conv2d_input, NHWC, float32, into arrays that are there
already; beside them, where torch is installed, `aten.convolution_backward` of the same arrays in both of its memory
formats. They take turns, each with a run-up; the figures are medians in milliseconds, then ours in
GFLOP/s, and how many times our time torch's better one takes. The last lines are geometric means.
"""

import math
import re
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import cnnfast
import cnnfast.grad
from cnnfast.ops.arrays import allocate

# name: N, H, C, K, kernel, stride, padding, groups
LAYERS = {
    "lenet_c3": (64, 14, 6, 16, 5, 1, 0, 1),
    "vgg_3_2": (4, 56, 256, 256, 3, 1, 1, 1),
    "rn50_conv1_7x7s2": (8, 224, 3, 64, 7, 2, 3, 1),
    "rn50_l1_1x1_64_256": (8, 56, 64, 256, 1, 1, 0, 1),
    "rn50_l1_3x3_64": (8, 56, 64, 64, 3, 1, 1, 1),
    "rn50_l2_3x3s2_128": (8, 56, 128, 128, 3, 2, 1, 1),
    "rn50_l3_1x1_1024_256": (8, 14, 1024, 256, 1, 1, 0, 1),
    "rn50_l3_3x3_256": (8, 14, 256, 256, 3, 1, 1, 1),
    "rn50_l4_3x3_512": (8, 7, 512, 512, 3, 1, 1, 1),
    "mbv1_dw3x3s1_512_14": (8, 14, 512, 512, 3, 1, 1, 512),
    "mbv1_dw3x3s2_64_112": (8, 112, 64, 64, 3, 2, 1, 64),
    "mbv1_pw_512_512_14": (8, 14, 512, 512, 1, 1, 0, 1),
    "unet_d4_128_64_392": (1, 392, 128, 64, 3, 1, 0, 1),
    "rnx50_3x3g32_128_56": (8, 56, 128, 128, 3, 1, 1, 32),
}
ROUNDS, WARM, SAMPLED = 4, 0.04, 0.04  # seconds of each way in each round

try:
    import torch
except ImportError:
    torch = None  # type: ignore[assignment]

Calls = dict[str, Callable[[], Any]]


def ours(layer: tuple[int, ...], x: Any, weight: Any, grad_output: Any) -> dict[str, Callable[[], Any]]:
    _, _, C, K, kernel, stride, padding, groups = layer
    depthwise = groups == C == K
    out, bias, grad_input = (allocate("out", shape, "f4") for shape in (weight.shape, (K,), x.shape))
    keywords: dict[str, Any] = {"stride": stride, "padding": padding}
    if depthwise:
        weights, inputs = cnnfast.grad.depthwise_conv2d_weight, getattr(cnnfast.grad, "depthwise_conv2d_input", None)
        weight, out = weight.reshape(kernel, kernel, C, 1), out.reshape(kernel, kernel, C, 1)
    else:
        weights, inputs = cnnfast.grad.conv2d_weight, getattr(cnnfast.grad, "conv2d_input", None)
        keywords["groups"] = groups
    calls: Calls = {"weight": lambda: weights(grad_output, x, kernel, **keywords, grad_bias=bias, out=out)}
    if inputs is not None:
        calls["input"] = lambda: inputs(grad_output, weight, x.shape, **keywords, out=grad_input)
    return calls


def torchs(layer: tuple[int, ...], x: Any, weight: Any, grad_output: Any, format: Any) -> dict[str, Callable[[], Any]]:
    _, _, _, K, _, stride, padding, groups = layer
    arrays = [np.ascontiguousarray(np.moveaxis(each, -1, 1)) for each in (grad_output, x)]
    arrays.append(np.ascontiguousarray(np.transpose(weight, (3, 2, 0, 1))))
    given = [torch.from_numpy(each).to(memory_format=format) for each in arrays]

    def call(mask: list[bool]) -> Callable[[], Any]:
        return lambda: torch.ops.aten.convolution_backward(
            *given, [K], [stride] * 2, [padding] * 2, [1, 1], False, [0, 0], groups, mask
        )

    return {"weight": call([False, True, True]), "input": call([True, False, False])}


def medians(calls: Calls) -> dict[str, float]:
    samples: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            begun = time.perf_counter()
            while time.perf_counter() < begun + WARM:  # another engine's threads spin for a while after its last call
                call()
            begun = ended = time.perf_counter()
            while ended < begun + SAMPLED:
                start = time.perf_counter()
                call()
                ended = time.perf_counter()
                samples[name].append(ended - start)
    return {name: statistics.median(each) for name, each in samples.items()}


def main(pattern: str = "", *gradients: str) -> None:
    rng = np.random.default_rng(0)
    if torch is not None:
        torch.set_num_threads(cnnfast.get_num_threads())
    ratios: dict[str, list[float]] = {}
    for name, layer in LAYERS.items():
        if not re.search(pattern, name):
            continue
        N, H, C, K, kernel, stride, padding, groups = layer
        P = (H + 2 * padding - kernel) // stride + 1
        shapes = (N, H, H, C), (kernel, kernel, C // groups, K), (N, P, P, K)
        x, weight, grad_output = (allocate("an array", shape, "f4") for shape in shapes)
        for each in (x, weight, grad_output):
            rng.standard_normal(out=each, dtype=np.float32)
        flops = 2 * N * P * P * kernel**2 * C // groups * K
        ways = {"ours": ours(layer, x, weight, grad_output)}
        if torch is not None:
            formats = {"nchw": torch.contiguous_format, "channels_last": torch.channels_last}
            ways |= {way: torchs(layer, x, weight, grad_output, each) for way, each in formats.items()}
        for gradient in gradients or ("weight", "input"):
            if gradient not in ways["ours"]:
                continue
            best = medians({way: calls[gradient] for way, calls in ways.items()})
            line = f"{name:<22}{gradient:<8}" + "".join(f"{way} {best[way] * 1e3:8.3f}  " for way in best)
            line += f"{flops / best['ours'] / 1e9:6.0f} GFLOP/s"
            if len(best) > 1:
                ratio = min(best["nchw"], best["channels_last"]) / best["ours"]
                ratios.setdefault(gradient, []).append(ratio)
                line += f"  {ratio:5.2f}x"
            print(line, flush=True)
    for gradient, each in ratios.items():
        mean = math.exp(statistics.fmean(map(math.log, each)))
        print(f"{gradient}: {mean:.2f}x in geometric mean over {len(each)} layers")


if __name__ == "__main__":
    main(*sys.argv[1:])
