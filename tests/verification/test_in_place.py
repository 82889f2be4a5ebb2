"""What shares memory in NumPy is changed together: code that a trace would read as another program is run as NumPy."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import gdjax
from gdjax.verification.numbers import exact as ex
from gdjax.verification.oracle import values_of
from gdjax.verification.programs.program import Program
from gdjax.verification.programs.reading import is_numpys

rng = np.random.default_rng(1)
EXAMPLE = (rng.integers(-4, 5, 3) / 2, 0.25, rng.integers(-4, 5, (4, 3)) / 2, rng.integers(-4, 5, 4) / 2)
LABELS = (*EXAMPLE[:3], np.array([0, 1, 1, 2]))
SHAPES = ("D", "", "N D", "N")
WEIGHTS = {0: 1.0, 1: 2.0, 2: 3.0}


def by_rows(w: Any, b: Any, X: Any, y: Any) -> Any:
    return ((X @ w + b - y) ** 2).sum()


def right(w: Any, b: Any, X: Any, y: Any) -> Any:
    e = 2 * (X @ w + b - y)
    return X.T @ e, e.sum()


def in_a_list(w: Any, b: Any, X: Any, y: Any) -> Any:
    z = np.zeros(len(y))
    parts = [z]
    z += X @ w
    z += b - y
    return (parts[0] ** 2).sum()


def by_another_name(w: Any, b: Any, X: Any, y: Any) -> Any:
    r = X @ w + b
    s = r
    s -= y
    return (r**2).sum()


def row_by_row(w: Any, b: Any, X: Any, y: Any) -> Any:
    Z = np.zeros((len(y), len(w)))
    for row, x in zip(Z, X, strict=True):
        row += x * w
    return ((Z.sum(1) + b - y) ** 2).sum()


def of_a_copy(w: Any, b: Any, X: Any, y: Any) -> Any:
    X = X.copy()
    for row in X:
        row *= w
    return ((X.sum(1) + b - y) ** 2).sum()


def shared_by_asarray(w: Any, b: Any, X: Any, y: Any) -> Any:
    z = np.zeros(len(y))
    z += X @ w
    u = np.asarray(z, dtype=float)
    u += b
    return ((z - y) ** 2).sum()


def or_else(w: Any, b: Any, X: Any, y: Any) -> Any:
    try:
        z = np.zeros(len(y))
        for i in range(len(y)):
            z[i] = X[i] @ w + b
    except Exception:  # noqa: BLE001
        return 0 * w.sum()
    return ((z - y) ** 2).sum()


def summed_list(w: Any, b: Any, X: Any, y: Any) -> Any:
    or_else.calls = 1  # type: ignore[attr-defined]
    said = f"{w.sum():.3f}"
    return np.sum([(x @ w + b - t) ** 2 for x, t in zip(X, y, strict=True)]) + 0 * len(said)


def beside_ones(w: Any, b: Any, X: Any, y: Any) -> Any:
    return ((np.c_[X, np.ones(len(y))] @ np.append(w, b) - y) ** 2).sum()


def held_by_globals(w: Any, b: Any, X: Any, y: Any) -> Any:
    global W, B
    W, B = w, b
    return sum((forward(x) - t) ** 2 for x, t in zip(X, y, strict=True))


def forward(x: Any) -> Any:
    return math.fsum([p * q for p, q in zip(x, W, strict=True)]) + B


def by_kind(w: Any, b: Any, X: Any, y: Any) -> Any:
    def square(v: Any) -> Any:
        if np.isscalar(v) and isinstance(v, float):
            return v * v
        assert isinstance(v, np.ndarray)
        return (v * v).sum()

    return square(X @ w + b - y) + 0 * square(b)


class Residual:
    def __init__(self, size: int) -> None:
        self.held = np.zeros(size)

    def add(self, what: Any) -> None:
        kept = self.held
        kept += what


def by_an_object(w: Any, b: Any, X: Any, y: Any) -> Any:
    r = Residual(len(y))
    r.add(X @ w)
    r.add(b - y)
    return (r.held**2).sum()


def in_a_dict(w: Any, b: Any, X: Any, y: Any) -> Any:
    slopes = {"w": np.zeros(len(w)), "b": 0.0}
    for x, t in zip(X, y, strict=True):
        e = 2 * (x @ w + b - t)
        g = slopes["w"]
        g += e * x
        slopes["b"] += e
    return slopes["w"], slopes["b"]


def by_a_helper(w: Any, b: Any, X: Any, y: Any) -> Any:
    dw, e = np.zeros(len(w)), 2 * (X @ w + b - y)

    def add(to: Any, what: Any) -> None:
        to += what

    for x, each in zip(X, e, strict=True):
        add(dw, each * x)
    return dw, e.sum()


COSTS = [
    in_a_list, by_another_name, row_by_row, of_a_copy, shared_by_asarray, or_else, summed_list, beside_ones,
    held_by_globals, by_kind, by_an_object,
]  # fmt: skip


@pytest.mark.parametrize("cost", COSTS)
def test_a_right_gradient_passes_and_none_that_is_0(cost: Callable[..., Any]) -> None:
    for gradient, verdict in ((right, "pass"), (lambda w, *_: (0 * w, 0.0), "fail")):
        report = gdjax.verify(cost, gradient, EXAMPLE, shapes=SHAPES, seconds=0.5)
        assert report.verdict == verdict, str(report)


@pytest.mark.parametrize("gradient", [in_a_dict, by_a_helper])
def test_a_gradient_that_fills_what_it_shares_passes(gradient: Callable[..., Any]) -> None:
    report = gdjax.verify(by_rows, gradient, EXAMPLE, shapes=SHAPES, seconds=0.5)
    assert report.verdict == "pass", str(report)


def test_a_row_that_is_changed_in_its_matrix_counts() -> None:
    def cost(w: Any, b: Any, X: Any, y: Any) -> Any:
        Z = X * w
        for row in Z:
            row -= 0.5
        return ((Z.sum(1) + b - y) ** 2).sum()

    def shifted(w: Any, b: Any, X: Any, y: Any) -> Any:
        return right(w, b - 0.5 * len(w), X, y)

    for gradient, verdict in ((shifted, "pass"), (right, "fail")):
        assert gdjax.verify(cost, gradient, EXAMPLE, shapes=SHAPES, seconds=0.5).verdict == verdict


def test_a_label_picks_a_row_that_is_shared_and_a_key() -> None:
    def cost(w: Any, b: Any, X: Any, y: Any) -> Any:
        M = np.zeros((3, len(w)))
        for x, label in zip(X, y, strict=True):
            row = M[label]
            row += WEIGHTS[label] * (x * w + b)
        return (M**2).sum()

    def gradient(w: Any, b: Any, X: Any, y: Any) -> Any:
        share = np.array([WEIGHTS[int(label)] for label in y])[:, None]
        M = np.zeros((3, len(w)))
        np.add.at(M, y, share * (X * w + b))
        return (2 * share * M[y] * X).sum(0), (2 * share * M[y]).sum()

    for manual, verdict in ((gradient, "pass"), (lambda w, *_: (0 * w, 0.0), "fail")):
        report = gdjax.verify(cost, manual, LABELS, shapes=SHAPES, seconds=0.5)
        assert report.verdict == verdict, str(report)


PARTS = {
    "x.T.ravel()": lambda x: x.T.ravel(), "x.ravel()": lambda x: x.ravel(),
    "x[::-1].ravel()": lambda x: x[::-1].ravel(),
    "x.reshape(-1)": lambda x: x.reshape(-1), "x.T.reshape(-1)": lambda x: x.T.reshape(-1),
    "x.T.T.ravel()": lambda x: x.T.T.ravel(), "x[:, ::2].reshape(-1)": lambda x: x[:, ::2].reshape(-1),
    "x[1:].ravel()": lambda x: x[1:].ravel(), "order F": lambda x: x.reshape(-1, order="F"),
    "np.ravel": lambda x: np.ravel(x.T), "flip": lambda x: np.flip(x), "x[0]": lambda x: x[0],
    "x[:, 1]": lambda x: x[:, 1],
    "x[[0]]": lambda x: x[[0]], "x[x > 9]": lambda x: x[x > 9], "flatten": lambda x: x.flatten(),
}  # fmt: skip


@pytest.mark.parametrize("part", PARTS)
def test_what_numpy_shares_is_shared(part: str) -> None:
    def cost(X: Any) -> Any:
        X = X.copy()
        some = PARTS[part](X)
        some *= 3.0
        return (X * np.arange(1.0, 7).reshape(2, 3)).sum() + some.sum()

    X = np.arange(1.0, 7).reshape(2, 3) / 2
    program = Program(cost, (0,))
    (value,) = values_of(program, (X,))
    assert program.way == "numpy"
    assert ex.to_float(value) == cost(X)


def test_code_of_jax_is_traced_though_it_adds_up() -> None:
    def cost(w: Any, b: Any, X: Any, y: Any) -> Any:
        total = 0.0
        for i in range(len(y)):
            total += jnp.square(X[i] @ w + b - y[i])
        return total

    assert is_numpys(cost)
    assert not is_numpys(by_rows)
    assert not is_numpys(right)
    report = gdjax.verify(cost, right, EXAMPLE, shapes=SHAPES, seconds=0.5)
    assert report.verdict == "pass", str(report)
