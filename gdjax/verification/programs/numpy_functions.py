"""NumPy's functions on ducks.

Each has the parameters of NumPy's that it heeds, by NumPy's names; an argument of another is refused where the function
is called (`duck`), as are `dtype=` but floats', while `out=` is seen to there.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from gdjax.verification.numbers.arithmetic import NotSupported
from gdjax.verification.programs.duck import FUNCTIONS, Duck, Function, axes_of, lift, reduce
from gdjax.verification.programs.interpreter import Walk
from gdjax.verification.programs.primitives import truth


def function_of_numpy(*functions: Any) -> Callable[[Function], Function]:
    """Of NumPy itself, or, by name, a ufunc of `scipy.special`."""

    def register(stand_in: Function) -> Function:
        for function in functions:
            FUNCTIONS[function] = stand_in
        return stand_in

    return register


# Reductions


@function_of_numpy(np.sum)
def _sum(walk: Walk, a: Any, axis: Any = None, keepdims: Any = False, initial: Any = None, where: Any = True) -> Duck:
    return reduce(walk, np.add, a, axis, keepdims, initial, where)


@function_of_numpy(np.prod)
def _prod(walk: Walk, a: Any, axis: Any = None, keepdims: Any = False, initial: Any = None, where: Any = True) -> Duck:
    return reduce(walk, np.multiply, a, axis, keepdims, initial, where)


@function_of_numpy(np.max, np.amax)
def _max(walk: Walk, a: Any, axis: Any = None, keepdims: Any = False, initial: Any = None, where: Any = True) -> Duck:
    return reduce(walk, np.maximum, a, axis, keepdims, initial, where)


@function_of_numpy(np.min, np.amin)
def _min(walk: Walk, a: Any, axis: Any = None, keepdims: Any = False, initial: Any = None, where: Any = True) -> Duck:
    return reduce(walk, np.minimum, a, axis, keepdims, initial, where)


@function_of_numpy(np.any)
def _any(walk: Walk, a: Any, axis: Any = None, keepdims: Any = False, where: Any = True) -> Duck:
    return reduce(walk, np.logical_or, a, axis, keepdims, where=where)


@function_of_numpy(np.all)
def _all(walk: Walk, a: Any, axis: Any = None, keepdims: Any = False, where: Any = True) -> Duck:
    return reduce(walk, np.logical_and, a, axis, keepdims, where=where)


@function_of_numpy(np.count_nonzero)
def _count_nonzero(walk: Walk, a: Any, axis: Any = None, keepdims: Any = False) -> Duck:
    return _sum(walk, (lift(walk, a) != 0).astype(np.float64), axis, keepdims)


def _count(a: Duck, axis: Any) -> int:
    return math.prod(a.shape[i] for i in axes_of(axis, a.ndim))


@function_of_numpy(np.mean)
def _mean(walk: Walk, a: Any, axis: Any = None, keepdims: Any = False) -> Duck:
    a = lift(walk, a)
    return _sum(walk, a, axis, keepdims) / _count(a, axis)


@function_of_numpy(np.average)
def _average(walk: Walk, a: Any, axis: Any = None, weights: Any = None, keepdims: Any = False) -> Duck:
    if weights is None:
        return _mean(walk, a, axis, keepdims)
    a, weights = lift(walk, a), lift(walk, weights)
    if a.shape != weights.shape:
        raise NotSupported("numpy.average with weights of another shape")
    return _sum(walk, a * weights, axis, keepdims) / _sum(walk, weights, axis, keepdims)


@function_of_numpy(np.var)
def _var(
    walk: Walk, a: Any, axis: Any = None, ddof: Any = 0, keepdims: Any = False, mean: Any = None, correction: Any = None
) -> Duck:
    a = lift(walk, a)
    centred = a - (_mean(walk, a, axis, keepdims=True) if mean is None else mean)
    return _sum(walk, centred * centred, axis, keepdims) / (
        _count(a, axis) - (ddof if correction is None else correction)
    )


@function_of_numpy(np.std)
def _std(
    walk: Walk, a: Any, axis: Any = None, ddof: Any = 0, keepdims: Any = False, mean: Any = None, correction: Any = None
) -> Any:
    return np.sqrt(_var(walk, a, axis, ddof, keepdims, mean, correction))


@function_of_numpy(np.cumsum)
def _cumsum(walk: Walk, a: Any, axis: Any = None) -> Duck:
    a = lift(walk, a)
    a, axis = (a.ravel(), 0) if axis is None else (a, axis)
    return Duck(walk, walk.apply("cumsum", {"axis": range(a.ndim)[axis]}, a.sides))


@function_of_numpy(np.trace)
def _trace(walk: Walk, a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Duck:
    return _sum(walk, lift(walk, a).move(lambda x: np.diagonal(x, offset, axis1, axis2)), -1)


# One entry at a time


@function_of_numpy(np.where)
def _where(walk: Walk, condition: Any, x: Any = None, y: Any = None) -> Any:
    if x is None or y is None:
        raise NotSupported("numpy.where with one argument")
    mask, a, b = lift(walk, condition), lift(walk, x), lift(walk, y)
    sides = tuple(truth(A, v) for A, v in zip(walk.sides, mask.sides, strict=True))
    shape = np.broadcast_shapes(mask.shape, a.shape, b.shape)
    result = Duck(walk, walk.apply("select_n", {}, sides, b.sides, a.sides))
    return result if result.shape == shape else result.move(lambda entries: np.broadcast_to(entries, shape))


@function_of_numpy(np.clip)
def _clip(walk: Walk, a: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Any:
    low, high = (a_min if min is None else min), (a_max if max is None else max)
    result = lift(walk, a)
    result = result if low is None else np.maximum(result, low)
    return result if high is None else np.minimum(result, high)


@function_of_numpy(np.nan_to_num)
def _nan_to_num(walk: Walk, x: Any, copy: Any = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    if not copy:
        raise NotSupported("numpy.nan_to_num with copy=False")
    x = lift(walk, x)
    most = float(np.finfo(walk.dtype).max)
    with walk.quiet():
        end = np.where(x > 0, most if posinf is None else posinf, -most if neginf is None else neginf)
    return np.where(np.isfinite(x), x, np.where(np.isnan(x), nan, end))


@function_of_numpy(np.reciprocal)
def _reciprocal(walk: Walk, x: Any) -> Any:
    return 1.0 / x


@function_of_numpy(np.remainder)
def _remainder(walk: Walk, x: Any, y: Any) -> Any:
    """Of the divisor's sign; `fmod` has the dividend's."""
    return x - y * np.floor(x / y)


@function_of_numpy(np.floor_divide)
def _floor_divide(walk: Walk, x: Any, y: Any) -> Any:
    return np.floor(x / y)


@function_of_numpy(np.fmax)
def _fmax(walk: Walk, x: Any, y: Any) -> Any:
    return np.where(np.isnan(x), y, np.where(np.isnan(y), x, np.maximum(x, y)))


@function_of_numpy(np.fmin)
def _fmin(walk: Walk, x: Any, y: Any) -> Any:
    return np.where(np.isnan(x), y, np.where(np.isnan(y), x, np.minimum(x, y)))


@function_of_numpy(np.hypot)
def _hypot(walk: Walk, x: Any, y: Any) -> Any:
    return np.sqrt(x * x + y * y)


@function_of_numpy(np.logaddexp)
def _logaddexp(walk: Walk, x: Any, y: Any) -> Any:
    return np.maximum(x, y) + np.log1p(np.exp(-abs(x - y)))


@function_of_numpy(np.heaviside)
def _heaviside(walk: Walk, x: Any, y: Any) -> Any:
    return np.where(x > 0, 1.0, np.where(x < 0, 0.0, y))


@function_of_numpy("log_expit")
def _log_expit(walk: Walk, x: Any) -> Any:
    return np.minimum(x, 0.0) - np.log1p(np.exp(-abs(x)))


@function_of_numpy("xlogy")
def _xlogy(walk: Walk, x: Any, y: Any) -> Any:
    return np.where(x == 0, 0.0, x * np.log(np.where(x == 0, 1.0, y)))


# Products


@function_of_numpy(np.dot)
def _dot(walk: Walk, a: Any, b: Any) -> Duck:
    a, b = lift(walk, a), lift(walk, b)
    return a * b if not (a.ndim and b.ndim) else _contracted(walk, a, b, -1, max(b.ndim - 2, 0))


@function_of_numpy(np.inner)
def _inner(walk: Walk, a: Any, b: Any) -> Duck:
    a, b = lift(walk, a), lift(walk, b)
    return a * b if not (a.ndim and b.ndim) else _contracted(walk, a, b, -1, -1)


@function_of_numpy(np.vdot)
def _vdot(walk: Walk, a: Any, b: Any) -> Duck:
    return _contracted(walk, lift(walk, a).ravel(), lift(walk, b).ravel(), 0, 0)


@function_of_numpy(np.outer)
def _outer(walk: Walk, a: Any, b: Any) -> Duck:
    return lift(walk, a).ravel()[:, None] * lift(walk, b).ravel()[None, :]


@function_of_numpy(np.tensordot)
def _tensordot(walk: Walk, a: Any, b: Any, axes: Any = 2) -> Duck:
    a, b = lift(walk, a), lift(walk, b)
    if np.ndim(axes) == 0:
        return _contracted(walk, a, b, tuple(range(a.ndim - axes, a.ndim)), tuple(range(axes)))
    return _contracted(walk, a, b, *axes)


def _contracted(walk: Walk, a: Duck, b: Duck, left: Any, right: Any) -> Duck:
    """Sums of products over some axes of each."""
    ends = [
        tuple(range(array.ndim)[i] for i in (axes if np.ndim(axes) else (axes,)))
        for array, axes in ((a, left), (b, right))
    ]
    if [a.shape[i] for i in ends[0]] != [b.shape[i] for i in ends[1]]:
        raise ValueError(f"shapes {a.shape} and {b.shape} do not fit")
    return Duck(walk, walk.apply("dot_general", {"dimension_numbers": (tuple(ends), ((), ()))}, a.sides, b.sides))


@function_of_numpy(np.matmul)
def _matmul(walk: Walk, x1: Any, x2: Any) -> Any:
    a, b = lift(walk, x1), lift(walk, x2)
    if not (a.ndim and b.ndim):
        raise ValueError("numpy.matmul of a scalar")
    if a.ndim <= 2 and b.ndim <= 2:
        return _contracted(walk, a, b, -1, max(b.ndim - 2, 0))
    left: Any = a[None, :] if a.ndim == 1 else a
    right: Any = b[:, None] if b.ndim == 1 else b
    batch = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    left, right = (np.broadcast_to(array, batch + array.shape[-2:]) for array in (left, right))
    if left.shape[-1] != right.shape[-2]:
        raise ValueError(f"shapes {a.shape} and {b.shape} do not fit")
    axes, last = tuple(range(len(batch))), len(batch)
    numbers = (((last + 1,), (last,)), (axes, axes))
    found = Duck(walk, walk.apply("dot_general", {"dimension_numbers": numbers}, left.sides, right.sides))
    gone = [*([-2] if a.ndim == 1 else []), *([-1] if b.ndim == 1 else [])]
    return np.squeeze(found, tuple(gone)) if gone else found


@function_of_numpy(np.einsum)
def _einsum(walk: Walk, operands: Any) -> Duck:
    subscripts, *arrays = operands
    if not isinstance(subscripts, str) or "." in subscripts:
        raise NotSupported("numpy.einsum with an ellipsis, or without letters")
    inputs, arrow, output = subscripts.replace(" ", "").partition("->")
    terms = inputs.split(",")
    if not arrow:
        output = "".join(sorted(c for c in set(inputs) - {","} if inputs.count(c) == 1))
    letters = output + "".join(sorted(set(inputs) - set(output) - {","}))
    product: Any = 1.0
    for term, array in zip(terms, arrays, strict=True):
        if len(set(term)) != len(term):
            raise NotSupported("numpy.einsum with a repeated letter")
        kept = [c for c in letters if c in term]
        moved = lift(walk, array).transpose([term.index(c) for c in kept])
        product = product * moved[tuple(slice(None) if c in term else None for c in letters)]
    axes = tuple(range(len(output), len(letters)))
    return reduce(walk, np.add, product, axis=axes) if axes else product


# Joined, parted and made


@function_of_numpy(np.concatenate)
def _concatenate(walk: Walk, arrays: Any, axis: Any = 0) -> Duck:
    ducks = [lift(walk, a) for a in arrays]
    if axis is None:
        ducks, axis = [d.ravel() for d in ducks], 0
    return Duck(walk, walk.apply("concatenate", {"dimension": range(ducks[0].ndim)[axis]}, *(d.sides for d in ducks)))


@function_of_numpy(np.stack)
def _stack(walk: Walk, arrays: Any, axis: int = 0) -> Duck:
    return _concatenate(walk, [lift(walk, a).move(lambda x: np.expand_dims(x, axis)) for a in arrays], axis)


@function_of_numpy(np.hstack)
def _hstack(walk: Walk, tup: Any) -> Duck:
    ducks = [lift(walk, a).move(np.atleast_1d) for a in tup]
    return _concatenate(walk, ducks, 0 if ducks[0].ndim == 1 else 1)


@function_of_numpy(np.vstack)
def _vstack(walk: Walk, tup: Any) -> Duck:
    return _concatenate(walk, [lift(walk, a).move(np.atleast_2d) for a in tup], 0)


@function_of_numpy(np.column_stack)
def _column_stack(walk: Walk, tup: Any) -> Duck:
    ducks = [lift(walk, a) for a in tup]
    return _concatenate(walk, [d[:, None] if d.ndim == 1 else d for d in ducks], 1)


@function_of_numpy(np.append)
def _append(walk: Walk, arr: Any, values: Any, axis: Any = None) -> Duck:
    return _concatenate(walk, [arr, values], axis)


def _parted(split: Callable[..., Any]) -> Function:
    def stand_in(walk: Walk, ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Duck]:
        ary = lift(walk, ary)
        pieces = split(np.arange(ary.shape[axis]), indices_or_sections)
        return [ary.move(lambda x, p=p: np.take(x, p, axis)) for p in pieces]

    return stand_in


for _split in (np.split, np.array_split):
    function_of_numpy(_split)(_parted(_split))


@function_of_numpy(np.zeros_like)
def _zeros_like(walk: Walk, a: Any, shape: Any = None) -> Duck:
    return _full_like(walk, a, 0.0, shape)


@function_of_numpy(np.empty_like)
def _empty_like(walk: Walk, prototype: Any, shape: Any = None) -> Duck:
    return _full_like(walk, prototype, 0.0, shape)


@function_of_numpy(np.ones_like)
def _ones_like(walk: Walk, a: Any, shape: Any = None) -> Duck:
    return _full_like(walk, a, 1.0, shape)


@function_of_numpy(np.full_like)
def _full_like(walk: Walk, a: Any, fill_value: Any, shape: Any = None) -> Duck:
    whole = lift(walk, a).shape if shape is None else shape
    return lift(walk, fill_value).move(lambda x: np.broadcast_to(x, whole))


@function_of_numpy(np.copy)
def _copy(walk: Walk, a: Any) -> Duck:
    return lift(walk, a).copy()


@function_of_numpy(np.real_if_close)
def _real_if_close(walk: Walk, a: Any) -> Duck:
    return lift(walk, a)


@function_of_numpy(np.shape)
def _shape(walk: Walk, a: Any) -> tuple[int, ...]:
    return lift(walk, a).shape


@function_of_numpy(np.size)
def _size(walk: Walk, a: Any, axis: Any = None) -> int:
    return _count(lift(walk, a), axis)


@function_of_numpy(np.ndim)
def _ndim(walk: Walk, a: Any) -> int:
    return lift(walk, a).ndim


@function_of_numpy(np.diff)
def _diff(walk: Walk, a: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Duck:
    a = lift(walk, a)
    if n == 0:
        return a
    edge = tuple(1 if i == range(a.ndim)[axis] else size for i, size in enumerate(a.shape))
    ends = [None if end is None else lift(walk, end) for end in (prepend, append)]
    first, last = (np.broadcast_to(end, edge) if end is not None and not end.ndim else end for end in ends)
    a = _concatenate(walk, [part for part in (first, a, last) if part is not None], axis)
    for _ in range(n):
        size = a.shape[axis]
        places = np.arange(1, size), np.arange(size - 1) if size else np.arange(0)
        late, early = (a.move(lambda x, kept=kept: np.take(x, kept, axis)) for kept in places)
        a = late - early
    return a


# Linear algebra


@function_of_numpy(np.linalg.trace)
def _trace_of_matrices(walk: Walk, x: Any, *, offset: int = 0) -> Duck:
    return _trace(walk, x, offset, -2, -1)


@function_of_numpy(np.linalg.cholesky)
def _cholesky(walk: Walk, a: Any, *, upper: Any = False) -> Duck:
    """It reads the triangle that it gives."""
    a = lift(walk, a)
    lower = Duck(walk, walk.apply("cholesky", {}, (a.swapaxes(-1, -2) if upper else a).sides))
    return lower.swapaxes(-1, -2) if upper else lower


@function_of_numpy(np.linalg.solve)
def _solve(walk: Walk, a: Any, b: Any) -> Duck:
    a, b = lift(walk, a), lift(walk, b)
    right: Any = b if b.ndim > 1 else b[:, None]
    batch = np.broadcast_shapes(a.shape[:-2], right.shape[:-2])
    left: Any = np.broadcast_to(a, batch + a.shape[-2:])
    right = np.broadcast_to(right, batch + right.shape[-2:])
    found = Duck(walk, walk.apply("solve", {}, left.sides, right.sides))
    return found if b.ndim > 1 else found[..., 0]


@function_of_numpy(np.linalg.inv)
def _inv(walk: Walk, a: Any) -> Duck:
    a = lift(walk, a)
    return _solve(walk, a, np.broadcast_to(np.eye(a.shape[-1]), a.shape))


@function_of_numpy(np.linalg.det)
def _det(walk: Walk, a: Any) -> Duck:
    return Duck(walk, walk.apply("determinant", {}, lift(walk, a).sides))


_Slogdet: Any = type(np.linalg.slogdet(np.eye(1)))


@function_of_numpy(np.linalg.slogdet)
def _slogdet(walk: Walk, a: Any) -> Any:
    found = _det(walk, a)
    square = found * found  # asks nothing about its sign
    return _Slogdet(found / np.sqrt(square), np.log(square) / 2)


@function_of_numpy(np.linalg.norm)
def _norm(walk: Walk, x: Any, ord: Any = None, axis: Any = None, keepdims: Any = False) -> Any:
    x = lift(walk, x)
    of_vectors = x.ndim == 1 if axis is None else np.ndim(axis) == 0 or len(axis) == 1
    if of_vectors and ord in (1, np.inf):
        return (_sum if ord == 1 else _max)(walk, abs(x), axis, keepdims)
    if ord is not None and ord != (2 if of_vectors else "fro"):
        raise NotSupported(f"numpy.linalg.norm with ord={ord}")
    return np.sqrt(_sum(walk, x * x, axis, keepdims))
