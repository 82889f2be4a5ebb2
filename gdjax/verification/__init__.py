"""Decide whether a hand-derived gradient is right: gdjax's own formulas, or anybody's.

`verify` takes a cost and a gradient, or a `Neuron`; `verify_vjp` a function with a custom derivative rule. The exact
gradient comes from the cost alone (`oracle`), over exact arithmetic (`exact`, `dual`); inputs (`cases`, `steering`) are
chosen so that floats are exact too, bounds elsewhere come from a running error analysis (`running`, `bounds`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gdjax.errors import UsageError
from gdjax.verification.custom_rules import verify_vjp
from gdjax.verification.neurons import verify_formula, verify_neuron
from gdjax.verification.telling.report import Branch, Component, Finding, Input, Report, VerificationError
from gdjax.verification.verify import checked

__all__ = [
    "Branch",
    "Component",
    "Finding",
    "Input",
    "Report",
    "VerificationError",
    "verify",
    "verify_formula",
    "verify_vjp",
]


def verify(
    cost: Any,
    gradient: Callable[..., Any] | None = None,
    args: Sequence[Any] | None = None,
    *,
    wrt: Sequence[int] = (0, 1),
    shapes: Sequence[Any] | None = None,
    dtype: str = "float64",
    kinks: str = "zero",
    domain: Any = None,
    seconds: float = 5.0,
    backend: Any = None,
) -> Report:
    """Decide whether a hand-derived gradient is right.

    Args:
        cost: `cost(*args)` is a scalar, written in JAX or NumPy. Or a `Neuron`: then its own formulas are verified, and
            the gradient that `backend` computes with them.
        gradient: `gradient(*args)` is the tuple of gradients in the order of `wrt`, or a dict of them by the arguments'
            names, each a NumPy or JAX array.
        args: one example of the arguments, as a tuple. Callables are given NumPy arrays.
        wrt: the places of the arguments that are differentiated.
        shapes: names of the sizes that may vary together, such as ("D", "", "N D", "N"); None keeps the example's.
        dtype: "float64" or "float32".
        kinks: what is right where the cost has a kink: "zero", the one-sided derivatives' combination nearest to 0, the
            article's; "subgradient", any of them; "jax", what `jax.grad` of the cost gives.
        domain: what the inputs may be, by the argument's place: "real", "nonnegative", "positive", "unit", "integer",
            "count", "binary", "sign", "fixed", or a pair (low, high). What is not said is read off the example: sign,
            integrality, 0 and 1, -1 and 1, zeros. Arguments in `wrt` move freely where the cost is real.
        seconds: how long to look for a failure, about, on an idle core; it is counted in work, so a busy machine tries
            the same inputs. The clock only guards against hangs: 60 s and 20 times as long end as "inconclusive".
        backend: of a `Neuron`: a backend's name or instance.

    Returns:
        A `Report`; `raise_if_failed()` turns it into an exception.

    Raises:
        UsageError: an argument is missing or out of range.

    The functions are run, so they must be trusted; `gdjax verify` runs them in a process of its own.

    >>> import numpy as np
    >>> def cost(w, x):
    ...     return (w * w * x).sum()
    >>> example = (np.array([1.0, -2.0]), np.array([3.0, 0.5]))
    >>> verify(cost, lambda w, x: (2 * w * x,), example, wrt=(0,), shapes=("D", "D")).verdict
    'pass'
    >>> report = verify(cost, lambda w, x: (2 * abs(w) * x,), example, wrt=(0,), shapes=("D", "D"))
    >>> report.verdict, report.component
    ('fail', 'gradient[0][0] (d cost / d w[0])')
    """
    if hasattr(cost, "pointwise"):
        if gradient is not None or args is not None:
            raise UsageError("verify(neuron) takes no gradient and no args: its own formulas are verified")
        from gdjax.discovery import DEFAULT

        return verify_neuron(cost, DEFAULT if backend is None else backend, dtype, kinks, seconds)
    if gradient is None or args is None:
        raise UsageError("verify(cost, gradient, args): give all three, or a Neuron alone")
    if backend is not None:
        raise UsageError("backend= is for verify(neuron): a gradient of your own runs where it says")
    return checked(cost, gradient, args, wrt, shapes, dtype, kinks, domain, seconds)
