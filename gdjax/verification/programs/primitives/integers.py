"""Integers as a machine has them: they go round, and have bits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from gdjax.verification.numbers.arithmetic import Arithmetic, NotSupported
from gdjax.verification.programs.primitives.registry import Value, number, rule


@rule("go_round")
def _go_round(A: Arithmetic, p: dict[str, Any], a: Value) -> Value:
    """Integers of few bits, as they overflow."""
    a, info = number(A, a), np.iinfo(p["dtype"])
    within = getattr(A, "within", None)
    if within is not None:
        return within(a, float(info.min), float(info.max))
    if not hasattr(A, "decisions"):  # floats take down every number that is asked for
        values = A.concrete(a)
        if np.any(np.abs(values) >= 2.0**400):  # a power of other numbers has so many digits
            raise NotSupported("an integer of more than 400 bits")
        if np.all((values >= info.min) & (values <= info.max)):
            return a
    size = A.const(2.0**info.bits)
    turns = A.rounded("floor", A.div(A.add(a, A.const(-float(info.min))), size))
    return A.add(a, A.neg(A.mul(size, turns)))


@rule("of_bits", "shift_left", "shift_right_logical", "shift_right_arithmetic", "population_count", "clz")
def _of_bits(A: Arithmetic, p: dict[str, Any], *args: Value) -> Value:
    """What JAX makes of the bits of integers."""
    import jax

    numbers = [number(A, a) for a in args]
    given = [np.asarray(A.concrete(a)).astype(dtype) for a, dtype in zip(numbers, p["dtypes"], strict=True)]
    with jax.enable_x64(True):
        found = np.asarray(p["primitive"].bind(*given, **p["given"]))
    return replace(A.const(found), depends=any(a.depends for a in numbers))
