"""What answers a function of NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gdjax.verification.programs.duck import FUNCTIONS, METHODS, Function


def function_of_numpy(*functions: Any) -> Callable[[Function], Function]:
    """Of NumPy itself, or, by name, a ufunc of `scipy.special`."""

    def register(stand_in: Function) -> Function:
        for function in functions:
            FUNCTIONS[function] = stand_in
        return stand_in

    return register


def method_of_ufuncs(stand_in: Function) -> Function:
    """That of its name."""
    METHODS[stand_in.__name__] = stand_in
    return stand_in
