"""A kink is one however the code is written: in an array, in a loop, by branches; against the article's formula."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import gdjax
from gdjax.verification.numbers import exact as ex
from gdjax.verification.numbers.dual import Compared, Dual
from gdjax.verification.numbers.lanes import Marks
from gdjax.verification.oracle import Oracle
from gdjax.verification.programs.program import Program
from gdjax.verification.telling import failure
from gdjax.verification.work import Hung

rng = np.random.default_rng(5)
EXAMPLE = (np.array([0.5, -1.0]), 0.25, rng.integers(-4, 5, (4, 2)) / 2, rng.integers(-4, 5, 4) / 2)
SHAPES = ("D", "", "N D", "N")


def gradient(w: Any, b: Any, X: Any, y: Any) -> Any:
    """Equations 9 and 10 of the article: the gate is closed at z = 0."""
    z = X @ w + b
    e = np.where(z > 0, z - y, 0.0)
    return 2 / len(y) * (X.T @ e), 2 / len(y) * e.sum()


def open_at_zero(w: Any, b: Any, X: Any, y: Any) -> Any:
    z = X @ w + b
    e = np.where(z >= 0, z - y, 0.0)
    return 2 / len(y) * (X.T @ e), 2 / len(y) * e.sum()


def in_an_array(w: Any, b: Any, X: Any, y: Any) -> Any:
    return np.mean((y - np.maximum(0, X @ w + b)) ** 2)


def in_a_loop(w: Any, b: Any, X: Any, y: Any) -> Any:
    total = 0.0
    for i in range(len(y)):
        total += (y[i] - np.maximum(0, X[i] @ w + b)) ** 2
    return total / len(y)


def in_a_loop_of_jax(w: Any, b: Any, X: Any, y: Any) -> Any:
    total = 0.0
    for i in range(len(y)):
        total += (y[i] - jnp.maximum(0, X[i] @ w + b)) ** 2
    return total / len(y)


def by_halves(w: Any, b: Any, X: Any, y: Any) -> Any:
    total = 0.0
    for i in range(len(y)):
        z = X[i] @ w + b
        total += (y[i] - (z + abs(z)) / 2) ** 2
    return total / len(y)


def by_max(w: Any, b: Any, X: Any, y: Any) -> Any:
    total = 0.0
    for i in range(len(y)):
        total += (y[i] - max(0.0, X[i] @ w + b)) ** 2
    return total / len(y)


def by_a_branch(w: Any, b: Any, X: Any, y: Any) -> Any:
    total = 0.0
    for i in range(len(y)):
        if X[i] @ w + b > 0:
            total += (y[i] - (X[i] @ w + b)) ** 2
        else:
            total += y[i] ** 2
    return total / len(y)


def by_the_negative(w: Any, b: Any, X: Any, y: Any) -> Any:
    total = 0.0
    for i in range(len(y)):
        if -(X[i] @ w) - b < 0:
            total += (y[i] - (X[i] @ w + b)) ** 2
        else:
            total += y[i] ** 2
    return total / len(y)


def by_a_mask(w: Any, b: Any, X: Any, y: Any) -> Any:
    z = X @ w + b
    gate = z > 0
    return (np.sum((y[gate] - z[gate]) ** 2) + np.sum(y[~gate] ** 2)) / len(y)


def in_plain_python(w: Any, b: Any, X: Any, y: Any) -> Any:
    def of(x: Any) -> Any:
        return max(0.0, sum(p * q for p, q in zip(w, x, strict=True)) + b)

    return sum((target - of(x)) ** 2 for x, target in zip(X, y, strict=True)) / len(y)


SPELLED = [
    in_an_array, in_a_loop, in_a_loop_of_jax, by_halves, by_max, by_a_branch, by_the_negative, by_a_mask,
    in_plain_python,
]  # fmt: skip


@pytest.mark.parametrize("cost", SPELLED)
def test_the_gate_is_closed_at_zero_however_the_cost_is_written(cost: Callable[..., Any]) -> None:
    for manual, verdict in ((gradient, "pass"), (open_at_zero, "fail")):
        report = gdjax.verify(cost, manual, EXAMPLE, shapes=SHAPES, seconds=1.0)
        assert report.verdict == verdict, str(report)


@pytest.mark.parametrize("cost", SPELLED)
def test_each_sample_has_its_own_kink(cost: Callable[..., Any]) -> None:
    """Of samples that tie, some or all."""
    oracle = Oracle(Program(cost, (0, 1, 2, 3)), (0, 1))
    oracle(EXAMPLE)  # before anything ties
    X, y = np.array([[1.0, 2.0], [2.0, 1.0], [3.0, -1.0], [1.0, -1.0]]), np.array([1.0, -2.0, 0.5, 3.0])
    points = ([0.0, 0.0], 0.0), ([2.0, -1.0], 0.0), ([2.0, -1.0], -3.0), ([1.0, 1.0], -2.0), ([1.0, 1.0], -3.0)
    for w, b in points:
        args = np.array(w), np.array(b), X, y
        found = oracle(args)
        assert found.kind == "kink"
        manual = gradient(*args)
        for part, exact in zip(manual, found.gradient, strict=True):
            np.testing.assert_allclose(ex.to_float(exact), part, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("wider", [max, lambda a, b: b if a < b else a], ids=["max", "branch"])
def test_of_two_numbers_that_tie_both_count(wider: Any) -> None:
    """As for NumPy's maximum: of the slopes' segment the point nearest to 0."""

    def answer(larger: Any) -> Any:
        def cost(w: Any, X: Any, Z: Any) -> Any:
            total = 0.0
            for x, z in zip(X, Z, strict=True):
                total += (larger(x @ w, z @ w + w[0]) - 2.0) ** 2
            return total

        oracle = Oracle(Program(cost, (0, 1, 2)), (0,))
        X, Z = np.array([[1.0, 2.0], [3.0, 0.0], [0.5, 3.0]]), np.array([[1.0, 1.0], [3.0, -2.0], [1.5, 2.0]])
        oracle((np.array([0.5, 0.25]), X, Z))
        return oracle((np.array([1.0, 1.0]), X, Z))

    ours, numpys = answer(wider), answer(np.maximum)
    assert ours.kind == numpys.kind == "kink"
    np.testing.assert_array_equal(ex.to_float(ours.gradient[0]), ex.to_float(numpys.gradient[0]))


def lasso(xp: Any) -> Any:
    return lambda w, x, y: xp.mean((y - x * w) ** 2) + 0.25 * abs(w)


def lasso_of_many(w: Any, x: Any, y: Any) -> Any:
    total = np.mean((y - x @ w) ** 2)
    for one in w:
        total = total + 0.25 * abs(one)
    return total


@pytest.mark.parametrize(
    ("cost", "w"), [(lasso(np), 0.5), (lasso(jnp), 0.5), (lasso_of_many, np.array([0.5, -1.0, 0.25]))]
)
def test_the_slope_of_a_penalty_at_zero_is_0_whatever_is_beside_it(cost: Any, w: Any) -> None:
    x = rng.integers(-4, 5, (5, *np.shape(w))) / 2

    def manual(at_zero: float) -> Any:
        def slope(w: Any, x: Any, y: Any) -> Any:
            sign = np.where(w == 0, at_zero, np.sign(w))
            return (
                2 * x.T @ (x @ w - y) / len(y) + 0.25 * sign
                if np.ndim(w)
                else 2 * np.mean(x * (x * w - y)) + 0.25 * sign,
            )

        return slope

    for at_zero, verdict in ((0.0, "pass"), (1.0, "fail")):
        report = gdjax.verify(cost, manual(at_zero), (w, x, rng.normal(size=5)), wrt=(0,), seconds=1.0)
        assert report.verdict == verdict, str(report)


def test_a_kink_beside_what_moves_along_its_line_may_be_taken_alone_or_with_it() -> None:
    """2 w + |w| is max(3 w, w): 2 + 0, or of 1 and 3 the nearest to 0."""

    def verdict(at_zero: float) -> str:
        def slope(w: Any) -> Any:
            return (np.where(w == 0, at_zero, 2 + np.sign(w)),)

        return gdjax.verify(lambda w: 2 * w + abs(w), slope, (0.5,), wrt=(0,), seconds=0.5).verdict

    assert [verdict(at_zero) for at_zero in (1.0, 2.0, 3.0, 1.5)] == ["pass", "pass", "fail", "fail"]


def test_a_branch_on_a_parameter_is_left_out_and_told() -> None:
    """All of the cost goes along it, so what the kink adds is not known."""

    def cost(w: Any, x: Any) -> Any:
        return np.sum(x * w) + (w if w > 0 else -w)

    def slope(w: Any, x: Any) -> Any:
        return (np.sum(x) + np.sign(w),)

    report = gdjax.verify(cost, slope, (0.5, np.array([1.0, -2.0])), wrt=(0,), seconds=0.5)
    assert report.verdict == "inconclusive"
    assert "the code branches there on what ties" in str(report)


def hinge_by_a_mask(w: Any, b: Any, X: Any, y: Any) -> Any:
    margin = y * (X @ w + b)
    return np.sum(1 - margin[margin < 1]) / len(y)


@pytest.mark.parametrize(
    ("cost", "args", "kind"),
    [
        # the twin of a tied row, whose margin is the negative of that
        (hinge_by_a_mask, (np.zeros(1), 1.0, np.array([[3.5], [3.5]]), np.array([1.0, -1.0])), "mixed"),
        # rows that tie together, on opposite sides
        (by_max, (np.array([1.0, -1.0]), 0.0, np.array([[2.0, 2.0], [-2.0, -2.0]]), np.array([1.0, -0.5])), "kink"),
        (in_a_loop, (np.array([0.0]), 0.0, np.array([[2.0], [2.0]]), np.array([1.0, -0.5])), "kink"),
    ],
)
def test_samples_on_one_line_are_told_apart_or_left_out(cost: Any, args: Any, kind: str) -> None:
    found = Oracle(Program(cost, (0, 1, 2, 3)), (0, 1))(tuple(map(np.asarray, args)))
    assert found.kind == kind
    if kind == "kink":
        for part, exact in zip(gradient(*args), found.gradient, strict=True):
            np.testing.assert_allclose(ex.to_float(exact), part, atol=1e-15)


@pytest.mark.parametrize("cost", [by_max, in_a_loop])
def test_rows_that_tie_on_opposite_sides_are_left_out(cost: Any) -> None:
    """Without a bias their lines are one."""
    X, y = np.array([[2.0, 2.0], [-2.0, -2.0]]), np.array([1.0, -0.5])
    oracle = Oracle(Program(lambda w, X, y: cost(w, 0.0, X, y), (0, 1, 2)), (0,))
    oracle((np.array([0.5, 0.25]), X, y))
    assert oracle((np.array([1.0, -1.0]), X, y)).kind in ("mixed", "cancelling")


@pytest.mark.parametrize("xp", [np, jnp])
def test_a_smooth_loss_beside_a_penalty_stays_smooth(xp: Any) -> None:
    """What ties inside of logaddexp is no kink, and the penalty's is."""

    def cost(w: Any, x: Any, y: Any) -> Any:
        return xp.mean(xp.logaddexp(0.0, -y * (x * w))) + 0.25 * abs(w)

    def right(w: Any, x: Any, y: Any) -> Any:
        return (np.mean(-y * x / (1 + np.exp(y * (x * w)))) + 0.25 * np.sign(w),)

    def dropped(w: Any, x: Any, y: Any) -> Any:
        return (np.where(w == 0, 0.0, right(w, x, y)[0]),)

    args = (0.5, rng.integers(-4, 5, 5) / 4, np.array([1.0, -1.0, 1.0, 1.0, -1.0]))
    for manual, verdict in ((right, "pass"), (dropped, "fail")):
        report = gdjax.verify(cost, manual, args, wrt=(0,), domain={2: "sign"}, seconds=1.0)
        assert report.verdict == verdict, str(report)


@pytest.mark.parametrize("xp", [np, jnp])
def test_a_penalty_on_logits_is_a_kink_and_the_loss_beside_it_none(xp: Any) -> None:
    """Sample by sample: what ties inside of logaddexp cancels, and |z| does not."""

    def cost(w: Any, b: Any, X: Any, y: Any) -> Any:
        z = X @ w + b
        return xp.mean(xp.logaddexp(0.0, z) - y * z + 0.25 * xp.abs(z))

    def manual(sigmoid: float, sign: float) -> Callable[..., Any]:
        def gradient(w: Any, b: Any, X: Any, y: Any) -> Any:
            z = X @ w + b
            slope = np.where(z == 0, sigmoid, 1 / (1 + np.exp(-z))) - y + 0.25 * np.where(z == 0, sign, np.sign(z))
            return X.T @ slope / len(y), slope.mean()

        return gradient

    args = (*EXAMPLE[:3], np.array([0.0, 1.0, 1.0, 0.0]))
    for at_zero, verdict in {(0.5, 0.0): "pass", (0.0, 0.0): "fail", (1.0, 0.0): "fail", (0.5, 1.0): "fail"}.items():
        report = gdjax.verify(cost, manual(*at_zero), args, shapes=SHAPES, domain={3: "binary"}, seconds=1.0)
        assert report.verdict == verdict, str(report)


def test_what_failed_stays_a_failure_when_telling_it_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    def hangs(*args: Any) -> Any:
        raise Hung

    monkeypatch.setattr(failure, "term", hangs)
    report = gdjax.verify(in_an_array, open_at_zero, EXAMPLE, shapes=SHAPES, seconds=0.5)
    assert report.verdict == "fail"
    assert "the gradient is wrong at" in str(report)
    assert report.component == "gradient[0][0] (d cost / d w[0])"


def test_what_moves_without_end_is_no_number_to_go_by() -> None:
    def marks(slope: float) -> Marks:
        number = Dual(ex.from_array(np.zeros(1)), ex.from_array(np.array([[slope]])))
        return Marks.of([Compared(number, Dual(ex.zeros((1,))), np.ones(1, bool), "gt")])

    assert [marks(slope).usable for slope in (2.0, np.inf)] == [True, False]
