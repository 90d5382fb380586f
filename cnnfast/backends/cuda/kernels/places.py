"""Which part of an output a thread has: blocks are numbered tile by tile along one grid axis."""


def counted(what: str, count: int) -> int:
    """count, which kernels divide as a number of 32 bits. ValueError: it is none."""
    if count >= 2**32:
        raise ValueError(f"{what} must be fewer than 2**32 on a CUDA device, got {count}")
    return count


def threads(size: int, most: int) -> int:
    """A power of two, at most `most`, less than twice what is needed; at most 64, as a block's third axis."""
    found = 1
    while found * 2 <= min(most, 64) and found < size:
        found *= 2
    return found


def tiled(block: tuple[int, int, int]) -> list[str]:
    """Lines that make i and j, along a block's first two axes, and `rest`, the tile along the others; x_tiles and
    y_tiles are how many there are."""
    return [
        "rest = quotient(cuda.blockIdx.x, x_tiles)",
        f"i = (cuda.blockIdx.x - rest * x_tiles) * {block[0]} + cuda.threadIdx.x",
        "tile = rest",
        "rest = quotient(tile, y_tiles)",
        f"j = (tile - rest * y_tiles) * {block[1]} + cuda.threadIdx.y",
    ]
