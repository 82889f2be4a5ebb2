"""Primitives that join entries: sums, products, extremes, prefixes, inner products."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gdjax.verification.numbers.arithmetic import Arithmetic, NotSupported, Truth, moved
from gdjax.verification.programs.primitives.choices import both, either, picked
from gdjax.verification.programs.primitives.moves import concatenated, picking
from gdjax.verification.programs.primitives.registry import Value, muted, number, rule, truth


@rule("reduce_sum")
def _reduce_sum(A: Arithmetic, p: dict[str, Any], a: Value) -> Value:
    return A.sum(number(A, a), tuple(p["axes"]))


def _halving(A: Arithmetic, a: Value, axes: Sequence[int], join: Callable[[Value, Value], Value]) -> Value:
    """Reduce by pairs: exact whatever the order, and short in depth."""
    shape = a.shape if isinstance(a, Truth) else A.shape(a)
    axes = tuple(i % len(shape) for i in axes)
    kept = [i for i in range(len(shape)) if i not in axes]
    out = tuple(shape[i] for i in kept)
    count = math.prod(shape[i] for i in axes)
    if count == 0:
        raise NotSupported("reduction of no entries")
    a = moved(A, a, lambda x: np.transpose(x, (*kept, *axes)).reshape(*out, count))
    while count > 1:
        half = count // 2
        joined = join(moved(A, a, picking(np.arange(half), -1)), moved(A, a, picking(np.arange(half, 2 * half), -1)))
        rest = moved(A, a, picking(np.arange(2 * half, count), -1))
        a = joined if count % 2 == 0 else concatenated(A, {"dimension": len(out)}, joined, rest)
        count = half + count % 2
    return moved(A, a, lambda x: x[..., 0])


def extreme(A: Arithmetic, op: str, a: Value, axes: Sequence[int]) -> Value:
    def join(x: Value, y: Value) -> Value:
        return picked(A, op, x, y, muted(A, op, x, y))

    return _halving(A, number(A, a), axes, join)


@rule("reduce_max")
def _reduce_max(A: Arithmetic, p: dict[str, Any], a: Value) -> Value:
    return _reduce_or(A, p, a) if isinstance(a, Truth) else extreme(A, "gt", a, p["axes"])


@rule("reduce_min")
def _reduce_min(A: Arithmetic, p: dict[str, Any], a: Value) -> Value:
    return _reduce_and(A, p, a) if isinstance(a, Truth) else extreme(A, "lt", a, p["axes"])


@rule("reduce_prod")
def _reduce_prod(A: Arithmetic, p: dict[str, Any], a: Value) -> Value:
    return _halving(A, number(A, a), p["axes"], A.mul)


@rule("reduce_and")
def _reduce_and(A: Arithmetic, p: dict[str, Any], a: Value) -> Value:
    return _halving(A, truth(A, a), p["axes"], lambda x, y: both(A, p, x, y))


@rule("reduce_or")
def _reduce_or(A: Arithmetic, p: dict[str, Any], a: Value) -> Value:
    return _halving(A, truth(A, a), p["axes"], lambda x, y: either(A, p, x, y))


@rule("argmax", "argmin")
def _argmax(A: Arithmetic, p: dict[str, Any], a: Value) -> Value:
    (axis,) = p["axes"]
    a = number(A, a)
    sign = A.neg(a) if p["name"] == "argmax" else a
    return A.const(np.take(A.order(sign, axis), 0, axis))


@rule("top_k")
def _top_k(A: Arithmetic, p: dict[str, Any], a: Value) -> list[Value]:
    a = number(A, a)
    axis = p.get("axis", -1) % len(A.shape(a))
    order = np.take(A.order(A.neg(a), axis), np.arange(p["k"]), axis)
    return [moved(A, a, lambda x: np.take_along_axis(x, order, axis)), A.const(order)]


# Above this a triangle of ones costs more than it saves.
_TRIANGLE = 128


def _doubling(A: Arithmetic, a: Value, axis: int, reverse: bool) -> Value:
    """Prefix sums by doubling the reach of each entry."""
    n, reach = A.shape(a)[axis], 1
    while reach < n:
        kept = picking(np.arange(reach, n) if reverse else np.arange(n - reach), axis)
        ends = picking(np.arange(n - reach, n) if reverse else np.arange(reach), axis)
        rest = picking(np.arange(n - reach) if reverse else np.arange(reach, n), axis)
        summed = A.add(moved(A, a, rest), moved(A, a, kept))
        parts = [summed, moved(A, a, ends)] if reverse else [moved(A, a, ends), summed]
        a, reach = A.concat(parts, axis), 2 * reach
    return a


@rule("cumsum")
def _cumsum(A: Arithmetic, p: dict[str, Any], a: Value) -> Value:
    a, axis = number(A, a), p["axis"]
    n = A.shape(a)[axis]
    running = getattr(A, "cumsum", None)
    if running is not None:
        return running(a, axis, bool(p.get("reverse")))
    if n > _TRIANGLE:
        return _doubling(A, a, axis, bool(p.get("reverse")))
    triangle = np.tril(np.ones((n, n), np.int64))
    if p.get("reverse"):
        triangle = triangle.T
    first = moved(A, a, lambda x: np.moveaxis(x, axis, 0).reshape(n, -1))
    rest = tuple(m for i, m in enumerate(A.shape(a)) if i != axis)
    return moved(A, A.matmul(A.const(triangle), first), lambda x: np.moveaxis(x.reshape(n, *rest), 0, axis))


def _scanned(A: Arithmetic, p: dict[str, Any], a: Value, join: Callable[[Value, Value], Value]) -> Value:
    a, axis = number(A, a), p["axis"]
    n = A.shape(a)[axis]
    places = range(n - 1, -1, -1) if p.get("reverse") else range(n)
    rows: list[Value] = []
    for i in places:
        row = moved(A, a, picking([i], axis))
        rows.append(join(rows[-1], row) if rows else row)
    return A.concat(rows[::-1] if p.get("reverse") else rows, axis)


@rule("cumprod")
def _cumprod(A: Arithmetic, p: dict[str, Any], a: Value) -> Value:
    return _scanned(A, p, a, A.mul)


@rule("cummax")
def _cummax(A: Arithmetic, p: dict[str, Any], a: Value) -> Value:
    return _scanned(A, p, a, lambda x, y: picked(A, "gt", x, y, muted(A, "gt", x, y)))


@rule("cummin")
def _cummin(A: Arithmetic, p: dict[str, Any], a: Value) -> Value:
    return _scanned(A, p, a, lambda x, y: picked(A, "lt", x, y, muted(A, "lt", x, y)))


@rule("cumlogsumexp")
def _cumlogsumexp(A: Arithmetic, p: dict[str, Any], a: Value) -> Value:
    def join(x: Value, y: Value) -> Value:
        top = A.detach(A.select(muted(A, "gt", x, y), x, y))
        parts = [A.unary("exp", A.add(v, A.neg(top))) for v in (x, y)]
        return A.add(top, A.unary("log", A.add(*parts)))

    return _scanned(A, p, a, join)


@rule("dot_general")
def _dot_general(A: Arithmetic, p: dict[str, Any], a: Value, b: Value) -> Value:
    (contract_a, contract_b), (batch_a, batch_b) = p["dimension_numbers"]
    a, b = number(A, a), number(A, b)
    shape_a, shape_b = A.shape(a), A.shape(b)
    free_a = [i for i in range(len(shape_a)) if i not in (*contract_a, *batch_a)]
    free_b = [i for i in range(len(shape_b)) if i not in (*contract_b, *batch_b)]
    batch = math.prod(shape_a[i] for i in batch_a)
    inner = math.prod(shape_a[i] for i in contract_a)
    left = moved(
        A,
        a,
        lambda x: (
            np.transpose(x, (*batch_a, *free_a, *contract_a)).reshape(batch, -1, inner)
            if x.size
            else x.reshape(batch, math.prod(shape_a[i] for i in free_a), inner)
        ),
    )
    right = moved(
        A,
        b,
        lambda x: (
            np.transpose(x, (*batch_b, *contract_b, *free_b)).reshape(batch, inner, -1)
            if x.size
            else x.reshape(batch, inner, math.prod(shape_b[i] for i in free_b))
        ),
    )
    out = (*(shape_a[i] for i in batch_a), *(shape_a[i] for i in free_a), *(shape_b[i] for i in free_b))
    return moved(A, A.matmul(left, right), lambda x: x.reshape(out))
