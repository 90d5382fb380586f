"""What the assembler says of a kernel, and the instructions it becomes. No device is needed."""

import re
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest


class Assembled(NamedTuple):
    registers: int
    stack: int
    spills: int
    ptx: str
    disassemble: list[Any]

    @property
    def sass(self) -> str:
        return subprocess.run(self.disassemble, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def assemble(tmp_path: Path) -> Callable[..., Assembled]:
    """assemble(kernel, (9, 0))."""
    import nvidia

    from cnnfast.backends.cuda import kernel as kernels

    written = cache(kernels.ptx)
    (tools,) = (found.parent for folder in nvidia.__path__ for found in Path(folder).glob("cu*/bin/ptxas"))

    def assembled(made: Any, cc: tuple[int, int]) -> Assembled:
        text = written(made)
        source, code = tmp_path / "kernel.ptx", tmp_path / "kernel.cubin"
        source.write_text(text)
        arch = f"sm_{cc[0]}{cc[1]}{made.arch}"
        command = [tools / "ptxas", "-v", f"-arch={arch}", source, "-o", code]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stderr
        # the entry's own numbers are the last: helpers that are not inlined come before it
        said = r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill"
        stack, stores, loads = re.findall(said, told)[-1]
        (registers,) = re.findall(r"Used (\d+) registers", told)[-1:]
        return Assembled(int(registers), int(stack), int(stores) + int(loads), text, [tools / "nvdisasm", "-c", code])

    return assembled
