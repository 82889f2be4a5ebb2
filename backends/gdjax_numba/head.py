"""The names that `gdjax_numba.walks` finds in the module it is compiled in, for readers and type checkers."""

from typing import Any

import numpy as np
from numba import njit, prange

from gdjax.rule import RUNNING
from gdjax_numba.simd import dots, panel, transpose

__all__ = ["CALLS", "OPTIONS", "PARALLEL", "RUNNING", "Any", "argument", "cost", "dots", "finish", "njit", "np", "panel", "prange", "real", "slope", "transpose"]

real: Any = np.float32
"""The dtype of the arithmetic."""
CALLS: int = 1
"""How often the rule evaluates cost and gradient in one step."""
OPTIONS: dict[str, Any] = {}
"""Of `njit`, for every function."""
PARALLEL: dict[str, Any] = {}
"""The same, for those with a `prange`."""


def cost(z: Any, y: Any) -> Any:
    """The formula's cost of one sample."""


def slope(z: Any, y: Any) -> Any:
    """Its derivative in z."""


def argument(call: Any, k: Any, q: Any, state: Any, knobs: Any, factor: Any, theta: Any, costs: Any, gradients: Any) -> None:
    """Writes to theta[q] where neuron k is to be evaluated at the rule's `call`-th time."""


def finish(k: Any, q: Any, state: Any, knobs: Any, factor: Any, costs: Any, gradients: Any) -> None:
    """Takes neuron k's step, given costs[call, q] and gradients[call, q]; changes `state` in place."""
