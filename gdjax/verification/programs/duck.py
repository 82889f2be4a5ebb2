"""NumPy code over other number systems: an array that answers NumPy's functions with our rules."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from gdjax.verification.numbers.arithmetic import NotSupported, Sides, Truth, moved
from gdjax.verification.programs.casting import dtype_of_function, dtype_of_ufunc, mapped, plain
from gdjax.verification.programs.interpreter import Walk
from gdjax.verification.programs.primitives import number, truth
from gdjax.verification.programs.ufuncs import OF_SCIPY, PRIMITIVES

_COMPARED = {"gt", "ge", "lt", "le", "eq", "ne", "max", "min", "abs", "sign"}
_OF_BITS = {np.bitwise_and, np.bitwise_or, np.bitwise_xor, np.invert}
_MOVES = {np.broadcast_to, np.roll, np.tile, np.repeat, np.take, np.take_along_axis, np.diagonal}
_VIEWS = {
    np.reshape, np.ravel, np.transpose, np.swapaxes, np.moveaxis, np.rollaxis, np.expand_dims, np.squeeze, np.flip,
    np.fliplr, np.flipud, np.atleast_1d, np.atleast_2d, np.rot90, np.matrix_transpose,
}  # fmt: skip
# How an answer lies in memory, and how fast it comes: its numbers are the same.
_LAYOUT = {"order", "subok", "device", "casting", "optimize"}
# What adds integers as they are on its way to floats.
_ADDS_INTEGERS = {np.trapezoid}
# What says which entries, and goes into none.
_MASKS = {"where", "condition", "condlist"}
# Methods that change their array, where NumPy's functions of that name give another.
_IN_PLACE = {"sort", "partition", "put", "resize"}
Function = Callable[..., Any]
FUNCTIONS: dict[Any, Function] = {}
"""What answers a function of NumPy: `functions` fills it. Its parameters have NumPy's names."""
METHODS: dict[str, Function] = {}
"""What answers a method of ufuncs, given the ufunc: `functions` fills it too."""


class Duck(NDArrayOperatorsMixin):
    """An array over the number systems of a walk. Views share with their base, as NumPy's do."""

    __slots__ = ("_base", "_index", "_layout", "_looked_up", "_read", "_sides", "_version", "array", "integer", "walk")
    __array_priority__ = 1000

    def __init__(self, walk: Walk, sides: Sides, dtype: Any = None, array: bool = False) -> None:
        self.walk = walk
        self.array = array
        """Whether it is one without axes too: NumPy's elements and results are then scalars, which nothing changes."""
        self.integer = None if dtype is None or np.dtype(dtype).kind not in "iu" else np.dtype(dtype)
        """The dtype where it is one of integers."""
        self._sides = sides
        self._version = self._read = 0
        self._base: Duck | None = None
        self._index: Any = None
        self._layout: Any = None
        self._looked_up = False

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        """What `isinstance` is told: code asks it for arrays, floats and scalars."""
        return np.ndarray if self.shape or self.array else plain(self).type

    @property
    def layout(self) -> Any:
        """Places that lie in memory as NumPy's entries do."""
        if self._layout is None:
            self._layout = np.arange(self.size).reshape(self.shape)
        return self._layout

    def view(self, function: Callable[[Any], Any]) -> Duck:
        """The entries that a function of NumPy picks or moves: shared with this array, where NumPy shares them."""
        found = self.move(function)
        found.array = True
        layout = np.asarray(function(self.layout))
        if np.may_share_memory(layout, self.layout):
            found._base, found._read, found._layout = self, self._version, layout
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
        name = f"numpy.{ufunc.__name__}"
        (out,) = kwargs.pop("out", (None,))
        if isinstance(out, Duck) and not (out.shape or out.array):
            out = None  # x += 1 of a scalar is another
        mask = kwargs.pop("where", True)
        given = _told(name, kwargs)
        if method in METHODS:
            if mask is not True:
                given["where"] = mask
            result: Any = METHODS[method](self.walk, ufunc, *inputs, **given)
            if result is None:  # in place
                return None
            dtype = dtype_of_ufunc(ufunc, inputs[:1], reduction=True)
            result = result if dtype is None else result.cast(dtype)
            return result if out is None else into(out, result, name)
        if method == "outer" and not given and mask is True:
            first, second = (lift(self.walk, x) for x in inputs)
            inputs = first.reshape(*first.shape, *(1,) * second.ndim), second
            method = "__call__"
        if method != "__call__" or given:
            raise NotSupported(f"{name} with {min(given)}=" if method == "__call__" else f"{name}.{method}")
        result = applied_ufunc(self.walk, ufunc, inputs)
        if mask is not True:
            if out is None:
                raise NotSupported(f"{name} with where= and no out=: its other entries may be anything")
            result = np.where(mask, result, out)
        return result if out is None else into(out, result, name)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        name = f"{function.__module__}.{function.__name__}"
        stand_in = FUNCTIONS.get(function)
        if stand_in is None and function not in _MOVES | _VIEWS:
            if _of_integers(args, kwargs):
                return function(*mapped(args, concrete), **{key: mapped(v, concrete) for key, v in kwargs.items()})
            raise NotSupported(name)
        bound = _signature(function, stand_in).bind(*args, **kwargs)
        out = bound.arguments.pop("out", None)
        if stand_in is not None:
            dtype = dtype_of_function(function, args, kwargs)
            casts = function not in _ADDS_INTEGERS
            result = _answered(self.walk, name, stand_in, bound, dtype, casts)
        else:
            way = Duck.view if function in _VIEWS else Duck.move
            first, *rest = bound.args
            given = _keys(self.walk, tuple(rest))
            moves = [lambda x, r=r: _one(name, function(x, *r, **bound.kwargs)) for r in given]
            first = lift(self.walk, first)
            result = way(first, moves[0]) if len(moves) == 1 else first.moved(moves)
        return result if out is None else into(out, result, name)

    def __getattr__(self, name: str) -> Any:
        """A method of NumPy's arrays is NumPy's function of that name."""
        function: Any = getattr(np, name, None) if hasattr(np.ndarray, name) and name not in _IN_PLACE else None
        if function in FUNCTIONS or function in _MOVES | _VIEWS:
            return partial(function, self)
        raise Missing(f"numpy.ndarray.{name}")

    def sort(self, axis: int = -1, kind: Any = None, *, stable: Any = None) -> None:
        """In place."""
        self.assign(FUNCTIONS[np.sort](self.walk, self, axis, kind, stable).sides)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        """Of integers, which have no derivative and are as data say; others would leave the exact numbers."""
        if self.integer is None:
            raise NotSupported(_converting() or "a conversion to a float array")
        return concrete(self).astype(self.integer if dtype is None else dtype)

    def __float__(self) -> float:
        if self.integer is None:
            raise NotSupported(_converting() or "a conversion to float")
        return float(concrete(self))

    def __int__(self) -> int:
        values = [A.concrete(number(A, v)) for A, v in zip(self.walk.sides, self.sides, strict=True)]
        if self.integer is None and not all(v.is_integer() and v == values[0] for v in map(float, values)):
            raise NotSupported(_converting() or "a conversion to int")  # labels are whole, and what moves is not
        return int(values[0])

    def __index__(self) -> int:
        if self.integer is None:
            raise NotSupported("an index that depends on data")
        return int(concrete(self))

    def __bool__(self) -> bool:
        verdicts = {bool(A.decided(truth(A, v))) for A, v in zip(self.walk.sides, self.sides, strict=True)}
        if len(verdicts) > 1:
            raise NotSupported("a Python branch at a kink")
        return verdicts.pop()

    def __hash__(self) -> int:
        if self.integer is None or self.shape:
            raise TypeError("unhashable type: an array or a float that is interpreted")
        self._looked_up = True
        return hash(int(self))

    def __eq__(self, other: Any) -> Any:
        if self._looked_up and isinstance(other, int):  # a key of a table: no comparison of the code's
            self._looked_up = False
            return int(self) == other
        return super().__eq__(other)

    def __format__(self, spec: str) -> str:
        return "..."  # what is printed on the way

    def __mul__(self, other: Any) -> Any:
        listed = isinstance(other, (list, tuple)) and self.integer is not None and not self.shape
        return other * int(self) if listed else super().__mul__(other)

    __rmul__ = __mul__

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
        if isinstance(self.sides[0], Truth):
            return np.dtype(bool)
        return _Float(self.walk.dtype) if self.integer is None else self.integer

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
        keys = _keys(self.walk, key)
        if len(keys) > 1:
            if any(isinstance(k, Duck) and k.dtype == bool for k in (key if isinstance(key, tuple) else (key,))):
                raise NotSupported("a mask at a kink")  # what one picks is not what the other does
            return self.moved([partial(_picked, key=k) for k in keys])
        (key,) = keys
        parts = tuple(map(_whole, key if isinstance(key, tuple) else (key,)))
        key = parts if isinstance(key, tuple) else parts[0]
        basic = all(part is None or part is Ellipsis or isinstance(part, (int, slice, np.integer)) for part in parts)
        element = len(parts) == self.ndim and all(isinstance(part, (int, np.integer)) for part in parts)
        return (self.view if basic and not element else self.move)(lambda x: x[key])

    def __setitem__(self, key: Any, value: Any) -> None:
        value = lift(self.walk, value).astype(self.dtype)
        if isinstance(key, Duck) and isinstance(key.sides[0], Truth) and not value.ndim:
            # a mask may differ on the two sides of a kink
            mask = key.reshape(*key.shape, *(1,) * (self.ndim - key.ndim))
            self.assign(lift(self.walk, np.where(mask, value, self)).sides)
            return
        key = key_of(key)
        index = np.arange(self.size).reshape(self.shape)
        target = index[key]
        spread = value.move(lambda x: np.broadcast_to(x, np.shape(target)))
        index[key] = self.size + np.arange(np.size(target)).reshape(np.shape(target))
        pool = self.walk.apply("concatenate", {"dimension": 0}, self.move(np.ravel).sides, spread.move(np.ravel).sides)
        self.assign(self.walk.apply("move", {"function": lambda x: x[index]}, pool))

    def move(self, function: Callable[[Any], Any]) -> Duck:
        return Duck(self.walk, self.walk.apply("move", {"function": function}, self.sides), self.integer)

    def moved(self, functions: Sequence[Callable[[Any], Any]]) -> Duck:
        """On each side by its own function: two orders at a tie."""
        triples = zip(self.walk.sides, self.sides, functions, strict=True)
        found = Duck(self.walk, tuple(moved(A, v, function) for A, v, function in triples), self.integer)
        if len({side.shape for side in found.sides}) > 1:
            raise NotSupported("a mask at a kink")
        return found

    def astype(self, dtype: Any, **kwargs: Any) -> Duck:
        dtype = dtype.dtype if isinstance(dtype, _Float) else np.dtype(dtype)
        if dtype.kind not in "fiub":
            raise NotSupported(f"astype({dtype})")
        whole = dtype.kind not in "iu" or self.dtype.kind != "f"
        return (self if whole else Duck(self.walk, self.walk.apply("trunc", {}, self.sides))).cast(dtype)

    def cast(self, dtype: Any) -> Duck:
        """The same as another dtype; to integers, of what is whole."""
        sides = self.sides
        if dtype.kind == "b":
            return Duck(self.walk, tuple(truth(A, v) for A, v in zip(self.walk.sides, sides, strict=True)))
        sides = tuple(number(A, v) for A, v in zip(self.walk.sides, sides, strict=True))
        if dtype.kind in "iu" and dtype != np.int64:  # of these none is tried that large
            sides = self.walk.apply("go_round", {"dtype": dtype}, sides)
        return Duck(self.walk, sides, dtype)

    def copy(self, order: str = "C") -> Duck:
        return Duck(self.walk, self.sides, self.integer, self.array)

    def item(self) -> Duck:
        return self.move(lambda x: x.reshape(()))

    def reshape(self, *shape: Any, order: Any = "C") -> Duck:
        return self.view(lambda x: x.reshape(*shape, order=order))

    def transpose(self, *axes: Any) -> Duck:
        return self.view(lambda x: x.transpose(*axes))

    def flatten(self, order: Any = "C") -> Duck:
        return self.move(lambda x: x.flatten(order))

    def fill(self, value: Any) -> None:
        self[...] = value


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


@cache
def _signature(function: Any, stand_in: Function | None) -> inspect.Signature:
    """NumPy's own, or, of its C functions before NumPy 2.4, that of what answers it."""
    try:
        return inspect.signature(function)
    except ValueError:
        if stand_in is None:
            raise
        whole = inspect.signature(stand_in)
        return whole.replace(parameters=list(whole.parameters.values())[1:])


@cache
def _parameters(stand_in: Function) -> frozenset[str]:
    return frozenset(inspect.signature(stand_in).parameters)


def _told(name: str, given: dict[str, Any]) -> dict[str, Any]:
    """The arguments that say something: not how the answer lies in memory, nor which floats it is."""
    kept = {key: v for key, v in given.items() if key not in _LAYOUT and v is not np._NoValue}
    dtype = kept.pop("dtype", None)
    if dtype is not None and not isinstance(dtype, _Float) and np.dtype(dtype).kind != "f":
        raise NotSupported(f"{name} with dtype={np.dtype(dtype)}")
    return kept


def _answered(walk: Walk, name: str, stand_in: Function, bound: inspect.BoundArguments, dtype: Any, casts: bool) -> Any:
    """What the stand-in makes of arguments of NumPy's names, of the dtype that NumPy gives it.

    Raises:
        NotSupported: they say something that it does not know.
    """
    defaults = bound.signature.parameters
    given: dict[str, Any] = {}
    for key, value in bound.arguments.items():
        if defaults[key].kind is inspect.Parameter.VAR_KEYWORD:
            given.update(value)
        elif value is not defaults[key].default:
            given[key] = value
    given = _told(name, given)
    unknown = given.keys() - _parameters(stand_in)
    if unknown:
        raise NotSupported(f"{name} with {min(unknown)}=")
    if casts:
        given = {key: v if key in _MASKS else _widened(v, dtype) for key, v in given.items()}
    result = stand_in(walk, **given)
    return result.cast(dtype) if dtype is not None and isinstance(result, Duck) else result


def _widened(given: Any, dtype: Any) -> Any:
    """What goes into a result of floats, or of longer integers: it is cast before anything can go round."""
    if dtype is None or dtype.kind not in "fiu":
        return given

    def widened(x: Any) -> Any:
        shorter = x.dtype.kind != "f" and (dtype.kind == "f" or x.dtype.itemsize < dtype.itemsize)
        return x.cast(dtype) if shorter else x

    return mapped(given, widened)


def _one(name: str, moved: Any) -> Any:
    if isinstance(moved, (tuple, list)):
        raise NotSupported(f"{name} of several arrays")
    return moved


def _of_integers(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether all that is interpreted is integers, which are as data say: NumPy itself may answer."""
    found: list[bool] = []
    mapped((args, tuple(kwargs.values())), lambda x: found.append(x.integer is not None))
    return bool(found) and all(found)


def into(target: Any, result: Duck, name: str) -> Duck:
    if isinstance(target, tuple):
        (target,) = target
    if not isinstance(target, Duck):
        raise NotSupported(f"{name} into a float array")
    if not np.can_cast(plain(result), plain(target), "same_kind"):
        raise TypeError(f"{name} of {plain(result)} into an array of {plain(target)}")
    result = result.astype(target.dtype)
    if target.shape != result.shape:
        shape = target.shape
        result = result.move(lambda x: np.broadcast_to(x, shape))
    target.assign(result.sides)
    return target


def key_of(key: Any) -> Any:
    return tuple(map(concrete, key)) if isinstance(key, tuple) else concrete(key)


def _keys(walk: Walk, key: Any) -> list[Any]:
    """Masks and indices as NumPy's arrays: one where the sides agree, else one a side."""
    parts = key if isinstance(key, tuple) else (key,)
    columns = [on_sides(part) if isinstance(part, Duck) else [part] for part in parts]
    count = max(map(len, columns), default=1)
    rows = [tuple(column[i % len(column)] for column in columns) for i in range(count)]
    return rows if isinstance(key, tuple) else [row for (row,) in rows]


def _whole(part: Any) -> Any:
    """An integer that data tell is one."""
    return int(part) if isinstance(part, np.ndarray) and not part.ndim and part.dtype.kind == "i" else part


def _picked(x: Any, key: Any) -> Any:
    return x[key]


def on_sides(key: Duck) -> list[Any]:
    """A mask or an index as NumPy's array: one where the sides agree, else one a side."""
    values = [
        A.decided(v) if isinstance(v, Truth) else A.concrete(v).astype(np.int64)
        for A, v in zip(key.walk.sides, key.sides, strict=True)
    ]
    return values[:1] if all(np.array_equal(values[0], other) for other in values[1:]) else values


def concrete(key: Any) -> Any:
    """A mask or an index as NumPy's array: it may not differ on the two sides of a kink."""
    if not isinstance(key, Duck):
        return key
    values = on_sides(key)
    if len(values) > 1:
        raise NotSupported("a mask or an index at a kink")
    return values[0]


def lift(walk: Walk, x: Any) -> Duck:
    if isinstance(x, Duck):
        return x
    if isinstance(x, (list, tuple)) and any(isinstance(e, Duck) for e in x):
        return FUNCTIONS[np.stack](walk, x)
    return Duck(walk, walk.const(x))


class Missing(NotSupported, AttributeError):
    """A method of NumPy's arrays that none here answers; `hasattr` may ask for it."""

    def __init__(self, *args: Any) -> None:
        AttributeError.__init__(self, *args)


def _converting() -> str:
    """The function of a library that converts an array to floats, by its name: the one that the user's code calls."""
    frame: Any = sys._getframe(2)
    name = ""
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if module.partition(".")[0] not in ("scipy", "numpy", "jax", "numba", "torch", "sklearn"):
            break
        called = frame.f_code.co_name
        if called[0] not in "_<" and called != "wrapper":
            parts = [part for part in module.split(".") if part[0] != "_"]
            name = f"{'.'.join(parts)}.{called}"
        frame = frame.f_back
    return name


def _caller() -> str:
    frame: Any = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename.replace("\\", "/")
        if "/gdjax/verification/" not in name and "/numpy/" not in name:
            return f"{name.rsplit('/', 1)[-1]}:{frame.f_lineno}"
        frame = frame.f_back
    return "?"


def applied_ufunc(walk: Walk, ufunc: Any, inputs: Any) -> Duck:
    args = [lift(walk, x) for x in inputs]
    name = f"numpy.{ufunc.__name__}"
    dtype = dtype_of_ufunc(ufunc, inputs)
    known = FUNCTIONS.get(ufunc, FUNCTIONS.get(_of_scipy(ufunc)))
    if known is not None:
        result = known(walk, *_widened(args, dtype))
        return result if dtype is None else result.cast(dtype)
    primitive = PRIMITIVES.get(ufunc, OF_SCIPY.get(_of_scipy(ufunc)))
    if primitive is None:
        raise NotSupported(name)
    if ufunc in _OF_BITS and not all(isinstance(a.sides[0], Truth) for a in args):
        raise NotSupported(f"{name} of numbers")
    if primitive in _COMPARED:
        walk.at(f"{primitive} at {_caller()}")
    broadcast = np.broadcast_shapes(*(a.shape for a in args))
    result = Duck(walk, walk.apply(primitive, {"name": primitive}, *(a.sides for a in args)))
    result = result if result.shape == broadcast else result.move(lambda x: np.broadcast_to(x, broadcast))
    return result if dtype is None else result.cast(dtype)


def _of_scipy(ufunc: Any) -> str:
    """Its name in `scipy.special`, if it is from there: others may have the same name, and another meaning."""
    name = str(ufunc.__name__)
    return name if getattr(sys.modules.get("scipy.special"), name, None) is ufunc else ""
