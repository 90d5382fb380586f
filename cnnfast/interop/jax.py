"""cnnfast's convolutions and pools as functions of JAX: under jit, vmap and grad, on the CPU.

>>> import jax, jax.numpy as jnp, cnnfast.interop.jax as cj
>>> x, weight = jnp.ones((1, 8, 8, 3)), jnp.ones((3, 3, 3, 4))
>>> jax.jit(cj.conv2d)(x, weight).shape
(1, 6, 6, 4)
>>> jax.grad(lambda weight: cj.conv2d(x, weight).sum())(weight).shape
(3, 3, 3, 4)

XLA calls handlers of the shared library (its FFI), with JAX's own buffers: no copy, no Python. Arrays are float32 or float64
(where `jax_enable_x64` is on). Names, defaults and layouts are those of `cnnfast.conv2d`. Derivatives are reverse mode's, those of
convolutions and average pools of any order.
"""

from typing import Any

try:
    import jax
    import jax.numpy as jnp
except ImportError as error:  # pragma: no cover
    raise ImportError('cnnfast.interop.jax needs JAX: pip install "cnnfast[jax]"') from error

from cnnfast.interop import jax_rules as rules
from cnnfast.interop.jax_rules import ACTIVATIONS, Conv, Pool
from cnnfast.ops import checks, geometry, options, shapes

__all__ = ["avg_pool2d", "conv2d", "max_pool2d"]

Array = Any
"""Of JAX."""

_PAD_MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
_KINDS = {"max": 0, "avg": 2}


def conv2d(
    x: Array, weight: Array, bias: Array | None = None, *, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
    groups: int = 1, layout: str = "NHWC", padding_mode: str = "zeros", activation: str | None = None,
    precision: str = "default",
) -> Array:  # fmt: skip
    """2-D convolution: y = activation(conv(x, weight) + bias), see `cnnfast.conv2d`.

    Parameters
    ----------
    x : (N, H, W, C), or (N, C, H, W) with layout "NCHW"; float32 or float64
    weight, bias : (R, S, C/groups, K) or (K, C/groups, R, S); (K,); cast to x's dtype
    activation : None, "relu" or "relu6"; JAX fuses others with what follows: apply those of jax.nn to y
    the others : see `cnnfast.conv2d`

    Returns
    -------
    y : (N, P, Q, K), or (N, K, P, Q) with "NCHW"

    Raises
    ------
    ValueError, TypeError : an argument does not fit, while it is traced

    Examples
    --------
    >>> import jax.numpy as jnp, cnnfast.interop.jax as cj
    >>> cj.conv2d(jnp.ones((1, 3, 3, 1)), jnp.ones((2, 2, 1, 1)), padding="same").ravel().tolist()
    [4.0, 4.0, 2.0, 4.0, 4.0, 2.0, 2.0, 2.0, 1.0]
    """
    asked = geometry.conv_options(
        "conv2d", stride=stride, padding=padding, dilation=dilation, layout=options.layout(layout),
        padding_mode=padding_mode, activation=None, algorithm="auto", precision=precision,
    )  # fmt: skip
    if activation not in ACTIVATIONS:
        raise ValueError(f'activation must be None, "relu" or "relu6" under JAX, got {activation!r}')
    count = checks.integer("groups", groups, minimum=1)
    x = _images(x, layout)
    weight = _floats("weight", weight, x)
    place = geometry.conv_geometry(
        x.shape, weight.shape, asked.layouts, count, asked.stride, asked.padding, asked.dilation, padding_mode
    )
    sides = place.padding
    if padding_mode != "zeros":  # borders that depend on x: JAX makes them, and their gradients
        widths = [(0, 0), *sides, (0, 0)] if layout == "NHWC" else [(0, 0), (0, 0), *sides]
        x, sides = jnp.pad(x, widths, mode=_PAD_MODES[padding_mode]), ((0, 0), (0, 0))
    if bias is not None:
        bias = _floats("bias", bias, x)
        if bias.shape != (place.filters,):
            raise ValueError(f"bias must have shape ({place.filters},), one number for each filter, got {bias.shape}")
    exact = options.PRECISIONS.index(asked.precision)
    problem = Conv(
        int(layout == "NCHW"), asked.stride, asked.dilation, (*sides[0], *sides[1]), count, ACTIVATIONS.index(activation),
        exact,
    )  # fmt: skip
    return rules.conv2d(problem, place.output_shape, x, weight, bias)


def max_pool2d(
    x: Array, kernel_size: Any, stride: Any = None, *, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
    layout: str = "NHWC",
) -> Array:  # fmt: skip
    """The largest value in each window, see `cnnfast.max_pool2d`. Its gradient goes to the first of equal maxima.

    Parameters
    ----------
    x : (N, H, W, C), or (N, C, H, W) with layout "NCHW"; float32 or float64
    the others : see `cnnfast.max_pool2d`

    Returns
    -------
    y : (N, P, Q, C), or (N, C, P, Q) with "NCHW"

    Raises
    ------
    ValueError, TypeError : an argument does not fit, while it is traced

    Examples
    --------
    >>> import jax.numpy as jnp, cnnfast.interop.jax as cj
    >>> cj.max_pool2d(jnp.arange(16.0).reshape(1, 4, 4, 1), 2).ravel().tolist()
    [5.0, 7.0, 13.0, 15.0]
    """
    return _pool2d("max", x, kernel_size, stride, padding, dilation, ceil_mode, True, layout)


def avg_pool2d(
    x: Array, kernel_size: Any, stride: Any = None, *, padding: Any = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, layout: str = "NHWC",
) -> Array:  # fmt: skip
    """The mean of each window, see `cnnfast.avg_pool2d`.

    Parameters
    ----------
    x : (N, H, W, C), or (N, C, H, W) with layout "NCHW"; float32 or float64
    the others : see `cnnfast.avg_pool2d`

    Returns
    -------
    y : (N, P, Q, C), or (N, C, P, Q) with "NCHW"

    Raises
    ------
    ValueError, TypeError : an argument does not fit, while it is traced

    Examples
    --------
    >>> import jax.numpy as jnp, cnnfast.interop.jax as cj
    >>> cj.avg_pool2d(jnp.arange(4.0).reshape(1, 2, 2, 1), 2).item()
    1.5
    """
    return _pool2d("avg", x, kernel_size, stride, padding, 1, ceil_mode, count_include_pad, layout)


def _pool2d(kind: str, x: Array, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: Any,
            count_include_pad: Any, layout: str) -> Array:  # fmt: skip
    order = options.layout(layout)
    window = checks.pair("kernel_size", kernel_size, minimum=1)
    step = window if stride is None else checks.pair("stride", stride, minimum=1)
    given, spread = checks.sides("padding", padding), checks.pair("dilation", dilation, minimum=1)
    ceil = checks.boolean("ceil_mode", ceil_mode)
    x = _images(x, order)
    N, H, W, C = shapes.split(x.shape, order)
    sides = shapes.resolve(given, (H, W), window, step, spread)
    if given != "same":
        shapes.check_pool_padding(sides, window)
    P, Q = (
        shapes.pool_size(size, window[i], step[i], sides[i], spread[i], ceil, shapes.AXES[i])
        for i, size in enumerate((H, W))
    )
    include = checks.boolean("count_include_pad", count_include_pad)
    problem = Pool(
        int(order == "NCHW"), _KINDS[kind], window, step, spread, (*sides[0], *sides[1]), int(ceil), int(include)
    )
    pool = rules.max_pool2d if kind == "max" else rules.avg_pool2d
    return pool(problem, x.shape, shapes.join(N, P, Q, C, order), x)


def _images(x: Any, order: str) -> Array:
    x = _floats("x", x)
    if x.ndim != 4:
        raise ValueError(f"x must have 4 dimensions ({options.AXES[order]}), got shape {x.shape}")
    if 0 in x.shape[1:]:
        raise ValueError(f"x must have no empty dimension but N ({options.AXES[order]}), got shape {x.shape}")
    return x


def _floats(name: str, value: Any, like: Array | None = None) -> Array:
    """An array of JAX, of float32 or float64; `like`: cast to its dtype."""
    array = jnp.asarray(value)
    if array.dtype not in (jnp.float32, jnp.float64):
        raise TypeError(f"{name} must be float32 or float64, got {array.dtype}")
    return array if like is None else array.astype(like.dtype)
