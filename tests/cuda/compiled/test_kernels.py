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
from cnnfast.backends.cuda.problem import Conv
from cnnfast.backends.cuda.table import TABLE

DEVICES = [(8, 0), (9, 0)]


def conv(H: int, C: int, K: int, R: int, stride: int = 1, groups: int = 1, dtype: str = "float32", **more: Any) -> Conv:
    """A "same" convolution in NHWC."""
    P, pad, c = -(H // -stride), R // 2, C // groups
    weight_strides = more.pop("weight_strides", (R * c * K, c * K, K, 1))
    return Conv(
        1, H, H, C, K, R, R, P, P, (stride, stride), ((pad, pad), (pad, pad)), (1, 1), groups, dtype,
        more.pop("precision", "default"), (H * H * C, H * C, C, 1), weight_strides, (P * P * K, P * K, K, 1),
        **more,
    )  # fmt: skip


PROBLEMS: dict[str, list[Any]] = {
    "conv2d": [
        conv(56, 64, 64, 3, activation=("relu", 0.0), has_bias=True, has_residual=True),
        conv(56, 64, 64, 1, 2, dtype="float16", weight_strides=(64, 64, 1, 64), has_residual=True, cc=(9, 0)),
        conv(56, 64, 64, 3, dtype="bfloat16", activation=("gelu", 0.0), has_bias=True, cc=(9, 0)),
        conv(14, 64, 128, 3, precision="fast", cc=(9, 0)),
        conv(14, 3, 64, 3, dtype="float16")._replace(y_strides=(64 * 196, 14, 1, 196)),
        conv(14, 6, 10, 5, dtype="float64"),
    ],
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
