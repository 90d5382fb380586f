"""Plans within compiled code: `plan(x, residual, out)` there costs what the C API's run does."""

from typing import Any

import numpy as np
from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.core.imputils import lower_constant
from numba.extending import (
    NativeValue,
    box,
    intrinsic,
    lower_builtin,
    models,
    overload_method,
    register_model,
    typeof_impl,
    unbox,
)

from cnnfast.interop import numba_arguments as arguments
from cnnfast.interop.numba_arguments import apart, keep, same_shape
from cnnfast.interop.numba_native import (
    check,
    plan_input_shape,
    plan_output_shape,
    plan_run,
    shape_at,
    struct,
)
from cnnfast.ops.plan import Plan


class PlanType(types.Type):
    """A plan of one floating dtype."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype
        super().__init__(f"cnnfast.Plan({dtype})")


@register_model(PlanType)
class _PlanModel(models.StructModel):
    def __init__(self, manager: Any, kind: PlanType) -> None:
        super().__init__(manager, kind, [("address", types.uintp), ("owner", types.pyobject)])


@typeof_impl.register(Plan)
def _typeof(plan: Plan, context: Any) -> PlanType | None:
    dtypes = {np.dtype(np.float32): types.float32, np.dtype(np.float64): types.float64}
    return PlanType(dtypes[plan.dtype]) if plan.dtype in dtypes else None


@unbox(PlanType)
def _unbox(kind: PlanType, plan: Any, c: Any) -> NativeValue:
    """The arguments of the call keep the plan alive."""
    native = c.pyapi.object_getattr_string(plan, "_native")
    address = c.pyapi.object_getattr_string(native, "address")
    value = cgutils.create_struct_proxy(kind)(c.context, c.builder)
    value.address = c.pyapi.long_as_ulonglong(address)
    value.owner = plan
    c.pyapi.decref(address)
    c.pyapi.decref(native)
    return NativeValue(value._getvalue(), is_error=cgutils.is_not_null(c.builder, c.pyapi.err_occurred()))


@box(PlanType)
def _box(kind: PlanType, value: Any, c: Any) -> Any:
    owner = cgutils.create_struct_proxy(kind)(c.context, c.builder, value=value).owner
    c.pyapi.incref(owner)
    return owner


_kept: list[Plan] = []
"""Plans that compiled functions know as globals, for as long as the process lives."""


@lower_constant(PlanType)
def _constant(context: Any, builder: Any, kind: PlanType, plan: Plan) -> Any:
    """By its address, which Numba refuses to write into a cache."""
    _kept.append(plan)
    value = cgutils.create_struct_proxy(kind)(context, builder)
    address = context.add_dynamic_addr(builder, plan._native.address, info="a plan of cnnfast")
    value.address = builder.ptrtoint(address, context.get_value_type(types.uintp))
    value.owner = context.add_dynamic_addr(builder, id(plan), info="a plan of cnnfast")
    return value._getvalue()


@intrinsic
def _address_of(typingctx: Any, plan: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return cgutils.create_struct_proxy(plan)(context, builder, value=args[0]).address

    return types.uintp(plan), codegen


@overload_method(PlanType, "__call__")
def _call(self: Any, x: Any, residual: Any = None, out: Any = None) -> Any:
    dtype = self.dtype
    if arguments.floats("x", x, 4) != dtype:
        raise TypingError(f"x must have the plan's dtype {dtype}, got {x.dtype}")
    has_residual, has_out = not arguments.is_none(residual), not arguments.is_none(out)
    residual_in: Any = arguments.floats_in("residual", residual, 4, dtype) if has_residual else None
    if has_out:
        arguments.output("out", out, 4, dtype)
    x_in, element = arguments.dense(x, dtype), np.dtype(str(dtype))

    def run(self: Any, x: Any, residual: Any = None, out: Any = None) -> Any:
        images, plan, place = x_in(x), _address_of(self), struct((0, 0, 0, 0))
        plan_input_shape(plan, images.shape[0], place)
        wanted = shape_at(place)
        for i in range(1, 4):
            if images.shape[i] != wanted[i]:
                raise ValueError(f"x must have the plan's shape, {wanted[i]} along axis {i}, got {images.shape[i]}")
        plan_output_shape(plan, images.shape[0], place)
        shape = shape_at(place)
        residual_at = np.uintp(0)
        if has_residual:
            more = residual_in(residual)
            same_shape("residual", more.shape, shape)
            residual_at = more.ctypes.data
        if has_out:
            y = out
            same_shape("out", y.shape, shape)
            apart(y, x)
            if has_residual:
                apart(y, residual)
        else:
            y = np.empty(shape, element)
        check(plan_run(plan, struct((images.shape[0], images.ctypes.data, residual_at, y.ctypes.data, 0, 0))))
        keep(images)
        if has_residual:
            keep(more)
        return y

    return run


@lower_builtin(PlanType, PlanType, types.VarArg(types.Any))
def _lower_call(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    """A call of the plan itself is its method's."""
    method = context.typing_context.resolve_getattr(signature.args[0], "__call__")
    method.get_call_type(context.typing_context, signature.args[1:], {})
    return context.get_function(method, signature)(builder, args)
