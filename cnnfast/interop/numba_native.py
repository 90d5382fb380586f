"""libcnnfast's functions and structs for code that Numba compiles.

Functions are called by name: Numba's linker finds them because importing this module told it where they are, so that code in
Numba's cache holds no address of an earlier process.
"""

import ctypes
from typing import Any

import llvmlite.binding
from numba.core import cgutils, types
from numba.extending import intrinsic, register_jitable

import cnnfast

_library = ctypes.CDLL(cnnfast.get_library())  # the one that is loaded already


def _external(name: str, *arguments: Any, result: Any = types.int32) -> Any:
    llvmlite.binding.add_symbol(name, ctypes.cast(getattr(_library, name), ctypes.c_void_p).value)
    return types.ExternalFunction(name, result(*arguments))


_pointer, _address = types.voidptr, types.uintp
conv2d_output_shape = _external("cnnfast_conv2d_output_shape", _pointer, _address)
conv2d_run = _external("cnnfast_conv2d_run", _pointer, _address, _address, _address, _address, _address)
pool2d_output_shape = _external("cnnfast_pool2d_output_shape", _pointer, _address)
pool2d_run = _external("cnnfast_pool2d_run", _pointer, _address, _address, _address)
plan_run = _external("cnnfast_plan_run_allocating", _address, _pointer)
plan_input_shape = _external("cnnfast_plan_input_shape", _address, types.int64, _pointer, result=types.void)
plan_output_shape = _external("cnnfast_plan_output_shape", _address, types.int64, _pointer, result=types.void)


@intrinsic
def struct(typingctx: Any, fields: Any) -> Any:
    """The address of a C struct with these fields, whose types are those of the tuple. It lies on the caller's stack."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(cgutils.alloca_once_value(builder, args[0]), cgutils.voidptr_t)

    return _pointer(fields), codegen


@intrinsic
def shape_at(typingctx: Any, address: Any) -> Any:
    """The int64[4] that a C function wrote."""
    result = types.UniTuple(types.int64, 4)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(builder.bitcast(args[0], context.get_value_type(result).as_pointer()))

    return result(_pointer), codegen


@intrinsic
def number(typingctx: Any, pointer: Any) -> Any:
    """A pointer as the integer that it is."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ptrtoint(args[0], context.get_value_type(_address))

    return _address(pointer), codegen


@register_jitable
def check(status: int) -> None:
    """Raise what a status of the C API means, if it is not OK."""
    if status == 5:
        raise MemoryError("cnnfast: no memory for the packed weights or the workspace")
    if status == 7:
        raise InterruptedError("interrupted by the keyboard; the output is undefined")  # Numba raises no KeyboardInterrupt
    if status == 1:
        raise ValueError("a shape does not fit: a size is 0, or the kernel is larger than the padded input")
    if status == 4:
        raise ValueError("max_workspace (set_max_workspace or CNNFAST_MAX_WORKSPACE) is too small for this problem")
    if status != 0:
        raise ValueError("a stride, padding, dilation, group count or window is out of its range")
