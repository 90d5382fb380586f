"""Numbers for a case's arrays: exact integers, normal ones, and the special values that kernels get wrong."""

from typing import Any

import numpy as np

from cnnfast.verification.case import Array, Kind

EXACT_SUM = 2**22
"""Of the 2**24 up to which float32 sums of integers are exact: a bias and a residual have the rest."""


class Values:
    """A source of arrays of one dtype and kind. `depth` is how many products a sum of the case has, at most."""

    def __init__(self, rng: np.random.Generator, dtype: np.dtype[Any], kind: Kind, depth: int = 1) -> None:
        self._rng = rng
        self._dtype = dtype
        self._kind = kind
        self._depth = max(1, depth)
        self._non_finite_weights = rng.random() < 0.3
        self._flood = rng.random() < 0.2

    def images(self, *shape: int) -> Array:
        if self._dtype.kind != "f":
            return self._integers(shape)
        if self._kind == "exact":
            return self._small(shape, self._magnitude())
        values = self._normal(shape)
        return self._specials(values, non_finite=True) if self._kind == "special" else values

    def weights(self, *shape: int, finite: bool = False) -> Array:
        """`finite`: no NaN or infinity is among them."""
        if self._dtype.kind != "f":
            return self._safe_weights(shape)
        if self._kind == "exact":
            return self._small(shape, self._magnitude())
        values = self._normal(shape)
        return self._specials(values, self._non_finite_weights and not finite) if self._kind == "special" else values

    def addends(self, *shape: int, zero_sign: bool = True) -> Array:
        """Biases and residuals. `zero_sign` False: -0 is not among them."""
        if self._dtype.kind != "f":
            return self._rng.integers(-1000, 1001, shape)
        if self._kind == "exact":
            return self._small(shape, EXACT_SUM)
        values = self._normal(shape)
        if self._kind == "special":
            values = self._specials(values, self._non_finite_weights)
        return values if zero_sign else values + self._dtype.type(0)

    def _magnitude(self) -> int:
        """Such that depth * magnitude**2 <= EXACT_SUM."""
        return max(1, min(64, int((EXACT_SUM / self._depth) ** 0.5)))

    def _small(self, shape: tuple[int, ...], largest: int) -> Array:
        return self._rng.integers(-largest, largest + 1, shape).astype(self._dtype)

    def _normal(self, shape: tuple[int, ...]) -> Array:
        return self._rng.standard_normal(shape).astype(self._dtype)

    def _specials(self, values: Array, non_finite: bool) -> Array:
        """Some of the values replaced; a flood replaces them all, by one or two special values."""
        tiny = float(np.finfo(self._dtype).smallest_subnormal)
        denormals = [tiny, -tiny, 1e3 * tiny, float(np.finfo(self._dtype).tiny) / 3, -0.0, 0.0]
        choices = denormals + [np.nan, np.inf, -np.inf] * non_finite
        if self._flood:
            choices = list(self._rng.choice(choices, 2))
        which = self._rng.random(values.shape) < (1.0 if self._flood else self._rng.choice([0.02, 0.3]))
        picked = self._rng.choice(np.array(choices), values.shape).astype(self._dtype)
        return np.where(which, picked, values)

    def _integers(self, shape: tuple[int, ...]) -> Array:
        """The dtype's whole range, its ends among them; int64 keeps clear of its own so that sums fit."""
        limits = np.iinfo(self._dtype)
        low, high = (-(2**40), 2**40) if limits.bits == 64 else (int(limits.min), int(limits.max))
        values = self._rng.integers(low, high, shape, dtype=np.int64, endpoint=True)
        ends = self._rng.random(shape)
        return np.where(ends < 0.05, low, np.where(ends > 0.95, high, values)).astype(self._dtype)

    def _safe_weights(self, shape: tuple[int, ...]) -> Array:
        """Weights with which no sum can leave its accumulator; any integer dtype that holds them will do."""
        largest = 2**10
        if self._dtype.itemsize == 1:
            largest = min(127, (2**31 - 2**12) // (2**8 * self._depth))
        holders = [np.int8, np.int16, np.int32, np.int64] if largest <= 127 else [np.int16, np.int32, np.int64]
        return self._rng.integers(-largest, largest + 1, shape).astype(holders[self._rng.integers(len(holders))])
