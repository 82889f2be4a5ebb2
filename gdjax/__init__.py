"""gdjax: gradient descent from hand-derived gradients, proved right, fast, on any array backend."""

import importlib
from typing import TYPE_CHECKING, Any

from gdjax.formulas import Activation, Loss, activations, losses
from gdjax.neuron import Neuron
from gdjax.params import Params

if TYPE_CHECKING:
    from gdjax import schedules
    from gdjax.comparison import compare
    from gdjax.derivation import explain
    from gdjax.discovery import backend, backends
    from gdjax.errors import BackendError, DataError, FileError, GdjaxError, UsageError
    from gdjax.evaluation import cost_and_gradient
    from gdjax.fitting import fit
    from gdjax.runs.file import load
    from gdjax.runs.run import Run
    from gdjax.sweeping import sweep
    from gdjax.verification import verify, verify_vjp

_WHERE = {
    "fit": "fitting",
    "sweep": "sweeping",
    "cost_and_gradient": "evaluation",
    "backend": "discovery",
    "backends": "discovery",
    "load": "runs.file",
    "Run": "runs.run",
    "verify": "verification",
    "verify_vjp": "verification",
    "explain": "derivation",
    "compare": "comparison",
    "GdjaxError": "errors",
    "DataError": "errors",
    "UsageError": "errors",
    "FileError": "errors",
    "BackendError": "errors",
}
"""Loaded on first use, so that importing gdjax costs little more than importing numpy."""

__all__ = [
    "Activation",
    "BackendError",
    "DataError",
    "FileError",
    "GdjaxError",
    "Loss",
    "Neuron",
    "Params",
    "Run",
    "UsageError",
    "activations",
    "backend",
    "backends",
    "compare",
    "cost_and_gradient",
    "explain",
    "fit",
    "load",
    "losses",
    "schedules",
    "sweep",
    "verify",
    "verify_vjp",
]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(importlib.import_module(f"gdjax.{_WHERE[name]}"), name)
    if name in ("callbacks", "schedules", "testing", "sklearn", "tables"):
        return importlib.import_module(f"gdjax.{name}")
    raise AttributeError(f"module 'gdjax' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
