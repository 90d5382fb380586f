"""How weights begin: Keras' initializers and their names, seeded.

An initializer is a function (shape, generator) -> float32 array; the classes here are such functions with settings.
Without a seed of its own one draws what `set_random_seed` leads to, so that one call makes a whole network repeatable.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cnnfast.ops import checks

Values = NDArray[np.float32]
Generator = np.random.Generator
Initializer = Callable[[Sequence[int], Generator], Values]

_seeds = np.random.default_rng()


def set_random_seed(seed: int) -> None:
    """Make every weight that is drawn from now on repeatable.

    Parameters
    ----------
    seed : an integer >= 0; layers built in the same order after the same seed begin with the same weights

    Raises
    ------
    ValueError, TypeError : seed is not an integer >= 0

    Examples
    --------
    >>> import cnnfast
    >>> def first():
    ...     cnnfast.set_random_seed(1)
    ...     return cnnfast.Sequential([cnnfast.layers.Dense(2, input_shape=(3,))]).get_weights()[0]
    >>> bool((first() == first()).all())
    True
    """
    global _seeds
    _seeds = np.random.default_rng(checks.integer("seed", seed, minimum=0, limit=2**64))


def next_seed() -> int:
    """The seed of the next weight that has none of its own."""
    return int(_seeds.integers(2**63))


def fans(shape: Sequence[int]) -> tuple[int, int]:
    """How many inputs each output of a kernel sums, and how many outputs each input reaches.

    >>> fans((3, 3, 16, 32)), fans((400, 120))
    ((144, 288), (400, 120))
    """
    if len(shape) < 2:
        return math.prod(shape), math.prod(shape)
    window = math.prod(shape[:-2])
    return shape[-2] * window, shape[-1] * window


@dataclass(frozen=True)
class Constant:
    """The same value everywhere."""

    value: float = 0.0

    def __call__(self, shape: Sequence[int], generator: Generator) -> Values:
        return np.full(shape, self.value, np.float32)


@dataclass(frozen=True)
class VarianceScaling:
    """Random values of variance scale / fan, by which signals keep their size from layer to layer.

    Parameters
    ----------
    scale : 1 for Glorot's and LeCun's, 2 for He's
    mode : "fan_in", "fan_out" or "fan_avg"
    distribution : "uniform", or "truncated_normal": within two standard deviations
    seed : None draws what `set_random_seed` leads to

    References
    ----------
    Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", AISTATS 2010.
    He et al., "Delving deep into rectifiers", arXiv:1502.01852.
    """

    scale: float = 1.0
    mode: str = "fan_in"
    distribution: str = "truncated_normal"
    seed: int | None = None

    def __post_init__(self) -> None:
        checks.choice("mode", self.mode, ("fan_in", "fan_out", "fan_avg"))
        checks.choice("distribution", self.distribution, ("uniform", "truncated_normal"))

    def __call__(self, shape: Sequence[int], generator: Generator) -> Values:
        generator = _drawing(self.seed, generator)
        fan_in, fan_out = fans(shape)
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, fan)
        if self.distribution == "uniform":
            limit = np.float32(math.sqrt(3 * variance))
            values = generator.random(shape, np.float32)
            values *= 2 * limit
            values -= limit
            return values
        return _truncated_normal(shape, math.sqrt(variance) / TRUNCATED, generator)


TRUNCATED = 0.87962566103423978
"""Standard deviation of a standard normal cut at two."""


def _truncated_normal(shape: Sequence[int], deviation: float, generator: Generator) -> Values:
    """Values beyond two deviations are drawn again."""
    values = generator.standard_normal(shape, np.float32)
    while (beyond := np.abs(values) > 2).any():
        values[beyond] = generator.standard_normal(int(beyond.sum()), np.float32)
    values *= np.float32(deviation)
    return values


class Zeros(Constant):
    """All 0."""

    def __init__(self) -> None:
        super().__init__(0.0)


class Ones(Constant):
    """All 1."""

    def __init__(self) -> None:
        super().__init__(1.0)


class GlorotUniform(VarianceScaling):
    """Uniform in +-sqrt(6 / (fan_in + fan_out)): Keras' default."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1.0, "fan_avg", "uniform", seed)


class GlorotNormal(VarianceScaling):
    """Normal of variance 2 / (fan_in + fan_out)."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1.0, "fan_avg", "truncated_normal", seed)


class HeUniform(VarianceScaling):
    """Uniform in +-sqrt(6 / fan_in), for ReLU networks."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(2.0, "fan_in", "uniform", seed)


class HeNormal(VarianceScaling):
    """Normal of variance 2 / fan_in, for ReLU networks."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(2.0, "fan_in", "truncated_normal", seed)


class LecunUniform(VarianceScaling):
    """Uniform in +-sqrt(3 / fan_in)."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1.0, "fan_in", "uniform", seed)


class LecunNormal(VarianceScaling):
    """Normal of variance 1 / fan_in, for SELU networks."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1.0, "fan_in", "truncated_normal", seed)


@dataclass(frozen=True)
class RandomUniform:
    """Uniform from minval to maxval."""

    minval: float = -0.05
    maxval: float = 0.05
    seed: int | None = None

    def __call__(self, shape: Sequence[int], generator: Generator) -> Values:
        values = _drawing(self.seed, generator).random(shape, np.float32)
        values *= np.float32(self.maxval - self.minval)
        values += np.float32(self.minval)
        return values


@dataclass(frozen=True)
class RandomNormal:
    """Normal of this mean and standard deviation."""

    mean: float = 0.0
    stddev: float = 0.05
    seed: int | None = None

    def __call__(self, shape: Sequence[int], generator: Generator) -> Values:
        values = _drawing(self.seed, generator).standard_normal(shape, np.float32)
        values *= np.float32(self.stddev)
        values += np.float32(self.mean)
        return values


@dataclass(frozen=True)
class TruncatedNormal(RandomNormal):
    """The same within two standard deviations: values beyond are drawn again."""

    def __call__(self, shape: Sequence[int], generator: Generator) -> Values:
        values = _truncated_normal(shape, self.stddev, _drawing(self.seed, generator))
        values += np.float32(self.mean)
        return values


def _drawing(seed: int | None, generator: Generator) -> Generator:
    """What an initializer with a seed of its own draws from."""
    return generator if seed is None else np.random.default_rng(seed)


NAMED: dict[str, Callable[[], Initializer]] = {
    "zeros": Zeros, "ones": Ones, "glorot_uniform": GlorotUniform, "glorot_normal": GlorotNormal,
    "he_uniform": HeUniform, "he_normal": HeNormal, "lecun_uniform": LecunUniform, "lecun_normal": LecunNormal,
    "random_uniform": RandomUniform, "random_normal": RandomNormal, "truncated_normal": TruncatedNormal,
    "variance_scaling": VarianceScaling, "constant": Constant,
}  # fmt: skip


def get(name: str, value: object) -> Initializer:
    """The initializer that the argument called `name` asks for: a name, or an initializer.

    >>> get("kernel_initializer", "he_normal").scale
    2.0
    """
    if callable(value):
        return value
    return NAMED[checks.choice(name, value, NAMED)]()
