"""The names that what `gdjax_numba.compiling` compiles finds there, for readers."""

from typing import Any

import numpy as np
from numba import njit, prange

from gdjax.rule import RUNNING
from gdjax_numba.indirect import pointwise_at, rule_at, walk_at
from gdjax_numba.simd import TALL, WIDE, dots, multiply_row, panel, transpose

__all__ = [
    "ENTRY", "INNER", "RUNNING", "TALL", "WIDE", "Any", "cost", "dots", "formula", "multiply_row", "njit", "np",
    "panel", "pointwise_at", "prange", "real", "rule_at", "slope", "transpose", "walk", "walk_at",
]  # fmt: skip

real: Any = np.float32
"""The dtype of the arithmetic."""
INNER: dict[str, Any] = {}
"""Options of `njit`, for functions that only others here call."""
ENTRY: dict[str, Any] = {}
"""The same, for those that Python calls: kept on disk."""


def formula(function: Any) -> Any:
    """The decorator of what a program calls by address: `gdjax_numba.indirect.formula_at_address`."""
    return function


def cost(z: Any, y: Any) -> Any:
    """The formula's cost of one sample."""


def slope(z: Any, y: Any) -> Any:
    """Its derivative in z."""


def walk(function: Any) -> Any:
    """Of a walk over shared samples: `gdjax_numba.indirect.walk_at_address`."""
    return function
