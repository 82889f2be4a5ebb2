"""Which comparisons are demanded on both sides: all but those that cannot come out otherwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

import gdjax
from gdjax.verification.numbers.arithmetic import Truth
from gdjax.verification.numbers.interval import Interval, Intervals

js = jax.scipy.special
rng = np.random.default_rng(17)


def drawn(*shape: int) -> Any:
    return rng.normal(size=shape)


POSITIVE = {
    "exp": jnp.exp,
    "logistic": jax.nn.sigmoid,
    "its complement": lambda x: 1 - jax.nn.sigmoid(x),
    "softplus": jax.nn.softplus,
    "softmax": jax.nn.softmax,
    "gaussian": lambda x: jnp.exp(-x * x),
    "largest": lambda x: jnp.maximum(x, 0.125),
    "root": lambda x: 1 / jnp.sqrt(1 + jnp.expm1(x) + 1 / (1 + jnp.abs(x))),
}


@pytest.mark.parametrize("name", POSITIVE)
def test_a_base_that_is_never_zero(name: str) -> None:
    """JAX's derivative of a power asks whether the base is 0."""

    def cost(x, y):
        return jnp.sum(POSITIVE[name](x) ** y)

    report = gdjax.verify(
        cost, jax.grad(cost, (0, 1)), (drawn(3), drawn(3)), shapes=("D", "D"), seconds=0.5, kinks="jax"
    )
    assert report.verdict == "pass", str(report)
    assert any(b.impossible == ("true",) for b in report.coverage if b.of == "gradient")


def test_weights_that_are_never_zero() -> None:
    """`logsumexp` asks whether its weights are 0, and of which sign the sum is."""

    def cost(x, b):
        return js.logsumexp(x, b=jnp.exp(b))

    report = gdjax.verify(cost, jax.grad(cost, (0, 1)), (drawn(4), drawn(4)), shapes=("D", "D"), seconds=0.5)
    assert report.verdict == "pass", str(report)


def test_data_that_are_never_zero() -> None:
    def cost(w, x):
        return jnp.sum(x**w)

    report = gdjax.verify(cost, jax.grad(cost, (0,)), (drawn(3), np.abs(drawn(3))), wrt=(0,), seconds=0.5)
    assert report.verdict == "pass", str(report)


@pytest.mark.parametrize(
    "reaches",
    [
        lambda x: jnp.exp(x) > 1e300,
        lambda x: jax.nn.sigmoid(x) < 1e-300,
        lambda x: jnp.log(jnp.exp(x)) < -1e9,
        lambda x: jnp.exp(-x * x) >= 1 - 1e-300,
        lambda x: 1e300 * jnp.exp(x) < 1e-300,
        lambda x: jnp.abs(x) > 1e9,
    ],
)
def test_what_only_comes_near_is_demanded(reaches: Callable[[Any], Any]) -> None:
    """It can be met, however far away."""

    def cost(x):
        return jnp.sum(jnp.where(reaches(x), 0.0, x * x))

    report = gdjax.verify(cost, lambda x: (2 * x,), (drawn(3),), wrt=(0,), seconds=0.5)
    of_cost = [b for b in report.coverage if b.of == "cost"]
    assert of_cost
    assert not any(b.impossible for b in of_cost), str(report)


def ends(low: float, high: float) -> Interval:
    return Interval(np.asarray(low), np.asarray(high), True)


# Whether what is made of e = exp(x), which is above 0, and z from 0 to 1 is above 0 too.
ABOVE: dict[str, tuple[Callable[[Intervals, Interval, Interval], Interval], bool]] = {
    "e z": (lambda A, e, z: A.mul(e, z), False),
    "e e'": (lambda A, e, z: A.mul(e, A.unary("exp2", z)), True),
    "e + z": (lambda A, e, z: A.add(e, z), True),
    "z + z'": (lambda A, e, z: A.add(z, ends(0.0, 1.0)), False),
    "e or z": (lambda A, e, z: A.select(either(), e, z), False),
    "z or e": (lambda A, e, z: A.select(either(), z, e), False),
    "e or e'": (lambda A, e, z: A.select(either(), e, A.mul(e, e)), True),
    "max(e, z)": (lambda A, e, z: A.extreme("gt", e, z), True),
    "max(e, z - 1)": (lambda A, e, z: A.extreme("gt", z, A.neg(e)), False),
    "max(tanh, z)": (lambda A, e, z: A.extreme("gt", A.unary("tanh", ends(-1e30, 1e30)), z), False),
    "min(e, z)": (lambda A, e, z: A.extreme("lt", z, e), False),
    "min(e, e')": (lambda A, e, z: A.extreme("lt", A.mul(e, e), e), True),
    "(-e)^2": (lambda A, e, z: A.power(A.neg(e), A.const(2.0)), True),
    "|z - 1|": (lambda A, e, z: A.absolute(A.add(z, A.const(-1.0))), False),
    "|-e|": (lambda A, e, z: A.absolute(A.neg(e)), True),
    "z / e": (lambda A, e, z: A.div(z, e), False),
    "1 / e": (lambda A, e, z: A.div(A.const(1.0), e), True),
    "e / (1 + z)": (lambda A, e, z: A.div(e, A.add(z, A.const(1.0))), True),
    "e^y": (lambda A, e, z: A.power(e, ends(-9.0, 9.0)), True),
    "z^y": (lambda A, e, z: A.power(z, ends(0.5, 9.0)), False),
    "z, e summed": (lambda A, e, z: A.sum(A.concat([A.move(v, np.atleast_1d) for v in (z, e)], 0), (0,)), True),
    "1 - logistic": (lambda A, e, z: A.add(A.const(1.0), A.neg(A.unary("logistic", ends(-1e30, 1e30)))), True),
    "1 - tanh(e)": (lambda A, e, z: A.add(A.const(1.0), A.neg(A.unary("tanh", e))), True),
    "1 - z": (lambda A, e, z: A.add(A.const(1.0), A.neg(z)), False),
    "log1p(e)": (lambda A, e, z: A.unary("log1p", e), True),
    "log1p(z)": (lambda A, e, z: A.unary("log1p", z), False),
    "erfc": (lambda A, e, z: A.unary("erfc", e), True),
}


def either() -> Truth:
    return Truth(np.asarray(True), np.asarray(True), True)


@pytest.mark.parametrize("name", ABOVE)
def test_which_numbers_are_above_zero(name: str) -> None:
    """So that "is it 0" cannot be true, nor "is it more" false."""
    formula, above = ABOVE[name]
    A = Intervals()
    found = formula(A, A.unary("exp", ends(-1e30, 1e30)), ends(0.0, 1.0))
    A.context.site = "equal"
    A.compare("eq", found, A.const(0.0))
    A.context.site = "more"
    A.compare("gt", found, A.const(0.0))
    assert A.outcomes == {"equal": {False} if above else {True, False}, "more": {True} if above else {True, False}}


ONE: dict[str, Any] = {
    "exp": mpmath.exp, "expm1": mpmath.expm1, "tanh": mpmath.tanh, "erf": mpmath.erf, "erfc": mpmath.erfc,
    "logistic": lambda x: 1 / (1 + mpmath.exp(-x)), "sqrt": mpmath.sqrt, "rsqrt": lambda x: 1 / mpmath.sqrt(x),
    "log1p": mpmath.log1p, "cosh": mpmath.cosh, "neg": lambda x: -x, "absolute": abs, "square": lambda x: x * x,
}  # fmt: skip
TWO: dict[str, Any] = {
    "add": lambda x, y: x + y, "mul": lambda x, y: x * y, "div": lambda x, y: x / y, "gt": max, "lt": min,
    "select": lambda x, y: x, "sum": lambda x, y: x + y, "power": lambda x, y: x**y,
}  # fmt: skip


def applied(A: Intervals, name: str, *args: Interval) -> Interval:
    if name in ("gt", "lt"):
        return A.extreme(name, *args)
    if name == "select":
        return A.select(A.compare("gt", A.add(args[0], A.const(np.inf)), A.const(0)), *args)
    if name == "sum":
        return A.sum(A.concat([A.move(a, lambda x: x[None]) for a in args], 0), (0,))
    if name == "square":
        return A.mul(args[0], args[0])
    return getattr(A, name)(*args) if hasattr(A, name) else A.unary(name, *args)


@pytest.mark.parametrize("seed", range(16))
def test_numbers_stay_within_their_interval(seed: int) -> None:
    """Of drawn formulas, at drawn points of drawn boxes, in 250 digits; and beyond ends that are never met."""
    rng = np.random.default_rng([18, seed])
    A = Intervals()
    for _ in range(20):
        boxes = [
            sorted(rng.choice([-1e30, -30.0, -1.0, 0.0, 0.5, 1.0, 40.0, 1e30], 2, replace=False)) for _ in range(2)
        ]
        numbers = [Interval(np.asarray(low), np.asarray(high), True) for low, high in boxes]
        points = [np.clip([low, high, 0.0, 1.0, *rng.normal(size=4)], low, high) for low, high in boxes]
        with mpmath.workdps(250):
            values = [[mpmath.mpf(float(v)) for v in rng.permutation(p)] for p in points]
            for _ in range(8):
                name = str(rng.choice([*ONE, *TWO]))
                which = rng.integers(0, len(numbers), 1 if name in ONE else 2)
                numbers.append(applied(A, name, *(numbers[k] for k in which)))
                values.append([exactly(name, *row) for row in zip(*(values[k] for k in which), strict=True)])
                for value in values[-1]:
                    contained(name, value, numbers[-1])


def exactly(name: str, *args: Any) -> Any:
    """The value; NaN where it is none, or where 250 digits do not tell a function from its limit."""
    if any(map(mpmath.isnan, args)):
        return mpmath.nan
    try:
        value = (ONE | TWO)[name](*args)
    except (ZeroDivisionError, OverflowError, ValueError):
        return mpmath.nan
    far = isinstance(value, mpmath.mpc) or (name in ONE and not abs(args[0]) < 15)
    return value if not far and (value == 0 or 1e-90 < abs(value) < 1e90) else mpmath.nan


def contained(name: str, value: Any, within: Interval) -> None:
    if mpmath.isnan(value):
        return
    low, high, slack = float(within.low), float(within.high), 1e-9 * abs(value)
    assert low - slack <= value <= high + slack, (name, low, high, value)
    for end, never in ((low, within.above), (high, within.below)):
        if end in (0.0, 1.0, -1.0):
            assert not (np.all(never) and value == end), (name, end)
