"""A user's function with what NumPy and `math` make floats by in other hands: those of the walk that runs it.

The same code, whose globals and closures hold `standins`, and copies of the user's functions, classes and objects.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import CellType, FunctionType, MethodType, ModuleType
from typing import Any

from gdjax.verification.programs.reading import filled, of_user, read
from gdjax.verification.programs.standins import OTHERS, Float, Namespace


def rebound(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, and those of the user that it calls, with other names for what makes floats; itself without any."""
    rebinding = _Rebinding()
    other: Callable[..., Any] = rebinding(function)
    return other if rebinding.any else function


class _Rebinding:
    """One copy of each function, class and object of the user's, however they refer to each other."""

    def __init__(self) -> None:
        self.any = False
        self._copies: dict[int, Any] = {}
        self._made: set[int] = set()
        self._globals: dict[int, dict[str, Any]] = {}

    def __call__(self, value: Any) -> Any:
        if id(value) in OTHERS:
            self.any = True
            return OTHERS[id(value)]
        if id(value) in self._copies or id(value) in self._made:
            return self._copies.get(id(value), value)
        if isinstance(value, functools.partial):
            given = {key: self(v) for key, v in value.keywords.items()}
            return functools.partial(self(value.func), *map(self, value.args), **given)
        if isinstance(value, MethodType):
            return MethodType(self(value.__func__), self(value.__self__))
        if isinstance(value, ModuleType) and of_user(value):
            self.any = True
            return Namespace(value, {}, self)
        if isinstance(value, FunctionType) and of_user(value):
            return self._function(value)
        if isinstance(value, type) and of_user(value):
            return self._class(value)
        return self._object(value) if of_user(type(value)) and hasattr(value, "__dict__") else value

    def _known(self, value: Any, copy: Any) -> Any:
        self._copies[id(value)] = copy
        self._made.add(id(copy))
        return copy

    def _function(self, function: FunctionType) -> FunctionType:
        code = function.__code__
        # one for all functions of a module: one may set what another reads
        names = self._globals.setdefault(id(function.__globals__), dict(function.__globals__))
        cells = tuple(CellType() if _rebinds(cell) else cell for cell in function.__closure__ or ())
        defaults = tuple(map(self, function.__defaults__ or ()))
        copy: FunctionType = self._known(function, FunctionType(code, names, function.__name__, defaults, cells))
        copy.__kwdefaults__ = {key: self(v) for key, v in (function.__kwdefaults__ or {}).items()}
        copy.__module__, copy.__dict__ = function.__module__, function.__dict__
        for name in read(code):
            if name in names:
                names[name] = self(names[name])
            elif name == "float":
                names[name], self.any = Float, True
        for cell, its in zip(cells, function.__closure__ or (), strict=True):
            if cell is not its:
                cell.cell_contents = self(its.cell_contents)
        return copy

    def _class(self, its: type) -> type:
        """One that inherits, with the same methods in other hands."""
        try:
            copy: type = self._known(its, type(its)(its.__name__, (its,), {"__module__": its.__module__}))
        except Exception:  # noqa: BLE001 - an enumeration, or whatever its metaclass refuses
            return its
        for base in reversed(its.__mro__):
            for name, method in vars(base).items() if of_user(base) else ():
                if isinstance(method, (staticmethod, classmethod)):
                    setattr(copy, name, type(method)(self(method.__func__)))
                elif isinstance(method, FunctionType):
                    setattr(copy, name, self(method))
        return copy

    def _object(self, value: Any) -> Any:
        """One that shares what it holds, of the class in other hands; those that it holds too."""
        try:
            copy: Any = self._known(value, object.__new__(self(type(value))))
        except TypeError:
            return value
        copy.__dict__.update({name: self(v) for name, v in vars(value).items()})
        return copy


def _rebinds(cell: CellType) -> bool:
    """Whether a cell may hold another's code; what code changes stays its own."""
    if not filled(cell):
        return False
    content = cell.cell_contents
    kinds = FunctionType, MethodType, ModuleType, functools.partial, type
    return id(content) in OTHERS or isinstance(content, kinds) or of_user(type(content))
