"""cp.async (sm_80 and later): 16 bytes from global to shared memory, past the registers, while the thread goes on."""

from typing import Any

from llvmlite import ir

from cnnfast.backends.cuda.toolchain import types

from .build import I8, I32, VOID, address, assembly, instruction


def _shared(context: Any, builder: Any, signature: Any, args: Any, i: int) -> Any:
    """The 32-bit address of args[i][args[i + 1]] in shared memory."""
    at = address(context, builder, signature.args[i], args[i], args[i + 1], signature.args[i + 1])
    return builder.ptrtoint(builder.addrspacecast(at, ir.PointerType(I8, 3)), I32)


def _copy(context: Any, builder: Any, signature: Any, args: Any) -> None:
    to = _shared(context, builder, signature, args, 0)
    source = address(context, builder, signature.args[2], args[2], args[3], signature.args[3])
    text = "cp.async.cg.shared.global [$0], [$1], 16;"
    assembly(builder, text, VOID, "r,l,~{memory}", to, source, volatile=True)


def copy_async_twin(to: Any, i: Any, source: Any, j: Any) -> None:
    """to[i ...] = source[j ...], 16 bytes, at the latest when it is waited for."""
    count = 16 // source.itemsize
    assert int(i) in range(0, len(to) - count + 1, count), f"a copy to {i} of {len(to)}"
    assert int(j) in range(0, len(source) - count + 1, count), f"a copy of {count} from {j} of {len(source)}"
    to[i : i + count] = source[j : j + count]


def _line(text: str) -> Any:
    def emit(context: Any, builder: Any, signature: Any, args: Any) -> None:
        assembly(builder, text, VOID, "~{memory}", volatile=True)

    return emit


def commit_twin() -> None:
    """The thread's copies since the last one are a group."""


def wait_twin() -> None:
    """Wait until no more than so many groups are under way."""


copy_async = instruction(lambda to, i, source, j: types.void, _copy, copy_async_twin)
commit = instruction(lambda: types.void, _line("cp.async.commit_group;"), commit_twin)


def wait(groups: int) -> Any:
    """wait(n)(): until no more than the last n groups are under way."""
    return instruction(lambda: types.void, _line(f"cp.async.wait_group {groups};"), wait_twin)
