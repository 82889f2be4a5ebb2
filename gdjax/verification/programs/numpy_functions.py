"""NumPy's functions on ducks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gdjax.verification.numbers.arithmetic import NotSupported
from gdjax.verification.programs.duck import FUNCTIONS, Duck, Function, applied_ufunc, axes_of, lift, reduce
from gdjax.verification.programs.interpreter import Walk
from gdjax.verification.programs.primitives import truth


def function_of_numpy(*names: str) -> Callable[[Function], Function]:
    def register(function: Function) -> Function:
        for name in names:
            FUNCTIONS[name] = function
        return function

    return register


@function_of_numpy("sum")
def _sum(
    walk: Walk, a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, **kw: Any
) -> Duck:
    return reduce(walk, "add", a, axis=axis, keepdims=keepdims)


@function_of_numpy("mean")
def _mean(
    walk: Walk, a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, **kw: Any
) -> Duck:
    a = lift(walk, a)
    count = int(np.prod([a.shape[i] for i in axes_of(axis, a.ndim)], dtype=np.int64))
    return _sum(walk, a, axis, keepdims=keepdims) / count


@function_of_numpy("average")
def _average(walk: Walk, a: Any, axis: Any = None, weights: Any = None, **kw: Any) -> Duck:
    if weights is None:
        return _mean(walk, a, axis)
    a, weights = lift(walk, a), lift(walk, weights)
    if a.shape != weights.shape:
        raise NotSupported("numpy.average with weights of another shape")
    return _sum(walk, a * weights, axis) / _sum(walk, weights, axis)


@function_of_numpy("var")
def _var(walk: Walk, a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: int = 0, **kw: Any) -> Duck:
    a = lift(walk, a)
    count = int(np.prod([a.shape[i] for i in axes_of(axis, a.ndim)], dtype=np.int64))
    centred = a - _mean(walk, a, axis, keepdims=True)
    return _sum(walk, centred * centred, axis) / (count - ddof)


@function_of_numpy("std")
def _std(walk: Walk, a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: int = 0, **kw: Any) -> Duck:
    return np.sqrt(_var(walk, a, axis, ddof=ddof))


@function_of_numpy("max", "amax")
def _amax(walk: Walk, a: Any, axis: Any = None, **kw: Any) -> Duck:
    return reduce(walk, "maximum", a, axis=axis, keepdims=kw.get("keepdims", False))


@function_of_numpy("min", "amin")
def _amin(walk: Walk, a: Any, axis: Any = None, **kw: Any) -> Duck:
    return reduce(walk, "minimum", a, axis=axis, keepdims=kw.get("keepdims", False))


@function_of_numpy("prod")
def _prod(walk: Walk, a: Any, axis: Any = None, **kw: Any) -> Duck:
    return reduce(walk, "multiply", a, axis=axis)


@function_of_numpy("any")
def _any(walk: Walk, a: Any, axis: Any = None, **kw: Any) -> Duck:
    return reduce(walk, "logical_or", a, axis=axis)


@function_of_numpy("all")
def _all(walk: Walk, a: Any, axis: Any = None, **kw: Any) -> Duck:
    return reduce(walk, "logical_and", a, axis=axis)


@function_of_numpy("count_nonzero")
def _count_nonzero(walk: Walk, a: Any, axis: Any = None, **kw: Any) -> Duck:
    return _sum(walk, (lift(walk, a) != 0).astype(np.float64), axis)


@function_of_numpy("where")
def _where(walk: Walk, condition: Any, yes: Any = None, no: Any = None) -> Duck:
    if yes is None:
        raise NotSupported("numpy.where with one argument")
    mask, a, b = lift(walk, condition), lift(walk, yes), lift(walk, no)
    sides = tuple(truth(A, v) for A, v in zip(walk.sides, mask.sides, strict=True))
    shape = np.broadcast_shapes(mask.shape, a.shape, b.shape)
    result = Duck(walk, walk.apply("select_n", {}, sides, b.sides, a.sides))
    return result if result.shape == shape else result.move(lambda x: np.broadcast_to(x, shape))


@function_of_numpy("clip")
def _clip(walk: Walk, a: Any, low: Any = None, high: Any = None, **kw: Any) -> Duck:
    low, high = kw.get("min", low), kw.get("max", high)
    result = lift(walk, a)
    if low is not None:
        result = applied_ufunc(walk, "maximum", (result, low))
    return result if high is None else applied_ufunc(walk, "minimum", (result, high))


@function_of_numpy("dot", "inner")
def _dot(walk: Walk, a: Any, b: Any, out: Any = None) -> Duck:
    a, b = lift(walk, a), lift(walk, b)
    if a.ndim == 0 or b.ndim == 0:
        return a * b
    return _matmul(walk, a, b)


@function_of_numpy("vdot")
def _vdot(walk: Walk, a: Any, b: Any) -> Duck:
    return _matmul(walk, lift(walk, a).ravel(), lift(walk, b).ravel())


@function_of_numpy("outer")
def _outer(walk: Walk, a: Any, b: Any) -> Duck:
    return lift(walk, a).ravel()[:, None] * lift(walk, b).ravel()[None, :]


@function_of_numpy("matmul")
def _matmul(walk: Walk, a: Any, b: Any) -> Duck:
    a, b = lift(walk, a), lift(walk, b)
    if a.ndim > 2 or b.ndim > 2:
        raise NotSupported("numpy.matmul of more than two dimensions")
    contract = ((a.ndim - 1,), (max(b.ndim - 2, 0),))
    return Duck(walk, walk.apply("dot_general", {"dimension_numbers": (contract, ((), ()))}, a.sides, b.sides))


@function_of_numpy("einsum")
def _einsum(walk: Walk, subscripts: str, *operands: Any, **kw: Any) -> Duck:
    spec = subscripts.replace(" ", "")
    if "." in spec:
        raise NotSupported("numpy.einsum with an ellipsis")
    inputs, _, output = spec.partition("->")
    terms = inputs.split(",")
    if not _:
        output = "".join(sorted(c for c in set(inputs) - {","} if inputs.count(c) == 1))
    letters = output + "".join(sorted(set(inputs) - set(output) - {","}))
    product: Any = 1.0
    for term, operand in zip(terms, operands, strict=True):
        if len(set(term)) != len(term):
            raise NotSupported("numpy.einsum with a repeated letter")
        kept = [c for c in letters if c in term]
        moved = lift(walk, operand).transpose([term.index(c) for c in kept])
        product = product * moved[tuple(slice(None) if c in term else None for c in letters)]
    axes = tuple(range(len(output), len(letters)))
    return reduce(walk, "add", product, axis=axes) if axes else product


@function_of_numpy("tensordot")
def _tensordot(walk: Walk, a: Any, b: Any, axes: Any = 2) -> Duck:
    a, b = lift(walk, a), lift(walk, b)
    if isinstance(axes, int):
        left, right = tuple(range(a.ndim - axes, a.ndim)), tuple(range(axes))
    else:
        left, right = ((x,) if isinstance(x, int) else tuple(x) for x in axes)
    return Duck(walk, walk.apply("dot_general", {"dimension_numbers": ((left, right), ((), ()))}, a.sides, b.sides))


@function_of_numpy("concatenate")
def _concatenate(walk: Walk, arrays: Any, axis: Any = 0, **kw: Any) -> Duck:
    ducks = [lift(walk, a) for a in arrays]
    if axis is None:
        ducks, axis = [d.ravel() for d in ducks], 0
    return Duck(walk, walk.apply("concatenate", {"dimension": axis % ducks[0].ndim}, *(d.sides for d in ducks)))


@function_of_numpy("stack")
def _stack(walk: Walk, arrays: Any, axis: int = 0, **kw: Any) -> Duck:
    return _concatenate(walk, [lift(walk, a).move(lambda x: np.expand_dims(x, axis)) for a in arrays], axis)


@function_of_numpy("hstack")
def _hstack(walk: Walk, arrays: Any, **kw: Any) -> Duck:
    ducks = [lift(walk, a).move(np.atleast_1d) for a in arrays]
    return _concatenate(walk, ducks, 0 if ducks[0].ndim == 1 else 1)


@function_of_numpy("vstack")
def _vstack(walk: Walk, arrays: Any, **kw: Any) -> Duck:
    return _concatenate(walk, [lift(walk, a).move(np.atleast_2d) for a in arrays], 0)


@function_of_numpy("column_stack")
def _column_stack(walk: Walk, arrays: Any) -> Duck:
    ducks = [lift(walk, a) for a in arrays]
    return _concatenate(walk, [d if d.ndim == 2 else d[:, None] for d in ducks], 1)


@function_of_numpy("append")
def _append(walk: Walk, a: Any, values: Any, axis: Any = None) -> Duck:
    ducks = [lift(walk, a), lift(walk, values)]
    return _concatenate(walk, [d.ravel() for d in ducks] if axis is None else ducks, axis or 0)


@function_of_numpy("split", "array_split")
def _array_split(walk: Walk, a: Any, sections: Any, axis: int = 0) -> list[Duck]:
    a = lift(walk, a)
    pieces = np.array_split(np.arange(a.shape[axis]), sections)
    return [a.move(lambda x, p=p: np.take(x, p, axis)) for p in pieces]


@function_of_numpy("zeros_like", "empty_like")
def _zeros_like(walk: Walk, a: Any, **kw: Any) -> Duck:
    return lift(walk, np.zeros(kw.get("shape") or lift(walk, a).shape))


@function_of_numpy("ones_like")
def _ones_like(walk: Walk, a: Any, **kw: Any) -> Duck:
    return lift(walk, np.ones(lift(walk, a).shape))


@function_of_numpy("full_like")
def _full_like(walk: Walk, a: Any, value: Any, **kw: Any) -> Duck:
    shape = lift(walk, a).shape
    return lift(walk, value).move(lambda x: np.broadcast_to(x, shape))


@function_of_numpy("copy")
def _copy(walk: Walk, a: Any, **kw: Any) -> Duck:
    return lift(walk, a).copy()


@function_of_numpy("shape")
def _shape(walk: Walk, a: Any) -> tuple[int, ...]:
    return lift(walk, a).shape


@function_of_numpy("size")
def _size(walk: Walk, a: Any, axis: Any = None) -> int:
    a = lift(walk, a)
    return a.size if axis is None else a.shape[axis]


@function_of_numpy("ndim")
def _ndim(walk: Walk, a: Any) -> int:
    return lift(walk, a).ndim


@function_of_numpy("cumsum")
def _cumsum(walk: Walk, a: Any, axis: Any = None, **kw: Any) -> Duck:
    a = lift(walk, a)
    a = a.ravel() if axis is None else a
    return Duck(walk, walk.apply("cumsum", {"axis": (axis or 0) % a.ndim}, a.sides))


@function_of_numpy("diff")
def _diff(walk: Walk, a: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Duck:
    a = lift(walk, a)
    edge = tuple(1 if i == axis % a.ndim else size for i, size in enumerate(a.shape))
    ends = [None if end is None else lift(walk, end) for end in (prepend, append)]
    first, last = (np.broadcast_to(end, edge) if end is not None and not end.ndim else end for end in ends)
    a = _concatenate(walk, [part for part in (first, a, last) if part is not None], axis)
    for _ in range(n):
        size = a.shape[axis]
        places = np.arange(1, size), np.arange(size - 1) if size else np.arange(0)
        late, early = (a.move(lambda x, kept=kept: np.take(x, kept, axis)) for kept in places)
        a = late - early
    return a


@function_of_numpy("trace")
def _trace(walk: Walk, a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Duck:
    return _sum(walk, lift(walk, a).move(lambda x: np.diagonal(x, offset, axis1, axis2)), -1)


@function_of_numpy("numpy.linalg.trace")
def _trace_of_matrices(walk: Walk, a: Any, *, offset: int = 0) -> Duck:
    return _trace(walk, a, offset, -2, -1)


@function_of_numpy("cholesky")
def _cholesky(walk: Walk, a: Any, *, upper: bool = False) -> Duck:
    lower = Duck(walk, walk.apply("cholesky", {}, lift(walk, a).sides))
    return lower.move(lambda x: np.swapaxes(x, -1, -2)) if upper else lower


@function_of_numpy("solve")
def _solve(walk: Walk, a: Any, b: Any) -> Duck:
    a, b = lift(walk, a), lift(walk, b)
    right = b if b.ndim > 1 else b[:, None]
    found = Duck(walk, walk.apply("solve", {}, a.sides, right.sides))
    return found if b.ndim > 1 else found[:, 0]


@function_of_numpy("inv")
def _inv(walk: Walk, a: Any) -> Duck:
    a = lift(walk, a)
    return _solve(walk, a, np.broadcast_to(np.eye(a.shape[-1]), a.shape))


@function_of_numpy("det")
def _det(walk: Walk, a: Any) -> Duck:
    return Duck(walk, walk.apply("determinant", {}, lift(walk, a).sides))


@function_of_numpy("slogdet")
def _slogdet(walk: Walk, a: Any) -> tuple[Duck, Duck]:
    found = _det(walk, a)
    square = found * found  # asks nothing about its sign
    return found / np.sqrt(square), np.log(square) / 2


@function_of_numpy("nan_to_num")
def _nan_to_num(walk: Walk, a: Any, **kw: Any) -> Duck:
    return lift(walk, a)


@function_of_numpy("real_if_close", "asarray", "ascontiguousarray")
def _same(walk: Walk, a: Any, **kw: Any) -> Duck:
    return lift(walk, a)


@function_of_numpy("norm")
def _norm(walk: Walk, a: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Duck:
    a = lift(walk, a)
    if ord == 1 and a.ndim == 1:
        return _sum(walk, abs(a))
    if ord not in (None, 2, "fro") or (ord == 2 and a.ndim > 1 and axis is None):
        raise NotSupported(f"numpy.linalg.norm with ord={ord}")
    return np.sqrt(_sum(walk, a * a, axis, keepdims=keepdims))
