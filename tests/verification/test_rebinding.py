"""Code as textbooks write it: Python's loops, `math`, arrays filled entry by entry; scalars that nothing changes."""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Callable
from math import exp
from typing import Any

import numpy as np
import pytest
import scipy.special
from numpy import zeros

import gdjax
from gdjax.verification.numbers import exact as ex
from gdjax.verification.numbers.dual import Duals
from gdjax.verification.oracle import values_of
from gdjax.verification.programs import rebinding, standins
from gdjax.verification.programs.program import Program

this = sys.modules[__name__]
rng = np.random.default_rng(11)
EXAMPLE = (np.array([0.5, -1.0]), 0.25, rng.integers(-4, 5, (4, 2)) / 2, np.array([0.0, 1.0, 1.0, 0.0]))
SHAPES = ("D", "", "N D", "N")


def sigmoid(z: Any) -> Any:
    return 1 / (1 + math.exp(-z))


def by_math(w: Any, b: Any, X: Any, y: Any) -> Any:
    total = 0.0
    for i in range(len(y)):
        z = b
        for j in range(len(w)):
            z += w[j] * X[i][j]
        p = sigmoid(z)
        total -= y[i] * math.log(p) + (1 - y[i]) * math.log(1 - p)
    return total / len(y)


def by_a_list(w: Any, b: Any, X: Any, y: Any) -> Any:
    def gate(z: Any) -> Any:
        return 1 / (1 + exp(-z))

    p = np.array([gate(np.dot(x, w) + b) for x in X])
    return -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))


def filled(w: Any, b: Any, X: Any, y: Any) -> Any:
    z, p = np.zeros(len(y)), np.empty(len(y))
    for i in range(len(y)):
        z[i] = X[i] @ w + b
        p[i] = sigmoid(z[i])
    return -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))


def by_label(w: Any, b: Any, X: Any, y: Any) -> Any:
    sums = zeros(2)
    for x, label in zip(X, y, strict=True):
        z = x @ w + b
        sums[int(label)] += math.log1p(math.exp(z)) - label * z
    return sums.sum() / len(y)


def added_at(w: Any, b: Any, X: Any, y: Any) -> Any:
    sums, z = np.zeros(2), X @ w + b
    np.add.at(sums, y.astype(int), np.logaddexp(0, z) - y * z)
    return np.sum(sums) / len(y)


def with_a_default(w: Any, b: Any, X: Any, y: Any, power: Any = math.exp, *, log: Any = math.log1p) -> Any:
    return math.fsum(log(power(z)) - t * z for z, t in zip(X @ w + b, y, strict=True)) / len(y)


def of_floats(w: Any, b: Any, X: Any, y: Any) -> Any:
    z = np.array([float(x @ w) for x in X], dtype=float) + float(b)
    assert isinstance(0.0, float)
    return float(np.sum(np.logaddexp(0.0, z) - z * y.astype(float))) / len(y)


def of_another_module(w: Any, b: Any, X: Any, y: Any) -> Any:
    return sum(
        y[i] * -math.log(this.sigmoid(z := X[i] @ w + b)) - (1 - y[i]) * math.log(this.sigmoid(-z))
        for i in range(len(y))
    ) / len(y)


class Model:
    def cost(self, *args: Any) -> Any:
        return by_math(*args)


class Layer:
    """It fills an array in one method, that another calls."""

    def __init__(self, w: Any, b: Any) -> None:
        self.w, self.b = w, b

    def forward(self, X: Any) -> Any:
        out = np.zeros(len(X))
        for i in range(len(X)):
            out[i] = self.gate(X[i] @ self.w + self.b)
        return out

    @staticmethod
    def gate(z: Any) -> Any:
        return 1 / (1 + math.exp(-z))


class Net:
    def __init__(self, layer: type[Layer]) -> None:
        self.layer, self.seen = layer, [0]

    def loss(self, w: Any, b: Any, X: Any, y: Any) -> Any:
        self.last = self.layer(w, b).forward(X)
        return -np.mean(y * np.log(self.last) + (1 - y) * np.log(1 - self.last))

    def __call__(self, *args: Any) -> Any:
        return self.loss(*args)


NET = Net(Layer)
COSTS = [
    by_math,
    by_a_list,
    filled,
    by_label,
    added_at,
    of_floats,
    of_another_module,
    with_a_default,
    Model().cost,
    functools.partial(by_math),
    NET.loss,
    NET,
]


def gradient(w: Any, b: Any, X: Any, y: Any) -> Any:
    e = scipy.special.expit(X @ w + b) - y
    return X.T @ e / len(y), e.mean()


@pytest.mark.parametrize("cost", COSTS)
def test_code_that_fills_float_arrays_and_calls_math_is_followed(cost: Callable[..., Any]) -> None:
    assert cost(*EXAMPLE) == pytest.approx(
        np.mean(np.logaddexp(0, z := EXAMPLE[2] @ EXAMPLE[0] + 0.25) - EXAMPLE[3] * z)
    )
    for factor, verdict in ((1.0, "pass"), (1 + 1e-9, "fail")):
        report = gdjax.verify(
            cost, lambda *args, k=factor: tuple(k * g for g in gradient(*args)), EXAMPLE,
            shapes=SHAPES, domain={3: "binary"}, seconds=1.0,
        )  # fmt: skip
        assert report.verdict == verdict, str(report)
    if isinstance(cost, type(by_math)):
        assert cost.__globals__["math"] is math
        assert cost.__globals__["zeros"] is zeros


def test_an_object_keeps_its_own() -> None:
    """What a rebound method stores is the copy's."""
    net = Net(Layer)
    assert gdjax.verify(net.loss, gradient, EXAMPLE, shapes=SHAPES, domain={3: "binary"}, seconds=0.3).verdict == "pass"
    assert not hasattr(net, "last")
    assert net.layer is Layer
    assert Layer(*EXAMPLE[:2]).forward(EXAMPLE[2]).dtype == float


def test_a_gradient_in_loops_is_held_against_the_rationals() -> None:
    def cost(w: Any, b: Any, X: Any, y: Any) -> Any:
        return sum((t - max(0.0, x @ w + b)) ** 2 for x, t in zip(X, y, strict=True)) / len(y)

    def of(gate: Callable[[Any], bool]) -> Callable[..., Any]:
        def gradient(w: Any, b: Any, X: Any, y: Any) -> Any:
            dw, db = np.zeros(len(w)), 0.0
            for x, t in zip(X, y, strict=True):
                z = x @ w + b
                if gate(z):
                    for j in range(len(w)):
                        dw[j] += 2 * (z - t) * x[j] / len(y)
                    db += 2 * (z - t) / len(y)
            return dw, db

        return gradient

    right = gdjax.verify(cost, of(lambda z: z > 0), EXAMPLE, shapes=SHAPES, seconds=1.0)
    assert right.verdict == "pass", str(right)
    assert any(branch.of == "gradient" for branch in right.coverage)
    for gate in (lambda z: z >= 0, lambda z: z > 1e-3):
        assert gdjax.verify(cost, of(gate), EXAMPLE, shapes=SHAPES, seconds=1.0).verdict == "fail"


def on_arrays(cost: Callable[..., Any], w: Any) -> ex.Exact:
    """The exact value of a cost that JAX is kept from tracing."""
    program = Program(cost, (0,))
    program.trace = lambda args: None  # type: ignore[method-assign]
    (value,) = values_of(program, (w,))
    return value


AT = {"acosh": 1.75, "atanh": -0.375, "asin": 0.25, "acos": 0.25, "lgamma": 2.5}


@pytest.mark.parametrize("name", sorted(standins._OF_PYTHON))
def test_maths_functions_give_what_python_gives(name: str) -> None:
    function = getattr(math, name)
    x = AT.get(name, 0.75)
    more = {"pow": (2.5,), "atan2": (-0.5,), "fmod": (0.5,), "hypot": (0.5, 2.0), "log": (3.0,)}
    listed = name in ("fsum", "prod")

    def cost(x: Any) -> Any:
        answer = function([x, 2 * x, 0.5]) if listed else function(x, *more.get(name, ()))
        return x + answer if name.startswith("is") else answer

    # Python's lgamma is a few units off
    np.testing.assert_allclose(ex.to_float(on_arrays(cost, np.float64(x))), cost(x), rtol=4e-15)


def element_is_no_view(w: Any) -> Any:
    first = w[0]
    first += 2.0
    w = w.copy()
    old = w[1]
    w[1] = 7.0
    return first * w[0] + old * w[1]


def sum_is_no_view(w: Any) -> Any:
    total = w.sum()
    twice = total
    twice *= 2.0
    return total * twice


def array_without_axes_is_one(w: Any) -> Any:
    total = w[:1].reshape(())
    other = total
    other += 1.0
    return w[0] + total * other


def row_is_a_view(w: Any) -> Any:
    both = np.zeros((2, len(w)))
    row = both[0]
    row += w
    both[1, ...] = 2 * row
    return (both * both).sum() + both[1][0]


def made_anew(w: Any) -> Any:
    a = np.array(w)
    a[0] = 3.0
    same = np.asarray(w)
    same[1] = -1.0
    b = np.array([w[0], [1.0, w[1]][1]], dtype=float)
    return a @ b + np.full(2, w[0]).sum() + np.ones_like(a) @ w


@pytest.mark.parametrize(
    "cost", [element_is_no_view, sum_is_no_view, array_without_axes_is_one, row_is_a_view, made_anew]
)
def test_what_shares_memory_is_what_shares_it_in_numpy(cost: Callable[..., Any]) -> None:
    w = np.array([0.5, -1.25])
    assert ex.to_float(on_arrays(cost, w.copy())) == cost(w.copy())


@pytest.mark.parametrize("b", [0.25, np.float64(0.25), np.array(0.25)])
def test_a_scalar_that_is_added_to_is_another(b: Any) -> None:
    """And an array without axes is the same, as in NumPy: that cost has the bias grow from row to row."""

    def cost(w: Any, b: Any, X: Any, y: Any) -> Any:
        total = 0.0
        for x, t in zip(X, y, strict=True):
            z = b
            z += x @ w
            total += (t - max(0.0, z)) ** 2
        return total / len(y)

    def gradient(w: Any, b: Any, X: Any, y: Any) -> Any:
        z = X @ w + b
        e = np.where(z > 0, z - y, 0.0)
        return 2 / len(y) * (X.T @ e), 2 / len(y) * e.sum()

    report = gdjax.verify(cost, gradient, (EXAMPLE[0], b, *EXAMPLE[2:]), shapes=SHAPES, seconds=1.0)
    assert report.verdict == ("fail" if isinstance(b, np.ndarray) else "pass"), str(report)


def test_without_a_walk_rebound_code_is_the_code() -> None:
    other = rebinding.rebound(filled)
    assert other is not filled
    assert other(*EXAMPLE) == filled(*EXAMPLE)
    assert rebinding.rebound(gradient) is gradient  # of other names it reads none
    assert rebinding.rebound(Duals) is Duals
