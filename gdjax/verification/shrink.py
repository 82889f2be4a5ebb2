"""Shrink a counterexample and print it as code that runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gdjax.verification.judge import Observation

if TYPE_CHECKING:
    from gdjax.verification.verify import Check


def shrunk(check: Check, observation: Observation) -> Observation:
    return observation


def code(check: Check, observation: Observation) -> str:
    """The counterexample as Python code; `cost` and `gradient` are the caller's functions."""
    lines = ["import numpy as np", "", "args = ("]
    lines += [f"    {_literal(a)},  # {name}" for a, name in zip(observation.case.args, check.names, strict=True)]
    lines += [")", "manual = gradient(*args)"]
    exact = ", ".join(_literal(e.astype(np.float64)) for e in observation.exact)
    return "\n".join([*lines, f"exact = ({exact},)"])


def _literal(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"np.array({value.tolist()!r}, dtype=np.{value.dtype.name})"
    if isinstance(value, np.generic):
        return f"np.{value.dtype.name}({value.item()!r})"
    return repr(value)
