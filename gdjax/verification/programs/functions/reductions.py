"""Sums, means and their kin."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gdjax.verification.numbers.arithmetic import NotSupported
from gdjax.verification.programs.duck import Duck, lift
from gdjax.verification.programs.functions.methods import accumulate, axes_of, reduce
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


@function_of_numpy(np.cumsum)
def _cumsum(walk: Walk, a: Any, axis: Any = None) -> Duck:
    return accumulate(walk, np.add, a, axis)


@function_of_numpy(np.cumprod)
def _cumprod(walk: Walk, a: Any, axis: Any = None) -> Duck:
    return accumulate(walk, np.multiply, a, axis)


@function_of_numpy(np.nansum)
def _nansum(
    walk: Walk, a: Any, axis: Any = None, keepdims: Any = False, initial: Any = None, where: Any = True
) -> Duck:
    return total(walk, _known(walk, a, 0), axis, keepdims, initial, where)


@function_of_numpy(np.nanmean)
def _nanmean(walk: Walk, a: Any, axis: Any = None, keepdims: Any = False) -> Any:
    there = ~np.isnan(lift(walk, a))
    return total(walk, _known(walk, a, 0), axis, keepdims) / total(walk, there, axis, keepdims)


@function_of_numpy(np.nanmax)
def _nanmax(walk: Walk, a: Any, axis: Any = None, keepdims: Any = False) -> Any:
    return _max(walk, _known(walk, a, -np.inf), axis, keepdims)


@function_of_numpy(np.nanmin)
def _nanmin(walk: Walk, a: Any, axis: Any = None, keepdims: Any = False) -> Any:
    return _min(walk, _known(walk, a, np.inf), axis, keepdims)


def _known(walk: Walk, a: Any, instead: float) -> Any:
    """What is no NaN, and another number in the place of that."""
    a = lift(walk, a)
    return np.where(np.isnan(a), instead, a)


@function_of_numpy(np.trapezoid)
def _trapezoid(walk: Walk, y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    moved: Any = np.moveaxis
    y = moved(lift(walk, y), axis, -1)
    if x is not None:
        x = lift(walk, x)
        dx = np.diff(x if x.ndim == 1 else moved(x, axis, -1))
    return total(walk, dx * (y[..., 1:] + y[..., :-1]) / 2.0, -1)


@function_of_numpy(np.cov)
def _cov(walk: Walk, m: Any, y: Any = None, rowvar: Any = True, bias: Any = False, ddof: Any = None) -> Any:
    rows = [np.atleast_2d(lift(walk, part)) for part in (m, y) if part is not None]
    # one variable is a row, whatever `rowvar`
    rows = [part if rowvar or part.shape[0] == 1 else part.T for part in rows]
    x: Any = np.concatenate(rows)
    centred = x - mean_of(walk, x, 1, keepdims=True)
    left_out = (0 if bias else 1) if ddof is None else ddof
    return np.squeeze(centred @ centred.T / (x.shape[1] - left_out))


@function_of_numpy(np.corrcoef)
def _corrcoef(walk: Walk, x: Any, y: Any = None, rowvar: Any = True) -> Any:
    c = _cov(walk, x, y, rowvar)
    if not c.ndim:
        return c / c
    deviation = np.sqrt(np.diagonal(c))
    return c / deviation[:, None] / deviation


@function_of_numpy(np.trace)
def trace(walk: Walk, a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Duck:
    return total(walk, lift(walk, a).move(lambda x: np.diagonal(x, offset, axis1, axis2)), -1)


@function_of_numpy(np.ptp)
def _ptp(walk: Walk, a: Any, axis: Any = None, keepdims: Any = False) -> Any:
    return _max(walk, a, axis, keepdims) - _min(walk, a, axis, keepdims)
