"""The handlers of `csrc/ffi/xla.c` as functions of JAX, and their derivatives. Arguments are checked by who calls them."""

import ctypes
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import cnnfast

Array = Any
"""Of JAX."""
Shape = tuple[int, ...]

ACTIVATIONS = (None, "relu", "relu6")

_library = ctypes.CDLL(cnnfast.get_library())  # the one that is loaded already
for _name in ("conv2d", "conv2d_grad_input", "conv2d_grad_weight", "pool2d", "pool2d_grad"):
    _handler = jax.ffi.pycapsule(getattr(_library, f"cnnfast_xla_{_name}"))
    jax.ffi.register_ffi_target(f"cnnfast_{_name}", _handler, platform="cpu")


class Conv(NamedTuple):
    """A convolution but for its arrays: what its handlers read as `problem`."""

    nchw: int
    stride: tuple[int, int]
    dilation: tuple[int, int]
    padding: tuple[int, int, int, int]
    groups: int
    activation: int
    precision: int


class Pool(NamedTuple):
    """A pool but for its input."""

    nchw: int
    kind: int
    window: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    padding: tuple[int, int, int, int]
    ceil_mode: int
    count_include_pad: int


def _call(name: str, problem: Conv | Pool, results: Any, *inputs: Array) -> Any:
    numbers = np.hstack(problem).astype(np.int64)
    return jax.ffi.ffi_call(f"cnnfast_{name}", results, vmap_method="expand_dims")(*inputs, problem=numbers)


def _like(shape: tuple[int, ...], array: Array) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, array.dtype)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def conv2d(problem: Conv, shape: Shape, x: Array, weight: Array, bias: Array | None) -> Array:
    """Convolution, with a bias and an activation; `shape`: y's."""
    inputs = (x, weight) if bias is None else (x, weight, bias)
    return _call("conv2d", problem, _like(shape, x), *inputs)


def _conv2d_forward(problem: Conv, shape: Shape, x: Array, weight: Array, bias: Array | None) -> Any:
    y = conv2d(problem, shape, x, weight, bias)
    return y, (x, weight, bias, y if problem.activation else None)


def _conv2d_backward(problem: Conv, shape: Shape, saved: Any, grad: Array) -> Any:
    x, weight, bias, y = saved
    if problem.activation:
        passed = (y > 0) & (y < 6) if problem.activation == ACTIVATIONS.index("relu6") else y > 0
        grad = jnp.where(passed, grad, jnp.zeros_like(grad))
    linear = problem._replace(activation=0)
    axes = (0, 2, 3) if problem.nchw else (0, 1, 2)
    grad_bias = None if bias is None else grad.sum(axes)
    return _grad_input(linear, x.shape, grad, weight), _grad_weight(linear, weight.shape, x, grad), grad_bias


conv2d.defvjp(_conv2d_forward, _conv2d_backward)


# A convolution is linear in x and in the weight, and so are its two gradients in what they are made of: the derivatives of each of
# the three are the other two.
@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _grad_input(problem: Conv, shape: Shape, grad: Array, weight: Array) -> Array:
    return _call("conv2d_grad_input", problem, _like(shape, grad), grad, weight)


def _grad_input_backward(problem: Conv, shape: Shape, saved: Any, ct: Array) -> Any:
    grad, weight = saved
    return conv2d(problem, grad.shape, ct, weight, None), _grad_weight(problem, weight.shape, ct, grad)


_grad_input.defvjp(lambda problem, shape, grad, weight: (_grad_input(problem, shape, grad, weight), (grad, weight)),
                   _grad_input_backward)  # fmt: skip


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _grad_weight(problem: Conv, shape: Shape, x: Array, grad: Array) -> Array:
    if not problem.nchw:
        return _call("conv2d_grad_weight", problem, _like(shape, x), x, grad)
    K, inner, R, S = shape  # its kernels know NHWC alone
    x, grad = (jnp.transpose(each, (0, 2, 3, 1)) for each in (x, grad))
    found = _call("conv2d_grad_weight", problem._replace(nchw=0), _like((R, S, inner, K), x), x, grad)
    return jnp.transpose(found, (3, 2, 0, 1))


def _grad_weight_backward(problem: Conv, shape: Shape, saved: Any, ct: Array) -> Any:
    x, grad = saved
    return _grad_input(problem, x.shape, grad, ct), conv2d(problem, grad.shape, x, ct, None)


_grad_weight.defvjp(lambda problem, shape, x, grad: (_grad_weight(problem, shape, x, grad), (x, grad)),
                    _grad_weight_backward)  # fmt: skip


@partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2))
def max_pool2d(problem: Pool, x_shape: Shape, y_shape: Shape, x: Array) -> Array:
    """Maxima of windows."""
    return _call("pool2d", problem, _like(y_shape, x), x)


def _max_forward(problem: Pool, x_shape: Shape, y_shape: Shape, x: Array) -> Any:
    pairs = jax.ShapeDtypeStruct((*y_shape, 2), jnp.int32)  # int64 numbers, which JAX has only under x64
    return _call("pool2d", problem, (_like(y_shape, x), pairs), x)


def _max_backward(problem: Pool, x_shape: Shape, y_shape: Shape, indices: Array, grad: Array) -> Any:
    return (_call("pool2d_grad", problem, _like(x_shape, grad), grad, indices),)


max_pool2d.defvjp(_max_forward, _max_backward)


# Linear: the derivative of each of the two is the other.
@partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2))
def avg_pool2d(problem: Pool, x_shape: Shape, y_shape: Shape, x: Array) -> Array:
    """Means of windows."""
    return _call("pool2d", problem, _like(y_shape, x), x)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2))
def _avg_grad(problem: Pool, x_shape: Shape, y_shape: Shape, grad: Array) -> Array:
    return _call("pool2d_grad", problem, _like(x_shape, grad), grad)


avg_pool2d.defvjp(
    lambda problem, x_shape, y_shape, x: (avg_pool2d(problem, x_shape, y_shape, x), None),
    lambda problem, x_shape, y_shape, _, grad: (_avg_grad(problem, x_shape, y_shape, grad),),
)
_avg_grad.defvjp(
    lambda problem, x_shape, y_shape, grad: (_avg_grad(problem, x_shape, y_shape, grad), None),
    lambda problem, x_shape, y_shape, _, ct: (avg_pool2d(problem, x_shape, y_shape, ct),),
)
