"""Primitives of one entry at a time: arithmetic, functions, and what changes nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from gdjax.verification.numbers.arithmetic import Arithmetic, Truth
from gdjax.verification.numbers.floats import of_bits
from gdjax.verification.programs.primitives.choices import both
from gdjax.verification.programs.primitives.registry import RULES, SIDELESS, Rule, Value, muted, number, rule, truth


@rule("add", "add_any")
def _add(A: Arithmetic, p: dict[str, Any], a: Value, b: Value) -> Value:
    return A.add(number(A, a), number(A, b))


@rule("sub")
def _sub(A: Arithmetic, p: dict[str, Any], a: Value, b: Value) -> Value:
    return A.add(number(A, a), A.neg(number(A, b)))


@rule("mul")
def _mul(A: Arithmetic, p: dict[str, Any], a: Value, b: Value) -> Value:
    if isinstance(a, Truth) and isinstance(b, Truth):
        return both(A, p, a, b)
    return A.mul(number(A, a), number(A, b))


@rule("div")
def _div(A: Arithmetic, p: dict[str, Any], a: Value, b: Value) -> Value:
    quotient = A.div(number(A, a), number(A, b))
    return A.rounded("trunc", quotient) if p.get("integer") else quotient


@rule("rem")
def _rem(A: Arithmetic, p: dict[str, Any], a: Value, b: Value) -> Value:
    a, b = number(A, a), number(A, b)
    remainder = getattr(A, "remainder", None)
    if remainder is not None:
        return remainder(a, b)
    return A.add(a, A.neg(A.mul(b, A.rounded("trunc", A.div(a, b)))))


@rule("neg")
def _neg(A: Arithmetic, p: dict[str, Any], a: Value) -> Value:
    return A.neg(number(A, a))


@rule("integer_pow")
def _integer_pow(A: Arithmetic, p: dict[str, Any], a: Value) -> Value:
    return A.power(number(A, a), A.const(p["y"]))


@rule("square")
def _square(A: Arithmetic, p: dict[str, Any], a: Value) -> Value:
    a = number(A, a)
    return A.mul(a, a)


@rule("one_minus_square")
def _one_minus_square(A: Arithmetic, p: dict[str, Any], a: Value) -> Value:
    """(1 + x)(1 - x), as JAX 0.11 and later say it in derivatives of tanh and others."""
    a, one = number(A, a), A.const(1.0)
    return A.mul(A.add(one, a), A.add(one, A.neg(a)))


@rule("exp_neg_sq")
def _exp_neg_sq(A: Arithmetic, p: dict[str, Any], a: Value) -> Value:
    """exp(-x^2), which JAX 0.12 computes in halves of the bits of x."""
    a = number(A, a)
    return A.unary("exp", A.neg(A.mul(a, a)))


@rule("polynomial")
def _polynomial(A: Arithmetic, p: dict[str, Any], x: Value, *coefficients: Value) -> Value:
    """By Horner's rule, the constant term first, as JAX 0.12 and later take it."""
    x, value = number(A, x), number(A, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        value = A.add(A.mul(value, x), number(A, coefficient))
    return value


@rule("pow")
def _pow(A: Arithmetic, p: dict[str, Any], a: Value, b: Value) -> Value:
    return A.power(number(A, a), number(A, b))


@rule("atan2")
def _atan2(A: Arithmetic, p: dict[str, Any], a: Value, b: Value) -> Value:
    return A.atan2(number(A, a), number(A, b))


def _unary(name: str) -> Rule:
    return lambda A, p, a: A.unary(name, number(A, a))


for _name in (
    *("exp", "exp2", "expm1", "log", "log1p", "log2", "log10", "sqrt", "rsqrt", "cbrt", "sin", "cos", "tan", "asin"),
    *("acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "logistic", "erf", "erfc", "erf_inv"),
    *("lgamma", "digamma"),
):
    RULES[_name] = _unary(_name)
    SIDELESS.add(_name)


@rule("floor", "ceil", "trunc")
def _floor(A: Arithmetic, p: dict[str, Any], a: Value) -> Value:
    return A.rounded(p["name"], number(A, a))


@rule("round")
def _round(A: Arithmetic, p: dict[str, Any], a: Value) -> Value:
    away = int(p.get("rounding_method", 1)) == 0
    return A.rounded("round_away" if away else "round_even", number(A, a))


@rule("stop_gradient")
def _stop_gradient(A: Arithmetic, p: dict[str, Any], a: Value) -> Value:
    return a if isinstance(a, Truth) else A.detach(a)


@rule("copy", "sharding_constraint", "pvary", "pcast", "name", "mesh_cast", "reshard")
def _identity(A: Arithmetic, p: dict[str, Any], a: Value) -> Value:
    return a


@rule("reduce_precision")
def _reduce_precision(A: Arithmetic, p: dict[str, Any], a: Value) -> Value:
    return _narrowed(A, a, of_bits(p["exponent_bits"], p["mantissa_bits"]))


def _narrowed(A: Arithmetic, a: Value, dtype: Any) -> Value:
    """What an arithmetic that rounds makes of a conversion to a narrower dtype; in the others it changes nothing."""
    narrowed = getattr(A, "narrowed", None)
    return a if narrowed is None or isinstance(a, Truth) else narrowed(dtype).converted(a)


@rule("empty2")
def _empty(A: Arithmetic, p: dict[str, Any]) -> Value:
    return A.const(0)


@rule("platform_index")
def _platform_index(A: Arithmetic, p: dict[str, Any]) -> Value:
    """The branch of a CPU: all must compute the same."""
    return A.const(next(i for i, names in enumerate(p["platforms"]) if names is None or "cpu" in names))


@rule("device_put", "optimization_barrier")
def _identities(A: Arithmetic, p: dict[str, Any], *args: Value) -> list[Value]:
    return list(args)


@rule("convert_element_type")
def _convert(A: Arithmetic, p: dict[str, Any], a: Value) -> Value:
    kind = np.dtype(p["new_dtype"]).kind
    if kind == "b":
        return truth(A, a)
    a = number(A, a)
    if p.get("narrows"):
        return _narrowed(A, a, p["new_dtype"])
    return _to_integers(A, a, p["new_dtype"]) if kind in "iu" and not p.get("integer") else a


def _to_integers(A: Arithmetic, a: Value, dtype: Any) -> Value:
    """As XLA does it: towards 0, what is beyond them to their ends, and a NaN to 0."""
    info, zero = np.iinfo(dtype), A.const(0)
    a = A.rounded("trunc", A.select(A.is_nan(a), zero, a))
    for op, end in (("lt", info.min), ("gt", info.max)):
        limit = A.const(np.asarray(end, dtype))
        a = A.select(muted(A, op, a, limit), limit, a)
    return a
