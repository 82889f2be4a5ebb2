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
from gdjax.verification.judge import expected
from gdjax.verification.numbers import exact as ex
from gdjax.verification.numbers.limits import NoLimit, limit
from gdjax.verification.oracle import Answer, Oracle
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
    "x |x|^1/2": (lambda xp, x, safe: x * xp.sqrt(abs(safe)), 0.0, 0.0),
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
        gradient, at_zero = ex.to_float(found.gradient[0]), np.array(x) == 0
        assert gradient[at_zero] == pytest.approx(slope, rel=1e-15, abs=1e-16)
        assert gradient[~at_zero] == pytest.approx(quotient(spelled(np, name), x)[~at_zero], rel=1e-6)


# What tells first derivatives nothing, as it rests at 0: name: the term, and the slopes at 0 on its two sides.
RESTING: dict[str, tuple[Callable[..., Any], float, float]] = {
    "a guard of a square": (lambda xp, x: xp.where(x * x == 0, 0.0, xp.expm1(x * x) / xp.where(x == 0, 1.0, x)), 1, 1),
    "a gate of a square": (lambda xp, x: xp.where(x * x > 0, x, 0.0), 1, 1),
    "a gate that opens smoothly": (lambda xp, x: xp.where(x * x > 0, x * x * x, 0.0), 0, 0),
    "a cube's root": (lambda xp, x: xp.cbrt(x * x * x), 1, 1),
    "a square's root": (lambda xp, x: xp.sqrt(x * x), -1, 1),
    "a square's root, guarded": (
        lambda xp, x: xp.where(x * x == 0, 0.0, xp.sqrt(xp.where(x * x == 0, 1.0, x * x))),
        -1,
        1,
    ),
    "one side": (lambda xp, x: xp.where(x * x == 0, 0.0, xp.sqrt(xp.where(x * x == 0, 1.0, x * x))) + 2 * x, 1, 3),
    "a power": (lambda xp, x: (x * x) ** 0.75, 0, 0),
}


@pytest.mark.parametrize("xp", [jnp, np])
@pytest.mark.parametrize("name", RESTING)
def test_what_rests_at_a_point_is_judged_by_what_is_next_to_it(name: str, xp: Any) -> None:
    term, low, high = RESTING[name]
    nearest = min(max(low, 0), high)
    for x in ([0.0], [0.0, 0.5, 0.0]):
        found = answer(lambda x: xp.sum(term(xp, x)), x)
        assert found.kind == ("smooth" if low == high else "kink")
        assert ex.to_float(found.gradient[0])[0] == nearest
    found = answer(lambda x: xp.sum(term(xp, x)), [0.0], "subgradient")
    if low != high:
        assert [ex.to_float(side[0]).tolist() for side in found.sides] == [[low], [high]]


def test_what_ties_all_along_is_smooth() -> None:
    """Unit vectors of one entry are 1 and -1: their products tie, and go on so. Slopes of 0 are no rounding."""

    def cost(a):
        unit = a / jnp.linalg.norm(a, axis=1, keepdims=True)
        return jnp.mean(jax.nn.logsumexp(3.0 * unit @ unit.T, axis=1) - 3.0 * jnp.diag(unit @ unit.T))

    found = answer(cost, [[1.5], [0.75], [-0.5], [2.0]])
    assert found.kind == "smooth"
    assert np.abs(ex.to_float(found.gradient[0])).max() < 1e-100


@pytest.mark.parametrize("xp", [jnp, np])
def test_a_norm_at_0_is_a_kink(xp: Any) -> None:
    """The slopes along a line are d / |d| and -d / |d|: 0 is the nearest to 0 of what is between."""

    def norm(x):
        square = xp.sum(x * x)
        return xp.where(square == 0, 0.0, xp.sqrt(xp.where(square == 0, 1.0, square)))

    found = answer(norm, [0.0, 0.0, 0.0])
    assert found.kind == "kink"
    assert ex.to_float(found.gradient[0]).tolist() == [0.0] * 3
    assert answer(norm, [3.0, 0.0, 4.0]).kind == "smooth"
    beside = answer(lambda x: 2 * x[0] + norm(x), [0.0, 0.0, 0.0])
    assert ex.to_float(beside.gradient[0]).tolist() == [2.0, 0.0, 0.0]


@pytest.mark.parametrize("xp", [jnp, np])
def test_a_root_of_a_square_is_as_exact_as_its_400_bits(xp: Any) -> None:
    """Its slope is 1 to 120 digits, and that of a gradient that is exact in floats is 1."""

    def verdict(at_zero: float) -> str:
        def slope(x):
            return (xp.where(x == 0, at_zero, 2 + xp.sign(x)),)

        return gdjax.verify(lambda x: 2 * x + xp.sqrt(x**2), slope, (0.5,), wrt=(0,), seconds=0.5).verdict

    assert [verdict(1.0), verdict(3.0)] == ["pass", "fail"]


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
        (lambda h: 7 + ex.MP.sqrt(h), 7, 1e-50),
        (lambda h: (ex.MP.sqrt(2 + h) ** 2 - 2 - h) / h, 0, 1e-50),
    ],
    ids=["exp", "power", "sin", "h log h", "sqrt h", "rounding"],
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
        (lambda h: 1 / ex.MP.log(h), "unsettled"),
    ],
    ids=["log h", "40 + log h", "1 / sqrt h", "not real", "1 / log h"],
)
def test_what_has_no_limit_is_told_from_what_is_not_known(function: Any, kind: str) -> None:
    with pytest.raises(NoLimit) as caught:
        limit(stepped(function))
    assert caught.value.kind == kind


def quotient(cost: Callable[[Any], Any], x: list[float], h: float = 1e-4) -> Any:
    """Central differences of order four, in floats."""
    weights = ((-2, 1), (-1, -8), (1, 8), (2, -1))
    with np.errstate(all="ignore"):
        found = [sum(c * float(cost(np.array(x) + k * h * e)) for k, c in weights) for e in np.eye(len(x))]
    return np.array(found) / (12 * h)


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


def entropy(xp: Any, x: Any) -> Any:
    """p log p, of both signs: its slope at 0 is infinite."""
    return xp.sum(xp.where(x == 0, 0.0, x * xp.log(abs(xp.where(x == 0, 1.0, x)))))


def of_entropy(x: Any) -> tuple[Any]:
    return (np.where(x == 0, 0.0, 1 + np.log(np.abs(np.where(x == 0, 1.0, x)))),)


def slow(xp: Any, x: Any) -> Any:
    """Its slope at 0 is 0, the limit of 1 / log^2."""
    return xp.sum(xp.where(x == 0, 0.0, x / (1 + xp.log(abs(xp.where(x == 0, 1.0, x))) ** 2)))


def of_slow(x: Any) -> tuple[Any]:
    log = np.log(np.abs(np.where(x == 0, 1.0, x)))
    return (np.where(x == 0, 0.0, 1 / (1 + log**2) - 2 * log / (1 + log**2) ** 2),)


def opaque(gradient: Callable[[Any], tuple[Any]]) -> Callable[[Any], tuple[Any]]:
    return lambda x: (np.array(gradient(x)[0].tolist(), x.dtype),)


LEFT_OUT: dict[str, tuple[Any, Any, str, str]] = {
    "infinite slope": (
        entropy,
        of_entropy,
        "pass",
        "only at inputs that were left out: the cost or its slope is not",
    ),
    "a jump": (
        lambda xp, x: xp.sum(xp.where(x == 0, 2.0, x * x)),
        lambda x: (np.where(x == 0, 3.0, 2 * x),),
        "pass",
        "true only at inputs that were left out: the cost jumps there",
    ),
    "a jump behind 0 / 0": (
        lambda xp, x: xp.sum(xp.where(x == 0, 2.0, xp.sin(x) / xp.where(x == 0, 1.0, x))),
        lambda x: (np.where(x == 0, 3.0, (x * np.cos(x) - np.sin(x)) / np.where(x == 0, 1.0, x * x)),),
        "pass",
        "true only at inputs that were left out: the cost jumps there",
    ),
    "a limit not found": (slow, of_slow, "inconclusive", "the slope is a limit there, which was not found"),
}


@pytest.mark.parametrize("xp", [jnp, np])
@pytest.mark.parametrize("seen", [True, False], ids=["traced", "opaque"])
@pytest.mark.parametrize("name", LEFT_OUT)
def test_what_is_left_out_is_said_and_why(name: str, seen: bool, xp: Any) -> None:
    """A gradient is not blamed for what it gives where there is none; what could not be judged is no pass."""
    cost, gradient, verdict, why = LEFT_OUT[name]
    given = gradient if seen else opaque(gradient)
    x = np.array([0.5, -1.0, 0.25, 2.0])
    report = gdjax.verify(lambda x: cost(xp, x), given, (x,), wrt=(0,), shapes=("D",), seconds=0.5)
    assert report.verdict == verdict, str(report)
    found = [f.message for f in report.findings if "left out" in f.message]
    assert all(why in message for message in found), str(report)
    assert {message.partition(":")[0] for message in found} == ({"cost", "gradient"} if seen else {"cost"})
    assert "was never" not in str(report)


def test_a_branch_of_the_gradient_that_was_met_at_no_judged_input_is_inconclusive() -> None:
    """It may be taken elsewhere too."""

    def cost(x):
        return jnp.sum(jnp.where(x < 0, jnp.nan, x**2))

    report = gdjax.verify(cost, lambda x: (jnp.where(x < 0, 5.0, 2 * x),), (np.array([1.0, -2.0]),), wrt=(0,))
    assert report.verdict == "inconclusive"
    found = {(f.severity, f.message.partition(":")[0]) for f in report.findings if "true only at inputs" in f.message}
    assert found == {("note", "cost"), ("inconclusive", "gradient")}


def test_a_gradient_is_held_against_what_a_limit_may_be() -> None:
    """The nearest of what is within the blur; its middle for what is far from all of it."""
    third, blur = Fraction(1, 3), Fraction(1, 1 << 40)
    held = Answer("smooth", None, (ex.from_fraction(third),), blur=(ex.from_fraction(blur),))

    def target(output: float) -> Fraction:
        (found,) = expected(held, (np.asarray(output),), "zero")
        return ex.to_fractions(found)[()]

    near, off = 1 / 3 + 2.0**-41, 1 / 3 + 2.0**-38
    assert [target(v) for v in (near, off, 5.0, np.nan)] == [Fraction(near), third + blur, third, third]
