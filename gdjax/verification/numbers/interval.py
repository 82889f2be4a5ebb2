"""Ranges: what a formula can reach when its inputs stay in given intervals.

Used to prove that a side of a comparison cannot be met (a sum of squares below 0, a non-negative label below 0), which
then does not count against coverage.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gdjax.verification.numbers.arithmetic import Context, NotSupported, Truth
from gdjax.verification.numbers.exact import Array
from gdjax.verification.numbers.transcendental import FUNCTIONS

_RISING = {"exp", "exp2", "expm1", "log", "log1p", "log2", "log10", "sqrt", "cbrt", "sinh", "tanh", "asinh", "logistic"}
_RISING |= {"erf", "asin", "atan", "atanh", "acosh", "erf_inv"}
_FALLING = {"erfc", "rsqrt", "acos"}
# Below and above what these stay, however near they come.
_LIMITS = {
    "exp": (0.0, np.inf), "exp2": (0.0, np.inf), "expm1": (-1.0, np.inf), "logistic": (0.0, 1.0), "tanh": (-1.0, 1.0),
    "erf": (-1.0, 1.0), "erfc": (0.0, 2.0), "rsqrt": (0.0, np.inf),
}  # fmt: skip
_NOWHERE: Any = np.False_


@dataclass(frozen=True, slots=True)
class Interval:
    """From `low` to `high`: above `low` where `above` says so, and below `high` where `below` does, as exp(x) > 0."""

    low: Array
    high: Array
    depends: bool = False
    above: Array = _NOWHERE
    below: Array = _NOWHERE

    @property
    def shape(self) -> tuple[int, ...]:
        return self.low.shape

    def moved(self, move: Callable[[Array], Any]) -> Interval:
        """The same with entries moved."""
        above, below = (np.asarray(move(np.broadcast_to(x, self.shape))) for x in (self.above, self.below))
        return Interval(np.asarray(move(self.low)), np.asarray(move(self.high)), self.depends, above, below)


@dataclass
class Intervals:
    """Interval arithmetic, without outward rounding: bounds at 0 come from signs, which rounding keeps."""

    context: Context = field(default_factory=Context)
    outcomes: dict[str, set[bool]] = field(default_factory=dict)

    @property
    def constants(self) -> Hashable:
        return "interval"

    def const(self, array: Any) -> Interval:
        value = np.asarray(array).astype(np.float64)
        return Interval(value, value)

    def shape(self, a: Interval) -> tuple[int, ...]:
        return a.low.shape

    def add(self, a: Interval, b: Interval) -> Interval:
        with np.errstate(all="ignore"):
            low, high = a.low + b.low, a.high + b.high
        depends, above, below = a.depends or b.depends, a.above | b.above, a.below | b.below
        return Interval(_plain(low, -np.inf), _plain(high, np.inf), depends, above, below)

    def neg(self, a: Interval) -> Interval:
        return Interval(-a.high, -a.low, a.depends, a.below, a.above)

    def mul(self, a: Interval, b: Interval) -> Interval:
        if a is b:
            return self._square(a)
        ends = [
            (x, y, never_x, never_y)
            for x, never_x in ((a.low, a.above), (a.high, a.below))
            for y, never_y in ((b.low, b.above), (b.high, b.below))
        ]
        with np.errstate(all="ignore"):
            products = np.broadcast_arrays(*(x * y for x, y, _, _ in ends))
        corners = [np.where(np.isnan(c), 0.0, c) for c in products]
        # a product is 0 where one factor is, and else at both ends alone
        never = [
            np.where(c == 0, (never_x | (x != 0)) & (never_y | (y != 0)), never_x | never_y)
            for c, (x, y, never_x, never_y) in zip(corners, ends, strict=True)
        ]
        low, high = np.min(corners, axis=0), np.max(corners, axis=0)
        above, below = (
            np.all([n | (c != end) for c, n in zip(corners, never, strict=True)], axis=0) for end in (low, high)
        )
        return Interval(low, high, a.depends or b.depends, above, below)

    def _square(self, a: Interval) -> Interval:
        a = self.absolute(a)
        with np.errstate(all="ignore"):
            return Interval(a.low * a.low, a.high * a.high, a.depends, a.above, a.below)

    def absolute(self, a: Interval) -> Interval:
        larger = self.extreme("gt", a, self.neg(a))
        low = np.maximum(larger.low, 0.0)
        return Interval(low, larger.high, a.depends, larger.above & (larger.low >= 0), larger.below)

    def extreme(self, op: str, a: Interval, b: Interval) -> Interval:
        """The larger of two where `op` is "gt", the smaller where it is "lt"."""
        if op == "lt":
            return self.neg(self.extreme("gt", self.neg(a), self.neg(b)))
        low, high = np.maximum(a.low, b.low), np.maximum(a.high, b.high)
        above = (a.above & (a.low == low)) | (b.above & (b.low == low))
        below = (a.below | (a.high < high)) & (b.below | (b.high < high))
        return Interval(low, high, a.depends or b.depends, above, below)

    def div(self, a: Interval, b: Interval) -> Interval:
        with np.errstate(all="ignore"):
            safe = (b.low > 0) | (b.high < 0)
            inverse_low, inverse_high = 1 / b.high, 1 / b.low
            open_low = np.where(b.low >= 0, np.where(np.isinf(b.high), 0.0, 1 / b.high), -np.inf)
            low = np.where(safe, inverse_low, open_low)
            high = np.where(safe, inverse_high, np.where(b.high <= 0, 0.0, np.inf))
        above, below = b.below | np.isinf(b.high), b.above | np.isinf(b.low) | ~safe
        return self.mul(a, Interval(np.asarray(low), np.asarray(high), b.depends, above, below))

    def remainder(self, a: Interval, b: Interval) -> Interval:
        """It has the sign of `a`, and is no larger than either."""
        size = np.maximum(np.abs(b.low), np.abs(b.high))
        low, high = np.maximum(np.minimum(a.low, 0.0), -size), np.minimum(np.maximum(a.high, 0.0), size)
        return Interval(low, high, a.depends or b.depends)

    def power(self, a: Interval, b: Interval) -> Interval:
        exponents = np.unique(b.low)
        if exponents.size == 1 and np.array_equal(b.low, b.high) and exponents[0] in (1.0, 2.0, 3.0, 4.0):
            square = self._square(a)
            return {1.0: a, 2.0: square, 3.0: self.mul(square, a), 4.0: self._square(square)}[float(exponents[0])]
        shape = np.broadcast_shapes(a.shape, b.shape)
        low = np.broadcast_to(np.where(a.low >= 0, 0.0, -np.inf), shape)
        above = (a.low > 0) | ((a.low == 0) & a.above)
        return Interval(low, np.full(shape, np.inf), a.depends or b.depends, np.broadcast_to(above, shape))

    def unary(self, name: str, a: Interval) -> Interval:
        if name not in FUNCTIONS:
            raise NotSupported(name)
        with np.errstate(all="ignore"):
            low, high = FUNCTIONS[name].flt(a.low), FUNCTIONS[name].flt(a.high)
        if name in _RISING or name in _FALLING:
            above, below = a.above, a.below
            if name in _FALLING:
                low, high, above, below = high, low, below, above
            least, most = _LIMITS.get(name, (-np.inf, np.inf))
            above, below = above | (low == least), below | (high == most)
            return Interval(_plain(low, -np.inf), _plain(high, np.inf), a.depends, above, below)
        bound = 1.0 if name in ("sin", "cos") else np.inf
        floor = 1.0 if name == "cosh" else -bound
        return Interval(np.full(a.shape, floor), np.full(a.shape, bound), a.depends)

    def atan2(self, a: Interval, b: Interval) -> Interval:
        shape = np.broadcast_shapes(a.shape, b.shape)
        return Interval(np.full(shape, -np.pi), np.full(shape, np.pi), a.depends or b.depends)

    def rounded(self, name: str, a: Interval) -> Interval:
        function = {"floor": np.floor, "ceil": np.ceil, "trunc": np.trunc}.get(name, np.rint)
        return Interval(function(a.low), function(a.high), a.depends)

    def compare(self, op: str, a: Interval, b: Interval) -> Truth:
        shape = np.broadcast_shapes(a.shape, b.shape)
        with np.errstate(all="ignore"):
            low, high = np.broadcast_to(a.low - b.high, shape), np.broadcast_to(a.high - b.low, shape)
        low, high = np.nan_to_num(low, nan=-np.inf), np.nan_to_num(high, nan=np.inf)
        if a is b:
            low, high, never_low, never_high = np.zeros(shape), np.zeros(shape), _NOWHERE, _NOWHERE
        else:
            never_low, never_high = a.above | b.below, a.below | b.above
        can_true, can_false = self._reach(op, low, high, never_low, never_high)
        if (a.depends or b.depends) and not self.context.muted:
            seen = self.outcomes.setdefault(self.context.site, set())
            seen |= ({True} if can_true.any() else set()) | ({False} if can_false.any() else set())
        return Truth(can_true, can_true & can_false, a.depends or b.depends)

    def _reach(self, op: str, low: Array, high: Array, above: Array, below: Array) -> tuple[Array, Array]:
        """Whether it can be true, and whether it can be false, for a difference from `low` to `high`."""
        more, less = high > 0, low < 0
        not_less, not_more = more | ((high == 0) & ~below), less | ((low == 0) & ~above)
        true = {"gt": more, "ge": not_less, "lt": less, "le": not_more, "eq": not_less & not_more, "ne": more | less}
        false = {"gt": "le", "ge": "lt", "lt": "ge", "le": "gt", "eq": "ne", "ne": "eq"}
        return np.asarray(true[op]), np.asarray(true[false[op]])

    def select(self, truth: Truth, yes: Interval, no: Interval) -> Interval:
        doubt = np.zeros(truth.value.shape, bool) if truth.doubt is None else truth.doubt
        low = np.where(doubt, np.minimum(yes.low, no.low), np.where(truth.value, yes.low, no.low))
        high = np.where(doubt, np.maximum(yes.high, no.high), np.where(truth.value, yes.high, no.high))
        above = (yes.above | (yes.low > low)) & (no.above | (no.low > low))
        below = (yes.below | (yes.high < high)) & (no.below | (no.high < high))
        above = np.where(doubt, above, np.where(truth.value, yes.above, no.above))
        below = np.where(doubt, below, np.where(truth.value, yes.below, no.below))
        return Interval(low, high, yes.depends or no.depends or truth.depends, above, below)

    def from_truth(self, truth: Truth) -> Interval:
        value = truth.value.astype(np.float64)
        if truth.doubt is None:
            return Interval(value, value, truth.depends)
        return Interval(np.where(truth.doubt, 0.0, value), np.where(truth.doubt, 1.0, value), truth.depends)

    def is_nan(self, a: Interval) -> Truth:
        return Truth(np.zeros(a.shape, bool))

    def is_finite(self, a: Interval) -> Truth:
        return Truth(np.ones(a.shape, bool))

    def take(self, a: Interval, index: Array) -> Interval:
        return a.moved(lambda x: x.reshape(-1)[index])

    def move(self, a: Interval, move: Callable[[Array], Any]) -> Interval:
        return a.moved(move)

    def concat(self, arrays: Sequence[Interval], axis: int) -> Interval:
        low, high = (np.concatenate(x, axis) for x in ([a.low for a in arrays], [a.high for a in arrays]))
        sides = [a.above for a in arrays], [a.below for a in arrays]
        above, below = (
            np.concatenate([np.broadcast_to(x, a.shape) for x, a in zip(side, arrays, strict=True)], axis)
            for side in sides
        )
        return Interval(low, high, any(a.depends for a in arrays), above, below)

    def sum(self, a: Interval, axes: tuple[int, ...]) -> Interval:
        with np.errstate(all="ignore"):
            low, high = np.sum(a.low, axis=axes), np.sum(a.high, axis=axes)
        above, below = (np.any(np.broadcast_to(x, a.shape), axis=axes) for x in (a.above, a.below))
        return Interval(_plain(low, -np.inf), _plain(high, np.inf), a.depends, above, below)

    def matmul(self, a: Interval, b: Interval) -> Interval:
        product = self.mul(
            a.moved(lambda x: x[..., :, :, None]),
            b.moved(lambda x: x[..., None, :, :]),
        )
        return self.sum(product, (product.low.ndim - 2,))

    def detach(self, a: Interval) -> Interval:
        return a

    def anywhere(self, a: Interval, shape: tuple[int, ...]) -> Interval:
        """Entries from anywhere in `a`."""
        return Interval(np.full(shape, a.low.min()), np.full(shape, a.high.max()), a.depends)

    def within(self, a: Interval, low: float, high: float) -> Interval:
        """What goes round beyond these."""
        stays = (a.low >= low) & (a.high <= high)
        return Interval(np.where(stays, a.low, low), np.where(stays, a.high, high), a.depends)

    def anything(self, aval: Any) -> Interval | Truth:
        """What an operation without a rule may give."""
        if aval.dtype == bool:
            return Truth(np.ones(aval.shape, bool), np.ones(aval.shape, bool), True)
        return Interval(np.full(aval.shape, -np.inf), np.full(aval.shape, np.inf), True)

    def places(self, a: Interval, count: int) -> range:
        """Which of so many branches an index may choose."""
        low, high = np.clip([a.low, a.high], 0, count - 1)
        return range(int(low), int(high) + 1)

    def hull(self, values: Sequence[Interval | Truth]) -> Interval | Truth:
        """What any of these may be."""
        if len(values) == 1:
            return values[0]
        if all(isinstance(v, Truth) for v in values):
            differ = np.logical_or.reduce([np.asarray(v.value) != np.asarray(values[0].value) for v in values])  # type: ignore[union-attr]
            doubts = [np.zeros(v.shape, bool) if v.doubt is None else v.doubt for v in values]  # type: ignore[union-attr]
            return Truth(values[0].value, np.logical_or.reduce([differ, *doubts]), any(v.depends for v in values))  # type: ignore[union-attr]
        parts = [self.from_truth(v) if isinstance(v, Truth) else v for v in values]
        low, high = np.min([p.low for p in parts], axis=0), np.max([p.high for p in parts], axis=0)
        return Interval(np.asarray(low), np.asarray(high), True)

    @staticmethod
    def is_fixed(a: Interval) -> bool:
        return np.array_equal(a.low, a.high)

    def concrete(self, a: Interval) -> Array:
        if self.is_fixed(a):
            return a.low
        raise NotSupported("an index that depends on data")

    def decided(self, truth: Truth) -> Array:
        if truth.doubt is not None and truth.doubt.any():
            raise NotSupported("a branch that depends on data")
        return truth.value

    def order(self, a: Interval, axis: int) -> Array:
        raise NotSupported("an order that depends on data")


def _plain(x: Any, instead: float) -> Array:
    return np.where(np.isnan(x), instead, x)
