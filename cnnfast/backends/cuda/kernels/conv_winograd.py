"""winograd: 3x3 at stride 1 in float32 by F(4x4, 3x3), 36 products a tile of 16 outputs where the definition has 144.

In four steps, not fused. f is one of a tile's 36 products, t a tile; U, V and M are scratch:

    U[f][c][k] = (G g G^T)[f]                                 the weights
    V[f][c][t] = (B^T d B)[f]                                 the input's tiles
    M[f][t][k] = sum over c of V[f][c][t] * U[f][c][k]        36 matrix products
    y = activation(A^T M A + bias + residual)

Why this and not F(2x2, 3x3) in one kernel. At 60 TFLOP/s in float32 and 4.8 TB/s, about what an H200's data sheet says,
a pixel of C = K channels takes, in ns and if nothing overlaps:

                                          C =   64    128    256    512
    definition       18 C^2 / 60e3             1.23   4.92   19.7   78.6
    F(2x2, 3x3)       8 C^2 / 60e3             0.55   2.18    8.7   35
    F(4x4, 3x3)     4.5 C^2 / 60e3
                    + 44 C / 4.8e3             0.89   2.40    7.3   24.4

The 44 bytes a pixel and channel: x read (4), V written and read (9 each), M likewise, y written. The fused kernel
transforms the input again for every block of output channels, 32 additions for 16 multiply-adds with each channel of
the block, and its 16 sums a tile leave few registers to reuse what it loads: with four fifths of the bound above it is
ahead at C = 64, they are even at 128, and F(4x4) is ahead from there on, where most of VGG16's layers and half of
ResNet-50's are. None of this has been measured.

U is 36 / 9 of the weights' bytes: a call transforms them each time, a network once. `gain` counts them.
"""

from typing import Final

from cnnfast.backends.cuda.kernel import GRID, Plan, Row, Step
from cnnfast.backends.cuda.problem import Conv

from .batched_gemm import batched_gemm
from .product import LIMIT, PROCESSORS, multiple, reach
from .tile import Tile
from .winograd_steps import THREADS, Lanes, winograd_inputs, winograd_outputs, winograd_weights

PRODUCTS: Final = 36
TILES: Final = (Tile(128, 128, 8, 8), Tile(128, 64, 8, 8), Tile(64, 64, 8, 8))
"""A block's tiles x output channels."""
SCRATCH: Final = 1 << 29
"""Bytes of V and M together; more tiles than that are computed in turns."""
FMA, BYTES = 30e12, 4.8e12
"""Multiply-adds and bytes a second: what the docstring takes a device to do."""


def _up(size: int, to: int) -> int:
    return -(size // -to) * to


def _tiles(problem: Conv) -> tuple[int, int, int]:
    """How many there are down, across, and in all."""
    down, across = -(problem.P // -4), -(problem.Q // -4)
    return down, across, problem.N * down * across


def gain(problem: Conv) -> float:
    """Seconds that it should save, weights transformed each time: what its products save, less its bytes' way."""
    _, _, count = _tiles(problem)
    C, K = problem.C, problem.K
    saved = (9 * problem.pixels - PRODUCTS * _up(count, 64)) * C * _up(K, 64) / FMA
    moved = 4 * (PRODUCTS * 2 * (count * (C + K) + C * K))
    return saved - moved / BYTES


def takes(problem: Conv) -> bool:
    """Whether it computes the problem."""
    return (
        (problem.R, problem.S, problem.stride, problem.dilation, problem.groups) == (3, 3, (1, 1), (1, 1), 1)
        and (problem.dtype, problem.padding_mode) == ("float32", "zeros")
        and problem.precision != "strict"
        and max(reach(problem)) < LIMIT
        and _up(problem.C, 8) <= GRID[1]
    )


def tiles(problem: Conv) -> tuple[Tile, ...]:
    """Those that may serve, the best first: the largest of which there are two for each multiprocessor."""
    _, _, count = _tiles(problem)

    def blocks(tile: Tile) -> int:
        return PRODUCTS * -(count // -tile.m) * -(problem.K // -tile.n)

    fitting = [tile for tile in TILES if _up(problem.K, tile.n) < problem.K + 64 or tile.n == 64]
    best = next((tile for tile in fitting if blocks(tile) >= 2 * PROCESSORS), fitting[-1])
    return best, *(tile for tile in fitting if tile != best)


def plan(problem: Conv, tile: Tile) -> Plan:
    """The weights' step, and three more for each turn."""
    down, across, count = _tiles(problem)
    all_c, all_k = _up(problem.C, tile.depth), _up(problem.K, tile.n)
    turn = max(SCRATCH // (4 * PRODUCTS * (all_c + all_k)) // tile.m, 1) * tile.m
    all_t = min(turn, _up(count, tile.m))
    last = problem.x_strides[3] == 1
    into = Lanes(8, 16) if last else Lanes(32, 4)
    wide = (
        problem.aligned and problem.Q % 4 == 0 and problem.y_strides[2] == 1
        and multiple(4, *(step for i, step in enumerate(problem.y_strides) if i != 2))
    )  # fmt: skip
    back = Lanes(4, 32) if problem.y_strides[3] == 1 else Lanes(16, 8)
    ending = problem.activation, problem.has_bias, problem.has_residual
    weights, inputs, outputs = winograd_weights(), winograd_inputs(into), winograd_outputs(back, wide, *ending)
    steps = [
        Step(
            weights, (-(all_k // -THREADS), all_c, 1), ("weight", "U"),
            (problem.C, problem.K, all_k, all_c * all_k, *problem.weight_strides),
        )
    ]  # fmt: skip
    bias, residual = "bias" if problem.has_bias else "y", "residual" if problem.has_residual else "y"
    for first in range(0, count, all_t):
        grid = first, count, down, across
        steps += [
            Step(
                inputs, (-(all_t // -into.tiles), -(all_c // -into.channels), 1), ("x", "V"),
                (
                    *grid, problem.H, problem.W, problem.C, all_c, all_t, problem.padding[0][0], problem.padding[1][0],
                    *problem.x_strides,
                ),
            ),
            Step(
                batched_gemm(tile), (all_k // tile.n, all_t // tile.m, PRODUCTS), ("V", "U", "M"), (all_t, all_k, all_c)
            ),
            Step(
                outputs, (-(problem.K // -back.channels), -(all_t // -back.tiles), 1), ("M", bias, residual, "y"),
                (*grid, problem.P, problem.Q, problem.K, all_k, all_t, *problem.y_strides),
            ),
        ]  # fmt: skip
    scratch = {
        "U": (PRODUCTS * all_c * all_k, "float32"),
        "V": (PRODUCTS * all_c * all_t, "float32"),
        "M": (PRODUCTS * all_t * all_k, "float32"),
    }
    return Plan(tuple(steps), scratch)


ROW: Final = Row("winograd", takes, plan, tiles, lambda problem: gain(problem) > 0)
