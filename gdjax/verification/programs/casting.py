"""Which dtype NumPy gives to a result of integers and booleans. It is NumPy that says so.

Floats are exact here, whatever their dtype. Integers of few bits go round, and what is cast to them is truncated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


def interpreted(x: Any) -> bool:
    """Whether it is an array over the number systems of a walk."""
    return hasattr(type(x), "sides")


def mapped(value: Any, function: Callable[[Any], Any]) -> Any:
    """Arguments, and lists and tuples of them, with another in place of each interpreted array."""
    if interpreted(value):
        return function(value)
    if isinstance(value, (list, tuple)):
        return type(value)(mapped(v, function) for v in value)
    return value


def _whole(value: Any) -> bool:
    if interpreted(value):
        return value.dtype.kind != "f"
    return isinstance(value, (list, tuple)) and any(map(_whole, value))


def dtype_of_ufunc(ufunc: Any, inputs: Sequence[Any], reduction: bool = False) -> Any:
    """What a ufunc, or a reduction by it, gives; None where all that is interpreted is floats."""
    if not any(map(_whole, inputs)):
        return None
    # a Python number gives way to the arrays beside it
    given = [type(x) if type(x) in (int, float) else plain(x) for x in inputs]
    asked = (None, *given, None) if reduction else (*given, *(None,) * ufunc.nout)
    return ufunc.resolve_dtypes(asked, reduction=reduction)[-1]


def dtype_of_function(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What a function of NumPy gives, by calling it on zeros.

    None where all that is interpreted is floats, where it gives no array, or where it refuses zeros, as a factorisation
    does: that gives floats.
    """
    if not any(map(_whole, (*args, *kwargs.values()))):
        return None
    try:
        with np.errstate(all="ignore"):
            found = function(*mapped(args, _zeros), **{key: mapped(v, _zeros) for key, v in kwargs.items()})
    except Exception:  # noqa: BLE001 - the values are not the user's
        return None
    return getattr(found, "dtype", None)


def _zeros(x: Any) -> Any:
    return np.zeros(x.shape, plain(x))


def plain(x: Any) -> Any:
    """NumPy's dtype of it."""
    dtype = x.dtype if hasattr(x, "dtype") else np.asarray(x).dtype
    return dtype if isinstance(dtype, np.dtype) else dtype.dtype
