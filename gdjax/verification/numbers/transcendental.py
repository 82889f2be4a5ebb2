"""Functions that are not rational: each with its derivative in 400 bits, and how NumPy computes it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from gdjax.verification.numbers.exact import MP

Scalar = Callable[[Any], Any]
_REACH = 4096


@dataclass(frozen=True)
class Function:
    """`exact(x)` and `slope(x, exact(x))` in 400 bits; `flt` in float64, vectorised.

    `ulps` bounds the error of common implementations, and `steep` times x^2 of those that square x and take an
    exponential of it; `unit` says that |f| <= 1, or that f tends to a constant, so that
    code which subtracts it from that constant loses what is below one unit in the last place of 1. What is `endless`
    takes as many digits of pi or log 2 as its argument has before the point: arguments far beyond all floats are cut.
    """

    exact: Scalar
    slope: Callable[[Any, Any], Any]
    flt: Callable[[Any], Any]
    ulps: float = 16.0
    unit: bool = False
    steep: float = 0.0
    endless: bool = False

    def __post_init__(self) -> None:
        for name in ("exact", "slope"):
            function = getattr(self, name)
            object.__setattr__(self, name, _remembered(_cut(function) if self.endless else function))


def within_reach(x: Any) -> Any:
    """A number, or 2**4096 of its sign where it is beyond."""
    return x if not MP.isfinite(x) or MP.mag(x) <= _REACH else MP.sign(x) * MP.ldexp(1, _REACH)


def _cut(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, *value: function(within_reach(x), *value)


def _remembered(function: Callable[..., Any]) -> Callable[..., Any]:
    """Lattice inputs meet the same values again and again: 400-bit results are kept."""

    @lru_cache(maxsize=1 << 14)
    def known(*keys: Any) -> Any:
        return function(*map(MP.make_mpf, keys))

    return lambda *values: known(*(x._mpf_ for x in values))


def _each(function: Callable[[float], float]) -> Callable[[Any], Any]:
    def safe(x: float) -> float:
        try:
            return float(function(x))
        except (ValueError, ZeroDivisionError):
            return math.nan
        except OverflowError:
            return math.inf

    vectorised = np.frompyfunc(safe, 1, 1)
    return lambda x: np.asarray(vectorised(x), np.float64)


def _logistic(x: Any) -> Any:
    tail = MP.exp(-abs(x))
    return 1 / (1 + tail) if x >= 0 else tail / (1 + tail)


def _float_logistic(x: Any) -> Any:
    tail = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, tail) / (1.0 + tail)


def _log1p(x: Any) -> Any:
    lost = max(0, -MP.mag(x)) if x else 0
    if lost > MP.prec:
        return x - x * x / 2
    with MP.extraprec(lost):
        return MP.log(1 + x)


def _log(x: Any) -> Any:
    return MP.mpf("-inf") if x == 0 else MP.log(x)


FUNCTIONS: dict[str, Function] = {
    "exp": Function(MP.exp, lambda x, f: f, np.exp, endless=True),
    "exp2": Function(lambda x: MP.mpf(2) ** x, lambda x, f: f * MP.ln(2), np.exp2, endless=True),
    "expm1": Function(MP.expm1, lambda x, f: f + 1, np.expm1, unit=True, endless=True),
    "log": Function(_log, lambda x, f: 1 / x, np.log),
    "log1p": Function(_log1p, lambda x, f: 1 / (1 + x), np.log1p),
    "log2": Function(lambda x: _log(x) / MP.ln(2), lambda x, f: 1 / (x * MP.ln(2)), np.log2),
    "log10": Function(lambda x: _log(x) / MP.ln(10), lambda x, f: 1 / (x * MP.ln(10)), np.log10),
    "sqrt": Function(MP.sqrt, lambda x, f: 1 / (2 * f), np.sqrt, 4.0),
    "rsqrt": Function(lambda x: 1 / MP.sqrt(x), lambda x, f: -f / (2 * x), lambda x: 1 / np.sqrt(x)),
    "cbrt": Function(lambda x: MP.cbrt(x) if x >= 0 else -MP.cbrt(-x), lambda x, f: 1 / (3 * f * f), np.cbrt),
    "sin": Function(MP.sin, lambda x, f: MP.cos(x), np.sin, unit=True, endless=True),
    "cos": Function(MP.cos, lambda x, f: -MP.sin(x), np.cos, unit=True, endless=True),
    "tan": Function(MP.tan, lambda x, f: 1 + f * f, np.tan, unit=True, endless=True),
    "asin": Function(MP.asin, lambda x, f: 1 / MP.sqrt(1 - x * x), np.arcsin, unit=True),
    "acos": Function(MP.acos, lambda x, f: -1 / MP.sqrt(1 - x * x), np.arccos, unit=True),
    "atan": Function(MP.atan, lambda x, f: 1 / (1 + x * x), np.arctan, unit=True),
    "sinh": Function(MP.sinh, lambda x, f: MP.cosh(x), np.sinh, unit=True, endless=True),
    "cosh": Function(MP.cosh, lambda x, f: MP.sinh(x), np.cosh, unit=True, endless=True),
    "tanh": Function(MP.tanh, lambda x, f: 1 / MP.cosh(x) ** 2, np.tanh, unit=True, endless=True),
    "asinh": Function(MP.asinh, lambda x, f: 1 / MP.sqrt(x * x + 1), np.arcsinh, unit=True),
    "acosh": Function(MP.acosh, lambda x, f: 1 / MP.sqrt(x * x - 1), np.arccosh, unit=True),
    "atanh": Function(MP.atanh, lambda x, f: 1 / (1 - x * x), np.arctanh, unit=True),
    "logistic": Function(_logistic, lambda x, f: f * _logistic(-x), _float_logistic, unit=True, endless=True),
    "erf": Function(
        MP.erf, lambda x, f: 2 / MP.sqrt(MP.pi) * MP.exp(-x * x), _each(math.erf), 32.0, unit=True, endless=True
    ),
    "erfc": Function(
        MP.erfc,
        lambda x, f: -2 / MP.sqrt(MP.pi) * MP.exp(-x * x),
        _each(math.erfc),
        32.0,
        unit=True,
        steep=2.0,
        endless=True,
    ),
    "erf_inv": Function(
        MP.erfinv, lambda x, f: MP.sqrt(MP.pi) / 2 * MP.exp(f * f), _each(lambda x: float(MP.erfinv(x))), 64.0
    ),
    "lgamma": Function(MP.loggamma, lambda x, f: MP.digamma(x), _each(math.lgamma), 256.0, unit=True, endless=True),
    "digamma": Function(
        MP.digamma, lambda x, f: MP.psi(1, x), _each(lambda x: float(MP.digamma(x))), 256.0, unit=True, endless=True
    ),
}
