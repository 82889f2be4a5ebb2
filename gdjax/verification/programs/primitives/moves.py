"""Primitives that move entries: shapes, slices, gathers, scatters, sorting."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from gdjax.verification.numbers.arithmetic import Arithmetic, NotSupported, OutOfRange, Truth, moved, taken
from gdjax.verification.numbers.exact import Array
from gdjax.verification.programs.primitives.choices import doubts
from gdjax.verification.programs.primitives.registry import RULES, Value, muted, number, rule


def _moving(name: str, move: Callable[[Array, dict[str, Any]], Any]) -> None:
    RULES[name] = lambda A, p, a, *rest: moved(A, a, lambda index: move(index, p))


def picking(kept: Any, axis: int) -> Callable[[Array], Any]:
    return lambda x: np.take(x, kept, axis)


def _broadcast_in_dim(x: Array, p: dict[str, Any]) -> Array:
    shape = p["shape"]
    at = [1] * len(shape)
    for axis, target in enumerate(p["broadcast_dimensions"]):
        at[target] = x.shape[axis]
    return np.broadcast_to(x.reshape(at), shape)


_moving("broadcast_in_dim", _broadcast_in_dim)

_moving("reshape", lambda x, p: np.transpose(x, p.get("dimensions") or range(x.ndim)).reshape(p["new_sizes"]))

_moving("transpose", lambda x, p: np.transpose(x, p["permutation"]))

_moving("squeeze", lambda x, p: np.squeeze(x, tuple(p["dimensions"])))

_moving("expand_dims", lambda x, p: np.expand_dims(x, tuple(p["dimensions"])))

_moving("rev", lambda x, p: np.flip(x, tuple(p["dimensions"])))

_moving("tile", lambda x, p: np.tile(x, p["reps"]))

_moving(
    "slice",
    lambda x, p: x[tuple(map(slice, p["start_indices"], p["limit_indices"], p["strides"] or (1,) * x.ndim))],
)


@rule("move")
def _move(A: Arithmetic, p: dict[str, Any], a: Value) -> Value:
    """NumPy's own functions that only move entries."""
    return moved(A, a, p["function"])


@rule("split")
def _split(A: Arithmetic, p: dict[str, Any], a: Value) -> list[Value]:
    ends = np.cumsum(p["sizes"]).tolist()
    rows = [np.arange(end - size, end) for end, size in zip(ends, p["sizes"], strict=True)]
    return [moved(A, a, picking(kept, p["axis"])) for kept in rows]


@rule("concatenate")
def concatenated(A: Arithmetic, p: dict[str, Any], *arrays: Value) -> Value:
    if all(isinstance(a, Truth) for a in arrays):
        doubt: Array | None = None
        if any(a.doubt is not None for a in arrays):
            parts: list[Any] = [doubts(a, a) if a.doubt is not None else np.zeros(a.shape, bool) for a in arrays]
            doubt = np.concatenate(parts, p["dimension"])
        values = [a.value for a in arrays]
        # JAX's own are joined by JAX
        spaces = [v.__array_namespace__() for v in values if not isinstance(v, np.ndarray)]
        value = (spaces or [np])[0].concatenate(values, p["dimension"])
        return Truth(value, doubt, any(a.depends for a in arrays))
    return A.concat([number(A, a) for a in arrays], p["dimension"])


@rule("stack")
def _stack(A: Arithmetic, p: dict[str, Any], *arrays: Value) -> Value:
    lifted = [moved(A, a, lambda x: np.expand_dims(x, p["axis"])) for a in arrays]
    return concatenated(A, {"dimension": p["axis"]}, *lifted)


@rule("unstack")
def _unstack(A: Arithmetic, p: dict[str, Any], a: Value) -> list[Value]:
    size = (a.shape if isinstance(a, Truth) else A.shape(a))[p["axis"]]
    return [moved(A, a, picking(i, p["axis"])) for i in range(size)]


@rule("pad")
def _pad(A: Arithmetic, p: dict[str, Any], a: Value, filling: Value) -> Value:
    a, filling = number(A, a), number(A, filling)
    shape = A.shape(a)
    sizes = [
        max(n + (n - 1) * inner, 0) + low + high
        for n, (low, high, inner) in zip(shape, p["padding_config"], strict=True)
    ]
    index = np.full(sizes, -1)
    source = np.arange(math.prod(shape)).reshape(shape)
    for place in np.ndindex(*shape):
        target = tuple(low + i * (inner + 1) for i, (low, _, inner) in zip(place, p["padding_config"], strict=True))
        if all(0 <= t < n for t, n in zip(target, sizes, strict=True)):
            index[target] = source[place]
    pool = A.concat([moved(A, a, np.ravel), moved(A, filling, np.ravel)], 0)
    return A.take(pool, index)


def _starts(A: Arithmetic, starts: Sequence[Value], shape: Sequence[int], sizes: Sequence[int]) -> list[int]:
    places = [int(A.concrete(number(A, s))) for s in starts]
    if A.context.strict and any(not 0 <= i <= n - m for i, n, m in zip(places, shape, sizes, strict=True)):
        raise OutOfRange("a slice out of range")
    return [min(max(i, 0), n - m) for i, n, m in zip(places, shape, sizes, strict=True)]


@rule("dynamic_slice")
def _dynamic_slice(A: Arithmetic, p: dict[str, Any], a: Value, *starts: Value) -> Value:
    shape = a.shape if isinstance(a, Truth) else A.shape(a)
    at = _starts(A, starts, shape, p["slice_sizes"])
    window = tuple(slice(i, i + m) for i, m in zip(at, p["slice_sizes"], strict=True))
    return moved(A, a, lambda x: x[window])


@rule("dynamic_update_slice")
def _dynamic_update_slice(A: Arithmetic, p: dict[str, Any], a: Value, update: Value, *starts: Value) -> Value:
    a, update = number(A, a), number(A, update)
    shape, sizes = A.shape(a), A.shape(update)
    at = _starts(A, starts, shape, sizes)
    index = np.arange(math.prod(shape)).reshape(shape)
    index[tuple(slice(i, i + m) for i, m in zip(at, sizes, strict=True))] = math.prod(shape) + np.arange(
        math.prod(sizes)
    ).reshape(sizes)
    return A.take(A.concat([moved(A, a, np.ravel), moved(A, update, np.ravel)], 0), index)


@rule("gather")
def _gather(A: Arithmetic, p: dict[str, Any], a: Value, indices: Value) -> Value:
    from jax import lax

    shape = a.shape if isinstance(a, Truth) else A.shape(a)
    indices = number(A, indices)
    source = np.arange(1, math.prod(shape) + 1).reshape(shape)
    params = {key: value for key, value in p.items() if key != "name"}
    if A.context.strict:
        params["mode"] = lax.GatherScatterMode.FILL_OR_DROP

    def gathered(at: Array) -> Array:
        return np.asarray(lax.gather_p.bind(source, at, **{**params, "fill_value": 0})) - 1

    anywhere = getattr(A, "anywhere", None)
    if anywhere is not None and not isinstance(a, Truth) and not A.is_fixed(indices):  # type: ignore[attr-defined]
        return anywhere(a, gathered(np.zeros(A.shape(indices), np.int64)).shape)
    index = gathered(A.concrete(indices).astype(np.int64))
    if (index < 0).any():
        if A.context.strict:
            raise OutOfRange("a gather out of range")
        pool = A.concat([moved(A, number(A, a), np.ravel), A.const(np.array([np.nan]))], 0)
        return A.take(pool, index)
    return taken(A, a, index)


def _destinations(p: dict[str, Any], shape: tuple[int, ...], at: Array, sizes: tuple[int, ...]) -> Array:
    """Where each update goes, flattened; -1 where it is dropped."""
    how = p["dimension_numbers"], p["mode"], p["unique_indices"]
    return _scattered_to(how, shape, at.shape, at.tobytes(), sizes)


@lru_cache(maxsize=256)
def _scattered_to(
    how: tuple[Any, Any, bool], shape: tuple[int, ...], places: tuple[int, ...], at: bytes, sizes: tuple[int, ...]
) -> Array:
    """The transpose of a scatter is a gather."""
    import jax
    from jax import lax

    dimensions, mode, unique = how
    index = np.frombuffer(at, np.int64).reshape(places)

    def scatter(updates: Any) -> Any:
        return lax.scatter_add(np.zeros(shape), index, updates, dimensions, mode=mode, unique_indices=unique)

    with jax.enable_x64(True):
        _, transpose = jax.vjp(scatter, np.zeros(sizes))
        source = np.arange(1.0, math.prod(shape) + 1).reshape(shape)
        return np.asarray(transpose(source)[0]).astype(np.int64).reshape(-1) - 1


@rule("scatter-add", "scatter")
def _scatter(A: Arithmetic, p: dict[str, Any], a: Value, indices: Value, updates: Value) -> Value:
    a, updates = number(A, a), number(A, updates)
    shape, sizes = A.shape(a), A.shape(updates)
    at = A.concrete(number(A, indices)).astype(np.int64)
    goes = _destinations(p, shape, at, sizes)
    size = math.prod(shape)
    if p["name"] == "scatter":
        index = np.arange(size)
        index[goes[goes >= 0]] = size + np.flatnonzero(goes >= 0)
        pool = A.concat([moved(A, a, np.ravel), moved(A, updates, np.ravel)], 0)
        return A.take(pool, index.reshape(shape))
    return scattered(A, a, updates, goes)


def scattered(A: Arithmetic, a: Value, updates: Value, goes: Array) -> Value:
    """Each update added to the entry where it goes, none at -1."""
    shape, size, count = A.shape(a), math.prod(A.shape(a)), goes.size
    if size * count > 4_000_000:
        raise NotSupported("scatter-add of this size")
    matrix = np.zeros((size, count), np.int64)
    kept = goes >= 0
    matrix[goes[kept], np.flatnonzero(kept)] = 1
    added = A.matmul(A.const(matrix), moved(A, updates, lambda x: x.reshape(-1, 1)))
    return A.add(a, moved(A, added, lambda x: x.reshape(shape)))


@rule("add_at")
def _add_at(A: Arithmetic, p: dict[str, Any], a: Value, updates: Value) -> Value:
    return scattered(A, number(A, a), number(A, updates), p["goes"])


@rule("scatter-max", "scatter-min", "scatter-mul")
def _scatter_joined(A: Arithmetic, p: dict[str, Any], a: Value, indices: Value, updates: Value) -> Value:
    """One update an entry at a time."""
    a, updates = number(A, a), number(A, updates)
    shape, sizes = A.shape(a), A.shape(updates)
    goes = _destinations(p, shape, A.concrete(number(A, indices)).astype(np.int64), sizes)
    size = math.prod(shape)
    one = A.const(np.ones(1))
    left = [k for k in range(goes.size) if goes[k] >= 0]
    while left:
        now = {int(goes[k]): k for k in reversed(left)}
        left = [k for k in left if now[int(goes[k])] != k]
        flat = moved(A, a, np.ravel)
        index = np.arange(size) if p["name"] != "scatter-mul" else np.full(size, -1)
        index[list(now)] = size + np.array(list(now.values()))
        other = A.take(A.concat([flat, moved(A, updates, np.ravel), one], 0), index.reshape(shape))
        if p["name"] == "scatter-mul":
            a = A.mul(a, other)
        else:
            a = A.select(muted(A, "gt" if p["name"] == "scatter-max" else "lt", a, other), a, other)
    return a


@rule("iota")
def _iota(A: Arithmetic, p: dict[str, Any], *sizes: Value) -> Value:
    shape, axis = p["shape"], p["dimension"]
    at = [1] * len(shape)
    at[axis] = shape[axis]
    return A.const(np.broadcast_to(np.arange(shape[axis]).reshape(at), shape))


def _sorted_by(places: Array, axis: int) -> Callable[[Array], Any]:
    return lambda x: np.take_along_axis(x, places, axis)


@rule("sort")
def _sort(A: Arithmetic, p: dict[str, Any], *arrays: Value) -> list[Value]:
    axis = p["dimension"]
    *others, last = [number(A, a) for a in arrays[: p.get("num_keys", 1)]]
    order = A.order(last, axis)
    for key in reversed(others):
        places = np.asarray(order)
        order = np.take_along_axis(places, A.order(moved(A, key, _sorted_by(places, axis)), axis), axis)
    return [moved(A, a, lambda x: np.take_along_axis(x, order, axis)) for a in arrays]
