"""One entry at a time."""

from __future__ import annotations

from typing import Any

import numpy as np

from gdjax.verification.numbers.arithmetic import NotSupported
from gdjax.verification.numbers.dual import Duals
from gdjax.verification.programs.duck import Duck, concrete, lift, on_sides
from gdjax.verification.programs.functions.registry import function_of_numpy
from gdjax.verification.programs.interpreter import Walk
from gdjax.verification.programs.primitives import truth


@function_of_numpy(np.where)
def _where(walk: Walk, condition: Any, x: Any = None, y: Any = None) -> Any:
    if x is None and y is None:
        return _nonzero(walk, condition)
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


@function_of_numpy(np.sinc)
def _sinc(walk: Walk, x: Any) -> Any:
    x = lift(walk, x)
    y = np.pi * np.where(x == 0, 1.0, x)
    return np.where(x == 0, 1.0, np.sin(y) / y)


@function_of_numpy(np.deg2rad, np.radians)
def _radians(walk: Walk, x: Any) -> Any:
    return x * (np.pi / 180)


@function_of_numpy(np.rad2deg, np.degrees)
def _degrees(walk: Walk, x: Any) -> Any:
    return x * (180 / np.pi)


@function_of_numpy(np.interp)
def _interp(walk: Walk, x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None) -> Any:
    """What each straight line adds, as far as `x` has come on it."""
    x, xp, fp = lift(walk, x), lift(walk, xp), lift(walk, fp)
    found = fp[0]
    for k in range(len(xp) - 1):
        on = np.minimum(np.maximum(x, xp[k]), xp[k + 1]) - xp[k]
        found = found + on * ((fp[k + 1] - fp[k]) / (xp[k + 1] - xp[k]))
    found = found if left is None else np.where(x < xp[0], left, found)
    found = found if right is None else np.where(x > xp[-1], right, found)
    return found if found.shape == x.shape else np.broadcast_to(found, x.shape)


@function_of_numpy(np.reciprocal)
def _reciprocal(walk: Walk, x: Any) -> Any:
    return np.trunc(1.0 / x) if x.integer else 1.0 / x


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
    top = np.maximum(x, y)
    return np.where(np.isfinite(top), top + np.log1p(np.exp(-abs(x - y))), top)


@function_of_numpy(np.heaviside)
def _heaviside(walk: Walk, x: Any, y: Any) -> Any:
    return np.where(x > 0, 1.0, np.where(x < 0, 0.0, y))


@function_of_numpy(np.nonzero)
def _nonzero(walk: Walk, a: Any) -> tuple[Any, ...]:
    """As data decide it."""
    found: tuple[Any, ...] = np.nonzero(concrete(lift(walk, a).astype(bool)))
    return found


@function_of_numpy(np.flatnonzero)
def _flatnonzero(walk: Walk, a: Any) -> Any:
    return _nonzero(walk, lift(walk, a).ravel())[0]


@function_of_numpy(np.round, np.around)
def _round(walk: Walk, a: Any, decimals: Any = 0) -> Any:
    a = lift(walk, a)
    return np.rint(a * 10**decimals) / 10**decimals if decimals >= 0 else np.rint(a / 10**-decimals) * 10**-decimals


@function_of_numpy(np.fix)
def _fix(walk: Walk, x: Any) -> Any:
    return np.trunc(lift(walk, x))


@function_of_numpy(np.isinf)
def _isinf(walk: Walk, x: Any) -> Any:
    return ~(np.isfinite(x) | np.isnan(x))


@function_of_numpy(np.isclose)
def _isclose(walk: Walk, a: Any, b: Any, rtol: Any = 1e-5, atol: Any = 1e-8, equal_nan: Any = False) -> Any:
    a, b = lift(walk, a), lift(walk, b).astype(walk.dtype)
    with walk.quiet():
        distance, size = abs(a - b), abs(b)
        same = (a == b) | (np.isnan(a) & np.isnan(b)) if equal_nan else a == b
    return (np.isfinite(b) & (distance <= atol + rtol * size)) | same


@function_of_numpy(np.allclose)
def _allclose(walk: Walk, a: Any, b: Any, rtol: Any = 1e-5, atol: Any = 1e-8, equal_nan: Any = False) -> Any:
    return np.all(_isclose(walk, a, b, rtol, atol, equal_nan))


@function_of_numpy(np.select)
def _select(walk: Walk, condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    """The first whose condition holds."""
    result = lift(walk, default)
    for condition, choice in reversed(list(zip(condlist, choicelist, strict=True))):
        result = _where(walk, condition, choice, result)
    return result


@function_of_numpy(np.piecewise)
def _piecewise(walk: Walk, x: Any, condlist: Any, funclist: Any) -> Any:
    """The last whose condition holds, of the dtype of `x`."""
    x = lift(walk, x)
    conditions = [lift(walk, c) for c in (condlist if isinstance(condlist, (list, tuple)) else [condlist])]
    pieces = list(funclist)
    if len(pieces) > len(conditions):
        conditions.insert(0, ~np.any(np.stack(conditions), 0))
        pieces.insert(0, pieces.pop())
    result = np.zeros_like(x)
    for condition, piece in zip(conditions, pieces, strict=True):
        made = lift(walk, piece(x) if callable(piece) else piece)
        if callable(piece) and _mixes(walk, piece, x, made, condition):
            raise NotSupported("numpy.piecewise with a piece that mixes entries")
        result = _where(walk, condition, made.astype(x.dtype), result)
    return result


def _mixes(walk: Walk, piece: Any, x: Duck, made: Duck, condition: Duck) -> bool:
    """Whether a function gives other numbers of the entries where a condition holds alone: these NumPy gives it."""
    if not isinstance(walk.sides[0], Duals):  # others are walked where these were
        return False
    masks = on_sides(condition)
    if len(masks) > 1 or not masks[0].any():
        return False
    with walk.quiet():
        alone, among = lift(walk, piece(x[masks[0]])), np.broadcast_to(made, x.shape)[masks[0]]
        same = (alone == among) | (np.isnan(alone) & np.isnan(among))
        return not concrete(np.all(same))
