"""Which values an argument may take: said by the caller, or what the example shows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from gdjax.errors import UsageError
from gdjax.verification.numbers.exact import Array


@dataclass(frozen=True)
class Domain:
    """Values in [low, high], integers only where `whole`, 0 only where `zero`; `fixed` keeps the example's."""

    low: float = -math.inf
    high: float = math.inf
    whole: bool = False
    zero: bool = True
    fixed: bool = False

    @property
    def free(self) -> bool:
        return not (self.fixed or self.whole) and math.isinf(self.low) and math.isinf(self.high)

    def holds(self, array: Array) -> bool:
        """Whether every entry is one of these values."""
        if self.fixed:
            return True
        good = (array >= self.low) & (array <= self.high)
        if self.whole:
            good &= array == np.rint(array)
        if not self.zero:
            good &= array != 0
        return bool(np.all(good))


NAMED = {
    "real": Domain(),
    "nonnegative": Domain(low=0.0),
    "positive": Domain(low=0.0, zero=False),
    "unit": Domain(low=0.0, high=1.0),
    "integer": Domain(whole=True),
    "count": Domain(low=0.0, whole=True),
    "binary": Domain(0.0, 1.0, whole=True),
    "sign": Domain(-1.0, 1.0, whole=True, zero=False),
    "fixed": Domain(fixed=True),
}


def named(given: Any, place: int) -> Domain:
    """A domain by name, by (low, high), or as it is."""
    if isinstance(given, Domain):
        return given
    if isinstance(given, str) and given in NAMED:
        return NAMED[given]
    if isinstance(given, tuple) and len(given) == 2 and all(isinstance(v, (int, float)) for v in given):
        return Domain(float(given[0]), float(given[1]), zero=given[0] <= 0 <= given[1])
    raise UsageError(f"domain of argument {place} is {given!r}: use one of {', '.join(NAMED)}, or a pair (low, high)")


def inferred(example: Any, parameter: bool) -> Domain:
    """What an example shows: its sign, whether it is integral, 0 or 1, -1 or 1, and whether it has zeros.

    A parameter (an argument that is differentiated) is free: minimisation moves it anywhere. Whether the cost is real
    there is found by trying.

    >>> inferred([0.0, 1.0, 1.0], False)
    Domain(low=0.0, high=1.0, whole=True, zero=True, fixed=False)
    """
    array = np.asarray(example)
    if array.dtype == bool:
        return NAMED["binary"]
    if array.size == 0:
        return NAMED["fixed"]
    if array.dtype.kind in "iu":
        if _signs(array):
            return NAMED["sign"]
        low, high = float(array.min()), float(array.max())
        return Domain(min(low, 0.0) if low >= 0 else low, max(high, 1.0), whole=True)
    if not np.isfinite(array).all():
        return NAMED["fixed"]
    if parameter:
        return NAMED["real"]
    return NAMED["sign"] if _signs(array) else signed(array)


def _signs(array: Array) -> bool:
    """Whether these are labels -1 and 1."""
    return array.size > 2 and bool(np.all(np.abs(array) == 1)) and array.min() < array.max()


def signed(example: Any) -> Domain:
    """The same for a parameter of a cost that is not real everywhere."""
    array = np.asarray(example, np.float64)
    whole = bool(np.all(array == np.rint(array)))
    low, high = float(array.min()), float(array.max())
    if array.any() and array.size > 1 and whole and low >= 0 and high <= 1 and (array == 0).any():
        return NAMED["binary"]
    zero = bool((array == 0).any())
    if not array.any():
        return NAMED["real"]
    if array.size > 1 and not whole and low > 0 and high < 1:
        return Domain(0.0, 1.0, zero=False)
    counts = whole and array.size > 2 and low >= 0 and high > 1
    if low >= 0:
        return Domain(0.0, math.inf, counts, zero)
    if high <= 0:
        return Domain(-math.inf, 0.0, False, zero)
    return NAMED["real"]


def lattice(
    domain: Domain, rng: np.random.Generator, shape: tuple[int, ...], bits: int = 3, step: float = 0.5
) -> Array:
    """Small multiples of a power of two within the domain: up to 2**bits of them on each side of zero."""
    top = 1 << bits
    if domain.whole:
        low = max(domain.low, -4.0)
        high = min(domain.high, low + 8.0)
        whole = rng.integers(int(low), int(high) + 1, shape).astype(np.float64)
        return whole if domain.zero else np.where(whole == 0, high, whole)
    if math.isfinite(domain.low) and math.isfinite(domain.high):
        parts = rng.integers(1, 8, shape) / 8.0
        width = 2.0 ** math.floor(math.log2(max(domain.high - domain.low, 1e-300)))
        return np.asarray(domain.low + width * parts)
    values: Array = rng.integers(-top, top + 1, shape)
    if not domain.zero:
        values = np.where(values == 0, 1, values)
    values = values * step
    if domain.low >= 0:
        return np.abs(values) + (domain.low if math.isfinite(domain.low) else 0.0)
    return -np.abs(values) if domain.high <= 0 else np.asarray(values)


def general(domain: Domain, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Random values with full mantissas within the domain."""
    if domain.whole:
        return lattice(domain, rng, shape)
    if math.isfinite(domain.low) and math.isfinite(domain.high):
        return np.asarray(rng.uniform(domain.low, domain.high, shape))
    values = rng.standard_normal(shape)
    if domain.low >= 0:
        return np.abs(values) + (domain.low if math.isfinite(domain.low) else 0.0)
    return -np.abs(values) if domain.high <= 0 else np.asarray(values)
