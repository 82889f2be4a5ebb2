"""Linear algebra."""

from __future__ import annotations

from typing import Any

import numpy as np

from gdjax.verification.numbers.arithmetic import NotSupported
from gdjax.verification.programs.duck import Duck, lift
from gdjax.verification.programs.functions.methods import axes_of, reduce
from gdjax.verification.programs.functions.reductions import trace
from gdjax.verification.programs.functions.registry import function_of_numpy
from gdjax.verification.programs.interpreter import Walk


@function_of_numpy(np.linalg.trace)
def _trace_of_matrices(walk: Walk, x: Any, *, offset: int = 0) -> Duck:
    return trace(walk, x, offset, -2, -1)


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
    if ord is None or (ord == 2 and of_vectors) or (ord == "fro" and not of_vectors):
        return np.sqrt(reduce(walk, np.add, x * x, axis, keepdims))
    if isinstance(ord, str) or (of_vectors and -np.inf < ord < 0):
        raise NotSupported(f"numpy.linalg.norm with ord={ord}")
    extreme = np.maximum if ord > 0 else np.minimum
    if of_vectors and ord == 0:
        return reduce(walk, np.add, (x != 0).astype(float), axis, keepdims)
    if of_vectors:
        if abs(ord) == np.inf:
            return reduce(walk, extreme, abs(x), axis, keepdims)
        powers = abs(x) if ord == 1 else abs(x) ** float(ord)
        found = reduce(walk, np.add, powers, axis, keepdims)
        return found if ord == 1 else found ** (1 / ord)
    if abs(ord) not in (1, np.inf) or (axis is None and x.ndim != 2):
        raise NotSupported(f"numpy.linalg.norm with ord={ord}")
    rows, columns = (range(x.ndim)[i] for i in ((0, 1) if axis is None else axis))
    summed, others = (rows, columns) if abs(ord) == 1 else (columns, rows)
    found = reduce(walk, extreme, reduce(walk, np.add, abs(x), summed, True), others, True)
    return found if keepdims else np.squeeze(found, axes_of((rows, columns), x.ndim))
