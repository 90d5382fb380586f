"""Convolutions and whole networks over Dask arrays: pictures larger than memory, in parts, wherever Dask runs them.

Each part borrows as many pixels of its neighbours as its outputs read, which the network's graph tells, and begins
where the network's strides allow; at the picture's own edges the network pads as it always does. With
`precision="strict"` the parts together have the bits of the whole.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cnnfast.graph.ir import Graph, Spec
from cnnfast.graph.pieces import Cut, Pieces, cut
from cnnfast.model import Model
from cnnfast.onnx import InferenceSession
from cnnfast.onnx import Model as OnnxModel
from cnnfast.ops import arrays, checks, geometry, options
from cnnfast.ops.arrays import Array
from cnnfast.ops.conv import Ints, Padding
from cnnfast.ops.options import Activation
from cnnfast.ops.signatures import SIGNATURES

try:
    import dask
    import dask.array as da
except ImportError as error:
    raise ImportError('cnnfast.interop.dask needs Dask: pip install "dask[array]"') from error


def conv2d(
    x: Any, weight: ArrayLike, bias: ArrayLike | None = None, *, stride: Ints = 1, padding: Padding = 0,
    dilation: Ints = 1, groups: int = 1, layout: str = "NHWC", padding_mode: str = "zeros",
    activation: Activation = None, precision: str = "default",
) -> Any:  # fmt: skip
    """`cnnfast.conv2d` of a Dask array.

    Parameters
    ----------
    x : a Dask array, (N, H, W, C), or (N, C, H, W) with layout "NCHW", in any chunks
    weight, bias : NumPy arrays
    stride, padding, dilation, groups, activation : see `cnnfast.conv2d`
    layout : "NHWC" or "NCHW"
    padding_mode : "zeros", "reflect" or "replicate"
    precision : "strict": the bits of `cnnfast.conv2d(..., precision="strict")` on the whole; else, or as
        CNNFAST_PRECISION says here, of each part as an image of its size would have

    Returns
    -------
    y : a Dask array, (N, P, Q, K), or (N, K, P, Q) with "NCHW": nothing is computed before it is asked for

    Raises
    ------
    ValueError, TypeError : an argument does not fit

    Examples
    --------
    >>> import dask.array as da, numpy as np
    >>> from cnnfast.interop import dask
    >>> x = da.ones((1, 3000, 4000, 3), dtype=np.float32, chunks=(1, 1000, 1000, 3))
    >>> y = dask.conv2d(x, np.ones((3, 3, 3, 8), np.float32), padding="same", activation="relu")
    >>> y.shape, y.chunks[1], y[0, 1500, 1500, 0].compute().item()
    ((1, 3000, 4000, 8), (1000, 1000, 1000), 27.0)
    """
    pictures = _pictures(x)
    asked = geometry.conv_options(
        "conv2d", stride=stride, padding=padding, dilation=dilation, layout=options.layout(layout),
        padding_mode=padding_mode, activation=activation, algorithm="auto", precision=precision,
    )  # fmt: skip
    dtypes = SIGNATURES["conv2d"].dtypes
    arrays.check_dtype("x", pictures.dtype, dtypes)
    weights = arrays.as_weight("weight", weight, pictures.dtype, dtypes)
    place = geometry.conv_geometry(
        pictures.shape, weights.shape, asked.layouts, checks.integer("groups", groups, 1), *asked[:3], padding_mode
    )
    added = geometry.as_bias("bias", bias, pictures.dtype, dtypes, place.filters)
    graph = Graph(["x"], [])
    constants = [graph.constant(each) for each in (weights, added) if each is not None]
    graph.outputs = [
        graph.add(
            "conv2d", ["x", *constants], "conv2d", stride=stride, padding=padding, dilation=dilation, groups=groups,
            layout=options.layout(layout), padding_mode=padding_mode, activation=activation,
        )
    ]  # fmt: skip
    return _in_pieces(graph, pictures, layout, precision)


def apply(model: Model | OnnxModel | InferenceSession, x: Any, *, layout: str | None = None,
          precision: str = "default") -> Any:  # fmt: skip
    """A whole network on a Dask array of pictures.

    Parameters
    ----------
    model : a Model or Sequential of cnnfast's, or what `cnnfast.onnx.load` gives, from pictures to maps: each op of it
        reads a window. Its weights are those of now.
    x : a Dask array, (N, H, W, C), or (N, C, H, W), in any chunks; for a Model cast to float32. Parts are about as
        large as its chunks, and at least as large as what they borrow of each other
    layout : x's, "NHWC" or "NCHW"; by default a Model's "NHWC", and "NCHW" for ONNX
    precision : "strict": the bits of the whole picture's own run under CNNFAST_PRECISION=strict; else, or as
        CNNFAST_PRECISION says here, of each part as an image of its size would have

    Returns
    -------
    y : a Dask array: nothing is computed before it is asked for

    Raises
    ------
    ValueError : the network cannot be cut: it has a global pool, a dense layer behind a flatten, or an op that is not
        known to read windows alone. The message names the layer.
    TypeError : model is no network, or x no Dask array

    Examples
    --------
    >>> import cnnfast, dask.array as da, numpy as np
    >>> from cnnfast.interop import dask
    >>> layers = cnnfast.layers
    >>> edges = [layers.Conv2D(8, 3, strides=2, padding="same", activation="relu"), layers.Conv2D(1, 1)]
    >>> model = cnnfast.Sequential([cnnfast.Input((None, None, 3)), *edges])
    >>> x = da.zeros((1, 2000, 2000, 3), dtype=np.uint8, chunks=(1, 500, 500, 3))
    >>> dask.apply(model, x)
    dask.array<_part, shape=(1, 1000, 1000, 1), dtype=float32, chunksize=(1, 250, 250, 1), chunktype=numpy.ndarray>
    """
    pictures = _pictures(x)
    if isinstance(model, Model):
        order = options.layout("NHWC" if layout is None else layout)
        if order != "NHWC":
            raise ValueError('layout must be "NHWC" for a Model of cnnfast, got "NCHW"')
        if pictures.dtype.kind not in "fiub":
            raise TypeError(f"x must hold numbers, got dtype {pictures.dtype}")
        graph, pictures = model.graph((1, *pictures.shape[1:])), pictures.astype(np.float32)
    elif isinstance(model, OnnxModel | InferenceSession):
        order = options.layout("NCHW" if layout is None else layout)
        graph = _of_file(model.model if isinstance(model, InferenceSession) else model, pictures)
    else:
        raise TypeError(f"model must be a cnnfast.Model or what cnnfast.onnx.load gives, got {type(model).__name__}")
    return _in_pieces(graph, pictures, order, precision)


def _of_file(model: OnnxModel, x: Any) -> Graph:
    """The file's graph, whose only input x must fit."""
    (value, *more) = model.inputs
    told = value.shape or (None,) * 4
    fits = len(told) == 4 and all(not isinstance(a, int) or a == b for a, b in zip(told[1:], x.shape[1:], strict=True))
    if more or not fits:
        raise ValueError(f"x must have the only input's shape, {[each.shape for each in model.inputs]}, got {x.shape}")
    if value.dtype not in (None, x.dtype):
        raise TypeError(f"x must be {value.dtype}, as the model's input, got {x.dtype}")
    return model.graph


def _pictures(x: Any) -> Any:
    if not isinstance(x, da.Array):
        raise TypeError(f"x must be a Dask array, got {type(x).__name__}")
    if x.ndim != 4 or any(np.isnan(size) for size in x.shape) or 0 in x.shape[1:]:
        raise ValueError(f"x must be 4-dimensional, of known sizes > 0, got shape {x.shape}")
    return x


def _in_pieces(graph: Graph, x: Any, layout: str, precision: str) -> Any:
    checks.choice("precision", precision, options.PRECISIONS)
    try:
        pieces = Pieces(graph, Spec(x.shape, x.dtype), layout, precision)
    except ValueError as error:
        raise ValueError(f"the network cannot run on parts of a picture: {error}") from error
    cuts = [
        cut(field, x.shape[axis], pieces.output_shape[at], x.chunks[axis])
        for field, axis, at in zip(pieces.fields, pieces.axes, pieces.output_axes, strict=True)
    ]
    inputs: list[tuple[int, ...]] = list(x.chunks)
    outputs: list[tuple[int, ...]] = [(size,) for size in pieces.output_shape]
    (channels,) = {1, 2, 3} - set(pieces.axes)
    inputs[channels], outputs[0] = (x.shape[channels],), x.chunks[0]
    for each, axis, at in zip(cuts, pieces.axes, pieces.output_axes, strict=True):
        inputs[axis], outputs[at] = each.inputs, each.outputs
    return da.map_overlap(
        _part, x.rechunk(tuple(inputs)),
        depth={axis: (each.before, each.after) for each, axis in zip(cuts, pieces.axes, strict=True)},
        boundary="none", trim=False, allow_rechunk=False,
        pieces=dask.delayed(pieces, pure=True), cuts=cuts, axes=pieces.axes, output_axes=pieces.output_axes,
        chunks=tuple(outputs), dtype=pieces.dtype, meta=np.empty((0,) * 4, pieces.dtype),
    )  # fmt: skip


def _part(
    part: Array, pieces: Pieces, cuts: list[Cut], axes: checks.Pair, output_axes: checks.Pair, block_info: Any = None
) -> Array:
    """A part's own outputs."""
    y = pieces(np.ascontiguousarray(part))
    own = [slice(None)] * 4
    for each, axis, at in zip(cuts, axes, output_axes, strict=True):
        i = block_info[0]["chunk-location"][axis]
        own[at] = slice(each.skips[i], each.skips[i] + each.outputs[i])
    return np.ascontiguousarray(y[tuple(own)])
