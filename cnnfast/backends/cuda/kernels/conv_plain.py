"""plain: one thread an output, one multiply-add after the other. It takes every problem: a table's last row."""

from typing import Any

from cnnfast.backends.cuda.activations import activation
from cnnfast.backends.cuda.elements import ELEMENTS
from cnnfast.backends.cuda.kernel import Kernel, Plan, Row, Step, kernel
from cnnfast.backends.cuda.problem import Conv
from cnnfast.backends.cuda.toolchain import cuda, device, types

THREADS = 128


def border(mode: str) -> Any:
    """The device function that turns a coordinate outside [0, size) into the one whose pixel stands there, or -1."""

    def zeros(i: Any, size: Any) -> Any:
        return i if 0 <= i < size else -1

    def reflect(i: Any, size: Any) -> Any:
        if i < 0:
            return -i
        return i if i < size else 2 * size - 2 - i

    def replicate(i: Any, size: Any) -> Any:
        return min(max(i, 0), size - 1)

    def circular(i: Any, size: Any) -> Any:
        if i < 0:
            return i + size
        return i if i < size else i - size

    return device({"zeros": zeros, "reflect": reflect, "replicate": replicate, "circular": circular}[mode])


@kernel
def conv_plain(dtype: str, mode: str, after: tuple[str | None, float], has_bias: bool, has_residual: bool) -> Kernel:
    """The kernel for a dtype, a padding mode and an epilogue."""
    element = ELEMENTS[dtype]
    load, store, zero = element.load, element.store, element.computed(0)
    inside, activate = border(mode), activation(*after, computed=element.computed.name)

    def conv(
        x: Any, weight: Any, bias: Any, residual: Any, y: Any, count: Any, H: Any, W: Any, K: Any, R: Any, S: Any,
        P: Any, Q: Any, group_channels: Any, group_filters: Any, stride_h: Any, stride_w: Any, dilation_h: Any,
        dilation_w: Any, top: Any, left: Any, xn: Any, xh: Any, xw: Any, xc: Any, wr: Any, ws: Any, wc: Any, wk: Any,
        yn: Any, yp: Any, yq: Any, yk: Any,
    ) -> None:  # fmt: skip
        i = cuda.grid(1)
        if i >= count:
            return
        k = i % K
        q = i // K % Q
        p = i // (K * Q) % P
        n = i // (K * Q * P)
        first = n * xn + k // group_filters * group_channels * xc
        total = zero
        for r in range(R):
            h = inside(p * stride_h - top + r * dilation_h, H)
            if h < 0:
                continue
            for s in range(S):
                w = inside(q * stride_w - left + s * dilation_w, W)
                if w < 0:
                    continue
                at_x = first + h * xh + w * xw
                at_w = r * wr + s * ws + k * wk
                for c in range(group_channels):
                    total += load(x, at_x + c * xc) * load(weight, at_w + c * wc)
        at_y = n * yn + p * yp + q * yq + k * yk
        if has_bias:
            total += load(bias, k)
        if has_residual:
            total += load(residual, at_y)
        store(y, at_y, activate(total))

    parameters = (*(element.pointer,) * 5, *(types.int64,) * 28)
    return Kernel("", conv, parameters, (THREADS, 1, 1))


def plan(problem: Conv, tile: None) -> Plan:
    """One launch."""
    count = problem.pixels * problem.K
    made = conv_plain(
        problem.dtype, problem.padding_mode, problem.activation, problem.has_bias, problem.has_residual
    )  # fmt: skip
    scalars = (
        count, problem.H, problem.W, problem.K, problem.R, problem.S, problem.P, problem.Q, problem.C // problem.groups,
        problem.K // problem.groups, *problem.stride, *problem.dilation, problem.padding[0][0], problem.padding[1][0],
        *problem.x_strides, *problem.weight_strides, *problem.y_strides,
    )  # fmt: skip
    arrays = "x", "weight", "bias" if problem.has_bias else "y", "residual" if problem.has_residual else "y", "y"
    return Plan((Step(made, (-(count // -THREADS), 1, 1), arrays, scalars),))


ROW = Row("plain", lambda problem: True, plan)
