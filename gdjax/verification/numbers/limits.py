"""What a function of a step tends to as the step falls to 0, where at 0 itself it is 0 / 0."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np

from gdjax.verification.numbers import exact as ex
from gdjax.verification.numbers.exact import Array, Exact

# The first of the steps that are extrapolated, 2**-64, and how many halve it. (1 - cos h) / h^2 and its derivative then
# lose 256 of 400 bits, and three halvings leave an error of the order 2**-192.
_FIRST, _STEPS = 64, 4
# Steps that tell a limit that is reached slowly, such as that of h log h, from none.
_FAR, _MIDDLE = 20, 42
# An error is small that is so many times less than the limit or its first step, or than a far step.
_MORE, _MANY = 1 << 60, 1 << 40
# Differences of numbers of size 1 or less that are this small may be the rounding of 400 bits.
NOISE = Fraction(1, 1 << 256)
# The limit is trusted to 2**8 times the difference of two extrapolations.
_TRUST = 8


class NoLimit(Exception):
    """`kind` is "undefined" where there is no finite limit, "unsettled" where none could be found."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


def limit(at: Callable[[Fraction], Exact]) -> tuple[Exact, Exact]:
    """The limits of the entries of `at(h)`, a vector, and how far each may be off.

    Raises:
        NoLimit: see there.
    """
    points = [_numbers(at(Fraction(1, 1 << (_FIRST + k)))) for k in range(_STEPS)]
    before, found = _extrapolated(points[:-1]), _extrapolated(points[1:])
    error = abs(found - before)
    unsure = error * _MORE > np.maximum(abs(found), abs(points[0]))
    noise = NOISE * max(1, *abs(points[0]))
    error[unsure & (error <= noise)] = noise
    unsure &= error > noise
    if unsure.any():
        far, middle = (_numbers(at(Fraction(1, 1 << power))) for power in (_FAR, _MIDDLE))
        for i in np.flatnonzero(unsure):
            power = _of_a_power([p[i] for p in points])
            if power is not None and power[1] < error[i]:
                found[i], error[i] = power
            if error[i] * _MANY > abs(far[i]):
                goes_on = 4 * abs(points[0][i] - middle[i]) > 3 * abs(middle[i] - far[i])
                raise NoLimit("undefined" if goes_on else "unsettled")
    grain = [_grain(e) for e in error]
    rounded = [f if not g else round(f / g) * g for f, g in zip(found, grain, strict=True)]
    return ex.from_object(np.array(rounded, object)), ex.from_object(np.array(grain, object))


def _numbers(a: Exact) -> Array:
    if not ex.is_finite(a).all():
        raise NoLimit("undefined")
    return ex.to_fractions(a)


def _extrapolated(points: Sequence[Array]) -> Any:
    """The value at 0 of the polynomial through points whose steps halve (Richardson)."""
    row = list(points)
    for order in range(1, len(points)):
        row = [b + (b - a) / (2**order - 1) for a, b in pairwise(row)]
    return row[0]


def _of_a_power(points: Sequence[Fraction]) -> tuple[Fraction, Fraction] | None:
    """The limit of a + b h^p, for any p > 0, and how far it may be off (Aitken); None where the points near none."""
    steps = [b - a for a, b in pairwise(points)]
    if any(10 * abs(b) > 9 * abs(a) for a, b in pairwise(steps)):
        return None
    before, found = (c - t * t / (t - s) for (s, t), c in zip(pairwise(steps), points[2:], strict=True))
    return found, abs(found - before)


def _grain(error: Fraction) -> Fraction:
    """A power of two beyond the error that is allowed for."""
    if not error:
        return Fraction(0)
    return Fraction(2) ** (_TRUST + 1 + error.numerator.bit_length() - error.denominator.bit_length())
