"""Methods of ufuncs: reductions, running ones, those of parts, and what is added in place."""

from __future__ import annotations

from typing import Any

import numpy as np

from gdjax.verification.numbers.arithmetic import NotSupported
from gdjax.verification.programs.duck import FUNCTIONS, Duck, concrete, into, key_of, lift
from gdjax.verification.programs.functions.registry import method_of_ufuncs
from gdjax.verification.programs.interpreter import Walk


def axes_of(axis: Any, ndim: int) -> tuple[int, ...]:
    """The axes of a reduction, counted from the first; all for None."""
    if axis is None:
        return tuple(range(ndim))
    given = axis if isinstance(axis, tuple) else (axis,)
    return tuple(sorted(range(ndim)[i] for i in given))


# What a reduction of nothing gives.
_REDUCTIONS = {
    np.add: ("reduce_sum", 0.0), np.multiply: ("reduce_prod", 1.0), np.maximum: ("reduce_max", None),
    np.minimum: ("reduce_min", None), np.logical_or: ("reduce_or", False), np.logical_and: ("reduce_and", True),
}  # fmt: skip


@method_of_ufuncs
def reduce(
    walk: Walk, ufunc: Any, a: Any, axis: Any = 0, keepdims: Any = False, initial: Any = None, where: Any = True
) -> Duck:
    """A reduction by a ufunc."""
    a = lift(walk, a)
    if ufunc is np.logaddexp:
        return _log_of_sum(walk, a, axis, keepdims, initial, where)
    if ufunc not in _REDUCTIONS:
        raise NotSupported(f"numpy.{ufunc.__name__}.reduce")
    name, nothing = _REDUCTIONS[ufunc]
    if where is not True:
        nothing = initial if nothing is None else nothing
        if nothing is None:
            raise ValueError(f"numpy.{ufunc.__name__}.reduce with where= needs initial=")
        a = lift(walk, np.where(where, a, nothing))
    axes = axes_of(axis, a.ndim)
    result = Duck(walk, walk.apply(name, {"axes": axes}, a.sides)) if axes else a
    if keepdims:
        result = result.move(lambda x: np.expand_dims(x, axes))
    return result if initial is None else ufunc(result, initial)


# Running ones.
_RUNNING = {
    np.add: "cumsum", np.multiply: "cumprod", np.maximum: "cummax", np.minimum: "cummin", np.logaddexp: "cumlogsumexp",
}  # fmt: skip


@method_of_ufuncs
def accumulate(walk: Walk, ufunc: Any, a: Any, axis: Any = 0) -> Duck:
    """The reduction by a ufunc of what is up to each entry."""
    if ufunc not in _RUNNING:
        raise NotSupported(f"numpy.{ufunc.__name__}.accumulate")
    a = lift(walk, a)
    a, axis = (a.ravel(), 0) if axis is None else (a, axis)
    return Duck(walk, walk.apply(_RUNNING[ufunc], {"axis": range(a.ndim)[axis]}, a.sides))


@method_of_ufuncs
def reduceat(walk: Walk, ufunc: Any, a: Any, indices: Any, axis: int = 0) -> Duck:
    """The reductions of what is from each index to the next; an entry alone where that is no later."""
    a, starts = lift(walk, a), [int(i) for i in concrete(indices)]
    axis, n = range(a.ndim)[axis], a.shape[axis]
    if any(not 0 <= i < n for i in starts):
        raise IndexError(f"numpy.{ufunc.__name__}.reduceat beyond {n} entries")
    ends = [max(end, start + 1) for start, end in zip(starts, [*starts[1:], n], strict=True)]
    parts = [np.take(a, np.arange(*both), axis) for both in zip(starts, ends, strict=True)]
    return FUNCTIONS[np.stack](walk, [reduce(walk, ufunc, part, axis) for part in parts], axis)


@method_of_ufuncs
def at(walk: Walk, ufunc: Any, a: Any, indices: Any, b: Any) -> None:
    """Each of b into the entry of a where its index points, as often as it does."""
    if ufunc not in (np.add, np.subtract):
        raise NotSupported(f"numpy.{ufunc.__name__}.at")
    if not isinstance(a, Duck):
        raise NotSupported(f"numpy.{ufunc.__name__}.at a float array")
    goes = np.arange(a.size).reshape(a.shape)[key_of(indices)]
    b = np.broadcast_to(lift(walk, b if ufunc is np.add else np.negative(b)), goes.shape)
    params = {"goes": goes.reshape(-1)}
    into(a, Duck(walk, walk.apply("add_at", params, a.sides, b.sides), a.dtype), f"numpy.{ufunc.__name__}.at")


def _log_of_sum(walk: Walk, a: Duck, axis: Any, keepdims: Any, initial: Any, where: Any) -> Duck:
    """log(sum(exp(a))), about its largest, which changes nothing but where that overflows."""
    if where is not True:
        a = lift(walk, np.where(where, a, -np.inf))
    largest: Any = reduce(walk, np.maximum, a, axis, keepdims=True)
    top = lift(walk, np.where(np.isfinite(largest), largest, 0.0))
    still = Duck(walk, walk.apply("stop_gradient", {}, top.sides))
    found: Any = still + np.log(reduce(walk, np.add, np.exp(a - still), axis, keepdims=True))
    found = found if keepdims else np.squeeze(found, axes_of(axis, a.ndim))
    return found if initial is None else np.logaddexp(found, initial)
