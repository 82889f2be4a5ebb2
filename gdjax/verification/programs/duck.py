"""NumPy code over other number systems: an array that answers NumPy's functions with our rules."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from gdjax.verification.numbers.arithmetic import NotSupported, Truth
from gdjax.verification.programs.interpreter import Sides, Walk
from gdjax.verification.programs.primitives import number, truth

_UFUNCS = {
    "add": "add", "subtract": "sub", "multiply": "mul", "divide": "div", "true_divide": "div", "negative": "neg",
    "power": "pow", "float_power": "pow", "maximum": "max", "minimum": "min", "fmax": "max", "fmin": "min",
    "absolute": "abs", "fabs": "abs", "sign": "sign", "square": "square", "greater": "gt", "greater_equal": "ge",
    "less": "lt", "less_equal": "le", "equal": "eq", "not_equal": "ne", "logical_and": "and", "logical_or": "or",
    "logical_not": "not", "logical_xor": "xor", "bitwise_and": "and", "bitwise_or": "or", "invert": "not",
    "bitwise_xor": "xor", "isnan": "is_nan", "isfinite": "is_finite", "floor": "floor", "ceil": "ceil",
    "trunc": "trunc", "rint": "round", "arctan2": "atan2", "arcsin": "asin", "arccos": "acos", "arctan": "atan",
    "arcsinh": "asinh", "arccosh": "acosh", "arctanh": "atanh", "expit": "logistic", "erfinv": "erf_inv",
    "gammaln": "lgamma", "psi": "digamma", "positive": "copy", "conjugate": "copy", "remainder": "rem",
}  # fmt: skip
_SAME = ("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sqrt", "cbrt", "sin", "cos", "tan", "sinh", "cosh")
_UFUNCS.update({name: name for name in (*_SAME, "tanh", "erf", "erfc")})
_COMPARED = {"gt", "ge", "lt", "le", "eq", "ne", "max", "min", "abs", "sign"}
_MOVES = {"broadcast_to", "roll", "tile", "repeat", "take", "take_along_axis", "diagonal"}
_VIEWS = {
    "reshape", "ravel", "transpose", "swapaxes", "moveaxis", "rollaxis", "expand_dims", "squeeze", "flip", "fliplr",
    "flipud", "atleast_1d", "atleast_2d", "rot90", "matrix_transpose",
}  # fmt: skip
Function = Callable[..., Any]
FUNCTIONS: dict[str, Function] = {}
"""What answers a function of NumPy, by its name: `numpy_functions` fills it."""


class Duck(NDArrayOperatorsMixin):
    """An array over the number systems of a walk. Views share with their base, as NumPy's do."""

    __slots__ = ("_base", "_index", "_read", "_sides", "_version", "walk")
    __array_priority__ = 1000

    def __init__(self, walk: Walk, sides: Sides) -> None:
        self.walk = walk
        self._sides = sides
        self._version = self._read = 0
        self._base: Duck | None = None
        self._index: Any = None

    def view(self, function: Callable[[Any], Any]) -> Duck:
        """The entries that a function of NumPy picks or moves, shared with this array."""
        found = self.move(function)
        found._base, found._read = self, self._version
        found._index = np.asarray(function(np.arange(self.size).reshape(self.shape)))
        return found

    @property
    def sides(self) -> Sides:
        base = self._base
        if base is not None and base.version != self._read:
            index = self._index
            self._sides = self.walk.apply("move", {"function": lambda x: x.reshape(-1)[index]}, base.sides)
            self._read = base.version
        return self._sides

    @property
    def version(self) -> int:
        """Counts the changes in place, of what this is a view of too."""
        return self._version + (0 if self._base is None else self._base.version)

    def assign(self, sides: Sides) -> None:
        """Change it in place."""
        base = self._base
        if base is None:
            self._sides = sides
            self._version += 1
            return
        index = np.arange(base.size)
        index[self._index.reshape(-1)] = base.size + np.arange(self._index.size)
        index = index.reshape(base.shape)
        flat = self.walk.apply("move", {"function": np.ravel}, base.sides)
        new = self.walk.apply("move", {"function": np.ravel}, sides)
        pool = self.walk.apply("concatenate", {"dimension": 0}, flat, new)
        base.assign(self.walk.apply("move", {"function": lambda x: x[index]}, pool))

    # NumPy's protocols

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        name = ufunc.__name__
        out = kwargs.pop("out", None)
        kwargs.pop("dtype", None)
        if method == "reduce":
            return reduce(self.walk, name, inputs[0], **kwargs)
        if method != "__call__" or kwargs:
            raise NotSupported(f"numpy.{name}.{method}")
        result = applied_ufunc(self.walk, name, inputs)
        return result if out is None else _into(out[0], result, name)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        name = function.__name__
        out = kwargs.pop("out", None)
        if any(key in ("where", "initial") and value is not np._NoValue for key, value in kwargs.items()):
            raise NotSupported(f"numpy.{name} with where= or initial=")
        # NumPy's linear algebra has a trace of its own
        known = FUNCTIONS.get(f"{function.__module__}.{name}", FUNCTIONS.get(name))
        if known is not None:
            result = known(self.walk, *args, **kwargs)
            return result if out is None else _into(out, result, name)
        if name in _MOVES or name in _VIEWS:
            array = lift(self.walk, args[0])
            way = array.view if name in _VIEWS else array.move
            return way(lambda x: function(x, *args[1:], **kwargs))
        raise NotSupported(f"numpy.{name}")

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise NotSupported("a conversion to a float array")

    def __float__(self) -> float:
        raise NotSupported("a conversion to float")

    def __int__(self) -> int:
        raise NotSupported("a conversion to int")

    def __index__(self) -> int:
        raise NotSupported("an index that depends on data")

    def __bool__(self) -> bool:
        verdicts = {bool(truth(A, v).value) for A, v in zip(self.walk.sides, self.sides, strict=True)}
        if len(verdicts) > 1:
            raise NotSupported("a Python branch at a kink")
        return verdicts.pop()

    # What arrays have

    @property
    def shape(self) -> tuple[int, ...]:
        first = self.sides[0]
        return first.shape if isinstance(first, Truth) else self.walk.sides[0].shape(first)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def dtype(self) -> Any:
        return np.dtype(bool) if isinstance(self.sides[0], Truth) else _Float(self.walk.dtype)

    @property
    def T(self) -> Duck:
        return self.view(np.transpose)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of unsized object")
        return self.shape[0]

    def __iter__(self) -> Iterator[Duck]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, key: Any) -> Duck:
        if isinstance(key, Duck) or (isinstance(key, tuple) and any(isinstance(k, Duck) for k in key)):
            key = tuple(map(_concrete, key)) if isinstance(key, tuple) else _concrete(key)
        parts = key if isinstance(key, tuple) else (key,)
        basic = all(part is None or part is Ellipsis or isinstance(part, (int, slice, np.integer)) for part in parts)
        return (self.view if basic else self.move)(lambda x: x[key])

    def __setitem__(self, key: Any, value: Any) -> None:
        if isinstance(key, Duck):
            mask = key
            self.assign(FUNCTIONS["where"](self.walk, mask, value, self).sides)
            return
        index = np.arange(self.size).reshape(self.shape)
        value = lift(self.walk, value)
        target = index[key]
        spread = value.move(lambda x: np.broadcast_to(x, np.shape(target)))
        index[key] = self.size + np.arange(np.size(target)).reshape(np.shape(target))
        pool = self.walk.apply("concatenate", {"dimension": 0}, self.move(np.ravel).sides, spread.move(np.ravel).sides)
        self.assign(self.walk.apply("move", {"function": lambda x: x[index]}, pool))

    def move(self, function: Callable[[Any], Any]) -> Duck:
        return Duck(self.walk, self.walk.apply("move", {"function": function}, self.sides))

    def astype(self, dtype: Any, **kwargs: Any) -> Duck:
        kind = np.dtype(dtype).kind
        if kind == "b":
            return self != 0
        if kind in "iu" and not isinstance(self.sides[0], Truth):
            return Duck(self.walk, self.walk.apply("trunc", {}, self.sides))
        return Duck(self.walk, tuple(number(A, v) for A, v in zip(self.walk.sides, self.sides, strict=True)))

    def copy(self, order: str = "C") -> Duck:
        return Duck(self.walk, self.sides)

    def item(self) -> Duck:
        return self.move(lambda x: x.reshape(()))

    def reshape(self, *shape: Any, **kwargs: Any) -> Duck:
        return self.view(lambda x: x.reshape(*shape))

    def transpose(self, *axes: Any) -> Duck:
        return self.view(lambda x: x.transpose(*axes))

    def ravel(self, order: str = "C") -> Duck:
        return self.view(lambda x: x.ravel(order))

    def flatten(self, order: str = "C") -> Duck:
        return self.move(lambda x: x.ravel(order))

    def squeeze(self, axis: Any = None) -> Duck:
        return self.view(lambda x: np.squeeze(x, axis))

    def dot(self, other: Any) -> Duck:
        return FUNCTIONS["dot"](self.walk, self, other)

    def sum(self, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False) -> Duck:
        return FUNCTIONS["sum"](self.walk, self, axis, keepdims=keepdims)

    def mean(self, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False) -> Duck:
        return FUNCTIONS["mean"](self.walk, self, axis, keepdims=keepdims)

    def max(self, axis: Any = None, out: Any = None, keepdims: bool = False) -> Duck:
        return reduce(self.walk, "maximum", self, axis=axis, keepdims=keepdims)

    def min(self, axis: Any = None, out: Any = None, keepdims: bool = False) -> Duck:
        return reduce(self.walk, "minimum", self, axis=axis, keepdims=keepdims)

    def prod(self, axis: Any = None, **kwargs: Any) -> Duck:
        return reduce(self.walk, "multiply", self, axis=axis)

    def any(self, axis: Any = None, **kwargs: Any) -> Duck:
        return reduce(self.walk, "logical_or", self, axis=axis)

    def all(self, axis: Any = None, **kwargs: Any) -> Duck:
        return reduce(self.walk, "logical_and", self, axis=axis)

    def clip(self, low: Any = None, high: Any = None) -> Duck:
        return FUNCTIONS["clip"](self.walk, self, low, high)

    def var(self, axis: Any = None, ddof: int = 0) -> Duck:
        return FUNCTIONS["var"](self.walk, self, axis, ddof=ddof)


class _Float:
    """A float dtype whose scalar type lets ducks through: NumPy code writes `w.dtype.type(x)`."""

    __slots__ = ("dtype",)

    def __init__(self, dtype: Any) -> None:
        self.dtype = np.dtype(dtype)

    def type(self, value: Any = 0.0) -> Any:
        return value if isinstance(value, Duck) else self.dtype.type(value)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.dtype, name)

    def __eq__(self, other: object) -> bool:
        return bool(self.dtype == other)

    def __hash__(self) -> int:
        return hash(self.dtype)

    def __repr__(self) -> str:
        return repr(self.dtype)


def _into(target: Any, result: Duck, name: str) -> Duck:
    if not isinstance(target, Duck):
        raise NotSupported(f"numpy.{name} into a float array")
    if target.shape != result.shape:
        shape = target.shape
        result = result.move(lambda x: np.broadcast_to(x, shape))
    target.assign(result.sides)
    return target


def _concrete(key: Any) -> Any:
    if not isinstance(key, Duck):
        return key
    first = key.sides[0]
    if isinstance(first, Truth):
        if any(not np.array_equal(first.value, other.value) for other in key.sides[1:]):
            raise NotSupported("a mask at a kink")
        return first.value
    return key.walk.sides[0].concrete(first).astype(np.int64)


def lift(walk: Walk, x: Any) -> Duck:
    if isinstance(x, Duck):
        return x
    if isinstance(x, (list, tuple)) and any(isinstance(e, Duck) for e in x):
        return FUNCTIONS["stack"](walk, x)
    return Duck(walk, walk.const(x))


def _caller() -> str:
    frame: Any = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename.replace("\\", "/")
        if "/gdjax/verification/" not in name and "/numpy/" not in name:
            return f"{name.rsplit('/', 1)[-1]}:{frame.f_lineno}"
        frame = frame.f_back
    return "?"


def applied_ufunc(walk: Walk, name: str, inputs: Any) -> Duck:
    args = [lift(walk, x) for x in inputs]
    if name == "matmul":
        return FUNCTIONS["matmul"](walk, *args)
    if name == "reciprocal":
        return applied_ufunc(walk, "divide", (1.0, args[0]))
    if name == "logaddexp":
        high = np.maximum(args[0], args[1])
        return high + np.log1p(np.exp(-abs(args[0] - args[1])))
    if name == "clip":
        return FUNCTIONS["clip"](walk, *args)
    if name == "heaviside":
        return FUNCTIONS["where"](walk, args[0] > 0, 1.0, FUNCTIONS["where"](walk, args[0] < 0, 0.0, args[1]))
    if name == "log_expit":
        return np.minimum(args[0], 0.0) - np.log1p(np.exp(-abs(args[0])))
    if name == "xlogy":
        where = FUNCTIONS["where"]
        return where(walk, args[0] == 0, 0.0, args[0] * np.log(where(walk, args[0] == 0, 1.0, args[1])))
    primitive = _UFUNCS.get(name)
    if primitive is None:
        raise NotSupported(f"numpy.{name}")
    if primitive in _COMPARED:
        walk.at(f"{primitive} at {_caller()}")
    broadcast = np.broadcast_shapes(*(a.shape for a in args))
    result = Duck(walk, walk.apply(primitive, {"name": primitive}, *(a.sides for a in args)))
    return result if result.shape == broadcast else result.move(lambda x: np.broadcast_to(x, broadcast))


def axes_of(axis: Any, ndim: int) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(ndim))
    return tuple(sorted(i % ndim for i in (axis if isinstance(axis, tuple) else (axis,))))


_REDUCTIONS = {
    "add": "reduce_sum", "maximum": "reduce_max", "minimum": "reduce_min", "multiply": "reduce_prod",
    "logical_or": "reduce_or", "logical_and": "reduce_and", "fmax": "reduce_max", "fmin": "reduce_min",
}  # fmt: skip


def reduce(walk: Walk, name: str, a: Any, axis: Any = 0, keepdims: bool = False, **kwargs: Any) -> Duck:
    a = lift(walk, a)
    axes = axes_of(axis, a.ndim)
    if name not in _REDUCTIONS or {k for k, v in kwargs.items() if v not in (None, np._NoValue, True)}:
        raise NotSupported(f"numpy.{name}.reduce")
    result = Duck(walk, walk.apply(_REDUCTIONS[name], {"axes": axes}, a.sides)) if axes else a
    return result.move(lambda x: np.expand_dims(x, axes)) if keepdims is True else result
