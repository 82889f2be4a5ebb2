"""Rules of the factorisations and of triangular systems: eliminations over whatever numbers they are given.

Pivots are chosen by size alone and are no comparisons of the formula: what is solved does not depend on them.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from gdjax.verification.numbers.arithmetic import Arithmetic, moved
from gdjax.verification.numbers.exact import Array
from gdjax.verification.programs.primitives.registry import Value, number, rule
from gdjax.verification.work import OPERATION


def _swapped(A: Arithmetic, a: Value) -> Value:
    return moved(A, a, lambda x: np.swapaxes(x, -1, -2))


def _part(A: Arithmetic, a: Value, key: Any) -> Value:
    return moved(A, a, lambda x: x[key])


def _step(A: Arithmetic, a: Value) -> None:
    """Each step is work of its own: large systems are given up early."""
    A.context.spend(OPERATION + 3 * getattr(a, "price", 0.0))


def cholesky(A: Arithmetic, a: Value) -> Value:
    """The lower factor, column by column, of what the lower triangle says."""
    shape = A.shape(a)
    n, rank = shape[-1], len(shape)
    columns, rest = [], a
    for j in range(n):
        _step(A, rest)
        root = A.unary("sqrt", _part(A, rest, np.s_[..., :1, :1]))
        column = A.div(_part(A, rest, np.s_[..., :, :1]), root)
        columns.append(A.concat([A.const(np.zeros((*shape[:-2], j, 1))), column], rank - 2))
        below = _part(A, column, np.s_[..., 1:, :])
        rest = A.add(_part(A, rest, np.s_[..., 1:, 1:]), A.neg(A.mul(below, _swapped(A, below))))
    return A.concat(columns, rank - 1) if columns else a


def triangular(A: Arithmetic, a: Value, b: Value, lower: bool, unit: bool = False) -> Value:
    """x of a x = b, row by row."""
    n, rank = A.shape(a)[-1], len(A.shape(b))
    rows: list[Value] = []
    for step in range(n):
        _step(A, b)
        at = 0 if lower else n - 1 - step
        others = slice(1, None) if lower else slice(None, at)
        row = _part(A, b, np.s_[..., at : at + 1, :])
        if not unit:
            row = A.div(row, _part(A, a, np.s_[..., at : at + 1, at : at + 1]))
        rows.append(row)
        column = _part(A, a, np.s_[..., others, at : at + 1])
        b = A.add(_part(A, b, np.s_[..., others, :]), A.neg(A.mul(column, row)))
        a = _part(A, a, np.s_[..., others, others])
    if not rows:
        return b
    return A.concat(rows if lower else rows[::-1], rank - 2)


def _largest(A: Arithmetic, a: Value) -> Array:
    """Which of the last axis is the largest, about: a pivot, which moves no result."""
    pivot = getattr(A, "pivot", None)
    return np.argmax(np.abs(A.concrete(a)), axis=-1) if pivot is None else pivot(a)


def eliminated(A: Arithmetic, a: Value) -> tuple[Value, Array, Array]:
    """L and U in one, the row that each step was swapped with, and where rows come from: the largest is the pivot."""
    shape = A.shape(a)
    m, n, rank = shape[-2], shape[-1], len(shape)
    steps = min(m, n)
    pivots = np.zeros((*shape[:-2], steps), np.int64)
    order = np.broadcast_to(np.arange(m), (*shape[:-2], m)).copy()
    for k in range(steps):
        _step(A, a)
        pivots[..., k] = k + _largest(A, _part(A, a, np.s_[..., k:, k]))
        swap = np.broadcast_to(np.arange(m), order.shape).copy()
        np.put_along_axis(swap, pivots[..., k : k + 1], k, -1)
        swap[..., k] = pivots[..., k]
        order = np.take_along_axis(order, swap, -1)
        a = moved(A, a, partial(np.take_along_axis, indices=swap[..., None], axis=-2))
        column = _part(A, a, np.s_[..., k + 1 :, k : k + 1])
        column = A.div(column, _part(A, a, np.s_[..., k : k + 1, k : k + 1]))
        product = A.mul(column, _part(A, a, np.s_[..., k : k + 1, k + 1 :]))
        rest = A.add(_part(A, a, np.s_[..., k + 1 :, k + 1 :]), A.neg(product))
        left = _part(A, a, np.s_[..., k + 1 :, :k])
        below = A.concat([left, column, rest], rank - 1)
        a = A.concat([_part(A, a, np.s_[..., : k + 1, :]), below], rank - 2)
    return a, pivots, order


@rule("cholesky")
def _cholesky(A: Arithmetic, p: dict[str, Any], a: Value) -> Value:
    return cholesky(A, number(A, a))


@rule("triangular_solve")
def _triangular_solve(A: Arithmetic, p: dict[str, Any], a: Value, b: Value) -> Value:
    a, b, lower = number(A, a), number(A, b), p["lower"]
    if p["transpose_a"] == p["left_side"]:
        a, lower = _swapped(A, a), not lower
    if p["left_side"]:
        return triangular(A, a, b, lower, p["unit_diagonal"])
    return _swapped(A, triangular(A, a, _swapped(A, b), lower, p["unit_diagonal"]))


@rule("lu")
def _lu(A: Arithmetic, p: dict[str, Any], a: Value) -> list[Value]:
    factors, pivots, order = eliminated(A, number(A, a))
    return [factors, A.const(pivots), A.const(order)]


@rule("lu_pivots_to_permutation")
def _permutation(A: Arithmetic, p: dict[str, Any], pivots: Value) -> Value:
    swaps = A.concrete(number(A, pivots)).astype(np.int64)
    order = np.broadcast_to(np.arange(p["permutation_size"]), (*swaps.shape[:-1], p["permutation_size"])).copy()
    for k in range(swaps.shape[-1]):
        other = swaps[..., k : k + 1]
        first, second = order[..., k : k + 1].copy(), np.take_along_axis(order, other, -1)
        np.put_along_axis(order, other, first, -1)
        order[..., k : k + 1] = second
    return A.const(order)


# NumPy's own, on the same eliminations


@rule("solve")
def _solve(A: Arithmetic, p: dict[str, Any], a: Value, b: Value) -> Value:
    factors, _, order = eliminated(A, number(A, a))
    b = moved(A, number(A, b), lambda x: np.take_along_axis(x, order[..., None], -2))
    return triangular(A, factors, triangular(A, factors, b, True, unit=True), False)


@rule("determinant")
def _determinant(A: Arithmetic, p: dict[str, Any], a: Value) -> Value:
    factors, pivots, _ = eliminated(A, number(A, a))
    odd = np.sum(pivots != np.arange(pivots.shape[-1]), axis=-1) % 2
    found = A.const(1 - 2 * odd)
    for k in range(pivots.shape[-1]):
        found = A.mul(found, _part(A, factors, np.s_[..., k, k]))
    return found
