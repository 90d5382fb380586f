"""How an instruction is made: a function of LLVM values for devices, a function of Python's for the simulator."""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils

from cnnfast.backends.cuda.toolchain import SIMULATED, types

if not SIMULATED:
    from numba.cuda.extending import intrinsic

VOID, I8, I16, I32, I64 = ir.VoidType(), ir.IntType(8), ir.IntType(16), ir.IntType(32), ir.IntType(64)
HALF, F32, F64 = ir.HalfType(), ir.FloatType(), ir.DoubleType()


def instruction(result: Callable[..., Any], emit: Callable[..., Any], twin: Callable[..., Any]) -> Any:
    """A device function. `result(*types)` is its type, and `emit(context, builder, signature, args)` its code; `twin`
    computes the same on Python's values."""
    if SIMULATED:
        return twin
    names = twin.__code__.co_varnames[: twin.__code__.co_argcount]

    def typed(context: Any, *given: Any) -> Any:
        def code(target: Any, builder: Any, signature: Any, args: Any) -> Any:
            found = emit(target, builder, signature, args)
            return target.get_dummy_value() if found is None else found

        return result(*given)(*given), code

    space: dict[str, Any] = {"typed": typed}
    text = f"def {twin.__name__}(context, {', '.join(names)}):\n    return typed(context, {', '.join(names)})"
    exec(text, space)  # Numba reads the parameters' names
    return intrinsic(space[twin.__name__])


def unpacked(builder: Any, value: Any, signature_type: Any) -> list[Any]:
    """The members of a tuple."""
    return list(cgutils.unpack_tuple(builder, value, signature_type.count))


def address(context: Any, builder: Any, kind: Any, base: Any, index: Any, index_type: Any) -> Any:
    """&base[index] of a pointer, or of a shared or local array."""
    offset = context.cast(builder, index, index_type, types.int64)
    if isinstance(kind, types.Array):
        base = context.make_array(kind)(context, builder, base).data
    return builder.gep(base, [offset])


def shared_address(context: Any, builder: Any, kind: Any, base: Any, index: Any, index_type: Any) -> Any:
    """The 32-bit address of base[index] in shared memory, as PTX takes it."""
    data = context.make_array(kind)(context, builder, base).data
    first = builder.ptrtoint(builder.addrspacecast(data, data.type.pointee.as_pointer(3)), I32)
    offset = context.cast(builder, index, index_type, types.int32)
    return builder.add(first, builder.mul(offset, ir.Constant(I32, kind.dtype.bitwidth // 8)))


def call(builder: Any, name: str, result: Any, *args: Any) -> Any:
    """A call of an LLVM intrinsic by its full name."""
    kind = ir.FunctionType(result, [arg.type for arg in args])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), args)


def assembly(builder: Any, text: str, result: Any, constraints: str, *args: Any, volatile: bool = False) -> Any:
    """A line of PTX: $0, $1, ... are the results, then the arguments, as LLVM's constraints say."""
    kind = ir.FunctionType(result, [arg.type for arg in args])
    return builder.call(ir.InlineAsm(kind, text, constraints, side_effect=volatile), args)
