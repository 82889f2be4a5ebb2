"""Primitives that compare and choose."""

from __future__ import annotations

from typing import Any

import numpy as np

from gdjax.verification.numbers.arithmetic import Arithmetic, Truth
from gdjax.verification.numbers.exact import Array
from gdjax.verification.programs.primitives.registry import RULES, Rule, Value, muted, number, rule, truth


def _compare(op: str) -> Rule:
    def apply(A: Arithmetic, p: dict[str, Any], a: Value, b: Value) -> Value:
        if isinstance(a, Truth) and isinstance(b, Truth) and op in ("eq", "ne"):
            differ = _xor(A, p, a, b)
            return differ if op == "ne" else _not(A, p, differ)
        if a is b and op == "ne":
            return A.is_nan(number(A, a))
        return A.compare(op, number(A, a), number(A, b))

    return apply


for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    RULES[_name] = _compare(_name)


def _in_total_order(op: str) -> Rule:
    """Sorts compare so: nothing is above a NaN, and NaNs are equal."""

    def apply(A: Arithmetic, p: dict[str, Any], a: Value, b: Value) -> Value:
        a, b = number(A, a), number(A, b)
        last = A.is_nan(b)
        if op == "lt":
            last = both(A, p, last, _not(A, p, A.is_nan(a)))
        return either(A, p, A.compare(op, a, b), last)

    return apply


RULES["lt_to"], RULES["le_to"] = _in_total_order("lt"), _in_total_order("le")


@rule("abs")
def _abs(A: Arithmetic, p: dict[str, Any], a: Value) -> Value:
    a = number(A, a)
    negative, known = A.compare("lt", a, A.const(0)), getattr(A, "absolute", None)
    return A.select(negative, A.neg(a), a) if known is None else known(a)


@rule("sign")
def _sign(A: Arithmetic, p: dict[str, Any], a: Value) -> Value:
    a, zero = number(A, a), A.const(0)
    positive = A.from_truth(A.compare("gt", a, zero))
    return A.add(positive, A.neg(A.from_truth(muted(A, "lt", a, zero))))


@rule("clamp")
def _clamp(A: Arithmetic, p: dict[str, Any], low: Value, a: Value, high: Value) -> Value:
    return _min(A, p, _max(A, p, number(A, a), number(A, low)), number(A, high))


@rule("is_finite")
def _is_finite(A: Arithmetic, p: dict[str, Any], a: Value) -> Value:
    return A.is_finite(number(A, a))


@rule("is_nan")
def _is_nan(A: Arithmetic, p: dict[str, Any], a: Value) -> Value:
    return A.is_nan(number(A, a))


@rule("select_n")
def _select_n(A: Arithmetic, p: dict[str, Any], which: Value, *cases: Value) -> Value:
    if isinstance(which, Truth):
        return _select(A, which, cases[1], cases[0])
    result = cases[0]
    for i, case in enumerate(cases[1:], 1):
        result = _select(A, muted(A, "eq", which, A.const(i)), case, result)
    return result


def _select(A: Arithmetic, which: Truth, yes: Value, no: Value) -> Value:
    if isinstance(yes, Truth) and isinstance(no, Truth):
        value = np.where(which.value, yes.value, no.value)
        doubt = doubts(which, yes, no)
        return Truth(value, doubt, which.depends or yes.depends or no.depends)
    return A.select(which, number(A, yes), number(A, no))


def doubts(*truths: Truth) -> Array | None:
    """Entries that any doubtful operand may change: more than necessary, never less."""
    doubts = [t.doubt for t in truths if t.doubt is not None]
    if not doubts:
        return None
    return np.logical_or.reduce(np.broadcast_arrays(*doubts, *(np.zeros(t.shape, bool) for t in truths)))


@rule("and")
def both(A: Arithmetic, p: dict[str, Any], a: Value, b: Value) -> Value:
    a, b = truth(A, a), truth(A, b)
    return Truth(a.value & b.value, doubts(a, b), a.depends or b.depends)


@rule("or")
def either(A: Arithmetic, p: dict[str, Any], a: Value, b: Value) -> Value:
    a, b = truth(A, a), truth(A, b)
    return Truth(a.value | b.value, doubts(a, b), a.depends or b.depends)


def picked(A: Arithmetic, op: str, a: Value, b: Value, truth: Truth) -> Value:
    """The larger of two ("gt") or the smaller ("lt"), which `truth` tells apart."""
    known = getattr(A, "extreme", None)
    return A.select(truth, a, b) if known is None else known(op, a, b)


def _extreme(op: str, of_truths: Rule) -> Rule:
    def apply(A: Arithmetic, p: dict[str, Any], a: Value, b: Value) -> Value:
        if isinstance(a, Truth):
            return of_truths(A, p, a, b)
        a, b = number(A, a), number(A, b)
        return picked(A, op, a, b, A.compare(op, a, b))

    return apply


RULES["max"], RULES["min"] = _max, _min = _extreme("gt", either), _extreme("lt", both)


@rule("xor")
def _xor(A: Arithmetic, p: dict[str, Any], a: Value, b: Value) -> Value:
    a, b = truth(A, a), truth(A, b)
    return Truth(a.value ^ b.value, doubts(a, b), a.depends or b.depends)


@rule("not")
def _not(A: Arithmetic, p: dict[str, Any], a: Value) -> Value:
    a = truth(A, a)
    return Truth(~a.value, a.doubt, a.depends)
