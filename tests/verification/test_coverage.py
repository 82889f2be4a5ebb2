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
from gdjax.verification.verify import prepared, run

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


def never(x: Any) -> Any:
    """At least 1/2, which intervals do not see."""
    return x * x - 2 * x + 1.5


REACHED: dict[str, Callable[[Any], Any]] = {
    "where": lambda x: jnp.where(never(x) > 0, x, 0.0),
    "maximum": lambda x: jnp.maximum(never(x), 0.0),
    "clip": lambda x: jnp.clip(never(x), 0.0, 8.0),
    "abs": lambda x: jnp.abs(never(x)),
    "sign": lambda x: x * jnp.sign(never(x)),
    "relu": lambda x: jax.nn.relu(never(x)),
    "jit": jax.jit(lambda x: jnp.maximum(never(x), 0.0)),
    "vmap": jax.vmap(lambda v: jnp.maximum(never(v), 0.0)),
    "scan": lambda x: jax.lax.scan(lambda c, v: (c, jnp.maximum(never(v), 0.0)), 0.0, x)[1],
    "a library's scan": lambda x: jax.lax.scan(lambda c, v: (c, jax.nn.relu(never(v))), 0.0, x)[1],
    "associative scan": lambda x: jax.lax.associative_scan(jnp.maximum, -jnp.cumsum(never(x))),
    "a loop": lambda x: sum(jnp.maximum(never(x[i]), 0.0) for i in range(len(x))),
    "thresholds": lambda x: sum(jnp.maximum(v - t, 0.0) for v, t in ((x, 1.0), (never(x), 0.0))),
}


@pytest.mark.parametrize("whose", ["cost", "gradient", "gradient, by grad"])
@pytest.mark.parametrize("name", REACHED)
def test_a_branch_of_a_user_s_that_is_never_met_is_named(name: str, whose: str) -> None:
    """A library's too, that the user calls: by the line of the call."""
    reached, args, shapes = REACHED[name], (drawn(4),), ("N",) if whose == "cost" else None

    def branching(x):
        return jnp.sum(reached(x) ** 2)

    def smooth(x):
        return jnp.sum(x * x)

    cost = branching if whose == "cost" else smooth
    gradients = {
        "cost": lambda x: tuple(np.asarray(g) for g in jax.grad(branching, (0,))(x)),
        "gradient": lambda x: (2 * x + 0 * reached(x),),
        "gradient, by grad": lambda x: (2 * x + 0 * jax.grad(branching)(x),),
    }
    report = gdjax.verify(cost, gradients[whose], args, wrt=(0,), shapes=shapes, seconds=0.05, kinks="jax")
    found = [f.message for f in report.findings if f.kind == "coverage" and f.severity == "inconclusive"]
    assert any(m.startswith(whose.partition(",")[0]) and " at test_coverage.py:" in m for m in found), str(report)


def test_what_jax_compares_for_the_derivative_of_what_compares_nothing_is_not_demanded() -> None:
    """Its associative scan, here of numbers that fall."""
    for scanned in (jax.lax.cummax, jax.lax.cumlogsumexp):

        def cost(x, scanned=scanned):
            return jnp.sum(scanned(-jnp.cumsum(never(x))))

        gradient = jax.jit(jax.grad(cost, (0,)))
        report = gdjax.verify(cost, gradient, (drawn(3),), wrt=(0,), seconds=0.1)
        assert report.verdict == "pass", str(report)
        assert any(b.site.startswith("JAX's max at test_coverage.py:") for b in report.coverage)


def test_what_jax_asks_of_an_index_is_not_demanded() -> None:
    """Whether it is negative, which what is counted never is."""

    def cost(w, x):
        return jnp.sum(w[jnp.searchsorted(np.array([-0.5, 0.5]), x)] ** 2 * x)

    report = gdjax.verify(cost, jax.jit(jax.grad(cost, (0,))), (drawn(3), drawn(3)), wrt=(0,), seconds=0.3)
    assert report.verdict == "pass", str(report)
    assert any(b.site.startswith("JAX's lt at test_coverage.py:") for b in report.coverage)


def test_a_rule_of_a_user_s_is_no_rule_of_jax() -> None:
    @jax.custom_jvp
    def power(x, y):
        return x**y

    @power.defjvp
    def _pow_jvp_lhs(primals, tangents):
        x, y = primals
        return power(x, y), tangents[0] * jnp.where(never(x) > 0, 2 * x, 0.0)

    def cost(x):
        return jnp.sum(power(x, 2))

    report = gdjax.verify(cost, jax.grad(cost, (0,)), (drawn(4),), wrt=(0,), seconds=0.5)
    assert report.verdict == "inconclusive"
    assert "gradient: gt at test_coverage.py:" in str(report)


def test_a_loop_over_rows_is_one_branch() -> None:
    """Of which more stand in the trace of more rows."""

    def cost(w, X, y):
        return sum((y[i] - jnp.maximum(0, X[i] @ w)) ** 2 for i in range(len(y)))

    def gradient(w, X, y):
        z = X @ w
        return (-2 * X.T @ np.where(z > 0, y - z, 0.0),)

    args = (drawn(2), drawn(5, 2), drawn(5))
    report = gdjax.verify(cost, gradient, args, wrt=(0,), shapes=("2", "N 2", "N"), seconds=0.2)
    assert report.verdict == "pass", str(report)
    assert {1, 4} <= {i.sizes["N"] for i in report.inputs}
    assert len([b for b in report.coverage if b.of == "cost"]) == 2


def test_what_takes_long_to_compile_counts_as_work() -> None:
    """A loop that Python unrolls, compiled at each number of rows: the larger are left out, of the contracts too."""
    seen = set()

    def cost(w, X, y):
        seen.add(len(y))
        return sum((y[i] - jnp.maximum(0, X[i] @ w)) ** 2 for i in range(len(y)))

    args = (drawn(2), drawn(5, 2), drawn(5))
    shapes = ("2", "N 2", "N")
    check = prepared(cost, jax.jit(jax.grad(cost)), args, wrt=(0,), shapes=shapes, kinks="jax", seconds=2.0)
    report = run(check)
    assert report.verdict == "pass", str(report)
    assert check.formula.compilation > 0
    assert max(seen) <= 128


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
