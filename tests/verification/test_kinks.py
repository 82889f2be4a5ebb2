"""A kink is one however the code is written: in an array, in a loop, by branches; against the article's formula."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import gdjax
from gdjax.verification.numbers import exact as ex
from gdjax.verification.oracle import Oracle
from gdjax.verification.programs.program import Program

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


def by_a_mask(w: Any, b: Any, X: Any, y: Any) -> Any:
    z = X @ w + b
    gate = z > 0
    return (np.sum((y[gate] - z[gate]) ** 2) + np.sum(y[~gate] ** 2)) / len(y)


def in_plain_python(w: Any, b: Any, X: Any, y: Any) -> Any:
    def of(x: Any) -> Any:
        return max(0.0, sum(p * q for p, q in zip(w, x, strict=True)) + b)

    return sum((target - of(x)) ** 2 for x, target in zip(X, y, strict=True)) / len(y)


SPELLED = [
    in_an_array, in_a_loop, in_a_loop_of_jax, by_halves, by_max, by_a_branch, by_a_mask, in_plain_python,
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
