"""A plan: everything about an op but the images, worked out once and run many times."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cnnfast.backends import native
from cnnfast.ops import arrays, checks, dispatch, exchange, shapes
from cnnfast.ops.arrays import Array
from cnnfast.ops.explanation import Explanation, explanation
from cnnfast.ops.signatures import SIGNATURES

Shape = tuple[int, int, int, int]


class Plan:
    """A convolution, a pool, or a chain of them made ready for images of one size, in batches of any size.

    Made by the `plan_*` functions.

    It owns a packed copy of its weights, so later changes to the arrays it was made from do not reach it. It is
    immutable: any number of threads may call it at once. Its algorithm, and so the bits it gives an image, stay the
    same for every batch.

    Attributes
    ----------
    input_shape, dtype : the shape it was made for, in the layout's order, and x's dtype
    output_dtype : y's dtype
    layout : "NHWC" or "NCHW"
    algorithm : the row of the op's table that was chosen
    """

    __slots__ = ("_native", "_new_y", "_output_shape", "_run", "dtype", "input_shape", "layout", "op", "output_dtype")

    def __init__(self, op: str, plan: native.Plan, input_shape: Shape, output_shape: Shape, dtype: np.dtype[Any],
                 layout: str) -> None:  # fmt: skip
        self._native = plan
        self._run = plan.run
        self._output_shape = output_shape
        self.op = op
        self.input_shape = input_shape
        self.dtype = dtype
        self.output_dtype = SIGNATURES[op].dtypes[dtype]
        self.layout = layout
        self._new_y = arrays.allocator("the output", output_shape, self.output_dtype)

    def __call__(self, x: ArrayLike, residual: ArrayLike | None = None, out: Array | None = None) -> Array:
        """y = activation(convolution of x + bias + residual), or what the plan's op says.

        Parameters
        ----------
        x : any batch of images of the plan's size and dtype
        residual : added before the activation; y's shape, and for ops that add one; floats are cast to x's dtype
        out : where to write y: y's exact shape and dtype, writable, overlapping no input. Contiguous, aligned arrays
            and an `out` make the fastest call.

        Returns
        -------
        y, which is `out` where it was given

        Raises
        ------
        ValueError, TypeError : an argument does not fit; nothing has been written
        MemoryError : no memory for the output, a contiguous copy or the workspace

        Examples
        --------
        >>> import numpy as np, cnnfast
        >>> plan = cnnfast.plan_conv2d((1, 4, 4, 1), np.ones((3, 3, 1, 1), np.float32))
        >>> plan(np.ones((2, 4, 4, 1), np.float32)).ravel().tolist()
        [9.0, 9.0, 9.0, 9.0, 9.0, 9.0, 9.0, 9.0]
        """
        try:  # nothing may stand before this: where every array fits, a call costs little more than the backend's
            if type(x) is np.ndarray and (residual is None or type(residual) is np.ndarray):  # masks are refused below
                if out is not None:
                    if self._run(x, residual, out):
                        return out
                elif x.shape == self.input_shape:
                    y = self._new_y()
                    if self._run(x, residual, y):
                        return y
        except ValueError:  # the plan takes no such argument; below is who says why
            pass
        if type(x) is np.ndarray and (out is None or type(out) is np.ndarray):
            return self.run(x, residual, out)
        found: Array = exchange.call(self.__call__, "x", x, (residual,), {"out": out})
        return found

    def run(self, x: object, residual: object, out: object, inputs: Iterable[tuple[str, object]] = ()) -> Array:
        """The careful way: check every argument, copy what is strided, run; `out` may not overlap `inputs` either."""
        images = arrays.as_array("x", x)
        if images.dtype != self.dtype:
            raise TypeError(f"x must have the plan's dtype {self.dtype}, got {images.dtype!r}")
        if images.ndim != 4 or images.shape[1:] != self.input_shape[1:]:
            sizes = ", ".join(str(size) for size in self.input_shape[1:])
            raise ValueError(f"x must have the plan's shape (N, {sizes}), got {images.shape}")
        shape = (images.shape[0], *self._output_shape[1:])
        added = None if residual is None else self._residual(residual, shape)
        return dispatch.execute(
            self._native, images, shape, self.output_dtype, residual=added, out=out,
            inputs=(("x", images), ("residual", residual), *inputs),
        )  # fmt: skip

    def step(self, x_shape: tuple[int, ...], out_shape: tuple[int, ...]) -> tuple[native.Plan, int] | None:
        """What a network's chain runs in a call's place, for how many images; None where x has none or does not fit.

        >>> import numpy as np, cnnfast
        >>> plan = cnnfast.plan_conv2d((1, 4, 4, 1), np.ones((3, 3, 1, 1), np.float32))
        >>> plan.step((5, 4, 4, 1), (5, 2, 2, 1))[1], plan.step((5, 4, 4, 2), (5, 2, 2, 1))
        (5, None)
        """
        n = x_shape[0]
        fits = x_shape[1:] == self.input_shape[1:] and out_shape == (n, *self._output_shape[1:])
        return (self._native, n) if n and fits and self.dtype == self.output_dtype == np.float32 else None

    @property
    def algorithm(self) -> str:
        """The row of the op's table that was chosen.

        >>> import numpy as np, cnnfast
        >>> cnnfast.plan_conv2d((1, 8, 8, 4), np.ones((1, 1, 4, 8), np.float32)).algorithm
        'direct'
        """
        return str(self._native.info()["algorithm"])

    def share(self, other: "Plan") -> bool:
        """Use other's packed weights instead of this plan's own, if they are the same byte for byte; whether it does.

        For plans of one network for images of several sizes. Nobody may be running this plan meanwhile.

        >>> import numpy as np, cnnfast
        >>> w = np.ones((3, 3, 8, 16), np.float32)
        >>> small, large = (cnnfast.plan_conv2d((1, size, size, 8), w, algorithm="direct") for size in (32, 64))
        >>> large.share(small)
        True
        """
        return self._native.share(other._native)

    @property
    def native(self) -> native.Plan:
        """The backend's plan: a stage of a fused one."""
        return self._native

    def _residual(self, value: object, shape: Shape) -> Array:
        if self.dtype.kind != "f":
            raise ValueError(f"residual must be None for an integer x ({self.dtype})")
        if not any(name.startswith("residual") for name in SIGNATURES[self.op].inputs):
            raise ValueError(f"residual must be None for {self.op}, which adds none")
        residual = arrays.as_array("residual", value)
        arrays.check_dtype("residual", residual.dtype, SIGNATURES["separable_conv2d"].dtypes)
        if residual.shape != shape:
            raise ValueError(f"residual must have y's shape {shape}, got {residual.shape}")
        return residual if residual.dtype == self.dtype else arrays.contiguous("residual", residual, self.dtype)

    def output_shape(self, n: int | None = None) -> Shape:
        """y's shape for a batch of n images, by default the plan's own batch.

        >>> import numpy as np, cnnfast
        >>> cnnfast.plan_conv2d((1, 8, 8, 3), np.ones((3, 3, 3, 4), np.float32), padding=1).output_shape(5)
        (5, 8, 8, 4)
        """
        batch = self._output_shape[0] if n is None else checks.integer("n", n, minimum=0)
        return batch, *self._output_shape[1:]

    @property
    def workspace_size(self) -> int:
        """Bytes of scratch memory that a run of the plan's batch takes now, for all its threads."""
        size: int = self._native.workspace_size(self.input_shape[0])
        return size

    def explain(self) -> Explanation:
        """What was chosen, what it costs, and what the other algorithms would; `print` it for a table."""
        return explanation(self.op, self._native.info())

    def __repr__(self) -> str:
        N, H, W, C = shapes.split(self.input_shape, self.layout)
        return (
            f"<cnnfast plan of {self.op}: {H}x{W}x{C} {self.dtype} ({self.layout}, batch {N}) -> "
            f"{self.output_shape()}, {self._native.info()['algorithm']}>"
        )
