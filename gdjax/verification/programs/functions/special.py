"""Ufuncs of `scipy.special`, by name: it is imported by those who use it."""

from __future__ import annotations

from typing import Any

import numpy as np

from gdjax.verification.programs.duck import Duck, lift
from gdjax.verification.programs.functions.registry import function_of_numpy
from gdjax.verification.programs.interpreter import Walk


@function_of_numpy("log_expit")
def _log_expit(walk: Walk, x: Any) -> Any:
    return np.minimum(x, 0.0) - np.log1p(np.exp(-abs(x)))


@function_of_numpy("xlogy")
def _xlogy(walk: Walk, x: Any, y: Any) -> Any:
    return np.where(x == 0, 0.0, x * np.log(np.where(x == 0, 1.0, y)))


@function_of_numpy("xlog1py")
def _xlog1py(walk: Walk, x: Any, y: Any) -> Any:
    return np.where(x == 0, 0.0, x * np.log1p(np.where(x == 0, 1.0, y)))


@function_of_numpy("ndtr")
def _ndtr(walk: Walk, x: Any) -> Any:
    """erfc(-x / sqrt(2)) / 2, with the root to all digits."""
    return Duck(walk, walk.apply("erfc", {}, (-lift(walk, x) * np.sqrt(lift(walk, 0.5))).sides)) / 2


@function_of_numpy("log_ndtr")
def _log_ndtr(walk: Walk, x: Any) -> Any:
    return np.log(_ndtr(walk, x))


@function_of_numpy("logit")
def _logit(walk: Walk, x: Any) -> Any:
    return np.log(x) - np.log1p(-x)


@function_of_numpy("betaln")
def _betaln(walk: Walk, a: Any, b: Any) -> Any:
    first, second, both = (Duck(walk, walk.apply("lgamma", {}, v.sides)) for v in (a, b, a + b))
    return first + second - both
