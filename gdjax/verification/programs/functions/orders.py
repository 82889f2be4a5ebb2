"""Orders: sorts, places and quantiles. Ties are in the order of the side that is walked."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gdjax.verification.numbers.arithmetic import NotSupported
from gdjax.verification.programs.duck import Duck, lift
from gdjax.verification.programs.functions.methods import axes_of
from gdjax.verification.programs.functions.registry import function_of_numpy
from gdjax.verification.programs.interpreter import Walk

# All are one, but for the order of what is equal.
_KINDS = (None, "quicksort", "mergesort", "stable")


def _ordered(walk: Walk, a: Any, axis: Any, which: int) -> Duck:
    """Sorted along an axis, and where each entry was."""
    a = lift(walk, a)
    a, axis = (a.ravel(), -1) if axis is None else (a, axis)
    axis = range(a.ndim)[axis]
    places = np.expand_dims(np.arange(a.shape[axis]), tuple(i for i in range(a.ndim) if i != axis))
    both = a.sides, walk.const(np.broadcast_to(places, a.shape))
    dtype = np.int64 if which else a.integer
    return Duck(walk, walk.apply("sort", {"dimension": axis}, *both)[which], dtype)


@function_of_numpy(np.sort)
def sorted_along(walk: Walk, a: Any, axis: Any = -1, kind: Any = None, stable: Any = None) -> Duck:
    return _ordered(walk, a, axis, 0)


@function_of_numpy(np.argsort)
def _argsort(walk: Walk, a: Any, axis: Any = -1, kind: Any = None, stable: Any = None) -> Duck:
    if kind not in _KINDS:
        raise NotSupported(f"numpy.argsort with kind={kind}")
    return _ordered(walk, a, axis, 1)


def _extreme_at(name: str, walk: Walk, a: Any, axis: Any, keepdims: Any) -> Duck:
    a = lift(walk, a)
    given, rank = axis, a.ndim
    a, axis = (a.ravel(), 0) if axis is None else (a, range(rank)[axis])
    found = Duck(walk, walk.apply(name, {"axes": (axis,)}, a.sides), np.int64)
    axes = axes_of(given, rank)
    return found.move(lambda x: np.expand_dims(x, axes)) if keepdims and rank else found


@function_of_numpy(np.argmax)
def _argmax(walk: Walk, a: Any, axis: Any = None, keepdims: Any = False) -> Duck:
    return _extreme_at("argmax", walk, a, axis, keepdims)


@function_of_numpy(np.argmin)
def _argmin(walk: Walk, a: Any, axis: Any = None, keepdims: Any = False) -> Duck:
    return _extreme_at("argmin", walk, a, axis, keepdims)


def _quantiles(walk: Walk, a: Any, q: Any, axis: Any, keepdims: Any) -> Any:
    """By straight lines between the two nearest, at the place that NumPy computes."""
    a = lift(walk, a)
    axes = axes_of(axis, a.ndim)
    kept = [i for i in range(a.ndim) if i not in axes]
    shape = tuple(a.shape[i] for i in kept)
    n = math.prod(a.shape[i] for i in axes)
    flat = a.move(lambda x: x.transpose(*kept, *axes).reshape(*shape, n))
    ranked = sorted_along(walk, flat)
    whole = tuple(1 if i in axes else size for i, size in enumerate(a.shape))

    def one(share: float) -> Any:
        place = share * (n - 1)
        low = min(max(math.floor(place), 0), n - 1)
        below, above = ranked[..., low], ranked[..., min(low + 1, n - 1)]
        found = below + (above - below) * (place - low)
        return found.reshape(whole) if keepdims else found

    shares = np.asarray(q, float)
    if ((shares < 0) | (shares > 1)).any():
        raise ValueError("quantiles must be in the range [0, 1]")
    if shares.ndim == 0:
        return one(float(shares))
    made = np.stack([one(float(share)) for share in shares.reshape(-1)])
    return made.reshape(*shares.shape, *made.shape[1:])


@function_of_numpy(np.quantile)
def _quantile(walk: Walk, a: Any, q: Any, axis: Any = None, keepdims: Any = False) -> Any:
    return _quantiles(walk, a, q, axis, keepdims)


@function_of_numpy(np.percentile)
def _percentile(walk: Walk, a: Any, q: Any, axis: Any = None, keepdims: Any = False) -> Any:
    return _quantiles(walk, a, np.true_divide(q, 100), axis, keepdims)


@function_of_numpy(np.median)
def _median(walk: Walk, a: Any, axis: Any = None, keepdims: Any = False) -> Any:
    return _quantiles(walk, a, 0.5, axis, keepdims)
