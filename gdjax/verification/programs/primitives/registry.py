"""Rules by the name of their primitive, and what primitives are told apart by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gdjax.verification.numbers.arithmetic import Arithmetic, Number, Truth

Value = Number | Truth

Rule = Callable[..., Any]

RULES: dict[str, Rule] = {}

# Operations that combine entries of one array: where the two sides of a kink must be settled entry by entry first.
MIXING = {"reduce_sum", "dot_general", "cumsum", "scatter-add", "reduce_prod", "cumprod", "add_at"}


# Operations that ask nothing about a side of a kink: of operands that both sides share, both have one result.
SIDELESS = {"add", "add_any", "sub", "mul", "div", "neg", "integer_pow", "square", "pow", "atan2", "reduce_sum"}

SIDELESS |= {"dot_general", "broadcast_in_dim", "reshape", "transpose", "squeeze", "expand_dims", "slice", "move"}


def rule(*names: str) -> Callable[[Rule], Rule]:
    def register(function: Rule) -> Rule:
        for name in names:
            RULES[name] = function
        return function

    return register


def number(arithmetic: Arithmetic, a: Value) -> Number:
    return arithmetic.from_truth(a) if isinstance(a, Truth) else a


def truth(arithmetic: Arithmetic, a: Value) -> Truth:
    return a if isinstance(a, Truth) else muted(arithmetic, "ne", a, arithmetic.const(0))


def muted(arithmetic: Arithmetic, op: str, a: Number, b: Number) -> Truth:
    """A comparison that is ours, not the formula's."""
    before, arithmetic.context.muted = arithmetic.context.muted, True
    try:
        return arithmetic.compare(op, a, b)
    finally:
        arithmetic.context.muted = before
