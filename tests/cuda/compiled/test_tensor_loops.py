"""The main loops of the kernels on tensor cores, as the device runs them."""

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

toolchain = pytest.importorskip(
    "cnnfast.backends.cuda.toolchain", reason='pip install "cnnfast[cuda]"', exc_type=ImportError
)
if toolchain.SIMULATED:
    pytest.skip("the compiler runs where NUMBA_ENABLE_CUDASIM is not set", allow_module_level=True)
pytest.importorskip("nvidia.cu13", reason='pip install "cnnfast[cuda-check]"')

from cnnfast.backends.cuda.kernels import conv_tensor, conv_wgmma


def loop(sass: str, instruction: str) -> Counter[str]:
    """How often each instruction stands in the one piece of straight code, from a label to a branch, that has this."""
    pieces = [re.findall(r"\*/\s+(?:@!?U?P\w+ )?([A-Z0-9]+)", part) for part in re.split(r"\n\.L\w+:|BRA", sass)]
    (found,) = (Counter(piece) for piece in pieces if instruction in piece)
    return found


def test_mma_runs_beside_its_loads(assemble: Callable[..., Any]) -> None:
    """64 x 64 outputs a warp: 32 products a step, two steps a stage, from 2 x 4 + 2 x 4 loads of four matrices; the
    stage after next is copied meanwhile, 4 + 4 pieces a thread. A branch among them would part them."""
    made = conv_tensor.conv_tensor("float16", conv_tensor.TILES[0], "K", 1, ("relu", 0.0), True, False, False)
    found = loop(assemble(made, (8, 0)).sass, "HMMA")
    assert (found["HMMA"], found["LDSM"], found["LDGSTS"], found["BAR"]) == (64, 16, 8, 1)
    assert not {"LDL", "STL", "LDG", "STS"} & found.keys()


def test_wgmma_is_left_under_way(assemble: Callable[..., Any]) -> None:
    """Four products a stage and warpgroup, not one waited for by itself; the wait is for the stage before."""
    made = conv_wgmma.conv_wgmma("float16", conv_wgmma.TILES[1], "C", 1, ("relu", 0.0), True, False, False)
    sass = assemble(made, (9, 0)).sass
    found = loop(sass, "HGMMA")
    assert (found["HGMMA"], found["LDGSTS"], found["BAR"], found["WARPGROUP"]) == (4, 8, 1, 2)
    assert "WARPGROUP.DEPBAR.LE gsb0, 0x1" in sass
    assert not {"LDL", "STL", "LDSM", "STS"} & found.keys()
