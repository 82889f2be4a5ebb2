"""Arrays joined, parted, made and filled up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gdjax.verification.numbers.arithmetic import NotSupported
from gdjax.verification.programs.duck import Duck, Function, concrete, lift
from gdjax.verification.programs.functions.reductions import count
from gdjax.verification.programs.functions.registry import function_of_numpy
from gdjax.verification.programs.interpreter import Walk


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
    a = lift(walk, a)
    whole = a.shape if shape is None else shape
    found = lift(walk, fill_value).astype(a.dtype).move(lambda x: np.broadcast_to(x, whole))
    found.array = True
    return found


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
    return count(lift(walk, a), axis)


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
        a = late != early if a.dtype == bool else late - early
    return a


def placed(walk: Walk, a: Duck, index: Any, filling: Any = 0.0) -> Duck:
    """The flattened entries at `index`, and the filling where that is -1."""
    pool = _concatenate(walk, [a.ravel(), lift(walk, filling).reshape(1)])
    return pool.move(lambda x: x[index])


def _laid_out(walk: Walk, a: Any, function: Any, k: int) -> Duck:
    """Where `function` puts each entry, and 0 where it puts a 0."""
    a = lift(walk, a)
    return placed(walk, a, function(np.arange(1, a.size + 1).reshape(a.shape), k) - 1)


@function_of_numpy(np.tril)
def _tril(walk: Walk, m: Any, k: int = 0) -> Duck:
    return _laid_out(walk, m, np.tril, k)


@function_of_numpy(np.triu)
def _triu(walk: Walk, m: Any, k: int = 0) -> Duck:
    return _laid_out(walk, m, np.triu, k)


@function_of_numpy(np.diag)
def _diag(walk: Walk, v: Any, k: int = 0) -> Duck:
    return _laid_out(walk, v, np.diag, k)


@function_of_numpy(np.diagflat)
def _diagflat(walk: Walk, v: Any, k: int = 0) -> Duck:
    return _diag(walk, lift(walk, v).ravel(), k)


@function_of_numpy(np.pad)
def _pad(walk: Walk, array: Any, pad_width: Any, mode: Any = "constant", *, constant_values: Any = 0.0) -> Duck:
    array = lift(walk, array)
    places = np.arange(array.size).reshape(array.shape)
    if mode == "constant":
        if np.ndim(constant_values):
            raise NotSupported("numpy.pad with several constant_values")
        filling = lift(walk, constant_values).astype(array.dtype)
        return placed(walk, array, np.pad(places, pad_width, constant_values=-1), filling)
    if mode not in ("edge", "reflect", "symmetric", "wrap"):
        raise NotSupported(f"numpy.pad with mode={mode}")
    return array.move(lambda x: np.pad(x, pad_width, mode))


@function_of_numpy(np.ediff1d)
def _ediff1d(walk: Walk, ary: Any) -> Duck:
    return _diff(walk, lift(walk, ary).ravel())


@function_of_numpy(np.bincount)
def _bincount(walk: Walk, x: Any, weights: Any = None, minlength: int = 0) -> Any:
    """Sums of the weights by the places that data say."""
    places = concrete(x)
    if weights is None:
        return np.bincount(places, minlength=minlength)
    found = lift(walk, np.zeros(max(int(np.max(places, initial=-1)) + 1, minlength)))
    np.add.at(found, places, weights)
    return found


@function_of_numpy(np.copyto)
def _copyto(walk: Walk, dst: Any, src: Any, where: Any = True) -> None:
    if not isinstance(dst, Duck):
        raise NotSupported("numpy.copyto a float array")
    dst[...] = src if where is True else np.where(where, src, dst)


@function_of_numpy(np.fill_diagonal)
def _fill_diagonal(walk: Walk, a: Any, val: Any) -> None:
    if not isinstance(a, Duck) or a.ndim != 2:
        raise NotSupported("numpy.fill_diagonal of a float array, or of no matrix")
    places = np.arange(min(a.shape))
    a[places, places] = val


@function_of_numpy(np.extract)
def _extract(walk: Walk, condition: Any, arr: Any) -> Duck:
    return lift(walk, arr).ravel()[lift(walk, condition).ravel().astype(bool)]


@function_of_numpy(np.compress)
def _compress(walk: Walk, condition: Any, a: Any, axis: Any = None) -> Duck:
    kept = np.flatnonzero(concrete(lift(walk, condition).astype(bool)))
    return lift(walk, a).move(lambda x: np.take(x, kept, axis))


@function_of_numpy(np.delete)
def _delete(walk: Walk, arr: Any, obj: Any, axis: Any = None) -> Duck:
    return lift(walk, arr).move(lambda x: np.delete(x, obj, axis))


@function_of_numpy(np.dstack)
def _dstack(walk: Walk, tup: Any) -> Duck:
    return _concatenate(walk, [lift(walk, a).move(np.atleast_3d) for a in tup], 2)
