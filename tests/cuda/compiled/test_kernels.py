"""Every kernel becomes code for the devices we name, without a spill and with the instructions it is to have."""

import re
from collections.abc import Callable
from typing import Any

import pytest

toolchain = pytest.importorskip(
    "cnnfast.backends.cuda.toolchain", reason='pip install "cnnfast[cuda]"', exc_type=ImportError
)
if toolchain.SIMULATED:
    pytest.skip("the compiler runs where NUMBA_ENABLE_CUDASIM is not set", allow_module_level=True)
pytest.importorskip("nvidia.cu13", reason='pip install "cnnfast[cuda-check]"')

from cnnfast.backends.cuda.arrays import contiguous_strides
from cnnfast.backends.cuda.kernel import Kernel
from cnnfast.backends.cuda.kernels.channel_sums import Sums as ChannelSums
from cnnfast.backends.cuda.kernels.mapped import Map
from cnnfast.backends.cuda.kernels.neighbours import Neighbours
from cnnfast.backends.cuda.kernels.pooled import Pool
from cnnfast.backends.cuda.kernels.reduced import Sums
from cnnfast.backends.cuda.kernels.resized import Resize
from cnnfast.backends.cuda.kernels.softmaxed import Softmax
from cnnfast.backends.cuda.problem import Conv, Copy
from cnnfast.backends.cuda.table import TABLE

DEVICES = [(8, 0), (9, 0)]
DTYPES = ["float32", "float16", "bfloat16", "float64"]


def conv(H: int, C: int, K: int, R: int, stride: int = 1, groups: int = 1, dtype: str = "float32", **more: Any) -> Conv:
    """A "same" convolution in NHWC."""
    P, pad, c = -(H // -stride), R // 2, C // groups
    weight_strides = more.pop("weight_strides", (R * c * K, c * K, K, 1))
    return Conv(
        1, H, H, C, K, R, R, P, P, (stride, stride), ((pad, pad), (pad, pad)), (1, 1), groups, dtype,
        more.pop("precision", "default"), (H * H * C, H * C, C, 1), weight_strides, (P * P * K, P * K, K, 1),
        **more,
    )  # fmt: skip


def flat(key: tuple[Any, ...], dtype: str = "float32", operands: int = 1) -> Map:
    """A map over operands that lie as the result does."""
    return Map(key, (1 << 24,), ((1,),) * (operands + 1), (dtype,) * (operands + 1))


def batch_norm(*shape: int, dtype: str = "float32", name: str | None = "relu") -> Map:
    """(rows, channels), or (images, channels, pixels)."""
    walk = contiguous_strides(shape)
    parameter = (0, 1) if len(shape) == 2 else (0, 1, 0)
    key = "batch_norm", 1e-5, True, True, name, 0.0
    return Map(key, shape, (walk, walk, *(parameter,) * 4), (dtype, dtype, *("float32",) * 4))


def pool(kind: str, H: int, C: int, R: int, stride: int, pad: int = 0, layout: str = "NHWC", **more: Any) -> Pool:
    """A pool over squares."""
    P = (H + 2 * pad - R) // stride + 1
    steps = [
        (H * H * C, H * C, C, 1) if layout == "NHWC" else (H * H * C, H, 1, H * H) for H in (H, P)
    ]  # fmt: skip
    return Pool(
        kind, 32, H, H, C, P, P, (R, R), (stride, stride), (pad, pad), (1, 1), more.pop("dtype", "float32"), *steps,
        **more,
    )  # fmt: skip


def statistics(rows: int, C: int, pixels: int, dtype: str = "float32") -> Sums:
    """Of (rows, channels), or of (images, channels, pixels)."""
    walks = (0, pixels or 1, C * max(1, pixels), min(1, pixels)), (0, pixels or 1, 0, 0)
    result = "float64" if dtype == "float64" else "float32"
    return Sums(("moments",), ("statistics", rows), 1, C, rows, pixels, walks, (dtype, dtype, result, result))


def batch_norm_gradient(dtype: str) -> Sums:
    """With relu, over (rows, channels)."""
    more = 1e-5, True, True, "relu", False, 1
    key = ("sums", *(("batch_norm_gradient", which, *more) for which in ("weight", "bias")))
    walks = ((0, 1, 64, 0),) * 2 + ((0, 1, 0, 0),) * 4
    return Sums(key, ("plain", 1), 1, 64, 100352, 0, walks, (dtype, dtype, *("float32",) * 6))


def resize(mode: str, H: int, P: int, dtype: str = "float32", **more: Any) -> Resize:
    """Of 8 squares of 64 channels."""
    walks = [(64 * size * size, 64 * size, 64, 1) for size in (H, P)]
    return Resize(mode, 8, H, H, 64, P, P, dtype, *walks, **more)


PROBLEMS: dict[str, list[Any]] = {
    "conv2d": [
        conv(56, 64, 64, 3, activation=("relu", 0.0), has_bias=True, has_residual=True),
        conv(56, 64, 64, 1, 2, dtype="float16", weight_strides=(64, 64, 1, 64), has_residual=True, cc=(9, 0)),
        conv(56, 64, 64, 3, dtype="bfloat16", activation=("gelu", 0.0), has_bias=True, cc=(9, 0)),
        conv(14, 64, 128, 3, precision="fast", cc=(9, 0)),
        conv(14, 3, 64, 3, dtype="float16")._replace(y_strides=(64 * 196, 14, 1, 196)),
        conv(14, 8, 16, 5, dtype="float64"),
        conv(56, 64, 128, 3)._replace(x_strides=(200704, 56, 1, 3136), y_strides=(401408, 56, 1, 3136)),  # NCHW
        conv(56, 64, 64, 3, groups=64, has_bias=True, activation=("relu6", 0.0)),
        conv(56, 64, 64, 7, groups=64, has_bias=True, has_residual=True),
        conv(56, 64, 64, 5, 2, groups=64, dtype="float16"),
        conv(56, 64, 64, 3, groups=64, dtype="bfloat16"),
        conv(28, 64, 128, 3, groups=64),
        conv(56, 64, 64, 3, groups=64, has_bias=True)._replace(
            x_strides=(200704, 56, 1, 3136), weight_strides=(3, 1, 9, 9), y_strides=(200704, 56, 1, 3136)
        ),
    ],
    "map": [
        *(flat(("activation", "relu", 0.0), dtype) for dtype in DTYPES),
        flat(("activation", "gelu", 0.0)),
        flat(("activation", "mish", 0.0), "float16"),
        *(flat(("add", "relu", 0.0), dtype, 2) for dtype in ("float32", "bfloat16")),
        flat(("gradient", "gelu_tanh", 0.0), operands=2),
        Map(("add", None, 0.0), (8, 6, 5, 3), ((90, 15, 3, 1), (18, 3, 0, 1), (90, 1, 6, 30)), ("float32",) * 3),
        *(batch_norm(100352, 64, dtype=dtype) for dtype in ("float32", "float16")),
        *(batch_norm(32, 64, 3136, dtype=dtype) for dtype in ("float32", "bfloat16")),
        batch_norm(32, 512, 49, name="silu"),
    ],
    "pool2d": [
        *(pool("max", 112, 64, 3, 2, 1, dtype=dtype) for dtype in DTYPES),
        pool("max", 112, 64, 3, 2, 1, indices=True),
        pool("max", 112, 64, 3, 2, 1, indices=True, dtype="float16"),
        pool("max", 112, 64, 2, 2, layout="NCHW"),
        pool("min", 112, 64, 3, 2, 1, layout="NCHW", dtype="bfloat16"),
        pool("avg", 56, 64, 2, 2),
        pool("avg", 56, 64, 3, 1, 1, padded=(58, 58), dtype="float16"),
        pool("avg", 7, 2048, 7, 1, adaptive=True),
        pool("max", 7, 2048, 7, 1, layout="NCHW", adaptive=True, indices=True),
        pool("lp", 56, 64, 3, 2, 1, norm_type=2.0),
        pool("lp", 56, 64, 9, 2, 1, norm_type=3.0),
    ],
    "depthwise_input": [
        conv(56, 64, 64, 3, groups=64),
        conv(56, 64, 64, 3, 2, groups=64),
        conv(56, 64, 64, 5, 2, groups=64, dtype="float16"),
    ],
    "depthwise_weight": [
        conv(56, 64, 64, 3, groups=64),
        conv(56, 64, 64, 3, groups=64, dtype="bfloat16"),
        conv(56, 64, 64, 7, groups=64),
        conv(28, 64, 128, 3, groups=64),
    ],
    "pool2d_gradient": [
        pool("max", 112, 64, 3, 2, 1, indices=True),
        pool("max", 112, 64, 3, 2, 1, indices=True, dtype="float16"),
        pool("max", 112, 64, 2, 2, layout="NCHW", indices=True),
        pool("avg", 56, 64, 2, 2, dtype="bfloat16"),
        pool("avg", 7, 2048, 7, 1, adaptive=True),
        pool("lp", 56, 64, 3, 2, 1, norm_type=2.0),
    ],
    "local_response_norm": [Neighbours(1 << 20, 64, 1, 5, 1e-4, 0.75, 1.0, "float32")],
    "resize": [
        resize("constant", 56, 58, start=(1, 1)),
        resize("reflect", 56, 58, dtype="float16", start=(1, 1)),
        resize("nearest", 28, 56, scale=(2, 2)),
        resize("bilinear", 28, 56, scale=(2, 2)),
    ],
    "softmax": [
        Softmax(False, False, 64, 1000, 1, "float32"),
        Softmax(True, False, 64, 1000, 1, "float16"),
        Softmax(False, True, 8, 64, 3136, "float32"),
    ],
    "sums": [
        statistics(100352, 64, 0),
        statistics(100352, 64, 0, "float64"),
        statistics(32, 64, 3136),
        statistics(32, 64, 3136, "bfloat16"),
        statistics(32, 512, 49),
        batch_norm_gradient("float32"),
        batch_norm_gradient("float16"),
        Sums(("sums", ("copy",)), ("one", 49), 32, 2048, 49, 0, ((100352, 1, 2048, 0),), ("float16",) * 2),
        Sums(("sums", ("copy",)), ("one", 49), 32, 2048, 1, 49, ((100352, 49, 0, 1),), ("float32",) * 2),
    ],
    "copy": [Copy((1, 2, 3, 4, 5), (0, 60, 1, 15, 3), (0, 60, 20, 5, 1), "bfloat16")],
    "linear": [
        conv(1, 2048, 1000, 1, has_bias=True)._replace(weight_strides=(0, 0, 1, 2048)),
        conv(56, 64, 64, 1, 2, dtype="float16", weight_strides=(64, 64, 1, 64), has_residual=True, cc=(9, 0)),
    ],
    "conv2d_input": [conv(56, 64, 128, 3, 2)],
    "conv2d_weight": [conv(56, 64, 128, 3)],
    "bias": [ChannelSums(8, 56, 56, 64, "float32", (200704, 3584, 64, 1))],
}
"""For each table, problems that every row of it finds one of its own among."""


def kernels() -> dict[str, tuple[str, Kernel]]:
    """Of every row and tile, each once: name -> (table, kernel)."""
    found: dict[str, tuple[str, Kernel]] = {}
    for op, rows in TABLE.items():
        for row in rows:
            taken = [problem for problem in PROBLEMS[op] if row.takes(problem)]
            assert taken, f"{op}'s {row.name} takes none of PROBLEMS: add one"
            for problem in taken:
                for tile in row.tiles(problem):
                    for step in row.plan(problem, tile).steps:
                        found.setdefault(step.kernel.name, (op, step.kernel))
    return found


KERNELS = list(kernels().values())


@pytest.mark.parametrize("made", [made for _, made in KERNELS], ids=[f"{op}-{i}" for i, (op, _) in enumerate(KERNELS)])
def test_no_spill_and_its_instructions(made: Kernel, assemble: Callable[..., Any]) -> None:
    for cc in DEVICES:
        if made.arch and cc < (9, 0):
            continue  # made for sm_90a alone
        code = assemble(made, cc)
        assert (code.spills, code.stack) == (0, 0), (made.name, cc)
        assert [text for text in made.needs if text not in code.ptx] == [], made.name
        if "ld.shared.v" in " ".join(made.needs):
            assert min(map(int, re.findall(r"\.shared \.align (\d+)", code.ptx))) >= 16, made.name
        threads = made.block[0] * made.block[1] * made.block[2]
        assert code.registers * threads * max(made.blocks, 1) <= 65536, (made.name, cc)
