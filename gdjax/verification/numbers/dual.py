"""Dual numbers over exact arithmetic: a value, and its derivative along each parameter.

Comparisons of equal values are settled by the derivative along one direction (lexicographic order), so an
interpretation sees one smooth piece of the function, the one on that side of the point, however the kink is spelled:
`maximum`, `where`, a mask, `abs` or a sort.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np

from gdjax.verification.numbers import exact as ex
from gdjax.verification.numbers.arithmetic import COMPARISONS, Context, Meeting, NotSupported, Truth, positions
from gdjax.verification.numbers.exact import MP, Array, Exact
from gdjax.verification.numbers.transcendental import FUNCTIONS, within_reach


@dataclass(frozen=True, slots=True)
class Dual:
    """`tangent` has the parameters as its leading axis; None is zero. `whole` says that it is a sum, up to a factor."""

    value: Exact
    tangent: Exact | None = None
    depends: bool = False
    whole: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape

    @property
    def price(self) -> float:
        """Nominal seconds that it took to compute."""
        return self.value.price + (0.0 if self.tangent is None else self.tangent.price)


@dataclass(frozen=True)
class Compared:
    """Two numbers that were compared, and which entries tied and move apart."""

    a: Dual
    b: Dual
    tied: Array
    site: str


@dataclass
class Duals:
    """The arithmetic of duals on one side of a point: `direction` (a component a parameter) says which side.

    `tied` are the slopes of what tied; `compared`, if it is a list, takes down all that is. `rests` says that
    derivatives of first order may not tell what is next to the point: something that is not linear tied with a slope
    of 0, or a function with an infinite slope was met by one.
    """

    direction: Exact | None = None
    context: Context = field(default_factory=Context)
    tied: list[Array] = field(default_factory=list)
    rests: bool = False
    curved: bool = False
    compared: list[Compared] | None = None

    @property
    def constants(self) -> Hashable:
        return "exact"

    def const(self, array: Any) -> Dual:
        return Dual(ex.from_array(array))

    def shape(self, a: Dual) -> tuple[int, ...]:
        return a.value.shape

    def add(self, a: Dual, b: Dual) -> Dual:
        return Dual(ex.add(a.value, b.value), _plus(a, b), a.depends or b.depends)

    def neg(self, a: Dual) -> Dual:
        return Dual(ex.negative(a.value), None if a.tangent is None else ex.negative(a.tangent), a.depends, a.whole)

    def mul(self, a: Dual, b: Dual) -> Dual:
        value = ex.multiply(a.value, b.value)
        self.curved |= a.tangent is not None and b.tangent is not None
        whole = (a.whole and b.tangent is None) or (b.whole and a.tangent is None)
        return Dual(value, _sum(_scaled(a, b.value), _scaled(b, a.value), value.shape), a.depends or b.depends, whole)

    def div(self, a: Dual, b: Dual) -> Dual:
        if a.tangent is None and b.tangent is None:
            return Dual(ex.divide(a.value, b.value), None, a.depends or b.depends)
        self.curved |= b.tangent is not None
        inverse = ex.divide(ex.from_fraction(1), b.value)
        value = ex.multiply(a.value, inverse)
        minus = None if b.tangent is None else _scaled(b, ex.negative(ex.multiply(value, inverse)))
        whole = a.whole and minus is None
        return Dual(value, _sum(_scaled(a, inverse), minus, value.shape), a.depends or b.depends, whole)

    def power(self, a: Dual, b: Dual) -> Dual:
        exponents = ex.to_fractions(b.value).reshape(-1)
        if b.tangent is None and len(set(exponents)) == 1:
            only = exponents[0]
            if isinstance(only, Fraction) and only.denominator == 1 and abs(only) <= 64:
                return self._integer_power(a, int(only), b.depends)
        self.curved = True
        value = ex.apply2(_power, a.value, b.value)
        slope = ex.apply2(lambda x, p: p * _power(x, p - 1) if p != 0 else MP.mpf(0), a.value, b.value)
        self._steep(a, slope)
        exponent = None
        if b.tangent is not None:
            exponent = _scaled(b, ex.apply2(lambda x, p: _power(x, p) * MP.log(x) if x != 0 else 0, a.value, b.value))
        return Dual(value, _sum(_scaled(a, slope), exponent, value.shape), a.depends or b.depends)

    def _integer_power(self, a: Dual, exponent: int, depends: bool) -> Dual:
        if exponent < 0:
            return self.div(Dual(ex.from_fraction(1)), self._integer_power(a, -exponent, depends))
        result = Dual(
            ex.add(ex.multiply(a.value, ex.from_fraction(0)), ex.from_fraction(1)), None, a.depends or depends
        )
        for _ in range(exponent):
            result = self.mul(result, a)
        return result

    def unary(self, name: str, a: Dual) -> Dual:
        function = FUNCTIONS.get(name)
        if function is None:
            raise NotSupported(name)
        if a.tangent is None:
            return Dual(ex.apply(function.exact, a.value), None, a.depends)
        value, slope = ex.apply_with_slope(function.exact, function.slope, a.value)
        self.curved = True
        self._steep(a, slope)
        return Dual(value, _scaled(a, slope), a.depends)

    def _steep(self, a: Dual, slope: Exact) -> None:
        """An infinite slope times a derivative of 0 is taken for 0, which that of sqrt(x^2) is not."""
        if slope.mp and a.tangent is not None:
            endless = ~ex.is_finite(slope)
            self.rests |= bool(np.any(endless & ~np.any(_spread(a.tangent, endless.shape).num != 0, axis=0)))

    def atan2(self, a: Dual, b: Dual) -> Dual:
        self.curved = True
        value = ex.apply2(MP.atan2, a.value, b.value)
        square = ex.add(ex.multiply(a.value, a.value), ex.multiply(b.value, b.value))
        first = _scaled(a, ex.divide(b.value, square))
        second = _scaled(b, ex.negative(ex.divide(a.value, square)))
        return Dual(value, _sum(first, second, value.shape), a.depends or b.depends)

    def rounded(self, name: str, a: Dual) -> Dual:
        return Dual(ex.integers(ROUNDINGS[name], a.value), None, a.depends)

    def compare(self, op: str, a: Dual, b: Dual) -> Truth:
        greater, equal = ex.compare(a.value, b.value)
        ties = equal
        difference = None
        moving = np.zeros(equal.shape, bool)
        if equal.any() and not (a.tangent is None and b.tangent is None):
            difference = self.add(a, self.neg(b))
            if difference.tangent is not None:
                moving = np.any(difference.tangent.num != 0, axis=0) & equal
                self.rests |= self.curved and bool(np.any(equal & ~moving))
                if moving.any():
                    rows = difference.tangent.num.reshape(difference.tangent.num.shape[0], -1)[:, moving.reshape(-1)]
                    self.tied.append(rows)
                    if self.direction is not None:
                        along = _along(difference.tangent, self.direction)
                        sign = np.asarray(along.num > 0, bool)
                        greater = np.where(moving, sign, greater)
                        equal = equal & ~(moving & np.asarray(along.num != 0, bool))
        if self.compared is not None:
            self.compared.append(Compared(a, b, moving, self.context.site))
        truth = COMPARISONS[op](greater, equal)
        nan = ex.is_nan(a.value) | ex.is_nan(b.value)
        if nan.any():
            truth = np.where(nan, op == "ne", truth)
        self._report(op, a, b, difference, truth, ties)
        return Truth(truth, None, a.depends or b.depends)

    def _report(self, op: str, a: Dual, b: Dual, difference: Dual | None, truth: Array, ties: Array) -> None:
        listener = self.context.listener
        if listener is None or self.context.muted or not (a.depends or b.depends):
            return
        if a is b or not (ex.is_finite(a.value).all() and ex.is_finite(b.value).all()):
            return
        subtract = (lambda: self.add(a, self.neg(b))) if difference is None else (lambda: difference)
        listener(Meeting(self.context.site, op, subtract, truth, ties))

    def select(self, truth: Truth, yes: Dual, no: Dual) -> Dual:
        value = ex.where(truth.value, yes.value, no.value)
        tangent = None
        if yes.tangent is not None or no.tangent is not None:
            lead = (yes.tangent if yes.tangent is not None else no.tangent).num.shape[0]  # type: ignore[union-attr]
            tangent = ex.where(truth.value, full(yes, lead, value.shape), full(no, lead, value.shape))
        return Dual(value, tangent, yes.depends or no.depends or truth.depends)

    def from_truth(self, truth: Truth) -> Dual:
        return Dual(Exact(truth.value.astype(np.int64), bits=1), None, truth.depends)

    def is_nan(self, a: Dual) -> Truth:
        return Truth(ex.is_nan(a.value), None, False)

    def is_finite(self, a: Dual) -> Truth:
        return Truth(ex.is_finite(a.value), None, False)

    def take(self, a: Dual, index: Array) -> Dual:
        return Dual(ex.take(a.value, index), None if a.tangent is None else ex.take(a.tangent, index, 1), a.depends)

    def move(self, a: Dual, move: Callable[[Array], Any]) -> Dual:
        if a.tangent is None:
            return Dual(a.value.moved(move(a.value.num)), None, a.depends)
        return self.take(a, positions(a.shape, move))

    def concat(self, arrays: Sequence[Dual], axis: int) -> Dual:
        value = ex.concatenate([a.value for a in arrays], axis)
        leads = [a.tangent.num.shape[0] for a in arrays if a.tangent is not None]
        tangent = None
        if leads:
            tangent = ex.concatenate([full(a, leads[0], a.shape) for a in arrays], axis + 1)
        return Dual(value, tangent, any(a.depends for a in arrays))

    def sum(self, a: Dual, axes: tuple[int, ...]) -> Dual:
        tangent = None if a.tangent is None else ex.total(a.tangent, tuple(i + 1 for i in axes))
        return Dual(ex.total(a.value, axes), tangent, a.depends, True)

    def matmul(self, a: Dual, b: Dual) -> Dual:
        self.curved |= a.tangent is not None and b.tangent is not None
        value = ex.matmul(a.value, b.value)
        first = None if a.tangent is None else ex.matmul(a.tangent, b.value)
        second = None if b.tangent is None else ex.matmul(a.value, b.tangent)
        return Dual(value, _sum(first, second, value.shape), a.depends or b.depends)

    def detach(self, a: Dual) -> Dual:
        return Dual(a.value, None, a.depends)

    def concrete(self, a: Dual) -> Array:
        return ex.to_float(a.value)

    def decided(self, truth: Truth) -> Array:
        return truth.value

    def order(self, a: Dual, axis: int) -> Array:
        """Indices that sort; equal values in the order of their derivatives along the direction."""
        if a.tangent is None:
            return ex.order(a.value, axis)
        along = None if self.direction is None else np.moveaxis(_along(a.tangent, self.direction).num, axis, -1)
        values = np.moveaxis(a.value.num, axis, -1)
        tangents = np.moveaxis(a.tangent.num, axis + 1, -1)
        out = np.empty(values.shape, np.int64)
        for place in np.ndindex(values.shape[:-1]):
            row = values[place]
            keys = [(v, 0 if along is None else along[place][i], i) for i, v in enumerate(row)]
            out[place] = [i for _, _, i in sorted(keys)]
            for first, second in pairwise(out[place]):
                step = tangents[(slice(None), *place, second)] - tangents[(slice(None), *place, first)]
                if row[first] == row[second] and np.any(step != 0):
                    self.tied.append(step[:, None])
        return np.moveaxis(out, -1, axis)


ROUNDINGS = {
    "floor": lambda x: x.__floor__(),
    "ceil": lambda x: x.__ceil__(),
    "trunc": lambda x: x.__trunc__(),
    "round_even": lambda x: round(x),
    "round_away": lambda x: (abs(x) + Fraction(1, 2)).__floor__() * (1 if x >= 0 else -1),
}


def _power(x: Any, p: Any) -> Any:
    if x == 0:
        return MP.mpf(0) if p > 0 else (MP.mpf(1) if p == 0 else MP.mpf("inf"))
    return MP.power(x, within_reach(p))


def _scaled(a: Dual, factor: Exact) -> Exact | None:
    if a.tangent is None:
        return None
    return ex.scale(padded(a.tangent, len(factor.shape)), factor)


def padded(tangent: Exact, rank: int) -> Exact:
    """Room for broadcasting behind the leading axis."""
    missing = rank - (tangent.num.ndim - 1)
    if missing <= 0:
        return tangent
    shape = tangent.num.shape
    return tangent.moved(tangent.num.reshape(shape[0], *(1,) * missing, *shape[1:]))


def _sum(a: Exact | None, b: Exact | None, shape: tuple[int, ...]) -> Exact | None:
    if a is None or b is None:
        one = a if b is None else b
        return None if one is None else _spread(one, shape)
    return ex.add(padded(a, len(shape)), padded(b, len(shape)))


def _spread(tangent: Exact, shape: tuple[int, ...]) -> Exact:
    if tangent.num.shape[1:] == shape:
        return tangent
    tangent = padded(tangent, len(shape))
    return tangent.moved(np.broadcast_to(tangent.num, (tangent.num.shape[0], *shape)))


def _plus(a: Dual, b: Dual) -> Exact | None:
    if a.tangent is None and b.tangent is None:
        return None
    return _sum(a.tangent, b.tangent, np.broadcast_shapes(a.shape, b.shape))


def full(a: Dual, lead: int, shape: tuple[int, ...]) -> Exact:
    """The derivative along so many parameters, of that shape behind the leading axis."""
    return ex.zeros((lead, *shape)) if a.tangent is None else _spread(a.tangent, shape)


def _along(tangent: Exact, direction: Exact) -> Exact:
    """The derivative along the direction: a sum over the leading axis."""
    weights = Exact(direction.num.reshape(-1, *(1,) * (tangent.num.ndim - 1)), direction.den, direction.bits)
    return ex.total(ex.multiply(tangent, weights), (0,))
