"""The checks by name, in the order they run, and what they compare with."""

from collections.abc import Callable
from typing import Any

import numpy as np

from gdjax.protocol import Backend
from gdjax.rule import State

Check = Callable[[Backend], None]

CHECKS: dict[str, Check] = {}


def check(name: str) -> Callable[[Check], Check]:
    def register(check: Check) -> Check:
        CHECKS[name] = check
        return check

    return register


def held(name: str, found: Any, wanted: Any, allowed: Any) -> None:
    apart = np.abs(
        np.array([float(type(w)(float(f)) - w) for f, w in zip(np.ravel(found), np.ravel(wanted), strict=True)])
    )
    limit = np.ravel(allowed)
    worst = int(np.argmax(np.where(np.isfinite(apart), apart - limit, np.inf)))
    if not apart[worst] <= limit[worst]:
        raise AssertionError(
            f"{name}: {float(np.ravel(found)[worst])!r} where {float(np.ravel(wanted)[worst])!r} is right "
            f"to {limit[worst]:.2g}"
        )


def same_bits(name: str, a: Any, b: Any) -> None:
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or a.dtype != b.dtype:
        raise AssertionError(f"{name}: {a.dtype}{a.shape} and {b.dtype}{b.shape}")
    if not np.array_equal(a, b, equal_nan=a.dtype.kind == "f"):
        apart = np.nanmax(np.abs(a.astype(float) - b.astype(float)))
        raise AssertionError(f"{name}: not equal to the bit, {apart:.2g} apart")


def same_state(name: str, a: State, b: State) -> None:
    for field, left, right in zip(State._fields, a, b, strict=True):
        same_bits(f"{name}: {field}", left, right)
