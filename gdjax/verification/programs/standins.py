"""What makes floats in NumPy and `math`, for numbers of other systems too.

`np.zeros(3)` and `np.array([z])` make arrays that hold floats alone, and `math.exp(z)` takes a float: NumPy's protocols
ask no argument about these. Their stand-ins answer with ducks while a walk runs, and as NumPy and Python do otherwise.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import math
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from types import ModuleType
from typing import Any

import numpy as np

from gdjax.verification.numbers.arithmetic import NotSupported
from gdjax.verification.programs.duck import Duck, lift
from gdjax.verification.programs.interpreter import Walk

_MADE = (
    "zeros", "ones", "empty", "full", "zeros_like", "ones_like", "empty_like", "full_like", "eye", "identity", "arange",
    "linspace",
)  # fmt: skip
# Of a list they see no arrays in it; what joins arrays does.
_LISTED = "sum", "mean", "prod", "max", "min", "amax", "amin", "var", "std", "median", "cumsum", "dot", "average"
_HELD = "array", "asarray", "asanyarray", "ascontiguousarray"
_SAME = (
    "exp", "exp2", "expm1", "log2", "log10", "log1p", "sqrt", "cbrt", "sin", "cos", "tan", "sinh", "cosh", "tanh",
    "floor", "ceil", "trunc", "fmod", "isnan", "isfinite", "isinf", "degrees", "radians", "fabs",
)  # fmt: skip
_RENAMED = {
    "pow": "power", "asin": "arcsin", "acos": "arccos", "atan": "arctan", "atan2": "arctan2", "asinh": "arcsinh",
    "acosh": "arccosh", "atanh": "arctanh",
}  # fmt: skip
_OF_SCIPY = {"erf": "erf", "erfc": "erfc", "lgamma": "gammaln"}

_walk: ContextVar[Walk | None] = ContextVar("walk", default=None)


@contextlib.contextmanager
def run_by(walk: Walk) -> Iterator[None]:
    """What rebound code makes is this walk's."""
    token = _walk.set(walk)
    try:
        yield
    finally:
        _walk.reset(token)


class Namespace:
    """A module, but for some of its functions."""

    def __init__(
        self, module: ModuleType, others: dict[str, Any], rebinding: Callable[[Any], Any] | None = None
    ) -> None:
        self.__dict__.update(others)
        self._module, self._rebinding = module, rebinding

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._module, name)
        return found if self._rebinding is None else self._rebinding(found)


class _LikeFloat(type):
    def __instancecheck__(cls, x: Any) -> bool:
        return isinstance(x, float)

    def __eq__(cls, other: object) -> bool:
        return other is float or other is cls

    def __hash__(cls) -> int:
        return hash(float)


class Float(float, metaclass=_LikeFloat):
    """Python's float, to call it, to ask for it, and as a dtype."""

    dtype = np.dtype(float)

    def __new__(cls, x: Any = 0.0) -> Any:
        return x.astype(float).item() if type(x) is Duck and x.size == 1 else float(x)


def _ducks(given: Any) -> bool:
    """Whether there are any, in lists and tuples too."""
    return type(given) is Duck or (isinstance(given, (list, tuple)) and any(map(_ducks, given)))


def _joined(given: Any) -> Any:
    """Nested lists as an array."""
    if not isinstance(given, (list, tuple)):
        return given
    return np.stack([_joined(part) for part in given]) if _ducks(given) else np.asarray(given)


def _lifted(walk: Walk | None, array: Any) -> Any:
    """Floats as an array that holds others."""
    constant = walk is None or type(array) is not np.ndarray or array.dtype.kind != "f"
    return array if constant else Duck(walk, walk.const(array), array=True)  # type: ignore[union-attr, arg-type]


def _filled(shape: Any, fill_value: Any, dtype: Any = None) -> Any:
    array = np.empty_like(fill_value if dtype is None else fill_value.astype(dtype), shape=shape)
    array[...] = fill_value
    return array


def _listed(function: Callable[..., Any]) -> Callable[..., Any]:
    """One that makes an array of a list."""

    @functools.wraps(function)
    def answered(*args: Any, **kwargs: Any) -> Any:
        return function(*(_joined(a) if isinstance(a, (list, tuple)) and _ducks(a) else a for a in args), **kwargs)

    return answered


class _Columns:
    """`np.c_`."""

    def __getitem__(self, key: Any) -> Any:
        return np.column_stack(key) if _ducks(key) else np.c_[key]


def _making(function: Callable[..., Any]) -> Callable[..., Any]:
    """One that makes an array of constants."""

    @functools.wraps(function)
    def made(*args: Any, **kwargs: Any) -> Any:
        walk = _walk.get()
        if walk is not None and function is np.full and _ducks([*args, *kwargs.values()]):
            return _filled(*args, **kwargs)
        return _lifted(walk, function(*args, **kwargs))

    return made


def _holding(function: Callable[..., Any]) -> Callable[..., Any]:
    """One that makes an array of what it is given."""

    @functools.wraps(function)
    def held(object: Any, dtype: Any = None, **kwargs: Any) -> Any:
        walk = _walk.get()
        if walk is None or not _ducks(object):
            array = function(object, dtype, **kwargs)
            return _lifted(walk, array) if function is np.array else array
        unknown = kwargs.keys() - {"copy", "order", "subok"}
        if unknown:
            raise NotSupported(f"numpy.{function.__name__} with {min(unknown)}=")
        array = lift(walk, _joined(object))
        array = array if dtype is None or np.dtype(dtype) == array.dtype else array.astype(dtype)
        if (array.shape or array.array) and not (function is np.array and kwargs.get("copy", True)):
            return array
        return Duck(walk, array.sides, array.integer, array=True)

    return held


def _of_math(function: Callable[..., Any], other: Callable[..., Any]) -> Callable[..., Any]:
    """One of `math`, which NumPy's stands in for where it is given a duck."""

    @functools.wraps(function)
    def answered(*args: Any, **kwargs: Any) -> Any:
        given = [list(a) if isinstance(a, Iterator) else a for a in args]
        return other(*given, **kwargs) if any(map(_ducks, given)) else function(*given, **kwargs)

    return answered


def _log(x: Any, base: Any = None) -> Any:
    return np.log(x) if base is None else np.log(x) / np.log(base)


def _of_scipy(name: str) -> Callable[..., Any]:
    return lambda x: getattr(importlib.import_module("scipy.special"), name)(x)


def _others_of_math() -> Iterator[tuple[str, Callable[..., Any]]]:
    yield from ((name, getattr(np, name)) for name in _SAME)
    yield from ((name, getattr(np, other)) for name, other in _RENAMED.items())
    yield from ((name, _of_scipy(other)) for name, other in _OF_SCIPY.items())
    yield "log", _log
    yield "hypot", lambda *args: functools.reduce(np.hypot, args, 0.0)
    yield "fsum", lambda seq: np.sum(_joined(seq))
    yield "prod", lambda seq, start=1: np.prod(_joined(seq)) * start


_OF_NUMPY: dict[str, Any] = {
    **{name: _making(getattr(np, name)) for name in _MADE},
    **{name: _holding(getattr(np, name)) for name in _HELD},
    **{name: _listed(getattr(np, name)) for name in _LISTED},
    "c_": _Columns(),
}
_OF_PYTHON = {name: _of_math(getattr(math, name), other) for name, other in _others_of_math() if hasattr(math, name)}
OTHERS: dict[int, Any] = {
    id(np): Namespace(np, _OF_NUMPY),
    id(math): Namespace(math, _OF_PYTHON),
    **{id(getattr(np, name)): other for name, other in _OF_NUMPY.items()},
    **{id(getattr(math, name)): other for name, other in _OF_PYTHON.items()},
}
"""By what they stand in for."""
