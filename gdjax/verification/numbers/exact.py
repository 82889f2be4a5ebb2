"""Arrays of exact real numbers.

An `Exact` is `num / den`: integers over one positive common denominator, held as int64 while they fit and as Python
integers beyond. Every finite float is such a number, and sums, products and quotients of them stay exact. Where a
transcendental function enters, the integers are rounded so that the shortest keeps 400 bits, 347 more than a float64,
over a power of two (`rounded`). Entries that are not finite, or whose sizes lie too far apart for one denominator, are
mpmath numbers of 400 bits (`mp`): the same to all who use them, only slow.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import lru_cache, partial
from typing import Any

import mpmath
import numpy as np

Array = np.ndarray[Any, Any]

PRECISION = 400
_INT64_BITS = 62
_WIDEST_DENOMINATOR = 1024
_WIDEST_INTEGER = 20_000
# Rounded integers this much longer than 400 bits are cut; beyond the widest, mpmath's exponents are needed.
_SPARE = 112
_WIDEST_ROUNDED = 6000
# Entries of an array of floats whose exact numbers are remembered.
_REMEMBERED = 256

MP = mpmath.MPContext()
MP.prec = PRECISION
_NAN = MP.mpf("nan")
_INF = MP.mpf("inf")
# Two 400-bit numbers closer than 2**-320, relative to their size, are one number computed in two ways.
_SAME_BITS = 320
_SAME = MP.mpf(2) ** -_SAME_BITS


class Exact:
    """`num / den`, or mpmath's numbers in `num` where `mp`. `bits` bounds the length of the integers."""

    __slots__ = ("bits", "den", "mp", "num", "rounded")

    def __init__(
        self, num: Array, den: int = 1, bits: int | None = None, mp: bool = False, rounded: bool = False
    ) -> None:
        self.num = num if isinstance(num, np.ndarray) else _zero_dimensional(num)
        self.den = den
        self.mp = mp
        self.rounded = rounded
        self.bits = 0 if mp else (_bits(self.num) if bits is None else bits)

    @property
    def rational(self) -> bool:
        """Whether it is exact, not a real number to 400 bits."""
        return not (self.mp or self.rounded)

    @property
    def price(self) -> float:
        """Nominal seconds that it took to compute."""
        return self.num.size * (20e-6 if self.mp else 0.5e-6 if self.num.dtype == object else 0.02e-6)

    def moved(self, num: Array) -> Exact:
        """Entries of this array in another order or shape."""
        return Exact(num, self.den, self.bits, self.mp, self.rounded)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.num.shape

    def __repr__(self) -> str:
        return f"Exact({to_fractions(self).tolist()!r})"


def _zero_dimensional(value: Any) -> Array:
    """NumPy returns a bare object for a zero-dimensional result."""
    if isinstance(value, np.generic):
        return np.asarray(value)
    out = np.empty((), object)
    out[()] = value
    return out


def _bits(num: Array) -> int:
    if num.size == 0:
        return 0
    if num.dtype == object:
        return max(map(int.bit_length, map(int, num.ravel().tolist())))
    return int(np.abs(num).max()).bit_length()


def _big(num: Array) -> Array:
    num = num if isinstance(num, np.ndarray) else np.asarray(num, object)
    return num if num.dtype == object else num.astype(object)


def _fitting(a: Exact, b: Exact, bits: int) -> tuple[Array, Array, int]:
    """The numerators of both in a type that holds results of so many bits."""
    if bits > _INT64_BITS and a.num.dtype != object and b.num.dtype != object:
        bits = _bits(a.num) + _bits(b.num) + 1
    if bits > _INT64_BITS or a.num.dtype == object or b.num.dtype == object:
        return _big(a.num), _big(b.num), bits
    return a.num, b.num, bits


def from_array(array: Any) -> Exact:
    """The exact values of a NumPy array of booleans, integers or floats."""
    array = np.asarray(array)
    if array.dtype.kind in "bi":
        return Exact(array.astype(np.int64))
    if array.ndim == 0 and array.dtype.kind == "f" and np.isfinite(array):
        return _of_float(float(array))
    if array.dtype.kind == "u":
        return Exact(array.astype(object))
    values = array.astype(np.float64)
    return _of_bytes(values.tobytes(), values.shape) if values.size <= _REMEMBERED else _of_floats(values)


@lru_cache(maxsize=1024)
def _of_bytes(data: bytes, shape: tuple[int, ...]) -> Exact:
    """An input is read by the cost, the gradient and what steers: it is taken apart once."""
    return _of_floats(np.frombuffer(data).reshape(shape))


def _of_floats(values: Array) -> Exact:
    if not np.isfinite(values).all():
        return Exact(_elementwise(lambda x: MP.mpf(float(x)), values), mp=True)
    mantissa, exponent = np.frexp(values)
    integers = np.ldexp(mantissa, 53).astype(np.int64)
    if not integers.any():
        return Exact(np.zeros(values.shape, np.int64), bits=0)
    used = integers != 0
    twos = np.where(used, integers & -integers, 1)
    integers = integers // twos
    exponent = np.where(used, exponent - 53 + np.log2(twos).astype(np.int64), np.iinfo(np.int32).max)
    lowest = min(int(exponent.min()), 0)
    shift = np.where(used, exponent - lowest, 0)
    if int((shift + np.ceil(np.log2(np.abs(integers) + 1.0))).max()) <= _INT64_BITS:
        return Exact(integers << shift, 1 << -lowest)
    return Exact(_elementwise2(lambda n, s: int(n) << int(s), integers, shift), 1 << -lowest)


@lru_cache(maxsize=4096)
def _of_float(value: float) -> Exact:
    num, den = value.as_integer_ratio()
    return Exact(np.asarray(num, np.int64 if num.bit_length() <= _INT64_BITS else object), den, num.bit_length())


def from_fraction(value: Fraction | int) -> Exact:
    value = Fraction(value)
    num = np.empty((), object)
    num[()] = value.numerator
    return Exact(num, value.denominator)


def zeros(shape: tuple[int, ...]) -> Exact:
    return Exact(np.zeros(shape, np.int64), bits=0)


def _elementwise(function: Callable[[Any], Any], array: Array) -> Array:
    out = np.empty(array.shape, object)
    flat = out.reshape(-1)
    for i, x in enumerate(array.reshape(-1)):
        flat[i] = function(x)
    return out


def _elementwise2(function: Callable[[Any, Any], Any], a: Array, b: Array) -> Array:
    a, b = np.broadcast_arrays(a, b)
    out = np.empty(a.shape, object)
    flat = out.reshape(-1)
    for i, (x, y) in enumerate(zip(a.reshape(-1), b.reshape(-1), strict=True)):
        flat[i] = function(x, y)
    return out


def to_mp(a: Exact) -> Exact:
    """The same numbers as mpmath's, in 400 bits."""
    if a.mp:
        return a
    shift = _power_of_two(a.den)
    if shift is None:
        den = MP.mpf(a.den)
        return Exact(_elementwise(lambda n: MP.mpf(int(n)) / den, a.num), mp=True)
    make, made = MP.make_mpf, mpmath.libmp.from_man_exp
    return Exact(_elementwise(lambda n: make(made(int(n), -shift, PRECISION, "n")), a.num), mp=True)


def _from_mp(values: Array) -> Exact:
    """Over one denominator, where all are finite and of sizes that allow it."""
    parts = [x._mpf_ for x in values.reshape(-1)]
    # (sign, mantissa, exponent, length); infinities and NaN have a mantissa of 0 and a length that is not
    if any(not m and e for _, m, e, _ in parts):
        return Exact(values, mp=True)
    used = [(e, e + length) for _, m, e, length in parts if m]
    if not used:
        return zeros(values.shape)
    lowest, highest = min(0, *(e for e, _ in used)), max(0, *(top for _, top in used))
    if highest - lowest > _WIDEST_ROUNDED:
        return Exact(values, mp=True)
    out = np.empty(len(parts), object)
    out[:] = [(-m if s else m) << (e - lowest) if m else 0 for s, m, e, _ in parts]
    return Exact(out.reshape(values.shape), 1 << -lowest, highest - lowest, rounded=True)


def _power_of_two(den: int) -> int | None:
    """Its logarithm, or None where it is no power of two."""
    return den.bit_length() - 1 if den & (den - 1) == 0 else None


def to_rounded(a: Exact) -> Exact:
    """The same numbers, to 400 bits, over a power of two."""
    if a.rounded or a.mp:
        return a
    if _power_of_two(a.den) is not None:
        return Exact(a.num, a.den, a.bits, rounded=True)
    shift = PRECISION + a.den.bit_length()
    return _narrow(Exact((_big(a.num) << shift) // a.den, 1 << shift, a.bits + PRECISION + 1, rounded=True))


def to_fractions(a: Exact) -> Array:
    """An object array of Fractions (of floats where a number is not finite). Beyond 2**20000, and below its inverse,
    one of about that size stands in: it overflows or vanishes in every float, and its digits would fill the memory."""
    if a.mp:
        return _elementwise(_mp_fraction, a.num)
    return _elementwise(lambda n: Fraction(int(n), a.den), a.num)


def _mp_fraction(x: Any) -> Any:
    if not MP.isfinite(x):
        return float(x)
    sign, mantissa, exponent, _ = x._mpf_
    value = Fraction(int(mantissa)) * Fraction(2) ** min(max(int(exponent), -_WIDEST_INTEGER), _WIDEST_INTEGER)
    return -value if sign else value


def to_float(a: Exact) -> Array:
    """The nearest float64 of each."""
    if a.mp:
        return np.array([float(x) for x in a.num.reshape(-1)], np.float64).reshape(a.shape)
    if a.num.dtype != object and a.bits <= 53 and a.den & (a.den - 1) == 0 and a.den.bit_length() < 1000:
        return np.asarray(a.num.astype(np.float64) / float(a.den))
    return np.array([_ratio(int(n), a.den) for n in a.num.reshape(-1)], np.float64).reshape(a.shape)


def _ratio(num: int, den: int) -> float:
    try:
        return num / den
    except OverflowError:
        return math.inf if num > 0 else -math.inf


def _narrow(a: Exact) -> Exact:
    """Cancel what numerators and denominator share once they grow long; give exactness up beyond all use."""
    if a.rounded:
        return _cut(a)
    if a.mp or a.den.bit_length() + a.bits < _WIDEST_DENOMINATOR:
        return a
    common = math.gcd(a.den, *(int(n) for n in a.num.reshape(-1)))
    if common > 1:
        a = Exact(_elementwise(lambda n: int(n) // common, a.num), a.den // common)
    return to_rounded(a) if max(a.bits, a.den.bit_length()) > _WIDEST_INTEGER else a


def _cut(a: Exact) -> Exact:
    """Round so that the shortest integer keeps 400 bits."""
    if a.bits <= PRECISION + _SPARE:
        return a
    lengths = set(map(int.bit_length, map(int, a.num.reshape(-1).tolist()))) - {0}
    if not lengths:
        return zeros(a.shape)
    a.bits = max(lengths)
    drop = min(min(lengths) - PRECISION, a.den.bit_length() - 1)
    if drop > 0 and a.bits > PRECISION + _SPARE:
        a = Exact((_big(a.num) + (1 << (drop - 1))) >> drop, a.den >> drop, a.bits - drop + 1, rounded=True)
    return to_mp(a) if a.bits > _WIDEST_ROUNDED else a


def _alike(a: Exact, b: Exact) -> tuple[Exact, Exact]:
    """Both rational, both rounded or both mpmath's."""
    if a.rational and b.rational:
        return a, b
    if not (a.mp or b.mp):
        a, b = to_rounded(a), to_rounded(b)
    return (to_mp(a), to_mp(b)) if a.mp or b.mp else (a, b)


def _aligned(a: Exact, b: Exact) -> tuple[Exact, Exact]:
    """Both over one denominator, or both mpmath's."""
    a, b = _alike(a, b)
    if a.den == b.den:
        return a, b
    den = math.lcm(a.den, b.den)
    return _over(a, den), _over(b, den)


def _over(a: Exact, den: int) -> Exact:
    factor = den // a.den
    if factor == 1:
        return a
    return Exact(_times(a.num, factor, a.bits), den, a.bits + factor.bit_length(), rounded=a.rounded)


def _times(num: Array, factor: int, bits: int) -> Array:
    if num.dtype != object and bits + factor.bit_length() <= _INT64_BITS:
        return num * factor
    return np.asarray(_big(num) * factor, dtype=object)


def add(a: Exact, b: Exact) -> Exact:
    a, b = _aligned(a, b)
    if a.mp:
        return Exact(a.num + b.num, mp=True)
    x, y, bits = _fitting(a, b, max(a.bits, b.bits) + 1)
    return _narrow(Exact(x + y, a.den, bits, rounded=a.rounded))


def subtract(a: Exact, b: Exact) -> Exact:
    return add(a, negative(b))


def negative(a: Exact) -> Exact:
    return a.moved(-a.num)


def magnitude(a: Exact) -> Exact:
    return a.moved(abs(a.num))


def multiply(a: Exact, b: Exact) -> Exact:
    a, b = _alike(a, b)
    if a.mp:
        return Exact(a.num * b.num, mp=True)
    x, y, bits = _fitting(a, b, a.bits + b.bits)
    return _narrow(Exact(x * y, a.den * b.den, bits, rounded=a.rounded))


def scale(tangent: Exact, factor: Exact) -> Exact:
    """The product where zeros of `tangent` stay zero, whatever the factor: derivatives are sparse, mpmath slow."""
    if not (tangent.mp or factor.mp):
        return multiply(tangent, factor)
    if not tangent.mp and tangent.den != 1:
        factor = Exact(to_mp(factor).num / MP.mpf(tangent.den), mp=True)
    x, y = np.broadcast_arrays(tangent.num, to_mp(factor).num)
    out = np.full(x.shape, MP.mpf(0), object)
    used = np.asarray(x != 0, bool)
    out[used] = _big(x[used]) * y[used]
    return Exact(out, mp=True)


def divide(a: Exact, b: Exact) -> Exact:
    """a / b, exact; a division by zero gives what IEEE 754 gives, infinity or NaN."""
    if a.rational and b.rational:
        divisors = {int(n) for n in b.num.reshape(-1)}
        common = math.lcm(*divisors) if divisors and 0 not in divisors else 0
        if common and common.bit_length() <= _WIDEST_DENOMINATOR:
            inverse = Exact(_elementwise(lambda n: common // int(n) * b.den, b.num), common)
            if inverse.bits <= _INT64_BITS:
                inverse.num = inverse.num.astype(np.int64)
            return multiply(a, inverse)
    a, b = to_rounded(a), to_rounded(b)
    if a.mp or b.mp or np.any(b.num == 0):
        return Exact(_elementwise2(_quotient, to_mp(a).num, to_mp(b).num), mp=True)
    return _rounded_quotient(a, b)


def _rounded_quotient(a: Exact, b: Exact) -> Exact:
    """To 400 bits, of divisors that are not 0."""
    x, y = _big(a.num), _big(b.num)
    shortest = min((n.bit_length() for n in x.reshape(-1) if n), default=0)
    shift = max(PRECISION + _bits(y) - shortest, 0) + 1
    up = _power_of_two(a.den) + shift - _power_of_two(b.den)  # type: ignore[operator]
    quotient = (x << shift) // y
    if up < 0:
        quotient, up = quotient << -up, 0
    return _narrow(Exact(quotient, 1 << up, rounded=True))


def _quotient(x: Any, y: Any) -> Any:
    if y == 0:
        return _NAN if x == 0 or MP.isnan(x) else (_INF if x > 0 else -_INF)
    return x / y


def from_object(values: Array) -> Exact:
    """From an object array of integers or Fractions."""
    fractions = [Fraction(v) for v in values.reshape(-1)]
    den = math.lcm(*(f.denominator for f in fractions)) if fractions else 1
    out = np.empty(len(fractions), object)
    for i, f in enumerate(fractions):
        out[i] = f.numerator * (den // f.denominator)
    out = out.reshape(values.shape)
    exact = Exact(out, den)
    if exact.bits <= _INT64_BITS:
        exact.num = out.astype(np.int64)
    return exact


def where(mask: Array, a: Exact, b: Exact) -> Exact:
    a, b = _aligned(a, b)
    if a.mp:
        return _from_mp(np.asarray(np.where(mask, a.num, b.num), object))
    x, y, bits = _fitting(a, b, max(a.bits, b.bits))
    return Exact(np.where(mask, x, y), a.den, bits, rounded=a.rounded)


def take(a: Exact, index: Array, lead: int = 0) -> Exact:
    """The flattened entries at `index` (after `lead` leading axes that stay)."""
    if lead:
        flat = a.num.reshape(*a.num.shape[:lead], -1)
        return a.moved(flat[(slice(None),) * lead + (index,)])
    return a.moved(a.num.reshape(-1)[index])


def concatenate(arrays: Sequence[Exact], axis: int) -> Exact:
    rounded = not all(a.rational for a in arrays)
    if rounded:
        arrays = [to_rounded(a) for a in arrays]
    if any(a.mp for a in arrays):
        return Exact(np.concatenate([to_mp(a).num for a in arrays], axis), mp=True)
    den = math.lcm(*(a.den for a in arrays))
    over = [_over(a, den) for a in arrays]
    bits = max(a.bits for a in over)
    wide = bits > _INT64_BITS or any(a.num.dtype == object for a in over)
    num = np.concatenate([_big(a.num) if wide else a.num for a in over], axis)
    return _narrow(Exact(num, den, bits, rounded=rounded))


def total(a: Exact, axes: tuple[int, ...]) -> Exact:
    """The sum over some axes."""
    if not axes:
        return a
    count = math.prod(a.shape[i] for i in axes)
    if a.mp:
        if count == 0:
            return zeros(tuple(n for i, n in enumerate(a.shape) if i not in axes))
        return Exact(np.add.reduce(a.num, axis=axes), mp=True)
    bits = a.bits + count.bit_length()
    num = a.num
    if num.dtype != object and bits > _INT64_BITS:
        bits = _bits(num) + count.bit_length()
        num = num if bits <= _INT64_BITS else _big(num)
    return Exact(np.add.reduce(num, axis=axes), a.den, bits, rounded=a.rounded)


def matmul(a: Exact, b: Exact) -> Exact:
    """Batched matrix product of (..., M, K) by (..., K, N)."""
    if a.shape[-1] == 0:
        return zeros((*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1]))
    a, b = _alike(a, b)
    if a.mp:
        return Exact(np.asarray(np.matmul(a.num, b.num), object), mp=True)
    bits = a.bits + b.bits + int(a.shape[-1]).bit_length()
    x, y = a.num, b.num
    if bits > _INT64_BITS:
        bits = _bits(x) + _bits(y) + int(a.shape[-1]).bit_length()
    if bits > _INT64_BITS or x.dtype == object or y.dtype == object:
        x, y = _big(x), _big(y)
    return _narrow(Exact(np.matmul(x, y), a.den * b.den, bits, rounded=a.rounded))


def compare(a: Exact, b: Exact) -> tuple[Array, Array]:
    """Where a > b, and where a == b. NaN is neither."""
    a, b = _aligned(a, b)
    if a.mp:
        difference = Exact(a.num - b.num, mp=True).num
        near = _elementwise2(lambda x, y: _SAME * max(abs(x), abs(y)), a.num, b.num)
        infinite = np.asarray(a.num == b.num, bool)
        equal = infinite | _elementwise2(lambda d, n: abs(d) <= n and MP.isfinite(d), difference, near).astype(bool)
        return np.asarray(a.num > b.num, bool) & ~equal, equal
    if a.rounded or b.rounded:
        x, y = _big(a.num), _big(b.num)
        gap = _big(abs(x - y)) << _SAME_BITS
        equal = np.asarray(gap <= abs(x), bool) | np.asarray(gap <= abs(y), bool)
        return np.asarray(x > y, bool) & ~equal, equal
    return np.asarray(a.num > b.num, bool), np.asarray(a.num == b.num, bool)


def is_nan(a: Exact) -> Array:
    if not a.mp:
        return np.zeros(a.shape, bool)
    return np.asarray(_elementwise(lambda x: bool(MP.isnan(x)), a.num), bool)


def is_finite(a: Exact) -> Array:
    if not a.mp:
        return np.ones(a.shape, bool)
    return np.asarray(_elementwise(lambda x: bool(MP.isfinite(x)), a.num), bool)


def _each(function: Callable[[Exact], Any], a: Exact) -> list[Exact]:
    """What a function of entries makes of each: of a lattice's few numbers once, and of a small array once at all."""
    if a.mp:
        return list(function(a))
    entries = a.num.reshape(-1).tolist()
    places = {n: i for i, n in enumerate(dict.fromkeys(entries))}
    if len(entries) > _REMEMBERED:
        found = function(_row(tuple(places), a.den, a.rounded))
    else:
        found = _known(function, tuple(places), a.den, a.rounded)
    index = np.array([places[n] for n in entries], np.int64).reshape(a.shape)
    return [take(f, index) for f in found]


def _row(entries: tuple[int, ...], den: int, rounded: bool) -> Exact:
    num = np.empty(len(entries), object)
    num[:] = entries
    return Exact(num, den, rounded=rounded)


@lru_cache(maxsize=1024)
def _known(function: Callable[[Exact], Any], entries: tuple[int, ...], den: int, rounded: bool) -> Any:
    return function(_row(entries, den, rounded))


@lru_cache(maxsize=256)
def _values(function: Callable[[Any], Any]) -> Callable[[Exact], tuple[Exact]]:
    return lambda a: (_from_mp(_elementwise(partial(_real, function), to_mp(a).num)),)


@lru_cache(maxsize=256)
def _values_and_slopes(
    function: Callable[[Any], Any], slope: Callable[[Any, Any], Any]
) -> Callable[[Exact], tuple[Exact, Exact]]:
    def both(a: Exact) -> tuple[Exact, Exact]:
        xs = to_mp(a).num
        values = _elementwise(partial(_real, function), xs)
        return _from_mp(values), _from_mp(_elementwise2(partial(_real, slope), xs, values))

    return both


def apply(function: Callable[[Any], Any], a: Exact) -> Exact:
    """A function of mpmath's numbers, entry by entry; NaN where it is not real."""
    return _each(_values(function), a)[0]


def apply2(function: Callable[[Any, Any], Any], a: Exact, b: Exact) -> Exact:
    """The same for a function of two numbers."""
    return _from_mp(_elementwise2(partial(_real, function), to_mp(a).num, to_mp(b).num))


def apply_with_slope(function: Callable[[Any], Any], slope: Callable[[Any, Any], Any], a: Exact) -> tuple[Exact, Exact]:
    """f(a), and its derivative by `slope(x, f(x))`."""
    value, derivative = _each(_values_and_slopes(function, slope), a)
    return value, derivative


def _real(function: Callable[..., Any], *xs: Any) -> Any:
    try:
        value = function(*xs)
    except (ValueError, ZeroDivisionError, OverflowError, mpmath.libmp.ComplexResult):
        return _NAN
    return _NAN if isinstance(value, mpmath.ctx_mp_python._mpc) else MP.convert(value)


def integers(function: Callable[[Any], int], a: Exact) -> Exact:
    """A function to the integers (floor, round), of the exact value; what is not finite stays so."""
    finite = is_finite(a)
    if finite.all():
        return from_object(_elementwise(function, to_fractions(a)))
    return where(finite, integers(function, where(finite, a, from_fraction(0))), a)


def order(a: Exact, axis: int) -> Array:
    """Indices that sort along an axis, stable."""
    # over one denominator, or mpmath's: the numerators are in that order
    moved = np.moveaxis(a.num, axis, -1)
    out = np.empty(moved.shape, np.int64)
    for place in np.ndindex(moved.shape[:-1]):
        row = list(moved[place])
        out[place] = sorted(range(len(row)), key=row.__getitem__)
    return np.moveaxis(out, -1, axis)
