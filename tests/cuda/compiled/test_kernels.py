"""Every kernel becomes code for the devices we name, without a spill and with the instructions it is to have."""

from collections.abc import Callable
from typing import Any

import pytest

toolchain = pytest.importorskip(
    "cnnfast.backends.cuda.toolchain", reason='pip install "cnnfast[cuda]"', exc_type=ImportError
)
if toolchain.SIMULATED:
    pytest.skip("the compiler runs where NUMBA_ENABLE_CUDASIM is not set", allow_module_level=True)
pytest.importorskip("nvidia.cu13", reason='pip install "cnnfast[cuda-check]"')

from cnnfast.backends.cuda.kernel import Kernel
from cnnfast.backends.cuda.kernels.channel_sums import Sums
from cnnfast.backends.cuda.problem import Conv
from cnnfast.backends.cuda.table import TABLE

DEVICES = [(8, 0), (9, 0)]


def conv(H: int, C: int, K: int, R: int, stride: int = 1, groups: int = 1, dtype: str = "float32", **more: Any) -> Conv:
    """A "same" convolution in NHWC."""
    P, pad, c = -(H // -stride), R // 2, C // groups
    return Conv(
        1, H, H, C, K, R, R, P, P, (stride, stride), ((pad, pad), (pad, pad)), (1, 1), groups, dtype,
        more.pop("precision", "default"), (H * H * C, H * C, C, 1), (R * c * K, c * K, K, 1), (P * P * K, P * K, K, 1),
        **more,
    )  # fmt: skip


def first(problem: Conv) -> Conv:
    """In NCHW."""
    H, W, C, K, R, S, P, Q = problem[1:9]
    return problem._replace(
        x_strides=(C * H * W, W, 1, H * W), weight_strides=(S, 1, R * S, C * R * S // problem.groups),
        y_strides=(K * P * Q, Q, 1, P * Q),
    )  # fmt: skip


PROBLEMS: dict[str, list[Any]] = {
    "conv2d": [
        conv(56, 64, 64, 3, activation=("relu", 0.0), has_bias=True, has_residual=True),
        conv(56, 64, 64, 1, 2, dtype="float16"),
        conv(56, 64, 64, 3, dtype="bfloat16", activation=("gelu", 0.0)),
        conv(14, 8, 16, 5, dtype="float64"),
        first(conv(56, 64, 64, 3, has_bias=True)),
    ],
    "linear": [
        conv(1, 2048, 1000, 1, has_bias=True)._replace(weight_strides=(0, 0, 1, 2048)),
    ],
    "conv2d_input": [conv(56, 64, 128, 3, 2)],
    "conv2d_weight": [conv(56, 64, 128, 3)],
    "bias": [Sums(8, 56, 56, 64, "float32", (200704, 3584, 64, 1))],
}
"""For each table, problems that every row of it finds one of its own among."""


def kernels() -> dict[str, Kernel]:
    found = {}
    for op, rows in TABLE.items():
        for row in rows:
            taken = [problem for problem in PROBLEMS[op] if row.takes(problem)]
            assert taken, f"{op}'s {row.name} takes none of PROBLEMS: add one"
            for problem in taken:
                for tile in row.tiles(problem):
                    for step in row.plan(problem, tile).steps:
                        found[step.kernel.name] = step.kernel
    return found


KERNELS = kernels()


@pytest.mark.parametrize("cc", DEVICES, ids=lambda cc: f"sm_{cc[0]}{cc[1]}")
@pytest.mark.parametrize("name", KERNELS)
def test_no_spill_and_its_instructions(name: str, cc: tuple[int, int], assemble: Callable[..., Any]) -> None:
    made = KERNELS[name]
    if made.arch and cc < (9, 0):
        pytest.skip("made for sm_90a alone")
    code = assemble(made, cc)
    assert (code.spills, code.stack) == (0, 0)
    assert [text for text in made.needs if text not in code.ptx] == []
    threads = made.block[0] * made.block[1] * made.block[2]
    assert code.registers * threads * max(made.blocks, 1) <= 65536
