"""Where a formula is 0 / 0 at a tie and the cost is not: against closed forms."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax
from gdjax.verification.numbers import exact as ex
from gdjax.verification.numbers.limits import NoLimit, limit
from gdjax.verification.oracle import Oracle
from gdjax.verification.programs.program import Program

# name: what the cost sums, given an array library, x, and x with 1 in the place of 0; what it is at 0; its slope there
REMOVABLE: dict[str, tuple[Callable[..., Any], float, float]] = {
    "sin(x) / x": (lambda xp, x, safe: xp.sin(x) / safe, 1.0, 0.0),
    "(exp(x) - 1) / x": (lambda xp, x, safe: (xp.exp(x) - 1) / safe, 1.0, 1 / 2),
    "expm1(x) / x": (lambda xp, x, safe: xp.expm1(x) / safe, 1.0, 1 / 2),
    "-log(1 - x) / x": (lambda xp, x, safe: -xp.log(1 - x) / safe, 1.0, 1 / 2),
    "Box-Cox at lambda = 0": (lambda xp, x, safe: (3.0**x - 1) / safe, math.log(3.0), math.log(3.0) ** 2 / 2),
    "(1 - cos(x)) / x^2": (lambda xp, x, safe: (1 - xp.cos(x)) / safe**2, 1 / 2, 0.0),
    "(x - sin(x)) / x^3 + x": (lambda xp, x, safe: (x - xp.sin(x)) / safe**3 + x, 1 / 6, 1.0),
    "tanh(x) / x, of rationals too": (lambda xp, x, safe: (x * x + 3 * x) / safe + xp.tanh(x) / safe, 4.0, 1.0),
    "x^2 log |x|": (lambda xp, x, safe: x * x * xp.log(abs(safe)), 0.0, 0.0),
}


def guarded(xp: Any, name: str) -> Callable[[Any], Any]:
    """The cost, by the "double where"."""
    term, at_zero, _ = REMOVABLE[name]
    return lambda x: xp.sum(xp.where(x == 0, at_zero, term(xp, x, xp.where(x == 0, 1.0, x))))


def unguarded(xp: Any, name: str) -> Callable[[Any], Any]:
    """The cost, by one `where`: the branch that is not taken is NaN."""
    term, at_zero, _ = REMOVABLE[name]
    return lambda x: xp.sum(xp.where(x != 0, term(xp, x, x), at_zero))


def answer(cost: Callable[[Any], Any], x: Any, kinks: str = "zero") -> Any:
    return Oracle(Program(cost, (0,)), (0,), kinks)((np.array(x),))


@pytest.mark.parametrize("xp", [jnp, np])
@pytest.mark.parametrize("spelled", [guarded, unguarded])
@pytest.mark.parametrize("name", REMOVABLE)
def test_the_slope_at_the_guard_is_the_limit(name: str, spelled: Any, xp: Any) -> None:
    *_, slope = REMOVABLE[name]
    for x in ([0.0], [0.0, 0.5, 0.0], [-0.75, 0.0]):
        found = answer(spelled(xp, name), x)
        assert found.kind == "smooth"
        (gradient,) = map(ex.to_float, found.gradient)
        assert gradient[np.array(x) == 0] == pytest.approx(slope, rel=1e-15, abs=1e-16)
        assert gradient.tolist() == pytest.approx(quotient(spelled(np, name), x), rel=1e-6, abs=1e-8)


def stepped(function: Callable[[Any], Any]) -> Callable[[Fraction], ex.Exact]:
    """A function of a step in 400 bits, as a vector."""
    return lambda h: ex.apply(function, ex.from_object(np.array([h], object)))


@pytest.mark.parametrize(
    ("function", "value", "within"),
    [
        (lambda h: (ex.MP.exp(h) - 1) / h, 1, 1e-50),
        (lambda h: (3**h - 1) / h, ex.MP.log(3), 1e-50),
        (lambda h: (h - ex.MP.sin(h)) / h**3, ex.MP.mpf(1) / 6, 1e-50),
        (lambda h: 7 + h * ex.MP.log(h), 7, 1e-15),
    ],
    ids=["exp", "power", "sin", "h log h"],
)
def test_a_limit_is_known_beyond_the_digits_of_floats(function: Any, value: Any, within: float) -> None:
    found, blur = limit(stepped(function))
    off = abs(ex.to_mp(found).num[0] - value)
    assert off <= ex.to_mp(blur).num[0] < within


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (lambda h: ex.MP.log(h), "undefined"),
        (lambda h: 40 + ex.MP.log(h), "undefined"),
        (lambda h: 1 / ex.MP.sqrt(h), "undefined"),
        (lambda h: ex.MP.log(-h), "undefined"),
        (lambda h: ex.MP.sqrt(h), "unsettled"),
        (lambda h: 1 / ex.MP.log(h), "unsettled"),
    ],
    ids=["log h", "40 + log h", "1 / sqrt h", "not real", "sqrt h", "1 / log h"],
)
def test_what_has_no_limit_is_told_from_what_is_not_known(function: Any, kind: str) -> None:
    with pytest.raises(NoLimit) as caught:
        limit(stepped(function))
    assert caught.value.kind == kind


def quotient(cost: Callable[[Any], Any], x: list[float], h: float = 1e-4) -> list[float]:
    """Central differences of order four, in floats."""
    with np.errstate(all="ignore"):
        return [
            sum(c * float(cost(np.array(x) + k * h * e)) for k, c in ((-2, 1), (-1, -8), (1, 8), (2, -1))) / (12 * h)
            for e in np.eye(len(x))
        ]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("xp", [jnp, np])
@pytest.mark.parametrize("seen", [True, False], ids=["traced", "opaque"])
def test_a_gradient_is_judged_at_the_guard(seen: bool, xp: Any, dtype: str) -> None:
    """Of (exp(x) - 1) / x; whether the gradient can be followed or not, 1/2 is right there, and 0 and 1/3 are wrong."""

    def judged(at_zero: float) -> str:
        def gradient(x):
            one = np.where(x == 0, 1.0, x)
            slope = np.where(x == 0, at_zero, (x * np.exp(x) - np.expm1(x)) / one**2)
            return (slope if seen else np.array([float(v) for v in slope], x.dtype),)

        cost, x = guarded(xp, "expm1(x) / x"), np.array([0.5, -1.0, 0.25, 2.0, 1.5])
        return gdjax.verify(cost, gradient, (x,), wrt=(0,), shapes=("D",), dtype=dtype, seconds=0.5).verdict

    assert [judged(slope) for slope in (0.5, 0.0, 1 / 3)] == ["pass", "fail", "fail"]


def test_autodiff_of_a_guard_is_judged_by_the_limit() -> None:
    """It takes the constant's slope, 0: right for sin(x) / x, and wrong for (exp(x) - 1) / x."""

    def judged(name: str) -> str:
        cost = guarded(jnp, name)
        slope = jax.jit(jax.grad(cost))
        return gdjax.verify(cost, slope, (np.array([0.5, -1.0]),), wrt=(0,), seconds=0.5).verdict

    assert [judged(name) for name in ("sin(x) / x", "(exp(x) - 1) / x")] == ["pass", "fail"]
