"""What a user's code says of itself: the names that it reads, and whether NumPy alone can tell what it does."""

from __future__ import annotations

import dis
import functools
import sys
import sysconfig
from collections.abc import Callable
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

_LIBRARIES = frozenset({"numpy", "scipy", "jax", "jaxlib", "gdjax"})
_STANDARD = sysconfig.get_paths()["stdlib"]
# What answers otherwise for what traces than for an array.
_ASKS = frozenset({"isinstance", "issubclass", "type", "isscalar", "ndarray"})


def of_user(thing: FunctionType | ModuleType | type) -> bool:
    """Whether code is the user's: what is installed, or comes with Python, is not."""
    name = thing.__name__ if isinstance(thing, ModuleType) else str(thing.__module__)
    root = name.partition(".")[0]
    if root in _LIBRARIES or root in sys.builtin_module_names:
        return False
    file = str(getattr(sys.modules.get(root), "__file__", None) or "")
    return "site-packages" not in file and "dist-packages" not in file and not file.startswith(_STANDARD)


def read(code: CodeType) -> set[str]:
    """The names of globals that it may read, and the functions inside of it."""
    return {name for each in _within(code) for name in each.co_names}


def _within(code: CodeType) -> list[CodeType]:
    inner = [each for const in code.co_consts if isinstance(const, CodeType) for each in _within(const)]
    return [code, *inner]


def is_numpys(function: Callable[..., Any]) -> bool:
    """Whether the code, or that of the user's functions that it calls, changes arrays in place, asks what they are, or
    catches errors: a trace, whose arrays never change, may then be read as another program than NumPy runs."""
    waiting: list[Any] = [function]
    seen: dict[int, Any] = {}
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen[id(value)] = value
        if isinstance(value, functools.partial):
            waiting += [value.func, *value.args, *value.keywords.values()]
        elif isinstance(value, MethodType):
            waiting += [value.__func__, value.__self__]
        elif isinstance(value, (staticmethod, classmethod)):
            waiting.append(value.__func__)
        elif isinstance(value, type):
            waiting += [method for base in value.__mro__ if of_user(base) for method in vars(base).values()]
        elif not isinstance(value, FunctionType):
            waiting += [type(value), *getattr(value, "__dict__", {}).values()] if of_user(type(value)) else []
        elif of_user(value):
            if any(map(_tells, _within(value.__code__))):
                return True
            waiting += [value.__globals__[name] for name in read(value.__code__) if name in value.__globals__]
            waiting += [cell.cell_contents for cell in value.__closure__ or () if filled(cell)]
    return False


def filled(cell: Any) -> bool:
    """Whether a closure's cell holds anything yet."""
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def _tells(code: CodeType) -> bool:
    if not _ASKS.isdisjoint(code.co_names):
        return True
    steps = list(dis.get_instructions(code))
    names = [step.opname for step in steps]
    caught = names.count("PUSH_EXC_INFO") > names.count("WITH_EXCEPT_START")
    return caught or any(step.opname == "BINARY_OP" and step.argrepr.endswith("=") for step in steps)
