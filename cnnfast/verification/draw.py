"""A seeded case from its number: which op and dtype, then sizes chosen for what breaks kernels.

Case i depends on the seed and i alone. Channel counts sweep every tail of 1..2 vectors of the widest ISA; maps are
small, down to 1x1 and smaller than the kernel; strides, dilations and paddings differ per axis and side.
"""

from collections.abc import Callable

import numpy as np

from cnnfast.ops.signatures import FLOATS, SIGNATURES
from cnnfast.verification import draw_conv, draw_dense, draw_images, draw_pool, draw_ranks
from cnnfast.verification.case import Case
from cnnfast.verification.sizes import Draw

_DRAWERS: dict[str, Callable[[Draw], Case]] = {
    "conv2d": draw_conv.conv2d,
    "depthwise_conv2d": draw_conv.depthwise_conv2d,
    "separable_conv2d": draw_conv.separable_conv2d,
    "inverted_residual2d": draw_conv.inverted_residual2d,
    "conv2d_max_pool2d": draw_conv.conv2d_max_pool2d,
    "conv_transpose2d": draw_conv.conv_transpose2d,
    "max_pool2d": draw_pool.window_pool,
    "min_pool2d": draw_pool.window_pool,
    "avg_pool2d": draw_pool.window_pool,
    "lp_pool2d": draw_pool.window_pool,
    "global_avg_pool2d": draw_pool.global_pool,
    "global_max_pool2d": draw_pool.global_pool,
    "adaptive_avg_pool2d": draw_pool.adaptive_pool,
    "adaptive_max_pool2d": draw_pool.adaptive_pool,
    "max_unpool2d": draw_pool.max_unpool2d,
    "linear": draw_dense.linear,
    "batch_norm": draw_images.batch_norm,
    "local_response_norm": draw_images.local_response_norm,
    "softmax": draw_dense.softmax,
    "log_softmax": draw_dense.softmax,
    "prelu": draw_dense.prelu,
    "add": draw_dense.combine,
    "multiply": draw_dense.combine,
    "concatenate": draw_dense.concatenate,
    "pad2d": draw_images.pad2d,
    "upsample2d": draw_images.upsample2d,
    "conv1d": draw_ranks.conv,
    "conv3d": draw_ranks.conv,
    "max_pool1d": draw_ranks.pool,
    "max_pool3d": draw_ranks.pool,
    "avg_pool1d": draw_ranks.pool,
    "avg_pool3d": draw_ranks.pool,
}

# Shares of the cases: (float32, float64, each integer dtype). Ops whose cases fall into more groups get more.
_SHARES = {
    "conv2d": (16, 10, 1),
    "depthwise_conv2d": (10, 6, 1),
    "separable_conv2d": (7, 5, 0),
    "inverted_residual2d": (7, 5, 0),
    "conv2d_max_pool2d": (7, 5, 0),
    "conv_transpose2d": (10, 6, 0),
    "max_pool2d": (12, 5, 3),
    "min_pool2d": (5, 3, 1),
    "avg_pool2d": (8, 4, 0),
    "lp_pool2d": (4, 3, 0),
    "global_avg_pool2d": (3, 2, 0),
    "global_max_pool2d": (3, 2, 1),
    "adaptive_avg_pool2d": (4, 3, 0),
    "adaptive_max_pool2d": (6, 4, 3),
    "max_unpool2d": (4, 3, 1),
    "linear": (5, 3, 0),
    "batch_norm": (5, 3, 0),
    "local_response_norm": (3, 2, 0),
    "softmax": (3, 2, 0),
    "log_softmax": (2, 2, 0),
    **{op: (1, 1, 0) for op in SIGNATURES if SIGNATURES[op].table == "elementwise"},
    "add": (2, 2, 0),
    "multiply": (2, 1, 0),
    "concatenate": (1, 1, 1),
    "pad2d": (2, 1, 1),
    "upsample2d": (3, 2, 0),
    "conv1d": (4, 3, 1),
    "conv3d": (3, 2, 0),
    "max_pool1d": (1, 1, 1),
    "max_pool3d": (2, 1, 1),
    "avg_pool1d": (1, 1, 0),
    "avg_pool3d": (2, 1, 0),
}

OPS = tuple(_SHARES)


def _schedule() -> tuple[tuple[str, np.dtype[np.generic]], ...]:
    """One period of (op, dtype), each as often as its share, spread evenly."""
    places = []
    for op in OPS:
        for dtype in SIGNATURES[op].dtypes:
            share = _SHARES[op][list(FLOATS).index(dtype) if dtype in FLOATS else 2]
            places += [((j + 0.5) / share, op, dtype) for j in range(share)]
    return tuple((op, dtype) for _, op, dtype in sorted(places, key=lambda place: place[0]))


SCHEDULE = _schedule()
_LARGE_EVERY, _DEEP_EVERY = 29, 53


def draw(seed: int, index: int) -> Case:
    """The case of this seed and number."""
    op, dtype = SCHEDULE[index % len(SCHEDULE)]
    rng = np.random.default_rng((seed, index))
    turn = index // len(SCHEDULE) * SCHEDULE.count((op, dtype)) + SCHEDULE[: index % len(SCHEDULE)].count((op, dtype))
    large = dtype.kind == "f" and turn % _LARGE_EVERY == _LARGE_EVERY // 2
    deep = dtype.kind == "f" and turn % _DEEP_EVERY == _DEEP_EVERY // 2 and not large
    return _DRAWERS.get(op, draw_dense.activation)(Draw(rng, seed, index, op, dtype, turn, large, deep))
