"""Sums, means and their kin."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gdjax.verification.numbers.arithmetic import NotSupported
from gdjax.verification.programs.duck import Duck, axes_of, lift, reduce
from gdjax.verification.programs.functions.registry import function_of_numpy
from gdjax.verification.programs.interpreter import Walk


@function_of_numpy(np.sum)
def total(walk: Walk, a: Any, axis: Any = None, keepdims: Any = False, initial: Any = None, where: Any = True) -> Duck:
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
    return total(walk, (lift(walk, a) != 0).astype(np.float64), axis, keepdims)


def count(a: Duck, axis: Any) -> int:
    return math.prod(a.shape[i] for i in axes_of(axis, a.ndim))


@function_of_numpy(np.mean)
def mean_of(walk: Walk, a: Any, axis: Any = None, keepdims: Any = False) -> Duck:
    a = lift(walk, a)
    return total(walk, a, axis, keepdims) / count(a, axis)


@function_of_numpy(np.average)
def _average(walk: Walk, a: Any, axis: Any = None, weights: Any = None, keepdims: Any = False) -> Duck:
    if weights is None:
        return mean_of(walk, a, axis, keepdims)
    a, weights = lift(walk, a), lift(walk, weights)
    if a.shape != weights.shape:
        raise NotSupported("numpy.average with weights of another shape")
    return total(walk, a * weights, axis, keepdims) / total(walk, weights, axis, keepdims)


@function_of_numpy(np.var)
def _var(
    walk: Walk, a: Any, axis: Any = None, ddof: Any = 0, keepdims: Any = False, mean: Any = None, correction: Any = None
) -> Duck:
    a = lift(walk, a)
    centred = a - (mean_of(walk, a, axis, keepdims=True) if mean is None else mean)
    return total(walk, centred * centred, axis, keepdims) / (
        count(a, axis) - (ddof if correction is None else correction)
    )


@function_of_numpy(np.std)
def _std(
    walk: Walk, a: Any, axis: Any = None, ddof: Any = 0, keepdims: Any = False, mean: Any = None, correction: Any = None
) -> Any:
    return np.sqrt(_var(walk, a, axis, ddof, keepdims, mean, correction))


def _cumulative(primitive: str, walk: Walk, a: Any, axis: Any) -> Duck:
    a = lift(walk, a)
    a, axis = (a.ravel(), 0) if axis is None else (a, axis)
    return Duck(walk, walk.apply(primitive, {"axis": range(a.ndim)[axis]}, a.sides))


@function_of_numpy(np.cumsum)
def _cumsum(walk: Walk, a: Any, axis: Any = None) -> Duck:
    return _cumulative("cumsum", walk, a, axis)


@function_of_numpy(np.cumprod)
def _cumprod(walk: Walk, a: Any, axis: Any = None) -> Duck:
    return _cumulative("cumprod", walk, a, axis)


@function_of_numpy(np.trace)
def trace(walk: Walk, a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Duck:
    return total(walk, lift(walk, a).move(lambda x: np.diagonal(x, offset, axis1, axis2)), -1)


@function_of_numpy(np.ptp)
def _ptp(walk: Walk, a: Any, axis: Any = None, keepdims: Any = False) -> Any:
    return _max(walk, a, axis, keepdims) - _min(walk, a, axis, keepdims)
