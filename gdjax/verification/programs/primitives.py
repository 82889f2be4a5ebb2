"""Rules of the primitives: each in terms of a number system's few operations, so one text serves all of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gdjax.verification.numbers.arithmetic import Arithmetic, NotSupported, Number, Truth, moved, taken
from gdjax.verification.numbers.exact import Array

Value = Number | Truth
Rule = Callable[..., Any]
RULES: dict[str, Rule] = {}
# Operations that combine entries of one array: where the two sides of a kink must be settled entry by entry first.
MIXING = {"reduce_sum", "dot_general", "cumsum", "scatter-add", "reduce_prod", "cumprod"}

# Operations that ask nothing about a side of a kink: of operands that both sides share, both have one result.
SIDELESS = {"add", "add_any", "sub", "mul", "div", "neg", "integer_pow", "square", "pow", "atan2", "reduce_sum"}
SIDELESS |= {"dot_general", "broadcast_in_dim", "reshape", "transpose", "squeeze", "expand_dims", "slice", "move"}


def rule(*names: str) -> Callable[[Rule], Rule]:
    def register(function: Rule) -> Rule:
        for name in names:
            RULES[name] = function
        return function

    return register


def number(arithmetic: Arithmetic, a: Value) -> Number:
    return arithmetic.from_truth(a) if isinstance(a, Truth) else a


def truth(arithmetic: Arithmetic, a: Value) -> Truth:
    return a if isinstance(a, Truth) else _muted(arithmetic, "ne", a, arithmetic.const(0))


def _muted(arithmetic: Arithmetic, op: str, a: Number, b: Number) -> Truth:
    """A comparison that is ours, not the formula's."""
    before, arithmetic.context.muted = arithmetic.context.muted, True
    try:
        return arithmetic.compare(op, a, b)
    finally:
        arithmetic.context.muted = before


# Arithmetic


@rule("add", "add_any")
def _add(A: Arithmetic, p: dict[str, Any], a: Value, b: Value) -> Value:
    return A.add(number(A, a), number(A, b))


@rule("sub")
def _sub(A: Arithmetic, p: dict[str, Any], a: Value, b: Value) -> Value:
    return A.add(number(A, a), A.neg(number(A, b)))


@rule("mul")
def _mul(A: Arithmetic, p: dict[str, Any], a: Value, b: Value) -> Value:
    if isinstance(a, Truth) and isinstance(b, Truth):
        return _and(A, p, a, b)
    return A.mul(number(A, a), number(A, b))


@rule("div")
def _div(A: Arithmetic, p: dict[str, Any], a: Value, b: Value) -> Value:
    quotient = A.div(number(A, a), number(A, b))
    return A.rounded("trunc", quotient) if p.get("integer") else quotient


@rule("rem")
def _rem(A: Arithmetic, p: dict[str, Any], a: Value, b: Value) -> Value:
    a, b = number(A, a), number(A, b)
    remainder = getattr(A, "remainder", None)
    if remainder is not None:
        return remainder(a, b)
    return A.add(a, A.neg(A.mul(b, A.rounded("trunc", A.div(a, b)))))


@rule("neg")
def _neg(A: Arithmetic, p: dict[str, Any], a: Value) -> Value:
    return A.neg(number(A, a))


@rule("integer_pow")
def _integer_pow(A: Arithmetic, p: dict[str, Any], a: Value) -> Value:
    return A.power(number(A, a), A.const(p["y"]))


@rule("square")
def _square(A: Arithmetic, p: dict[str, Any], a: Value) -> Value:
    a = number(A, a)
    return A.mul(a, a)


@rule("pow")
def _pow(A: Arithmetic, p: dict[str, Any], a: Value, b: Value) -> Value:
    return A.power(number(A, a), number(A, b))


@rule("atan2")
def _atan2(A: Arithmetic, p: dict[str, Any], a: Value, b: Value) -> Value:
    return A.atan2(number(A, a), number(A, b))


def _unary(name: str) -> Rule:
    return lambda A, p, a: A.unary(name, number(A, a))


for _name in (
    *("exp", "exp2", "expm1", "log", "log1p", "log2", "log10", "sqrt", "rsqrt", "cbrt", "sin", "cos", "tan", "asin"),
    *("acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "logistic", "erf", "erfc", "erf_inv"),
    *("lgamma", "digamma"),
):
    RULES[_name] = _unary(_name)
    SIDELESS.add(_name)


@rule("floor", "ceil", "trunc")
def _floor(A: Arithmetic, p: dict[str, Any], a: Value) -> Value:
    return A.rounded(p["name"], number(A, a))


@rule("round")
def _round(A: Arithmetic, p: dict[str, Any], a: Value) -> Value:
    away = int(p.get("rounding_method", 1)) == 0
    return A.rounded("round_away" if away else "round_even", number(A, a))


@rule("stop_gradient")
def _stop_gradient(A: Arithmetic, p: dict[str, Any], a: Value) -> Value:
    return a if isinstance(a, Truth) else A.detach(a)


@rule("copy", "reduce_precision", "sharding_constraint", "pvary", "pcast", "name", "mesh_cast", "reshard")
def _identity(A: Arithmetic, p: dict[str, Any], a: Value) -> Value:
    return a


@rule("empty2")
def _empty(A: Arithmetic, p: dict[str, Any]) -> Value:
    return A.const(0)


@rule("platform_index")
def _platform_index(A: Arithmetic, p: dict[str, Any]) -> Value:
    """The branch of a CPU: all must compute the same."""
    return A.const(next(i for i, names in enumerate(p["platforms"]) if names is None or "cpu" in names))


@rule("device_put", "optimization_barrier")
def _identities(A: Arithmetic, p: dict[str, Any], *args: Value) -> list[Value]:
    return list(args)


@rule("convert_element_type")
def _convert(A: Arithmetic, p: dict[str, Any], a: Value) -> Value:
    kind = np.dtype(p["new_dtype"]).kind
    if kind == "b":
        return truth(A, a)
    a = number(A, a)
    return A.rounded("trunc", a) if kind in "iu" and not p.get("integer") else a


# Comparisons and choices


def _compare(op: str) -> Rule:
    def apply(A: Arithmetic, p: dict[str, Any], a: Value, b: Value) -> Value:
        if isinstance(a, Truth) and isinstance(b, Truth) and op in ("eq", "ne"):
            differ = _xor(A, p, a, b)
            return differ if op == "ne" else _not(A, p, differ)
        if a is b and op == "ne":
            return A.is_nan(number(A, a))
        return A.compare(op, number(A, a), number(A, b))

    return apply


for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    RULES[_name] = _compare(_name)


@rule("max")
def _max(A: Arithmetic, p: dict[str, Any], a: Value, b: Value) -> Value:
    if isinstance(a, Truth):
        return _or(A, p, a, b)
    a, b = number(A, a), number(A, b)
    return A.select(A.compare("gt", a, b), a, b)


@rule("min")
def _min(A: Arithmetic, p: dict[str, Any], a: Value, b: Value) -> Value:
    if isinstance(a, Truth):
        return _and(A, p, a, b)
    a, b = number(A, a), number(A, b)
    return A.select(A.compare("lt", a, b), a, b)


@rule("abs")
def _abs(A: Arithmetic, p: dict[str, Any], a: Value) -> Value:
    a = number(A, a)
    return A.select(A.compare("lt", a, A.const(0)), A.neg(a), a)


@rule("sign")
def _sign(A: Arithmetic, p: dict[str, Any], a: Value) -> Value:
    a, zero = number(A, a), A.const(0)
    positive = A.from_truth(A.compare("gt", a, zero))
    return A.add(positive, A.neg(A.from_truth(_muted(A, "lt", a, zero))))


@rule("clamp")
def _clamp(A: Arithmetic, p: dict[str, Any], low: Value, a: Value, high: Value) -> Value:
    return _min(A, p, _max(A, p, number(A, a), number(A, low)), number(A, high))


@rule("is_finite")
def _is_finite(A: Arithmetic, p: dict[str, Any], a: Value) -> Value:
    return A.is_finite(number(A, a))


@rule("is_nan")
def _is_nan(A: Arithmetic, p: dict[str, Any], a: Value) -> Value:
    return A.is_nan(number(A, a))


@rule("select_n")
def _select_n(A: Arithmetic, p: dict[str, Any], which: Value, *cases: Value) -> Value:
    if isinstance(which, Truth):
        return _select(A, which, cases[1], cases[0])
    result = cases[0]
    for i, case in enumerate(cases[1:], 1):
        result = _select(A, _muted(A, "eq", which, A.const(i)), case, result)
    return result


def _select(A: Arithmetic, which: Truth, yes: Value, no: Value) -> Value:
    if isinstance(yes, Truth) and isinstance(no, Truth):
        value = np.where(which.value, yes.value, no.value)
        doubt = _doubts(which, yes, no)
        return Truth(value, doubt, which.depends or yes.depends or no.depends)
    return A.select(which, number(A, yes), number(A, no))


def _doubts(*truths: Truth) -> Array | None:
    """Entries that any doubtful operand may change: more than necessary, never less."""
    doubts = [t.doubt for t in truths if t.doubt is not None]
    if not doubts:
        return None
    return np.logical_or.reduce(np.broadcast_arrays(*doubts, *(np.zeros(t.shape, bool) for t in truths)))


@rule("and")
def _and(A: Arithmetic, p: dict[str, Any], a: Value, b: Value) -> Value:
    a, b = truth(A, a), truth(A, b)
    return Truth(a.value & b.value, _doubts(a, b), a.depends or b.depends)


@rule("or")
def _or(A: Arithmetic, p: dict[str, Any], a: Value, b: Value) -> Value:
    a, b = truth(A, a), truth(A, b)
    return Truth(a.value | b.value, _doubts(a, b), a.depends or b.depends)


@rule("xor")
def _xor(A: Arithmetic, p: dict[str, Any], a: Value, b: Value) -> Value:
    a, b = truth(A, a), truth(A, b)
    return Truth(a.value ^ b.value, _doubts(a, b), a.depends or b.depends)


@rule("not")
def _not(A: Arithmetic, p: dict[str, Any], a: Value) -> Value:
    a = truth(A, a)
    return Truth(~a.value, a.doubt, a.depends)


# Entries that move


def _moving(name: str, move: Callable[[Array, dict[str, Any]], Any]) -> None:
    RULES[name] = lambda A, p, a, *rest: moved(A, a, lambda index: move(index, p))


def _picking(kept: Any, axis: int) -> Callable[[Array], Any]:
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
    return [moved(A, a, _picking(kept, p["axis"])) for kept in rows]


@rule("concatenate")
def _concatenate(A: Arithmetic, p: dict[str, Any], *arrays: Value) -> Value:
    if all(isinstance(a, Truth) for a in arrays):
        doubt = None
        if any(a.doubt is not None for a in arrays):
            doubt = np.concatenate([_doubts(a, a) if a.doubt is not None else np.zeros(a.shape, bool) for a in arrays])
        value = np.concatenate([a.value for a in arrays], p["dimension"])
        return Truth(value, doubt, any(a.depends for a in arrays))
    return A.concat([number(A, a) for a in arrays], p["dimension"])


@rule("stack")
def _stack(A: Arithmetic, p: dict[str, Any], *arrays: Value) -> Value:
    lifted = [moved(A, a, lambda x: np.expand_dims(x, p["axis"])) for a in arrays]
    return _concatenate(A, {"dimension": p["axis"]}, *lifted)


@rule("unstack")
def _unstack(A: Arithmetic, p: dict[str, Any], a: Value) -> list[Value]:
    size = (a.shape if isinstance(a, Truth) else A.shape(a))[p["axis"]]
    return [moved(A, a, _picking(i, p["axis"])) for i in range(size)]


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

    def gathered(at: Array) -> Array:
        return np.asarray(lax.gather_p.bind(source, at, **{**params, "fill_value": 0})) - 1

    anywhere = getattr(A, "anywhere", None)
    if anywhere is not None and not isinstance(a, Truth) and not A.is_fixed(indices):  # type: ignore[attr-defined]
        return anywhere(a, gathered(np.zeros(A.shape(indices), np.int64)).shape)
    index = gathered(A.concrete(indices).astype(np.int64))
    if (index < 0).any():
        pool = A.concat([moved(A, number(A, a), np.ravel), A.const(np.array([np.nan]))], 0)
        return A.take(pool, index)
    return taken(A, a, index)


def _destinations(p: dict[str, Any], shape: tuple[int, ...], at: Array, sizes: tuple[int, ...]) -> Array:
    """Where each update goes, flattened; -1 where it is dropped: the transpose of a scatter is a gather."""
    import jax
    from jax import lax

    clean = {**p, "update_jaxpr": None, "update_consts": ()}

    def scatter(updates: Any) -> Any:
        dimensions, mode = p["dimension_numbers"], p["mode"]
        return lax.scatter_add(
            np.zeros(shape), at, updates, dimensions, mode=mode, unique_indices=clean["unique_indices"]
        )

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
            a = A.select(_muted(A, "gt" if p["name"] == "scatter-max" else "lt", a, other), a, other)
    return a


@rule("iota")
def _iota(A: Arithmetic, p: dict[str, Any], *sizes: Value) -> Value:
    shape, axis = p["shape"], p["dimension"]
    at = [1] * len(shape)
    at[axis] = shape[axis]
    return A.const(np.broadcast_to(np.arange(shape[axis]).reshape(at), shape))


@rule("sort")
def _sort(A: Arithmetic, p: dict[str, Any], *arrays: Value) -> list[Value]:
    if p.get("num_keys", 1) != 1:
        raise NotSupported("sort with several keys")
    axis = p["dimension"]
    order = A.order(number(A, arrays[0]), axis)
    return [moved(A, a, lambda x: np.take_along_axis(x, order, axis)) for a in arrays]


# Reductions


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
        joined = join(moved(A, a, _picking(np.arange(half), -1)), moved(A, a, _picking(np.arange(half, 2 * half), -1)))
        rest = moved(A, a, _picking(np.arange(2 * half, count), -1))
        a = joined if count % 2 == 0 else _concatenate(A, {"dimension": len(out)}, joined, rest)
        count = half + count % 2
    return moved(A, a, lambda x: x[..., 0])


def extreme(A: Arithmetic, op: str, a: Value, axes: Sequence[int]) -> Value:
    def join(x: Value, y: Value) -> Value:
        return A.select(_muted(A, op, x, y), x, y)

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
    return _halving(A, truth(A, a), p["axes"], lambda x, y: _and(A, p, x, y))


@rule("reduce_or")
def _reduce_or(A: Arithmetic, p: dict[str, Any], a: Value) -> Value:
    return _halving(A, truth(A, a), p["axes"], lambda x, y: _or(A, p, x, y))


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
        kept = _picking(np.arange(reach, n) if reverse else np.arange(n - reach), axis)
        ends = _picking(np.arange(n - reach, n) if reverse else np.arange(reach), axis)
        rest = _picking(np.arange(n - reach) if reverse else np.arange(reach, n), axis)
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
        row = moved(A, a, _picking([i], axis))
        rows.append(join(rows[-1], row) if rows else row)
    return A.concat(rows[::-1] if p.get("reverse") else rows, axis)


@rule("cumprod")
def _cumprod(A: Arithmetic, p: dict[str, Any], a: Value) -> Value:
    return _scanned(A, p, a, A.mul)


@rule("cummax")
def _cummax(A: Arithmetic, p: dict[str, Any], a: Value) -> Value:
    return _scanned(A, p, a, lambda x, y: A.select(_muted(A, "gt", x, y), x, y))


@rule("cummin")
def _cummin(A: Arithmetic, p: dict[str, Any], a: Value) -> Value:
    return _scanned(A, p, a, lambda x, y: A.select(_muted(A, "lt", x, y), x, y))


@rule("cumlogsumexp")
def _cumlogsumexp(A: Arithmetic, p: dict[str, Any], a: Value) -> Value:
    def join(x: Value, y: Value) -> Value:
        top = A.detach(A.select(_muted(A, "gt", x, y), x, y))
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
