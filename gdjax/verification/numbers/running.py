"""Running error analysis: each float operation carries a bound on its distance from the exact result.

The model is Higham's: fl(a op b) = (a op b)(1 + d), |d| <= u, and a sum or inner product of n terms in any order,
blocked or fused, errs by at most gamma_n = n u / (1 - n u) times the sum of the terms' sizes (Accuracy and Stability of
Numerical Algorithms, 2nd ed., sections 3.1 and 3.3). Where a result is representable, and for a sum every partial sum
in any order, the bound is 0: on such inputs every correct implementation agrees bit for bit.

Roundings that are independent and of mean zero add up as their root: the bound is then exp(lambda sqrt(n) u +
n u^2 / (1 - u)) - 1 in any order, but for a probability of at most 2 n exp(-lambda^2 / 2) (Higham and Mary, A New
Approach to Probabilistic Rounding Error Analysis, SIAM J. Sci. Comput. 41(5), 2019, theorems 2.4 and 3.1). Terms that
differ by many units in the last place of their sum are taken to round so; like terms round alike, and keep gamma_n.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np

from gdjax.verification.numbers.arithmetic import COMPARISONS, Context, NotSupported, Truth
from gdjax.verification.numbers.exact import Array
from gdjax.verification.numbers.floats import finfo, narrower
from gdjax.verification.numbers.transcendental import FUNCTIONS

# 2 n exp(-lambda^2 / 2) is below 1e-9 at n = 10,000.
LAMBDA = 8.0
# How many units in the last place of their sum terms must differ by.
_SPREAD = 8
# A product of more terms is not looked through.
_MOST_TERMS = 10_000_000


@dataclass(frozen=True, slots=True)
class Running:
    """`value` in float64, `error` a bound on how far the dtype's result is from exact. `taken` are the numbers that a
    selection chose from, and where each is what it gave: there they are equal, however either was rounded."""

    value: Array
    error: Array
    depends: bool = False
    taken: tuple[tuple[Running, Array], ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape

    @property
    def price(self) -> float:
        """Nominal seconds that it took to compute."""
        return self.value.size * 0.1e-6


@dataclass
class RunningErrors:
    """The arithmetic of running errors for results rounded to `dtype`.

    `every` counts a rounding in every operation, representable or not, and lets functions with a finite limit lose what
    is below one unit in the last place of 1: a bound for code that cannot be seen. Without `doubts` every comparison is
    taken to come out as in exact arithmetic. `rounded_constants` counts a rounding in each constant that fills the
    mantissa, such as a 2 / 67 computed by the author. `probable` gives sums the probabilistic bound where their terms
    allow it.
    """

    dtype: Any
    every: bool = False
    doubts: bool = True
    rounded_constants: bool = False
    probable: bool = False
    context: Context = field(default_factory=Context)

    def __post_init__(self) -> None:
        info = finfo(self.dtype)
        self.unit = float(info.eps) / 2
        self.tiny = float(info.tiny)
        self.largest = float(info.max)
        self.digits = info.nmant + 1

    @property
    def constants(self) -> Hashable:
        return (self.dtype, self.rounded_constants)

    def narrowed(self, dtype: Any) -> Self:
        """The same for results of another dtype, where it is narrower: what a cost computes in bfloat16, say."""
        return replace(self, dtype=np.dtype(dtype)) if narrower(dtype, self.dtype) else self

    def converted(self, a: Running) -> Running:
        """`a` rounded to the dtype once."""
        with np.errstate(all="ignore"):
            size = np.abs(a.value)
            rough = (a.error > 0) | (a.value.astype(self.dtype).astype(np.float64) != a.value)
            rounding = np.maximum(self.unit * (size + a.error), self.tiny)
            return Running(a.value, self._finite(size, a.error + np.where(rough, rounding, 0.0)), a.depends)

    def const(self, array: Any) -> Running:
        value = np.asarray(array).astype(np.float64)
        if not self.rounded_constants:
            return Running(value, np.zeros_like(value))
        with np.errstate(all="ignore"):
            full = _lowest_bit(value) < np.log2(np.abs(value)) - self.digits + 8
        return Running(value, np.where(full & np.isfinite(value), self.unit * np.abs(value), 0.0))

    def shape(self, a: Running) -> tuple[int, ...]:
        return a.value.shape

    def _made(self, value: Array, residual: Callable[[], Array], error: Array, depends: bool) -> Running:
        """A rounded result; `residual()` is nonzero where float64 itself had to round."""
        error = _unbounded(error)
        size = np.abs(value)
        if np.all((error > 0) & (size >= 4 * self.tiny)):
            return Running(value, self._finite(size, error + self.unit * (size + error)), depends)
        rest = residual()
        rough = (rest != 0) | (error > 0)
        if self.dtype != np.float64:
            with np.errstate(over="ignore"):
                rough |= value.astype(self.dtype).astype(np.float64) != value
        if self.every and depends:  # code counts with integers, and lays out constants, exactly
            rough |= value != 0
        rounding = np.where(rough, self.unit * (size + error), 0.0)
        small = (size < 4 * self.tiny) & ((size > 0) | (rest != 0))
        rounding = np.where(small, rounding + 4 * self.tiny, rounding)
        return Running(value, self._finite(size, error + rounding), depends)

    def _finite(self, size: Array, error: Array) -> Array:
        """The error of results of such sizes: unknown where they overflow, or may."""
        return np.where(size > self.largest / 2, np.inf, error)

    def add(self, a: Running, b: Running) -> Running:
        with np.errstate(all="ignore"):
            x, y = a.value, b.value
            value = np.asarray(x + y)
            return self._made(value, lambda: _sum_residual(x, y, value), a.error + b.error, a.depends or b.depends)

    def neg(self, a: Running) -> Running:
        return Running(-a.value, a.error, a.depends)

    def mul(self, a: Running, b: Running) -> Running:
        with np.errstate(all="ignore"):
            x, y = a.value, b.value
            value = np.asarray(x * y)
            error = np.abs(x) * b.error + np.abs(y) * a.error + a.error * b.error
            error = np.where((a.error == 0) & (b.error == 0), 0.0, error)
            return self._made(value, lambda: _product_residual(x, y, value), error, a.depends or b.depends)

    def div(self, a: Running, b: Running) -> Running:
        with np.errstate(all="ignore"):
            value = np.asarray(a.value / b.value)
            room = np.abs(b.value) - b.error
            spread = np.where(room > 0, (a.error + np.abs(value) * b.error) / room, np.inf)
            spread = np.where((a.error == 0) & (b.error == 0), 0.0, spread)

            def residual() -> Array:
                product = value * b.value
                return np.asarray((product - a.value) + _product_residual(value, b.value, product))

            made = self._made(value, residual, spread, a.depends or b.depends)
            # A compiler may multiply by the reciprocal instead, and join that with a sum in one rounding.
            whole = np.frexp(np.abs(b.value))[0] == 0.5
            inverted = np.where(whole & (made.error == 0), 0.0, self.unit * np.abs(value))
            return Running(made.value, made.error + inverted, made.depends)

    def power(self, a: Running, b: Running) -> Running:
        exponents = set(b.value.reshape(-1).tolist())
        count = exponents.pop() if len(exponents) == 1 and not np.any(b.error) else math.nan
        if count.is_integer() and abs(count) <= 64:
            count = int(count)
            result = Running(np.ones(np.broadcast_shapes(a.shape, b.shape)), np.zeros(()), a.depends or b.depends)
            for _ in range(abs(count)):
                result = self.mul(result, a)
            return result if count >= 0 else self.div(self.const(1.0), result)
        with np.errstate(all="ignore"):
            value = np.asarray(np.power(a.value, b.value))
            base = np.abs(b.value) * a.error / np.maximum(np.abs(a.value) - a.error, 0)
            exponent = np.abs(np.log(np.abs(a.value))) * b.error
            relative = np.where(a.error > 0, base, 0.0) + np.where(b.error > 0, exponent, 0.0) + 32 * self.unit
            error = self._finite(np.abs(value), _unbounded(np.abs(value) * relative + self.tiny))
            zero = (a.value == 0) & (a.error == 0) & (b.value > b.error)
            return Running(value, np.where(zero, 0.0, error), a.depends or b.depends)

    def unary(self, name: str, a: Running) -> Running:
        function = FUNCTIONS.get(name)
        if function is None:
            raise NotSupported(name)
        with np.errstate(all="ignore"):
            value = np.asarray(function.flt(a.value))
            ulps = function.ulps + (function.steep * a.value**2 if function.steep else 0.0)
            error = ulps * self.unit * np.abs(value) + 4 * self.tiny
            if np.any(a.error):
                sides = [np.abs(function.flt(a.value + sign * a.error) - value) for sign in (1, -1)]
                error = error + np.where(a.error > 0, np.maximum(*sides), 0.0)
            if name in ("sin", "cos", "tan"):
                error = error + self.unit * np.abs(a.value)
            if function.unit and self.every:
                error = error + 2 * self.unit
            return Running(value, self._finite(np.abs(value), _unbounded(error)), a.depends)

    def atan2(self, a: Running, b: Running) -> Running:
        with np.errstate(all="ignore"):
            size = np.hypot(a.value, b.value)
            value = np.asarray(np.arctan2(a.value, b.value))
            return Running(value, (a.error + b.error) / size + 16 * self.unit * np.abs(value), a.depends or b.depends)

    def rounded(self, name: str, a: Running) -> Running:
        function = {"floor": np.floor, "ceil": np.ceil, "trunc": np.trunc}.get(name, np.rint)
        low, high = function(a.value - a.error), function(a.value + a.error)
        return Running(function(a.value), high - low, a.depends)

    def compare(self, op: str, a: Running, b: Running) -> Truth:
        with np.errstate(all="ignore"):
            value = np.asarray(COMPARISONS[op](np.asarray(a.value > b.value), np.asarray(a.value == b.value)))
            value = np.where(np.isnan(a.value) | np.isnan(b.value), op == "ne", value)
            reach = a.error + b.error
            doubt = np.asarray((reach > 0) & (np.abs(a.value - b.value) <= reach)) & self.doubts
        # autodiff asks whether x == max(x, y), and code whether x != x
        for x, y in ((a, b), (b, a)):
            for source, where in ((y, np.ones((), bool)), *y.taken):
                if source is x:
                    doubt = doubt & ~where
        return Truth(value, doubt if doubt.any() else None, a.depends or b.depends)

    def select(self, truth: Truth, yes: Running, no: Running) -> Running:
        value = np.where(truth.value, yes.value, no.value)
        error = np.where(truth.value, yes.error, no.error)
        if truth.doubt is not None:
            with np.errstate(all="ignore"):
                other = np.abs(yes.value - no.value) + np.maximum(yes.error, no.error)
            error = np.where(truth.doubt, other, error)
        sure = True if truth.doubt is None else np.logical_not(truth.doubt)
        taken = ((yes, truth.value & sure), (no, ~truth.value & sure))
        return Running(value, error, yes.depends or no.depends or truth.depends, taken)

    def from_truth(self, truth: Truth) -> Running:
        value = truth.value.astype(np.float64)
        doubt = np.zeros_like(value) if truth.doubt is None else truth.doubt.astype(np.float64)
        return Running(value, doubt, truth.depends)

    def is_nan(self, a: Running) -> Truth:
        return Truth(np.isnan(a.value))

    def is_finite(self, a: Running) -> Truth:
        return Truth(np.isfinite(a.value))

    def take(self, a: Running, index: Array) -> Running:
        error = np.broadcast_to(a.error, a.value.shape)
        return Running(np.asarray(a.value.reshape(-1)[index]), np.asarray(error.reshape(-1)[index]), a.depends)

    def move(self, a: Running, move: Callable[[Array], Any]) -> Running:
        error = a.error if a.error.shape == a.value.shape else np.broadcast_to(a.error, a.value.shape)
        return Running(np.asarray(move(a.value)), np.asarray(move(error)), a.depends)

    def concat(self, arrays: Sequence[Running], axis: int) -> Running:
        return Running(
            np.concatenate([a.value for a in arrays], axis),
            np.concatenate([np.broadcast_to(a.error, a.value.shape) for a in arrays], axis),
            any(a.depends for a in arrays),
        )

    def sum(self, a: Running, axes: tuple[int, ...]) -> Running:
        if not axes:
            return a
        with np.errstate(all="ignore"):
            error = np.broadcast_to(a.error, a.value.shape)
            size = np.abs(a.value)
            terms = np.sum(size + error > 0, axis=axes)
            spread = np.asarray(np.sum(error, axis=axes))
            whole = np.sum(size, axis=axes) + spread
            gamma = self._gamma(terms, self.probable and self._varied(size, axes))
            exact = spread == 0
            if exact.any():
                lowest = np.min(_lowest_bit(a.value), axis=axes, initial=2000.0)
                exact = exact & (whole <= np.exp2(np.minimum(lowest + self.digits, 1023.0)))
            if self.every:
                exact = exact & (terms <= 1)
            return Running(
                np.asarray(np.sum(a.value, axis=axes)),
                self._finite(whole, np.where(exact, 0.0, _unbounded(spread + gamma * whole))),
                a.depends,
            )

    def cumsum(self, a: Running, axis: int, reverse: bool) -> Running:
        """Prefix sums, each in any order."""

        def prefix(x: Array) -> Array:
            return np.flip(np.cumsum(np.flip(x, axis), axis), axis) if reverse else np.cumsum(x, axis)

        with np.errstate(all="ignore"):
            spread = prefix(np.broadcast_to(a.error, a.value.shape))
            whole = prefix(np.abs(a.value)) + spread
            lowest = np.min(_lowest_bit(a.value), initial=2000.0)
            exact = (spread == 0) & (whole <= np.exp2(min(lowest + self.digits, 1023.0)))
            if self.every:
                exact = exact & (whole == 0)
            error = spread + self._gamma(prefix(np.ones(a.value.shape))) * whole
            error = self._finite(whole, np.where(exact, 0.0, _unbounded(error)))
            return Running(prefix(a.value), error, a.depends)

    def matmul(self, a: Running, b: Running) -> Running:
        with np.errstate(all="ignore"):
            x, y = a.value, b.value
            size_x, size_y = np.abs(x), np.abs(y)
            error_x, error_y = np.broadcast_to(a.error, x.shape), np.broadcast_to(b.error, y.shape)
            whole = np.matmul(size_x, size_y)
            spread = np.matmul(size_x, error_y) + np.matmul(error_x, size_y + error_y)
            terms = np.matmul((x != 0).astype(np.float64), (y != 0).astype(np.float64))
            exact = spread == 0
            if exact.any():
                lowest = np.min(_lowest_bit(x), axis=-1, initial=2000.0)[..., :, None]
                lowest = lowest + np.min(_lowest_bit(y), axis=-2, initial=2000.0)[..., None, :]
                exact = exact & (whole <= np.exp2(np.minimum(lowest + self.digits, 1023.0)))
                exact &= (whole == 0) | (whole > 4 * self.tiny)
            if self.every:
                exact = exact & (whole == 0)
            varied: Any = False
            if self.probable and size_x.size * size_y.shape[-1] <= _MOST_TERMS:
                varied = self._varied(size_x[..., :, :, None] * size_y[..., None, :, :], (-2,))
            error = spread + self._gamma(terms + 1, varied) * (whole + spread) + 4 * self.tiny * terms
            error = self._finite(whole, np.where(exact, 0.0, _unbounded(error)))
            return Running(np.matmul(x, y), error, a.depends or b.depends)

    def _gamma(self, terms: Array, varied: Any = False) -> Array:
        product = np.minimum(np.maximum(terms, 0) * self.unit, 0.5)
        surely = product / (1 - product)
        if varied is False:
            return np.asarray(surely)
        probably = np.expm1(LAMBDA * np.sqrt(terms) * self.unit + terms * self.unit**2 / (1 - self.unit))
        return np.where(varied, np.minimum(surely, probably), surely)

    def _varied(self, sizes: Array, axes: tuple[int, ...]) -> Array:
        """Whether half of the terms along some axes, zeros aside, differ from each other, and the ends of the middle
        half by many units in the last place of the sum."""
        summed = [i % sizes.ndim for i in axes]
        kept = [i for i in range(sizes.ndim) if i not in summed]
        count = math.prod(sizes.shape[i] for i in summed)
        rows = np.transpose(sizes, (*kept, *summed)).reshape(*(sizes.shape[i] for i in kept), count)
        if rows.shape[-1] < LAMBDA**2:  # gamma_n is the smaller bound
            return np.zeros(rows.shape[:-1], bool)
        rows = np.sort(rows, axis=-1)
        used = np.sum(rows > 0, axis=-1, keepdims=True)
        different = np.sum(np.diff(rows, axis=-1, prepend=0.0) > 0, axis=-1, keepdims=True)
        upper, lower = (np.take_along_axis(rows, at, -1) for at in (-1 - used // 4, used // 4 - used))
        apart = upper - lower >= 2 * _SPREAD * self.unit * np.sum(rows, axis=-1, keepdims=True)
        return np.asarray(((2 * different >= used) & apart)[..., 0])

    def detach(self, a: Running) -> Running:
        return a

    def concrete(self, a: Running) -> Array:
        return a.value

    def decided(self, truth: Truth) -> Array:
        return truth.value

    def order(self, a: Running, axis: int) -> Array:
        return np.argsort(a.value, axis, kind="stable")


def running_inputs(args: Sequence[Any], varying: Sequence[int]) -> list[tuple[Running | Truth, ...]]:
    """Exact inputs of the arguments that vary, for a walk of one side."""
    found: list[tuple[Running | Truth, ...]] = []
    for i in varying:
        array = np.asarray(args[i])
        if array.dtype == bool:
            found.append((Truth(array, None, True),))
        else:
            value = array.astype(np.float64)
            found.append((Running(value, np.zeros_like(value), True),))
    return found


def _unbounded(error: Array) -> Array:
    """Infinite where nothing is known: 0 times an operand that may overflow."""
    return np.asarray(np.fmin(error, np.inf))


def _split(x: Array) -> tuple[Array, Array]:
    high = x * 134217729.0
    high = high - (high - x)
    return high, x - high


def _sum_residual(x: Array, y: Array, total: Array) -> Array:
    """What float64 dropped of x + y (Knuth)."""
    back = total - x
    return np.asarray((x - (total - back)) + (y - back))


def _product_residual(x: Array, y: Array, product: Array) -> Array:
    """What float64 dropped of x * y (Dekker)."""
    (a, b), (c, d) = _split(x), _split(y)
    return np.asarray(((a * c - product) + a * d + b * c) + b * d)


def _lowest_bit(x: Array) -> Array:
    """The exponent of the lowest set bit; 2000 for zero."""
    mantissa, exponent = np.frexp(np.where(np.isfinite(x), x, 0.0))
    integers = np.ldexp(mantissa, 53).astype(np.int64)
    lowest = np.log2(np.where(integers == 0, 1, integers & -integers).astype(np.float64))
    return np.where(integers == 0, 2000.0, lowest + exponent - 53)


def gamma(n: int, unit: float) -> float:
    """n u / (1 - n u), infinite where the model no longer holds.

    >>> gamma(2, 0.25)
    1.0
    """
    return n * unit / (1 - n * unit) if n * unit < 1 else math.inf
