"""Gradients of the pools of lines and volumes, through those of pictures, as the ops go."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cnnfast.ops import arrays, checks, lines, pool, volumes
from cnnfast.ops.arrays import Array
from cnnfast.ops.grad import given
from cnnfast.ops.grad.pool import avg_pool2d, max_pool2d
from cnnfast.ops.grad.windows import window
from cnnfast.ops.lines import LAYOUTS, Padding1d
from cnnfast.ops.volumes import Padding3d, Triple

Sizes = tuple[int, ...]


def max_pool1d(
    grad_output: ArrayLike, x: ArrayLike, kernel_size: int, stride: int | None = None, *, padding: Padding1d = 0,
    dilation: int = 1, ceil_mode: bool = False, layout: str = "NLC",
) -> Array:  # fmt: skip
    """Of max_pool1d with respect to x: each gradient is added where its maximum stands, the first of equal ones.

    Parameters
    ----------
    grad_output : (N, Q, C), or (N, C, Q) with layout "NCL"; float32 or float64
    x : the op's, of grad_output's dtype
    kernel_size, stride, padding, dilation, ceil_mode, layout : the op's

    Returns
    -------
    grad_input : of x's shape and dtype

    Raises
    ------
    As `max_pool2d`.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> x = np.array([1.0, 3.0, 2.0, 0.0]).reshape(1, 4, 1)
    >>> cnnfast.grad.max_pool1d(np.ones((1, 2, 1)), x, 2).ravel().tolist()
    [0.0, 1.0, 1.0, 0.0]
    """
    axis = 1 if checks.choice("layout", layout, LAYOUTS) == "NLC" else 2
    values, grad = _lift("x", x, axis), _lift("grad_output", grad_output, axis)
    return _max(grad, values, *_line(kernel_size, stride, padding), (1, dilation), ceil_mode, LAYOUTS[layout]).squeeze(
        axis
    )


def avg_pool1d(
    grad_output: ArrayLike, input_shape: Sizes, kernel_size: int, stride: int | None = None, *, padding: Padding1d = 0,
    ceil_mode: bool = False, count_include_pad: bool = True, layout: str = "NLC",
) -> Array:  # fmt: skip
    """Of avg_pool1d with respect to x.

    Parameters
    ----------
    grad_output : (N, Q, C), or (N, C, Q) with layout "NCL"; float32 or float64
    input_shape : x's
    kernel_size, stride, padding, ceil_mode, count_include_pad, layout : the op's

    Returns
    -------
    grad_input : of x's shape and grad_output's dtype

    Raises
    ------
    As `avg_pool2d`.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> cnnfast.grad.avg_pool1d(np.array([2.0, 4.0]).reshape(1, 2, 1), (1, 4, 1), 2).ravel().tolist()
    [1.0, 1.0, 2.0, 2.0]
    """
    axis = 1 if checks.choice("layout", layout, LAYOUTS) == "NLC" else 2
    sizes = _sizes(input_shape, 3, "(N, L, C)" if axis == 1 else "(N, C, L)")
    window_size, step, sides = _line(kernel_size, stride, padding)
    return avg_pool2d(
        _lift("grad_output", grad_output, axis), (*sizes[:axis], 1, *sizes[axis:]), window_size, step, padding=sides,
        ceil_mode=ceil_mode, count_include_pad=count_include_pad, layout=LAYOUTS[layout],
    ).squeeze(axis)  # fmt: skip


def max_pool3d(
    grad_output: ArrayLike, x: ArrayLike, kernel_size: Triple, stride: Triple | None = None, *,
    padding: Padding3d = 0, dilation: Triple = 1, ceil_mode: bool = False, layout: str = "NDHWC",
) -> Array:  # fmt: skip
    """Of max_pool3d with respect to x: each gradient is added where its maximum stands, the first of equal ones.

    Parameters
    ----------
    grad_output : (N, O, P, Q, C), or (N, C, O, P, Q) with layout "NCDHW"; float32 or float64
    x : the op's, of grad_output's dtype
    kernel_size, stride, padding, dilation, ceil_mode, layout : the op's

    Returns
    -------
    grad_input : of x's shape and dtype

    Raises
    ------
    As `max_pool2d`.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> x = np.arange(8.0).reshape(1, 2, 2, 2, 1)
    >>> cnnfast.grad.max_pool3d(np.ones((1, 1, 1, 1, 1)), x, 2).ravel().tolist()
    [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]
    """
    values = arrays.as_array("x", x)
    of = _Volumes(values.shape, kernel_size, stride, padding, dilation, ceil_mode, layout)
    grad = of.grad(grad_output)
    given.beside("x", values, grad, of.sizes)
    flat = pool.max_pool2d(values.reshape(of.planes), layout=of.layout, **of.across)
    deep = _max(grad.reshape(of.deep), flat.reshape(of.columns), **of.along, layout="NHWC")
    return _max(deep.reshape(of.flat), values.reshape(of.planes), **of.across, layout=of.layout).reshape(of.sizes)


def avg_pool3d(
    grad_output: ArrayLike, input_shape: Sizes, kernel_size: Triple, stride: Triple | None = None, *,
    padding: Padding3d = 0, ceil_mode: bool = False, count_include_pad: bool = True, layout: str = "NDHWC",
) -> Array:  # fmt: skip
    """Of avg_pool3d with respect to x.

    Parameters
    ----------
    grad_output : (N, O, P, Q, C), or (N, C, O, P, Q) with layout "NCDHW"; float32 or float64
    input_shape : x's
    kernel_size, stride, padding, ceil_mode, count_include_pad, layout : the op's

    Returns
    -------
    grad_input : of x's shape and grad_output's dtype

    Raises
    ------
    As `avg_pool2d`.

    Examples
    --------
    >>> import numpy as np, cnnfast
    >>> cnnfast.grad.avg_pool3d(np.full((1, 1, 1, 1, 1), 4.0), (1, 1, 2, 2, 1), (1, 2, 2)).ravel().tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    of = _Volumes(input_shape, kernel_size, stride, padding, None, ceil_mode, layout)
    how: dict[str, Any] = {"count_include_pad": checks.boolean("count_include_pad", count_include_pad)}
    grad = of.grad(grad_output).reshape(of.deep)
    deep = avg_pool2d(grad, of.columns, **of.along, **how)
    return avg_pool2d(deep.reshape(of.flat), of.planes, **of.across, **how, layout=of.layout).reshape(of.sizes)


class _Volumes:
    """A pool of volumes as the op runs it: one of planes, then one along the depth. `across` and `along` are their
    arguments, the shapes are those of what goes into the first, comes out of it, and of the second's."""

    def __init__(
        self, input_shape: object, kernel_size: object, stride: object, padding: object, dilation: object,
        ceil_mode: object, layout: object,
    ) -> None:  # fmt: skip
        order = checks.choice("layout", layout, volumes.LAYOUTS)
        last = order == "NDHWC"
        self.layout = "NHWC" if last else "NCHW"
        self.sizes = _sizes(input_shape, 5, "(N, D, H, W, C)" if last else "(N, C, D, H, W)")
        volumes.check_volumes("input_shape", self.sizes, order)
        N, D, H, W, C = self.sizes if last else (self.sizes[0], *self.sizes[2:], self.sizes[1])
        kernel = volumes.triple("kernel_size", kernel_size)
        step = kernel if stride is None else volumes.triple("stride", stride)
        sides = volumes.sides_of(padding)
        gap = None if dilation is None else volumes.triple("dilation", dilation)
        flat_sides, deep_sides = (sides, sides) if isinstance(sides, str) else (sides[1:], (sides[0], (0, 0)))
        ceil = {"ceil_mode": checks.boolean("ceil_mode", ceil_mode)}
        self.across: dict[str, Any] = {
            "kernel_size": kernel[1:], "stride": step[1:], "padding": flat_sides, **ceil
        }  # fmt: skip
        self.along: dict[str, Any] = {
            "kernel_size": (kernel[0], 1), "stride": (step[0], 1), "padding": deep_sides, **ceil
        }  # fmt: skip
        if gap is not None:
            self.across["dilation"], self.along["dilation"] = gap[1:], (gap[0], 1)
        self.planes = (N * D, H, W, C) if last else (N * C, D, H, W)
        first = window(self.planes, **{"dilation": 1, **self.across}, layout=self.layout).output_shape
        self.flat = first
        P, Q = first[1:3] if last else first[2:]
        self.columns = (N, D, 1, P * Q * C) if last else (N * C, D, 1, P * Q)
        self.deep = window(self.columns, **{"dilation": 1, **self.along}, layout="NHWC").output_shape
        depth = self.deep[1]
        self.output_shape = (N, depth, P, Q, C) if last else (N, C, depth, P, Q)

    def grad(self, value: object) -> Array:
        return given.grad_of(value, self.output_shape)


def _max(
    grad: Array, x: Array, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: Any, layout: str
) -> Array:
    """The gradient of max_pool2d where its indices are still to be found."""
    of = window(x.shape, kernel_size, stride, padding, dilation, ceil_mode, layout)
    given.grad_of(grad, of.output_shape)
    given.beside("x", x, grad, of.input_shape)
    _, indices = pool.max_pool2d(
        x, kernel_size, stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode, return_indices=True,
        layout=layout,
    )  # fmt: skip
    return max_pool2d(grad, indices, of.input_shape, layout=layout)


def _line(kernel_size: object, stride: object, padding: object) -> tuple[Any, Any, Any]:
    """A line's window, stride and padding as a picture's one pixel high."""
    kernel = 1, checks.integer("kernel_size", kernel_size, 1)
    step = None if stride is None else (1, checks.integer("stride", stride, 1))
    return kernel, step, lines.sides(padding)


def _lift(name: str, value: object, axis: int) -> Array:
    """A view of a 3-D array with a height of 1 at `axis`."""
    array = arrays.as_array(name, value)
    if array.ndim != 3:
        raise ValueError(f"{name} must have 3 dimensions, got shape {array.shape}")
    return np.expand_dims(array, axis)


def _sizes(value: object, rank: int, axes: str) -> Sizes:
    if not isinstance(value, tuple | list):
        raise TypeError(f"input_shape must be {axes}, got {value!r}")
    if len(value) != rank:
        raise ValueError(f"input_shape must be {axes}, got {value!r}")
    return tuple(checks.integer("input_shape", size, minimum=0) for size in value)
